r"""Regular expressions of JSON Schema, which are JavaScript's, written for Python and for Rust.

The three dialects share most of their syntax and read some of it differently: what `\d`, `\w`, `\s`, `.` and `$` mean, what
stands for a set inside a set, which characters may be escaped. Source: ECMA-262, section "Regular Expression Patterns".
"""

import re
from dataclasses import dataclass

from sofit.grammar.nfa import Characters, complement, union

_SETS: dict[str, Characters] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": (
        (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
        (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
    ),
}  # fmt: skip
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0"}
_GROUP = re.compile(r"\(\?(?::|=|!|<=|<!|<[A-Za-z_]\w*>|P<[A-Za-z_]\w*>|[a-z]*:)")
_REPEAT = re.compile(r"\{\d+(,\d*)?\}")
_WORD = "[0-9A-Z_a-z]"


@dataclass(frozen=True)
class _Item:
    """What stands in a set: a character or a class."""

    ranges: Characters
    is_dash: bool = False

    @property
    def character(self) -> int | None:
        (low, high), *more = self.ranges
        return low if low == high and not more else None


class UnknownSyntax(ValueError):
    """The expression has a part whose meaning is not known."""


@dataclass(frozen=True)
class Pattern:
    """One expression in both dialects."""

    python: str
    """For `re.search`."""
    rust: str
    """For llguidance, which looks for it anywhere in the text as well."""


def translate(expression: str) -> Pattern:
    """Writes an expression of JSON Schema for Python and Rust.

    Raises:
        UnknownSyntax: a part of it is not JavaScript's, or is a class of Unicode's.
    """
    python, rust = [], []
    index = 0
    while index < len(expression):
        character = expression[index]
        if character == "\\":
            one, other, index = _escape(expression, index)
        elif character == "[":
            one, index = _set(expression, index)
            other = one
        elif character == "(":
            one, index = _group(expression, index)
            other = one
        elif character == ".":
            one = other = _ranges(complement(_LINE_ENDS))
            index += 1
        elif character == "$":
            one, other, index = r"\Z", "$", index + 1
        elif character == "{":
            one, index = _repeat(expression, index)
            other = one
        elif character in "^*+?|)":
            one, other, index = character, character, index + 1
        else:
            one = other = _literal(character)
            index += 1
        python.append(one)
        rust.append(other)
    pattern = Pattern("".join(python), "".join(rust))
    try:
        re.compile(pattern.python)
    except (re.error, RecursionError, OverflowError) as error:
        raise UnknownSyntax(f"{error} in the expression {expression!r}") from error
    return pattern


def _escape(expression: str, index: int) -> tuple[str, str, int]:
    """Returns an escape outside a set in both dialects, and where it ends."""
    letter = expression[index + 1 : index + 2]
    if letter in ("b", "B"):
        # Python's own counts letters of every script. Rust has the same, and llguidance reads neither.
        inside, outside = (
            f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
            f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
        )
        return (inside if letter == "b" else outside), f"\\{letter}", index + 2
    if letter and letter in "123456789":
        number = re.match(r"\d+", expression[index + 1 :])
        assert number is not None
        return f"(?:\\{number.group()})", f"\\{number.group()}", index + 1 + number.end()
    if letter == "k":
        name = re.match(r"<(\w+)>", expression[index + 2 :])
        if name is None:
            raise UnknownSyntax(f"\\k without a name in the expression {expression!r}")
        return f"(?P={name[1]})", f"\\k<{name[1]}>", index + 2 + name.end()
    ranges, end = _escaped_characters(expression, index)
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        literal = _literal(chr(ranges[0][0]))
        return literal, literal, end
    return _ranges(ranges), _ranges(ranges), end


def _escaped_characters(expression: str, index: int) -> tuple[Characters, int]:
    """Returns what an escape that stands for characters stands for, and where it ends."""
    letter = expression[index + 1 : index + 2]
    if letter.lower() in _SETS and letter:
        ranges = _SETS[letter.lower()]
        return (ranges if letter.islower() else complement(ranges)), index + 2
    if letter in _CONTROLS and letter:
        return _single(ord(_CONTROLS[letter])), index + 2
    for form in (r"x([0-9A-Fa-f]{2})", r"u([0-9A-Fa-f]{4})", r"u\{([0-9A-Fa-f]{1,6})\}"):
        if found := re.match(form, expression[index + 1 :]):
            return _single(int(found[1], 16)), index + 1 + found.end()
    if found := re.match(r"c([A-Za-z])", expression[index + 1 :]):
        return _single(ord(found[1]) % 32), index + 1 + found.end()
    if not letter or letter.isalnum():
        raise UnknownSyntax(f"the escape \\{letter} in the expression {expression!r}")
    return _single(ord(letter)), index + 2


def _set(expression: str, index: int) -> tuple[str, int]:
    """Returns a set in a spelling that both dialects read alike, and where it ends."""
    start = index
    index += 1
    is_negated = expression.startswith("^", index)
    index += is_negated
    items: list[_Item] = []
    while index < len(expression) and expression[index] != "]":
        if expression.startswith("\\b", index):
            items.append(_Item(_single(8)))
            index += 2
        elif expression[index] == "\\":
            ranges, index = _escaped_characters(expression, index)
            items.append(_Item(ranges))
        else:
            items.append(_Item(_single(ord(expression[index])), is_dash=expression[index] == "-"))
            index += 1
    if index == len(expression):
        raise UnknownSyntax(f"the set at character {start + 1} of the expression {expression!r} has no end")
    ranges = _join(items, expression)
    if is_negated:
        ranges = complement(ranges)
    # An empty set matches nothing, its complement anything.
    return (_ranges(ranges) if ranges else "(?!)"), index + 1


def _join(items: list[_Item], expression: str) -> Characters:
    """Makes ranges of the items of a set; a dash between two characters makes one of them, any other stands for itself."""
    ranges: list[tuple[int, int]] = []
    index = 0
    while index < len(items):
        item = items[index]
        if item.character is not None and len(items) > index + 2 and items[index + 1].is_dash:
            last = items[index + 2].character
            if last is not None:
                if last < item.character:
                    raise UnknownSyntax(f"a range that runs backwards in the expression {expression!r}")
                ranges.append((item.character, last))
                index += 3
                continue
        ranges += item.ranges
        index += 1
    return union([tuple(ranges)])


def _group(expression: str, index: int) -> tuple[str, int]:
    if not expression.startswith("(?", index):
        return "(", index + 1
    found = _GROUP.match(expression, index)
    if found is None:
        raise UnknownSyntax(f"the group at character {index + 1} of the expression {expression!r}")
    opening = found.group()
    if opening.startswith("(?<") and opening not in ("(?<=", "(?<!"):
        opening = "(?P<" + opening[3:]
    return opening, found.end()


def _repeat(expression: str, index: int) -> tuple[str, int]:
    found = _REPEAT.match(expression, index)
    # JavaScript reads a brace that counts nothing as itself.
    return (found.group(), found.end()) if found else (r"\{", index + 1)


def _single(code_point: int) -> Characters:
    return ((code_point, code_point),)


def _ranges(ranges: Characters) -> str:
    """Writes a set by code points, surrogates left out: neither dialect can hold them in a text."""
    parts = []
    for low, high in ranges:
        for first, last in ((low, min(high, 0xD7FF)), (max(low, 0xE000), high)):
            if first <= last:
                parts.append(_code_point(first) if first == last else f"{_code_point(first)}-{_code_point(last)}")
    return f"[{''.join(dict.fromkeys(parts))}]"


def _literal(character: str) -> str:
    return character if character.isalnum() or character in " _" else _code_point(ord(character))


def _code_point(code_point: int) -> str:
    character = chr(code_point)
    if character.isascii() and character.isalnum():
        return character
    return (
        f"\\x{code_point:02x}"
        if code_point < 0x100
        else f"\\u{code_point:04x}"
        if code_point < 0x10000
        else f"\\U{code_point:08x}"
    )
