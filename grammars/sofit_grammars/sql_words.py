"""What sql.lark takes for a name: any word but those that are reserved.

A terminal cannot look ahead, so the expression spells out how a word may leave every reserved word: `SELE` and `SELECTED` are
names, `SELECT` is none.
"""

from collections.abc import Iterable

RESERVED = (
    "ALL", "AND", "ANY", "AS", "BETWEEN", "CASE", "CROSS", "DISTINCT", "ELSE", "EXCEPT", "EXISTS", "FROM", "FULL", "GROUP",
    "HAVING", "IN", "INNER", "INTERSECT", "IS", "JOIN", "LEFT", "LIMIT", "NATURAL", "NOT", "ON", "OR", "ORDER", "RIGHT", "SELECT",
    "SOME", "THEN", "UNION", "USING", "WHEN", "WHERE",
)  # fmt: skip
"""The keywords that stand where a name could, and those that no database takes for a name."""

AGGREGATES = ("AVG", "COUNT", "MAX", "MIN", "SUM")
"""The functions that white space may divide from their parenthesis; so no column of these names stands alone."""

LONGEST_NAME = 128
"""Characters in a name without quotes. In lark's order of terminals a keyword must be wider than a name and its white space."""

_Trie = dict[str, "_Trie"]
_END = ""


def name_pattern(excluded: Iterable[str] = RESERVED) -> str:
    """Returns the expression, without regard to case, of all words of letters, digits and _ but the `excluded` ones."""
    trie: _Trie = {}
    for word in excluded:
        place = trie
        for letter in word.lower():
            place = place.setdefault(letter, {})
        place[_END] = {}
    leaving = _leaving(trie, "a-z_", "a-z0-9_")
    return f"(?:(?:{leaving})[a-z0-9_]{{0,{LONGEST_NAME - 1}}}|{_beginnings(trie)})"


def _leaving(trie: _Trie, others: str, characters: str) -> str:
    """Returns the expression of the shortest texts from here on with which no reserved word begins."""
    letters = sorted(letter for letter in trie if letter != _END)
    ways = [letter + _group(_leaving(trie[letter], characters, characters)) for letter in letters]
    return "|".join([f"[{_without(others, letters)}]", *ways])


def _beginnings(trie: _Trie) -> str:
    """Returns the expression of the texts from here on that only begin a reserved word, longer ones before shorter ones."""
    ways = []
    for letter in sorted(letter for letter in trie if letter != _END):
        below = trie[letter]
        rest = _beginnings(below) if set(below) - {_END} else ""
        if _END not in below:
            ways.append(letter + (f"(?:{rest})?" if rest else ""))
        elif rest:
            ways.append(letter + _group(rest))
    return "|".join(ways)


def _group(expression: str) -> str:
    return f"(?:{expression})" if "|" in expression else expression


def _without(characters: str, letters: Iterable[str]) -> str:
    """Returns the characters of a set, such as "a-z_", without some letters."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    kept = "".join(" " if letter in letters else letter for letter in alphabet)
    runs = [run if len(run) < 3 else f"{run[0]}-{run[-1]}" for run in kept.split()]
    return "".join(runs) + characters.removeprefix("a-z")
