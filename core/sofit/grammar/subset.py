"""The subset of Lark that python-lark and llguidance read alike: what leaves it, and what to write instead.

Each construct below was tried in both engines (lark 1.3.1, llguidance 1.9.1): one refuses it, or they read it differently.
`tests/core/test_grammar_check_subset.py` tries them again.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from sofit.grammar.flaw import Flaw
from sofit.grammar.lark_text import LarkToken, lark_tokens, place

_DIRECTIVES = {
    "%ignore": ("%ignore is not read at the start and at the end of the output.", "Write the white space into the rules."),
    "%declare": ("%declare makes a terminal without text.", "Define the terminal."),
    "%override": ("%override is not read.", "Write the rule out in this file."),
    "%extend": ("%extend is not read.", "Write the rule out in this file."),
}
_STRING_ESCAPES = frozenset('\\"nrtfxu')
_FLAGS_OF_PLACE = "Leave it out: a terminal starts and ends where its text does."
_GROUPS = (
    ("(?=", "lookahead", "Write what may follow as a terminal of its own."),
    ("(?!", "negative lookahead", "Write a set that leaves the characters out, such as [^a]."),
    ("(?<=", "lookbehind", "Write what stands before as a part of the terminal."),
    ("(?<!", "negative lookbehind", "Write a set that leaves the characters out, such as [^a]."),
    ("(?>", "atomic group", "Write (?:...)."),
    ("(?#", "comment in an expression", "Write the comment after //, outside the expression."),
    ("(?(", "condition on a group", "Write the alternatives out."),
    ("(?P=", "backreference", "Write the alternatives out."),
)
_SETS = {
    "d": ("digits of every script, as each engine's Unicode tables have them", "[0-9]"),
    "w": ("letters, digits and more of every script, as each engine's Unicode tables have them", "[A-Za-z0-9_]"),
    "s": ("white space, which one engine takes to include \\x1c to \\x1f", r"[ \t\r\n]"),
}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_VERBOSE_GROUP = re.compile(r"\(\?[a-z]*x")
_REPEAT = re.compile(r"[*+?]|\{\d*,?\d*\}")


def leaving_the_subset(text: str) -> list[Flaw]:
    """Returns each construct of a grammar's text that the two engines do not read alike, in order."""
    flaws = [*_directives_and_rules(text)]
    for token in lark_tokens(text):
        if token.kind == "regexp":
            flaws += _regexp(text, token)
        elif token.kind == "string":
            flaws += _string(text, token)
    return sorted(flaws, key=lambda flaw: (flaw.line, flaw.column))


def _flaw(text: str, offset: int, message: str, remedy: str) -> Flaw:
    line, column = place(text, offset)
    return Flaw("subset", message, remedy, line, column)


def _directives_and_rules(text: str) -> Iterator[Flaw]:
    tokens = list(lark_tokens(text))
    yield from _comments_between_alternatives(text, tokens)
    tokens = [token for token in tokens if token.kind not in ("comment", "newline")]
    for index, token in enumerate(tokens):
        after = [other.text for other in tokens[index + 1 : index + 4]]
        if token.text in _DIRECTIVES:
            yield _flaw(text, token.offset, *_DIRECTIVES[token.text])
        elif token.text == "%import" and after[:1] != ["common"]:
            source = next((name for name in after if name != "."), "a file")
            message = f"%import from {source} is not read: only the terminals of `common` are."
            yield _flaw(text, token.offset, message, "Copy what you need into this file.")
        elif token.kind == "name" and token.text == "ESCAPED_STRING" and tokens[max(0, index - 1)].text in (".", "(", ","):
            message = "common.ESCAPED_STRING holds raw newlines in one engine and none in the other."
            yield _flaw(text, token.offset, message, r'Write it out: STRING: /"([^"\\\x00-\x1f]|\\["\\\/bfnrt])' + '{0,100}"/.')
        elif token.kind == "name" and after[:1] == ["."] and after[1:2] and re.fullmatch(r"[+-]?\d+", after[1]):
            yield _flaw(text, token.offset, f"The priority of {token.text} is not read.", "Make the terminals differ instead.")
        elif token.text == ".." and index and (tokens[index - 1].text == '"^"' or after[:1] == ['"]"']):
            message = "Lark puts the ends of a range into a set as they are, where ^ and ] mean something else."
            yield _flaw(text, token.offset, message, r"Write a set, such as /[!-\]]/.")
        elif token.kind in ("name", "string", "regexp") and after[:1] == ["{"]:
            if after[1:2] and after[1].isdigit():
                yield _flaw(text, token.offset, "Lark counts with ~ in a rule, not with braces.", f"Write {token.text}~1..3.")
            elif token.kind == "name":
                yield _flaw(text, token.offset, f"The template {token.text} is not read.", "Write the rule out for each use.")


def _comments_between_alternatives(text: str, tokens: list[LarkToken]) -> Iterator[Flaw]:
    """Finds lines with nothing but a comment before a line that goes on with `|`."""
    lonely: LarkToken | None = None
    for before, token in pairwise([LarkToken("newline", "\n", -1), *tokens]):
        if token.kind == "comment" and before.kind == "newline":
            lonely = token
        elif token.text == "|" and before.kind == "newline" and lonely is not None:
            message = "A comment on a line of its own ends the rule in one engine, and | follows."
            yield _flaw(text, lonely.offset, message, "Put it above the rule, or at the end of a line.")
        elif token.kind not in ("newline", "comment"):
            lonely = None


def _string(text: str, token: LarkToken) -> Iterator[Flaw]:
    body = token.text.rstrip("i")[1:-1]
    index = 0
    while index < len(body):
        offset = token.offset + 1 + index
        if body[index] == "\\":
            escaped = body[index + 1 : index + 2]
            if escaped not in _STRING_ESCAPES:
                remedy = 'Known are \\\\ \\" \\n \\r \\t \\f \\xHH and \\uHHHH; other characters stand for themselves.'
                yield _flaw(text, offset, f"The escape \\{escaped} is not read alike in a string.", remedy)
            elif _HALF.match(body, index):
                yield _flaw(text, offset, "\\u with a surrogate is half of a character.", "Write the character itself.")
            index += 1
        elif ord(body[index]) < 0x20:
            yield _flaw(text, offset, "A control character stands in a string.", f"Write \\x{ord(body[index]):02x}.")
        index += 1


def _regexp(text: str, token: LarkToken) -> Iterator[Flaw]:
    body, flags = token.text[1:].rsplit("/", 1)
    is_verbose = "x" in flags or _VERBOSE_GROUP.search(body) is not None
    index = 0
    while index < len(body):
        offset = token.offset + 1 + index
        if body[index] == "\\":
            yield from _escape(text, offset, body[index + 1 : index + 2], in_set=False)
            index += 2
        elif body[index] == "[":
            end = _end_of_set(body, index)
            yield from _set(text, offset, body[index:end], is_verbose=is_verbose)
            index = end
        elif body[index] in "^$":
            message = f"{body[index]} means a place in the text, which a terminal does not know."
            yield _flaw(text, offset, message, f"{_FLAGS_OF_PLACE} For the character, write \\{body[index]}.")
            index += 1
        elif body[index] == "(":
            yield from _group(text, offset, body[index:])
            # The mark after the parenthesis is none that repeats.
            index += 2 if body.startswith("(?", index) else 1
        elif repeat := _REPEAT.match(body, index):
            yield from _repeat(text, offset, repeat.group(), body[repeat.end() : repeat.end() + 1])
            index = repeat.end() + (body[repeat.end() : repeat.end() + 1] in ("?", "+"))
        else:
            index += 1


def _end_of_set(body: str, start: int) -> int:
    """Returns the place after the bracket that closes a set; a bracket that comes first is a character of it."""
    index = start + 1 + body.startswith("[^", start)
    index += body.startswith("]", index)
    while index < len(body) and body[index] != "]":
        index += 2 if body[index] == "\\" else 1
    return index + 1


def _escape(text: str, offset: int, character: str, *, in_set: bool) -> Iterator[Flaw]:
    if character.lower() in _SETS:
        meaning, instead = _SETS[character.lower()]
        instead = instead if character.islower() else f"[^{instead[1:]}"
        yield _flaw(text, offset, f"\\{character} means {meaning}.", f"Write {instead}.")
    elif character == "b" and in_set:
        yield _flaw(text, offset, "\\b in a set is a backspace to one engine only.", "Write \\x08.")
    elif character in set("bBAZ<>") and not in_set:
        yield _flaw(text, offset, f"\\{character} means a place in the text.", _FLAGS_OF_PLACE)
    elif character == "0":
        yield _flaw(text, offset, "\\0 is not read.", "Write \\x00.")
    elif character.isdigit():
        yield _flaw(text, offset, f"The backreference \\{character} is not read.", "Write the alternatives out.")
    elif character == "N":
        yield _flaw(text, offset, "\\N{...} is not read.", "Write the character itself, or \\uHHHH.")
    elif character in ("p", "P"):
        yield _flaw(text, offset, f"Lark does not read \\{character}{{...}}.", "Write ranges, such as [a-zà-ÿ].")


def _set(text: str, offset: int, body: str, *, is_verbose: bool) -> Iterator[Flaw]:
    index = 1
    while index < len(body) - 1:
        if body[index] == "\\":
            yield from _escape(text, offset + index, body[index + 1 : index + 2], in_set=True)
            index += 1
        elif body[index] == "[":
            yield _flaw(text, offset + index, "A bare [ in a set opens another set in one engine.", "Write \\[.")
        elif is_verbose and (body[index].isspace() or body[index] == "#"):
            message = f"{body[index]!r} in a set is a character of it to one engine, and to the other nothing under the flag x."
            yield _flaw(text, offset + index, message, f"Write \\x{ord(body[index]):02x}.")
        elif body[index : index + 2] in ("&&", "--", "~~"):
            double = body[index : index + 2]
            message = f"{double} in a set is an operation on sets in one engine, two characters in the other."
            yield _flaw(text, offset + index, message, f"Write \\{double[0]} once.")
            index += 1
        index += 1


def _group(text: str, offset: int, rest: str) -> Iterator[Flaw]:
    for opening, name, remedy in _GROUPS:
        if rest.startswith(opening):
            yield _flaw(text, offset, f"A {name}, {opening}, is not read.", remedy)
            return
    if flags := re.match(r"\(\?([a-zA-Z-]+)\)", rest):
        yield _flaw(
            text, offset, f"Flags without a group, {flags.group()}, are not read.", "Write them after the last slash, as /a/i."
        )


def _repeat(text: str, offset: int, repeat: str, after: str) -> Iterator[Flaw]:
    if repeat.startswith("{,"):
        yield _flaw(text, offset, f"{repeat} is not read.", f"Write {{0{repeat[1:]}.")
    if after == "?":
        message = f"{repeat}? takes as little as it can in one engine and as much in the other."
        yield _flaw(text, offset, message, "Leave the ? out, and leave the character that follows out of the set that repeats.")
    elif after == "+":
        yield _flaw(text, offset, f"{repeat}+ is not read alike.", "Leave the + out.")
