"""The same grammar in llguidance, which makes the masks of constrained decoding."""

import functools
import json
import re
from typing import TYPE_CHECKING

from sofit.grammar.flaw import Flaw

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_PLACE = re.compile(r"(?:at )?(\d+)\((\d+)\): (.*)")


def lark_constraint(text: str, lead: str = "") -> str:
    """Returns llguidance's form of a Lark grammar whose outputs follow `lead`, such as the space after a prompt."""
    if not lead:
        return json.dumps({"grammars": [{"lark_grammar": text}]})
    outer = f"start: {json.dumps(lead)} @output"
    return json.dumps({"grammars": [{"lark_grammar": outer}, {"name": "output", "lark_grammar": text}]})


def compile_flaws(constraint: str) -> list[Flaw]:
    """Returns why llguidance refuses a constraint; nothing where it does not."""
    from llguidance import LLMatcher

    is_error, messages = LLMatcher.validate_grammar_with_warnings(constraint, byte_tokenizer(), limits=limits())
    if not is_error:
        return []
    first, *more = messages[0].splitlines()
    found = _PLACE.match(first)
    line, column, reason = (int(found[1]), int(found[2]), found[3]) if found else (None, None, first)
    # Of a regular expression, the first line says that it is wrong and a later one why.
    if reason.endswith("parse error:"):
        reason += next((text.removeprefix("error:") for text in more if text.startswith("error:")), "")
    return [Flaw("compiles", f"llguidance refuses the grammar: {reason}", "docs/grammars.md shows what it reads.", line, column)]


class ByteMatcher:
    """Decides by llguidance, byte by byte, what lark decides by the parser's table."""

    def __init__(self, constraint: str):
        from llguidance import LLMatcher

        self._start = LLMatcher(byte_tokenizer(), constraint, log_level=0, limits=limits())
        assert not self._start.is_error(), self._start.get_error()

    def accepts(self, text: str) -> bool:
        """Whether the text is in the language."""
        # Half of a character is in no language, as its bytes are no UTF-8.
        matcher, data = self._start.deep_copy(), list(text.encode("utf-8", "surrogatepass"))
        return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()

    def copy(self) -> "LLMatcher":
        """Returns a matcher at the start, whose tokens are bytes."""
        return self._start.deep_copy()


@functools.cache
def limits() -> "LLParserLimits":
    """Returns what a matcher may spend before it gives up: more than by default, as expressions may repeat hundreds of times."""
    from llguidance import LLParserLimits

    return LLParserLimits(initial_lexer_fuel=20_000_000, step_lexer_fuel=2_000_000)


@functools.cache
def byte_tokenizer() -> "LLTokenizer":
    """Returns a tokenizer whose first 256 tokens are the bytes."""
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
