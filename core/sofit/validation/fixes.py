"""Mending outputs: what surrounds them, safely; what stands in them, by guess.

A fix is one only if the whole output is valid afterwards.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sofit.grammar.problem import TRAILING_TEXT, Problem

Problems = Callable[[str], Iterable[Problem]]
"""All that is wrong with a text."""

# The word after the opening fence names a language.
_FENCE = re.compile(r"\s*```[\w+-]*[ \t]*\r?\n")
_INLINE_FENCE = re.compile(r"\s*(`{1,3})([^`\n]+)\1\s*")
_MOST_EDITS = 8


@dataclass(frozen=True)
class Fix:
    """A valid text in place of an output."""

    text: str
    message: str
    """What changes."""
    is_safe: bool
    """Whether the output itself stays, and only what does not belong to it goes."""

    def as_json(self) -> dict[str, Any]:
        """Returns the fix as the machine formats write it."""
        return {"text": self.text, "message": self.message, "applicability": "safe" if self.is_safe else "unsafe"}


def find_fix(text: str, problems: Problems, *, unsafe: bool) -> Fix | None:
    """Returns the safe fix of an invalid output; failing that, and if asked for, an unsafe one."""
    unwrapped, changes = _unwrap(text)
    if changes and _is_valid(unwrapped, problems):
        return Fix(unwrapped, _sentence(changes), is_safe=True)
    return _guess(unwrapped, changes, problems) if unsafe else None


def _is_valid(text: str, problems: Problems) -> bool:
    return not any(problem.severity == "error" for problem in problems(text))


def _sentence(changes: list[str]) -> str:
    sentence = ", then ".join(changes)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _unwrap(text: str) -> tuple[str, list[str]]:
    """Takes off what is wrapped around an output; with it, what was taken off."""
    changes = []
    for change, step in _UNWRAPPING:
        changed = step(text)
        if changed != text:
            changes.append(change)
            text = changed
    return text, changes


def _unfence(text: str) -> str:
    # In one expression, where no fence closes, every blank would be tried as the one before it.
    opening, body = _FENCE.match(text), text.rstrip()
    if opening and body.endswith("```") and opening.end() <= len(body) - 3:
        return body[opening.end() : -3].rstrip(" \t").removesuffix("\n").removesuffix("\r")
    inline = _INLINE_FENCE.fullmatch(text)
    return inline.group(2) if inline else text


_UNWRAPPING: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("remove the byte order mark", lambda text: text.removeprefix("\ufeff")),
    ("remove the code fence", _unfence),
    ("remove white space at the ends", str.strip),
    ("end lines with LF", lambda text: text.replace("\r\n", "\n")),
)


def _guess(text: str, changes: list[str], problems: Problems) -> Fix | None:
    """Makes the edits that the problems suggest, one after the other."""
    for _ in range(_MOST_EDITS):
        problem = next((problem for problem in problems(text) if problem.severity == "error"), None)
        if problem is None:
            return Fix(text, _sentence(changes), is_safe=False)
        written = "" if problem.code == TRAILING_TEXT else problem.suggestion
        if written is None:
            return None
        changes = [*changes, _describe(problem.found, written)]
        text = text[: problem.offset] + written + text[problem.end_offset :]
    return None


def _describe(found: str, written: str) -> str:
    if not found:
        return f"insert {written!r}"
    return f"replace {found!r} by {written!r}" if written else f"remove {found!r}"
