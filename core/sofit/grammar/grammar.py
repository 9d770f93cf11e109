"""A grammar: parses outputs, and says what is wrong with the ones that do not parse."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sofit.errors import SofitError
from sofit.grammar.problem import Problem
from sofit.grammar.recogniser import Recogniser, set_warnings_ignored

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

    from sofit.grammar.flaw import Flaw
    from sofit.grammar.roles import RoleSpan
    from sofit.grammar.terminals import Terminals
    from sofit.json_schema.grammar import JsonSchemaGrammar


@dataclass(frozen=True)
class Grammar:
    """A grammar by its Lark text; the rule `start` is the whole output. Compiled when first used, then kept."""

    name: str
    text: str
    path: str = ""
    """The file it was read from, for messages; "" where it was made in memory."""
    checks: ClassVar[Mapping[str, str]] = {
        "subset": "python-lark and llguidance read its text alike",
        "compiles": "python-lark (LALR) and llguidance compile it",
        "bounded": "every terminal has a greatest length",
        "conflicts": "the next terminal always decides how the parser goes on",
        "collisions": "no terminal stands in another's way in any parser state",
    }
    """What `flaws` looks for, and what holds where it finds nothing."""
    is_exact: ClassVar[bool] = True
    """Whether the masks allow every output that is accepted; otherwise one spelling of each."""
    roles: ClassVar[Mapping[str, str]] = {}
    """What parts of an output are called, by rule or terminal, beside what a task names; `role_spans` says what that decides."""

    @classmethod
    def from_file(cls, path: str | Path) -> "Grammar":
        """Reads a .lark file, or a JSON Schema from a .json file; the grammar is named by the file's stem.

        Raises:
            SofitError: the file cannot be read.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            if path.suffix != ".json":
                return cls(path.stem, text, str(path))
            return cls.from_json_schema(json.loads(text), name=path.stem, path=str(path))
        except FileNotFoundError as error:
            raise SofitError(f"There is no grammar file {path}.") from error
        except OSError as error:
            raise SofitError(f"Cannot read the grammar {path}: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise SofitError(f"Cannot read the grammar {path}: {error}.") from error

    @classmethod
    def from_json_schema(
        cls, schema: Mapping[str, Any] | bool, *, name: str = "json_schema", path: str = "", formats: bool | None = None
    ) -> "JsonSchemaGrammar":
        """Makes the grammar of the JSON texts that a schema describes.

        What its masks would not enforce is in its `flaws`: then it validates and does not constrain.

        Args:
            schema: the schema, of draft 4 to 2020-12.
            name: what messages call it.
            path: the file it was read from, if any.
            formats: whether a `format` must be obeyed; by default up to draft 7, or where no draft is named, as later drafts
                make it a note.

        Raises:
            SofitError: it is no JSON Schema, refers to what is not in it, or cannot be checked.
        """
        from sofit.json_schema.grammar import JsonSchemaGrammar

        return JsonSchemaGrammar.make(schema, name, path, formats)

    def narrow(self, name: str, expressions: Mapping[str, str]) -> "Grammar":
        """Returns this grammar with expressions for some terminals that match less than theirs do here.

        Only these are compiled and checked, which takes milliseconds: for grammars that close names to those of a database, or
        of the example at hand.

        Args:
            name: what messages call it.
            expressions: by terminal, what stands after the colon of its definition, which is one line of this grammar. Each of
                its texts must be one that the terminal matches here. It names no other terminals.

        Raises:
            SofitError: a terminal is not defined here, on one line.
        """
        from sofit.grammar.narrowed import NarrowedGrammar

        return NarrowedGrammar.make(self, name, expressions)

    @functools.cached_property
    def parser(self) -> "Lark":
        """The LALR parser, which keeps every token, so that the leaves of a tree joined are the text itself.

        Raises:
            SofitError: the text is not a Lark grammar, or not LALR(1); names the file and the place.
        """
        import lark

        try:
            with set_warnings_ignored():
                # No placeholders: each leaf is text, so that joined they are the output.
                return lark.Lark(
                    self.text, parser="lalr", keep_all_tokens=True, propagate_positions=True, maybe_placeholders=False
                )
        except (lark.exceptions.LarkError, ValueError, OSError) as error:
            from sofit.grammar.compile_error import compile_error

            reason = compile_error(self.text, error)
            raise SofitError(f"Grammar {self.path or self.name!r} does not compile: {reason}") from error

    @property
    def _tree_parser(self) -> "Lark":
        """The parser that makes the tree of an accepted text."""
        return self.parser

    @functools.cached_property
    def recogniser(self) -> Recogniser:
        """The same parser without trees."""
        return Recogniser(self.parser)

    @functools.cached_property
    def terminals(self) -> "Terminals":
        """What the terminals match."""
        from sofit.grammar.terminals import Terminals

        return Terminals(self.parser)

    @functools.cached_property
    def flaws(self) -> "tuple[Flaw, ...]":
        """Why the grammar cannot constrain generation, as far as its text shows it; it can where there are none."""
        from sofit.grammar.static_check import static_flaws

        return tuple(static_flaws(self))

    def constraint(self, lead: str = "") -> str:
        """Returns the grammar as llguidance reads it, for outputs that follow `lead`, such as the space after a prompt."""
        from sofit.grammar.engine import lark_constraint

        return lark_constraint(self.text, lead)

    def parse(self, text: str) -> "Tree[Token]":
        """Parses a whole output.

        Raises:
            SofitError: the text is not in the language; the message is that of its `problem`.
        """
        problem = self.problem(text)
        if problem is not None:
            raise SofitError(str(problem))
        return self._tree_parser.parse(text)

    def accepts(self, text: str) -> bool:
        """Whether the text is in the language."""
        return self.recogniser.accepts(text)

    def problem(self, text: str) -> Problem | None:
        """Says where and why a text leaves the language; None where it does not."""
        if self.accepts(text):
            return None
        from sofit.grammar.diagnosis import diagnose

        return diagnose(text, self.recogniser, self.terminals)

    def role_spans(self, text: str, roles: Mapping[str, str]) -> "list[RoleSpan]":
        """Returns what each part of an output is, from its start to its end; a text that does not parse is `text`.

        Args:
            text: the output.
            roles: names by rule or terminal. A terminal that is named has that role; a literal without letters and digits is
                "punctuation"; anything else has the role of the innermost rule around it that is named. Where none is, other
                literals are "keyword", and terminals are called by their own names in lower case.
        """
        from lark.exceptions import LarkError

        from sofit.grammar.roles import TEXT, RoleSpan, spans

        try:
            tree = self._tree_parser.parse(text)
        except LarkError:
            return [RoleSpan(0, len(text), TEXT)]
        return list(spans(tree, self._default_roles, {**self.roles, **roles}))

    def role_names(self, roles: Mapping[str, str]) -> tuple[str, ...]:
        """Returns all roles that `role_spans` can give."""
        from sofit.grammar.roles import possible_roles

        return possible_roles(self._default_roles, {**self.roles, **roles})

    @property
    def parts(self) -> frozenset[str]:
        """The rules and terminals that a parse tree may show; the ones that a name for a role can stand for."""
        parser = self._tree_parser
        return frozenset([*self._default_roles, *(rule.alias or str(rule.origin.name) for rule in parser.rules)])

    @functools.cached_property
    def _default_roles(self) -> Mapping[str, str]:
        from sofit.grammar.roles import default_roles

        return default_roles(self._tree_parser)
