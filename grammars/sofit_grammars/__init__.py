"""The grammars that come with sofit: every .lark file of this folder, registered under its stem."""

import functools
from collections.abc import Callable
from pathlib import Path

from sofit import Grammar, hookimpl

_FOLDER = Path(__file__).parent


@functools.cache
def builtin_grammar(name: str) -> Grammar:
    """Returns the grammar NAME.lark; always the same object, so that it is compiled once however many ask for it."""
    return Grammar.from_file(_FOLDER / f"{name}.lark")


@hookimpl
def sofit_register_grammars(register: Callable[[Grammar], None]) -> None:
    """Registers every grammar of this folder."""
    for path in sorted(_FOLDER.glob("*.lark")):
        register(builtin_grammar(path.stem))
