"""The task contract: what a plugin supplies so that a model can be trained on its data and judged on its output."""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, TypedDict, get_args, get_origin

from sofit.errors import SofitError, did_you_mean
from sofit.grammar import Grammar, Problem


@dataclass(frozen=True, kw_only=True)
class Example:
    """One input and the output that the model shall write for it."""

    id: str
    """Names the example within its split, such as "train-17"."""
    input: Any
    """Whatever `Task.prompt` needs: a sentence, or a question with its database."""
    target: str
    """The output, exactly as the model shall write it."""
    where: str = ""
    """Where the example stands, as "file:line", for error messages; "" where it stands nowhere."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model wrote for an example."""

    example: Example
    text: str
    finished: bool = True
    """Whether the model ended its output itself; False where the limit on new tokens cut it off."""


class Message(TypedDict):
    """One turn of a chat prompt."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good predictions are."""

    metrics: Mapping[str, float]
    """Each metric by name, from 0 to 1, higher is better: the mean of its values in `per_example`, or, where it has none there, a
    measure of all predictions together, such as an F1 over the fields of all."""
    per_example: Sequence[Mapping[str, Any]] = ()
    """The metrics of each prediction and whatever helps to understand them, in the order of the predictions."""
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """`confusion[expected][found]` counts classes of output (functions, intents); empty where a task has none."""
    breakdown: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """`breakdown[kind][part][outcome]` counts how each part of the outputs fared, the outcome "right" among others:
    `breakdown["attribute"]["genres"]` may be {"right": 90, "wrong": 7, "missing": 3}; empty where a task has none."""

    @classmethod
    def averaged(
        cls,
        per_example: Sequence[Mapping[str, Any]],
        *,
        together: Mapping[str, float] | None = None,
        confusion: Mapping[str, Mapping[str, int]] | None = None,
        breakdown: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    ) -> "Scores":
        """Makes scores of entries of all examples: the metrics are the means of their floats, and `together`.

        Args:
            per_example: as the field; each entry has the same floats.
            together: the metrics of all predictions together.
            confusion: as the field.
            breakdown: as the field.
        """
        names = [name for name, value in per_example[0].items() if isinstance(value, float)] if per_example else []
        means = {name: fmean(entry[name] for entry in per_example) for name in names}
        return cls(
            metrics={**means, **(together or {})},
            per_example=per_example,
            confusion=confusion or {},
            breakdown=breakdown or {},
        )


@dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """What to learn: data, prompt, grammar and metrics. Subclasses are frozen dataclasses; their fields are the options.

    Every option has a default, so that `sofit train --task NAME` works alone. A field is set from the command line with
    `--set task_options.FIELD=VALUE`, `data` with `--data`. A field's `metadata["help"]` describes it in `sofit tasks NAME`.
    A field of a `Literal` type takes only its values, unless the module postpones its annotations.
    """

    name: ClassVar[str]
    """What users type: `--task NAME`."""
    description: ClassVar[str] = ""
    """One line for `sofit tasks`."""
    grammar: ClassVar[Grammar | None] = None
    """The language of all targets; None where `grammar_for` makes one for each example."""
    headline: ClassVar[Sequence[str]] = ()
    """The metrics to show first; the first one chooses the best checkpoint. Empty shows them all, as `score` orders them."""

    rules: ClassVar[Mapping[str, str]] = {}
    """What `check` looks for: each code, SOF101 and up, with a sentence on what is wrong."""

    roles: ClassVar[Mapping[str, str]] = {}
    """What the parts of an output are called where training shows its loss part by part: names by rule or terminal of the
    grammar, such as {"function": "function", "TEXT": "value"}. `Grammar.role_spans` says what they decide, and what unnamed parts
    are."""

    data: str = field(default="demo", metadata={"help": "demo, a folder, a file, or hf:NAME"})

    def __post_init__(self) -> None:
        for option in dataclasses.fields(self):
            if get_origin(option.type) is Literal and getattr(self, option.name) not in get_args(option.type):
                choices, value = ", ".join(map(str, get_args(option.type))), getattr(self, option.name)
                raise SofitError(f"Option {option.name!r} must be one of {choices}. Got {value!r}.")

    @abc.abstractmethod
    def load(self, split: str) -> Iterable[Example]:
        """Returns the examples of a split: "train", "validation" or "test".

        Where it returns a sequence, as `sofit.read_examples` does, large data is read by number as training goes. An iterator is
        read whole, into memory.

        Raises:
            SofitError: the data cannot be found or read; names the file and, for a bad row, the line.
        """

    @abc.abstractmethod
    def prompt(self, example: Example) -> str | Sequence[Message]:
        """Returns what the model reads before it writes: plain text, or chat messages for the model's chat template.

        The target follows a text directly, so a text ends with the separator that it wants ("Output: ").
        """

    @abc.abstractmethod
    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Judges predictions against the targets of their examples."""

    def grammar_for(self, example: Example) -> Grammar:
        """Returns the grammar of this example's output. Override it where the input decides what may be written."""
        assert self.grammar is not None, f"{type(self).__name__} has neither a grammar nor grammar_for"
        return self.grammar

    def check(self, text: str) -> Iterable[Problem]:
        """Yields what is wrong with an output that the grammar accepts: the `rules` that it breaks."""
        return ()

    def check_for(self, example: Example, text: str) -> Iterable[Problem]:
        """Yields what is wrong with an output for an example that its grammar accepts.

        Override it in place of `check` where the input decides: columns that a table of the example's database lacks.
        """
        return self.check(text)

    def example_for(self, text: str) -> Example:
        """Makes an example without a target from what a user typed, for `sofit generate`."""
        return Example(id="input", input=text, target="")

    def instruction_row(self, example: Example) -> Mapping[str, str]:
        """Returns an example as `sofit data export` writes it, for instruction tuning: "instruction", "input" and "output".

        Override it where the input can be told from the rest of the prompt, so that `load` can read the file again.
        """
        prompt = self.prompt(example)
        text = prompt if isinstance(prompt, str) else "\n\n".join(message["content"] for message in prompt)
        return {"instruction": text, "input": "", "output": example.target}

    def canonical(self, text: str, example: Example) -> str:
        """Returns one spelling for all outputs that mean the same as `text`; `text` itself where it does not parse."""
        return text

    @property
    def is_demo(self) -> bool:
        """Whether the examples are made up by the plugin, which every report then says."""
        return self.data == "demo"


def check_task_class(task: type[Task]) -> None:
    """Fails, at registration, on a task class that lacks a part.

    Raises:
        SofitError: names the parts that are missing and what each must be.
    """
    faults = [f"{method}() is not defined" for method in sorted(getattr(task, "__abstractmethods__", ()))]
    if not isinstance(getattr(task, "name", None), str):
        faults.append('`name: ClassVar[str] = "..."` is missing')
    if task.grammar is None and task.grammar_for is Task.grammar_for:
        faults.append("neither `grammar` nor grammar_for() is defined")
    if "__dataclass_fields__" not in vars(task) or not vars(task)["__dataclass_params__"].frozen:
        faults.append("it is not a @dataclass(frozen=True, kw_only=True)")
    else:
        missing = dataclasses.MISSING
        required = [f.name for f in dataclasses.fields(task) if f.default is missing and f.default_factory is missing]
        faults += [f"option {name!r} has no default" for name in required]
    if faults:
        raise SofitError(f"The task class {task.__module__}.{task.__qualname__} is incomplete: {'; '.join(faults)}.")


def make_task(task: type[Task], options: Mapping[str, Any]) -> Task:
    """Makes a task with options by field name.

    Raises:
        SofitError: an option that the task does not have, or a value of another type than the field's default.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(task)}
    for key, value in options.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults))
            raise SofitError(f"Task {task.name!r} has no option {key!r}. Options: {known}.{did_you_mean(key, defaults)}")
        default = defaults[key]
        # Types are compared exactly, since True is an int as well.
        kinds = (float, int) if type(default) is float else (type(default),)
        if isinstance(default, bool | int | float | str) and type(value) not in kinds:
            kind = type(default).__name__
            raise SofitError(f"Option {key!r} of task {task.name!r} must be of type {kind}. Got {value!r}.")
    return task(**options)
