"""The settings of a run, one frozen and typed tree. Its keys are those of the YAML files that Levanter's users have."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from sofit.errors import SofitError
from sofit.precision import parse_precision


class Section(BaseModel):
    """A part of the configuration. Each attribute's docstring documents it everywhere: help, errors, docs/config-keys.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


def _refuse_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are not numbers")
    return value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _check_precision(policy: str) -> str:
    try:
        parse_precision(policy)
    except SofitError as error:
        raise ValueError(str(error)) from error
    return policy


def _check_mesh(mesh: dict[str, int]) -> dict[str, int]:
    if any(size != -1 and size < 1 for size in mesh.values()) or list(mesh.values()).count(-1) > 1:
        raise ValueError("a size is 1 or more, or -1 on one axis for all devices that are left")
    return mesh


def _check_part_names(mixture: "dict[str, MixturePartConfig]") -> "dict[str, MixturePartConfig]":
    if any(":" in name for name in mixture):
        raise ValueError("the name of a part has no colon, which ends it in the ids of its examples")
    return mixture


# Number types read text too, since YAML 1.1 takes 2E-5 for text, but not true and false, which Python takes for 1 and 0.
Integer = Annotated[int, BeforeValidator(_refuse_switch)]
Number = Annotated[float, BeforeValidator(_refuse_switch)]
Seed = Annotated[Integer, Field(ge=0, lt=2**63)]  # What both JAX and numpy take.
Count = Annotated[Integer, Field(ge=1)]
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[Number, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
BelowOne = Annotated[Number, Field(ge=0, lt=1)]
Share = Annotated[Number, Field(gt=0, le=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
SomeNames = Annotated[Names, Field(min_length=1)]
Axes = Annotated[tuple[Literal["mlp", "heads"], ...], BeforeValidator(_listed)]
Mesh = Annotated[dict[Literal["data", "model"], Integer], AfterValidator(_check_mesh)]


class WandbConfig(Section):
    """Weights & Biases."""

    project: str | None = None
    """The project to log to."""
    entity: str | None = None
    """The team or user that owns the project."""
    name: str | None = None
    """The name of the run; the run folder's name if not given."""
    group: str | None = None
    """The group that the run belongs to."""
    tags: Names = ()
    """Tags of the run."""
    mode: Literal["online", "offline", "disabled"] | None = None
    """How wandb works; by default as the environment variable WANDB_MODE says."""


class TensorBoardConfig(Section):
    """TensorBoard."""

    folder: str | None = None
    """Where the event files go; `tensorboard/` in the run folder if not given."""


class MixturePartConfig(Section):
    """A task in a mixture."""

    task: str
    """The task; `sofit tasks` lists them."""
    task_options: dict[str, Any] = {}
    """The task's own options."""
    data: str | None = None
    """Where its examples are, as for a task alone."""
    weight: Positive = 1.0
    """How much of the training it gets, in proportion to the other parts' weights."""


AttentionKind = Literal["auto", "blocks", "cudnn", "flash"]


class TrainerConfig(Section):
    """How to train."""

    num_train_steps: Count | None = None
    """Optimiser steps; by default three times through the data, and as many as take minutes for demo data."""
    train_batch_size: Count = 16
    """Examples in one step."""
    seed: Seed = 0
    """Decides the order of the examples, the adapters' first values and dropout."""
    mp: Annotated[str, AfterValidator(_check_precision)] = "p=f32,c=f32"
    """Mixed precision, as jmp writes it: p= for stored parameters, c= for computing; f32 (on every device whole) or bfloat16."""
    share_prefix: bool = True
    """Compute a prompt that several examples share once, not once for each. The result is the same."""
    loss_on: Literal["all", "free"] = "all"
    """Which tokens of an output carry loss: all, or only free ones, those at which the task's grammar leaves a choice. A model
    trained on free ones writes the others only under the grammar, so its scores without it mean nothing."""
    max_length: Count = 2048
    """The most tokens of one example, prompt and completion together. A longer one is an error."""
    micro_batch_tokens: Count = 8192
    """The most tokens that go through the model at once, on each device along the mesh axis `data`; larger batches accumulate
    gradients over several passes."""
    remat_policy: Literal["none", "products", "attention", "full"] = "products"
    """What the forward pass keeps for the backward pass: everything, what matrix products made, each layer's input and what its
    attention made, or each layer's input alone. What is not kept is computed again: less memory, more time, the same result."""
    attention: AttentionKind = "auto"
    """What computes attention: XLA in blocks, on any device; cuDNN's kernel, on an NVIDIA GPU, in bfloat16; sofit's own kernels
    (flash), on a TPU; or, on such devices, whichever is quicker in a trial at the start (auto). The result is the same."""
    tensor_parallel_axes: Axes = ()
    """Axes of the model to split over the mesh axis `model`: mlp, heads."""
    fsdp_axis: Literal["embed"] | None = "embed"
    """The axis of the parameters to split over the mesh axis `data`, so that no device holds them whole (FSDP); null keeps them
    whole on each."""
    mesh: Mesh = {"data": -1}
    """Devices along each mesh axis, `data` and `model`; -1 takes all that are left."""
    checkpoint_every: Count | None = None
    """Steps between checkpoints; by default a tenth of the run."""
    keep_checkpoints: Count = 1
    """How many of the latest checkpoints to keep, besides the best one."""
    wandb: WandbConfig | None = None
    """Weights & Biases; `{}` turns it on with its defaults. Needs the extra `wandb`."""
    tensorboard: TensorBoardConfig | None = None
    """TensorBoard; `{}` turns it on with its defaults. Needs the extra `tensorboard`."""


class OptimizerConfig(Section):
    """AdamW and its learning rate."""

    learning_rate: Positive | None = None
    """The highest learning rate; by default 1e-3 for LoRA and 1e-4 for full fine-tuning, and more for the demo's few steps."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay (AdamW), on matrices only."""
    beta1: BelowOne = 0.9
    """Decay of the running mean of the gradients."""
    beta2: BelowOne = 0.95
    """Decay of the running mean of their squares."""
    epsilon: Positive = 1e-8
    """Added to the root of that mean, so that nothing is divided by 0."""
    mu_dtype: Literal["float32", "bfloat16"] | None = None
    """The type of the running mean of the gradients; by default that of the parameters. bfloat16 takes half the memory."""
    max_grad_norm: NonNegative = 1.0
    """Gradients are scaled down to this norm; 0 turns that off."""
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    min_lr_ratio: Fraction = 0.1
    """Where the schedule ends, as a share of the learning rate."""
    warmup: NonNegative = 0.05
    """Steps over which the learning rate rises from 0: a share of the run if below 1, else a number of steps."""


class LoraConfig(Section):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685). Present means LoRA, absent means full fine-tuning."""

    r: Count = 8
    """The rank of each adapter."""
    alpha: Positive = 8.0
    """Adapters are scaled by alpha / r."""
    dropout: BelowOne = 0.0
    """Share of an adapter's inputs that is dropped in training."""
    rslora: bool = False
    """Scale by alpha / sqrt(r) instead (Kalajdzievski 2023, arXiv:2312.03732)."""
    quantize_base: Literal["int8", "nf4"] | None = None
    """Store the frozen linear layers in few bits (QLoRA, Dettmers et al. 2023, arXiv:2305.14314). Needs the extra `qlora`."""
    target_modules: SomeNames = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """The linear layers that get an adapter."""


class EvaluationConfig(Section):
    """Evaluation by generation: the model writes outputs, the task scores them."""

    split: Literal["train", "validation", "test"] = "validation"
    """The split to evaluate on."""
    limit: Count | None = 48
    """The most examples to evaluate, the first ones; null for all."""
    before: bool = True
    """Evaluate the model before the first step too. An untrained model writes long outputs, so that takes the longest."""
    every: Count | None = None
    """Steps between evaluations during training; by default only before and after."""
    batch_size: Count = 64
    """Examples generated at a time."""
    max_new_tokens: Count | None = None
    """The most tokens of one output; by default a little more than the longest target needs."""
    constrained: bool | None = None
    """Whether the grammar chooses among the model's tokens; by default both ways are scored, side by side, but only under the
    grammar where `trainer.loss_on` is free."""
    temperature: NonNegative = 0.0
    """How freely tokens are drawn: 0 takes the likeliest one, 1 draws them as often as the model finds them likely."""
    top_p: Share = 1.0
    """Draw only from the likeliest tokens that reach this probability together (Holtzman et al. 2019, arXiv:1904.09751)."""
    seed: Seed = 0
    """Decides what is drawn; nothing at temperature 0."""
    metric: str | None = None
    """The metric that chooses the best checkpoint and stops early; by default the task's first."""
    patience: Count | None = None
    """Stop after this many evaluations without a better metric; by default never. Needs `evaluation.every`."""

    @field_validator("patience")
    @classmethod
    def _check_patience(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("every", patience) is None:
            raise ValueError("it counts evaluations during training, so set evaluation.every too")
        return patience


class Config(Section):
    """Everything that decides a run. `sofit config` prints it resolved."""

    task: str = "viggo"
    """The task to learn; `sofit tasks` lists them."""
    task_options: dict[str, Any] = {}
    """The task's own options; `sofit tasks NAME` lists them."""
    mixture: Annotated[dict[str, MixturePartConfig], AfterValidator(_check_part_names)] = {}
    """Several tasks at once, in place of one: by a name of your own, each has task, task_options, data and weight."""
    plugins: Names = ()
    """Paths of one-file plugins to load."""
    model: str = "smollm2-135m"
    """The model to start from: a short name, a Hugging Face or run folder, a .gguf file, or a name on the Hub."""
    data: str | None = None
    """Where the examples are: demo, a folder, a file, or hf:NAME; by default the task's own choice."""
    data_cache_dir: str | None = None
    """Where tokenised data is kept between runs: a folder, or an fsspec address."""
    data_streaming: bool | None = None
    """Check and tokenise training examples as their step comes, not all before the first; by default from 100,000 on."""
    out: str | None = None
    """The run folder: a path or an fsspec address; by default runs/TASK-METHOD-NUMBER."""
    trainer: TrainerConfig = TrainerConfig()
    """How to train."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """The optimiser, AdamW, and its learning rate."""
    lora: LoraConfig | None = None
    """Low-rank adapters. A file with this section means LoRA, one without means full fine-tuning."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluation by generation: the model writes outputs, the task scores them."""

    @property
    def method(self) -> Literal["lora", "full"]:
        """What is trained: adapters, or every weight."""
        return "full" if self.lora is None else "lora"
