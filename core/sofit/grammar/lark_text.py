"""The tokens of a Lark grammar's text, with their places. Source of the syntax: Lark's "Grammar Reference"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKENS = re.compile(
    r"""
      (?P<comment> //[^\n]* | \#[^\n]* )
    | (?P<regexp> /(?!/) (?:\\/|\\\\|[^/])*? /[imslux]* )
    | (?P<string> " (?:\\"|\\\\|[^"\n])*? " i? )
    | (?P<directive> %[a-z]+ )
    | (?P<name> [!?]* _*[A-Za-z][_A-Za-z0-9]* | _+ )
    | (?P<number> [+-]?[0-9]+ )
    | (?P<operator> -> | \.\. | [:|()\[\]{}?*+~,.] )
    | (?P<newline> \n )
    | (?P<blank> [^\S\n]+ )
    | (?P<unknown> . )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class LarkToken:
    """A token of a grammar's text."""

    kind: str
    """comment, regexp, string, directive, name, number, operator, newline or unknown."""
    text: str
    offset: int


def lark_tokens(text: str) -> Iterator[LarkToken]:
    """Yields the tokens of a grammar, white space left out and newlines kept."""
    for match in _TOKENS.finditer(text):
        kind = match.lastgroup or ""
        if kind != "blank":
            yield LarkToken(kind, match.group(), match.start())


def place(text: str, offset: int) -> tuple[int, int]:
    """Returns the line and the column of an offset, from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def definitions(text: str) -> dict[str, int]:
    """Returns where each rule and terminal is defined or imported, by name without modifiers."""
    found: dict[str, int] = {}
    tokens = [token for token in lark_tokens(text) if token.kind not in ("comment", "newline")]
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.kind == "name" and after is not None and after.text == ":":
            found.setdefault(token.text.lstrip("!?"), token.offset)
    for token in tokens:
        if token.kind == "name":
            found.setdefault(token.text.lstrip("!?"), token.offset)
    return found
