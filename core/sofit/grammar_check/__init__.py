"""Trying a grammar out: on its own text, on a task's targets, on damaged targets, and on random outputs of its masks."""

from sofit.grammar_check.check import CheckReport, check_grammar, targets_by_grammar

__all__ = ["CheckReport", "check_grammar", "targets_by_grammar"]
