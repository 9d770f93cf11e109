"""What python-lark says of a grammar that it does not read, in a line that begins with the place."""

import itertools
import re

from sofit.errors import did_you_mean
from sofit.grammar.lark_text import lark_tokens, place

_PLACE = re.compile(r",? at line (\d+),? column (\d+)(?: in <string>)?:?")
_UNDEFINED = re.compile(r"(?:Rule|Terminal|Template|Symbol) '(\w+)' used but not defined")


def compile_error(text: str, error: Exception) -> str:
    """Returns why lark refuses a grammar's text, after "LINE:COLUMN: " where the place is known."""
    # What follows the first paragraph is an excerpt of the text.
    said = " ".join(str(error).strip().split("\n\n")[0].split())
    if "NonTerminal('start')" in said:
        return "There is no rule 'start', which says what a whole output is."
    if found := _PLACE.search(said):
        return f"{found[1]}:{found[2]}: {_sentence(said.replace(found[0], ''))}"
    if undefined := _UNDEFINED.match(said):
        return _undefined(text, undefined[1])
    return _sentence(said)


def _undefined(text: str, name: str) -> str:
    tokens = [token for token in lark_tokens(text) if token.kind not in ("comment", "newline")]
    defined = {token.text.lstrip("?!") for token, after in itertools.pairwise(tokens) if after.text == ":"}
    used = next((token for token in tokens if token.text == name), None)
    where = "" if used is None else "{}:{}: ".format(*place(text, used.offset))
    return f"{where}{name!r} is used but not defined.{did_you_mean(name, defined)}"


def _sentence(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."
