"""Errors that a user can mend, and the nearest-name hint they carry."""

import difflib
from collections.abc import Iterable


class SofitError(Exception):
    """Something the user can mend: a wrong name, an unreadable file, a row that does not fit.

    The command line prints the message alone and exits with code 2; `--debug` adds the traceback. A message says what was
    found, what was expected and what to do next.
    """


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Returns the choice that `name` probably means; None where none is like it."""
    by_folded_name = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), by_folded_name, n=1, cutoff=0.6)
    return by_folded_name[near[0]] if near else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Returns " Did you mean 'viggo'?" for the choice nearest to `name`, or "" where none is near."""
    near = nearest(name, choices)
    return f" Did you mean {near!r}?" if near else ""
