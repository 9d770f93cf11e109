"""The task: from a sentence about video games to the function call that it means.

    Sentence: Tetris is the best there is. On Nintendo or on PC, nothing beats a puzzle game.
    Output: give_opinion(name[Tetris], rating[excellent], genres[puzzle], platforms[Nintendo, PC])

ViGGO turned around: Juraska, Bowden and Walker, "ViGGO: A Video Game Corpus for Data-To-Text Generation in Open-Domain
Conversation", INLG 2019 (W19-8623), made the data to get from the call to the sentence.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sofit import Example, Grammar, Prediction, Problem, Scores, Task, read_examples
from sofit_viggo.calls import GRAMMAR, ROLES, parse_call
from sofit_viggo.demo import demo_split
from sofit_viggo.metrics import HEADLINE, score_calls
from sofit_viggo.prompt import PromptStyle, prompt_for, shared_prompt
from sofit_viggo.rules import RULES, check_call
from sofit_viggo.sources import example_from


@dataclass(frozen=True, kw_only=True)
class ViggoTask(Task):
    """Sentences about video games to function calls."""

    name: ClassVar[str] = "viggo"
    description: ClassVar[str] = "sentences about video games to function calls (ViGGO)"
    grammar: ClassVar[Grammar | None] = GRAMMAR
    headline: ClassVar[Sequence[str]] = HEADLINE
    rules: ClassVar[Mapping[str, str]] = RULES
    roles: ClassVar[Mapping[str, str]] = ROLES

    prompt_style: PromptStyle = field(
        default="long",
        metadata={"help": "none: the sentence alone; short: with an instruction; long: with worked examples as well"},
    )
    demo_seed: int = field(default=0, metadata={"help": "draws another demo set"})

    def load(self, split: str) -> Sequence[Example]:
        """Returns the demo set, or the rows of `data`."""
        if not self.is_demo:
            return read_examples(self.data, split, example_from)
        rows = enumerate(demo_split(split, self.demo_seed))
        return [Example(id=f"{split}-{index}", input=sentence, target=call) for index, (sentence, call) in rows]

    def prompt(self, example: Example) -> str:
        """Returns the shared prompt, the sentence, and where the call begins."""
        return prompt_for(example.input, self.prompt_style)

    def score(self, predictions: Sequence[Prediction]) -> Scores:
        """Scores function calls; see `sofit_viggo.metrics`."""
        return score_calls(predictions)

    def check(self, text: str) -> Iterator[Problem]:
        """Yields the broken rules of `sofit_viggo.rules`."""
        return check_call(text)

    def instruction_row(self, example: Example) -> dict[str, str]:
        """Returns the post's row: what stands before every sentence, the sentence, and the call."""
        return {"instruction": shared_prompt(self.prompt_style).strip(), "input": example.input, "output": example.target}

    def canonical(self, text: str, example: Example) -> str:
        """Returns the call with its attributes in the order of the data. The order inside a list counts, so it stays."""
        call = parse_call(text)
        return text if call is None else str(call.in_order())
