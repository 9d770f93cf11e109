"""Saying what is wrong with a text that is not in the language, where, and what was probably meant."""

import re

from sofit.errors import nearest
from sofit.grammar.problem import EMPTY, TRAILING_TEXT, TRUNCATED, UNEXPECTED_CHARACTER, UNEXPECTED_TOKEN, Problem
from sofit.grammar.recogniser import END, Recogniser, Stop
from sofit.grammar.terminals import Terminals

_WORD = re.compile(r"\w+")
_LISTED = 14
_LONGEST_EXCERPT = 40
_MOST_CLOSING_TOKENS = 5
# Each place is tried by reading on from it, so both bounds keep a diagnosis within milliseconds.
_MOST_PLACES = 40
_LONGEST_MENDED = 10_000


def diagnose(text: str, recogniser: Recogniser, terminals: Terminals) -> Problem | None:
    """Returns what is wrong with `text`, at the place where a writer would mend it; None where nothing is."""
    stop = recogniser.stop(text)
    if stop is None:
        return None
    if not text.strip():
        holds = "holds only white space" if text else "is empty"
        expected = terminals.spell(recogniser.expected(recogniser.start))
        return Problem.at(text, 0, EMPTY, f"The output {holds}. Expected {listing(expected)}.", found=text, expected=expected)
    return _missing(text, stop, recogniser, terminals) or _unexpected(text, stop, recogniser, terminals)


def closing(stack: tuple[int, ...], recogniser: Recogniser, terminals: Terminals) -> str | None:
    """Returns the shortest run of brackets and the like that completes an output in this state of the parser, if there is one.

    Words are left out: they would be content that nobody wrote.
    """
    ways = [(stack, "")]
    for _ in range(_MOST_CLOSING_TOKENS):
        longer = []
        for state, written in ways:
            expected = recogniser.expected(state)
            if END in expected:
                return written
            for terminal in sorted(expected):
                values = terminals.values[terminal]
                if len(values) == 1 and not any(map(_is_word, values[0])):
                    longer.append((recogniser.after(state, terminal), written + values[0]))
        # By length, so that `)` is tried before `, `.
        ways = sorted(longer, key=lambda way: len(way[1]))[:_LISTED]
    return None


def _missing(text: str, stop: Stop, recogniser: Recogniser, terminals: Terminals) -> Problem | None:
    """Finds a bracket or the like that was left out: put there, the rest of the text fits.

    It may be missing well before the stop, since open text runs on over what should follow it: in `name[Portal, genres[indie]`
    the value goes up to the second bracket.
    """
    if len(text) > _LONGEST_MENDED or (stop.at_end and not _runs_on(stop, terminals)):
        return None
    start, before = (stop.last.offset, stop.last.stack) if stop.last else (0, recogniser.start)
    places = [stop.offset] if not stop.at_end else []
    stacks = {stop.offset: stop.stack}
    if _runs_on(stop, terminals):
        inside = [place for place in range(start + 1, stop.offset) if not text[place].isalnum()]
        stacks |= dict.fromkeys(inside, stop.stack)
        places = inside[-_MOST_PLACES:] + places
    begun: Problem | None = None
    for place in places:
        for literal in terminals.closed(recogniser.expected(stacks[place])):
            mended = text[:place] + literal + text[place:]
            reached = recogniser.reach(mended, before, start)
            if reached is None or (reached == len(mended) and not stop.at_end and begun is None):
                message = f"{literal!r} is missing before {_shorten(text[place:])}."
                begun = Problem.at(text, place, UNEXPECTED_TOKEN, message, expected=(literal,), suggestion=literal)
            if reached is None:
                return begun
    # Put there, all that is left to say is that the text ends too early.
    return begun


def _runs_on(stop: Stop, terminals: Terminals) -> bool:
    return stop.last is not None and terminals.is_open(stop.last.terminal)


def _unexpected(text: str, stop: Stop, recogniser: Recogniser, terminals: Terminals) -> Problem:
    offset, stack = stop.offset, stop.stack
    if stop.last and not _runs_on(stop, terminals) and _is_inside_word(text, stop.offset):
        # "informs": the lexer took "inform" and stops at the "s", but the word is what is wrong.
        offset, stack = stop.last.offset, stop.last.stack
    names = recogniser.expected(stack)
    expected = terminals.spell(names)
    choices = terminals.closed(names)
    rest = text[offset:]
    if not rest:
        closers = closing(stack, recogniser, terminals)
        hint = f" {closers!r} would complete it." if closers else ""
        message = f"The output ends too early. Expected {listing(expected)}.{hint}"
        return Problem.at(text, offset, TRUNCATED, message, expected=expected, suggestion=closers)
    begun = tuple(choice for choice in choices if choice.startswith(rest))
    if begun:
        message = f"The output ends in the middle of a word: {rest!r}. Expected {listing(begun)}."
        suggestion = begun[0] if len(begun) == 1 else None
        return Problem.at(text, offset, TRUNCATED, message, found=rest, expected=begun, suggestion=suggestion)
    found, meant = _nearest(text, offset, choices, terminals)
    if END in names and meant is None:
        message = f"Text follows the end of the output: {_shorten(rest)}."
        return Problem.at(text, offset, TRAILING_TEXT, message, found=rest, expected=expected)
    code = UNEXPECTED_TOKEN if found in terminals.literals else UNEXPECTED_CHARACTER
    hint = f" Did you mean {meant!r}?" if meant else ""
    message = f"{_ended(text, stop, terminals)}Expected {listing(expected)}, but found {_shorten(found)}.{hint}"
    # A bracket that alone fits is what to write there, though nobody would mistake it for what was found.
    suggestion = meant or (choices[0] if len(expected) == 1 and choices else None)
    return Problem.at(text, offset, code, message, found=found, expected=expected, suggestion=suggestion)


def _ended(text: str, stop: Stop, terminals: Terminals) -> str:
    """Says that an open terminal was full, where text goes on within a word: a fifth digit of a year."""
    if stop.last is None or not _runs_on(stop, terminals) or not _is_inside_word(text, stop.offset):
        return ""
    return f"{terminals.name(stop.last.terminal)} ends after {_shorten(text[stop.last.offset : stop.offset])}. "


def _is_inside_word(text: str, offset: int) -> bool:
    return 0 < offset < len(text) and _is_word(text[offset - 1]) and _is_word(text[offset])


def _nearest(text: str, offset: int, choices: tuple[str, ...], terminals: Terminals) -> tuple[str, str | None]:
    """Returns what stands at `offset`, and the choice it is most like, if any.

    A choice may be several words, as in "E (for Everyone)"; so what stands there is read once as a word and once as far as
    the characters of such choices go.
    """
    word = _word(text, offset)
    if word in terminals.literals and word not in choices:
        # It is well spelled, only not here: another word that resembles it would mislead.
        return word, None
    several = {character for choice in choices if len(choice.split()) > 1 for character in choice}
    end = offset
    while end < len(text) and (text[end] in several or _is_word(text[end])):
        end += 1
    for segment in dict.fromkeys((text[offset:end] or word, word)):
        begun = [choice for choice in choices if choice.casefold().startswith(segment.casefold())]
        inside = [choice for choice in choices if segment.casefold() in _WORD.findall(choice.casefold())]
        meant = nearest(segment, choices) or next((ones[0] for ones in (begun, inside) if len(ones) == 1), None)
        if meant is not None:
            return segment, meant
    return word, None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _word(text: str, offset: int) -> str:
    """Returns the word at `offset`, or the one character there where it is no part of a word."""
    end = offset
    while end < len(text) and _is_word(text[end]):
        end += 1
    return text[offset : max(end, offset + 1)]


def _shorten(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_EXCERPT else text[:_LONGEST_EXCERPT] + "…")


def listing(expected: tuple[str, ...]) -> str:
    """Returns "'a'", "one of 'a', 'b'", or the first of many with how many more there are."""
    if not expected:
        return "something else"
    shown = ", ".join(repr(text) for text in expected[:_LISTED])
    more = f" or {len(expected) - _LISTED} others" if len(expected) > _LISTED else ""
    return f"one of {shown}{more}" if len(expected) > 1 else shown
