"""What a run will need, told before it is paid for: memory, operations and time, without weights and on any mesh."""

from sofit.plan.plan import Plan, PlanRequest, TriedLever, plan_training

__all__ = ["Plan", "PlanRequest", "TriedLever", "plan_training"]
