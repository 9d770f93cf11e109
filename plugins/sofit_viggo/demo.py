"""The demo set: sentences about invented games, made from templates, with the function calls that they mean.

It has the functions, the attributes and the style of ViGGO but none of its rows, so that a first run needs no download.
It says nothing about a model's skill on real sentences; whatever shows its scores says that they are of a demo set.
"""

import functools
import random
from collections.abc import Callable, Sequence

from sofit import take_split
from sofit_viggo import demo_words as words
from sofit_viggo.calls import FunctionCall

SIZES = {"train": 1200, "validation": 240, "test": 240}
"""Examples in each split."""

_SHARES = {
    "inform": 22,
    "give_opinion": 11,
    "verify_attribute": 11,
    "confirm": 10,
    "recommend": 10,
    "request": 10,
    "request_explanation": 10,
    "suggest": 10,
    "request_attribute": 6,
}
"""Of a hundred examples."""

_YES_OR_NO = ("yes", "no")
_DOMAINS: dict[str, Sequence[str]] = {
    "name": words.TITLES,
    "exp_release_date": words.RELEASE_DATES,
    "release_year": words.RELEASE_YEARS,
    "developer": words.DEVELOPERS,
    "esrb": tuple(words.AGE_RATINGS),
    "rating": tuple(words.VERDICTS),
    "genres": words.GENRES,
    "player_perspective": words.PERSPECTIVES,
    "has_multiplayer": _YES_OR_NO,
    "platforms": words.PLATFORMS,
    "available_on_steam": _YES_OR_NO,
    "has_linux_release": _YES_OR_NO,
    "has_mac_release": _YES_OR_NO,
}
"""The values to draw from."""

_KINDS = (
    "release_year",
    "developer",
    "esrb",
    "genres",
    "player_perspective",
    "has_multiplayer",
    "platforms",
    "available_on_steam",
    "has_linux_release",
    "has_mac_release",
)
"""The attributes that make a kind of game."""

Facts = dict[str, str]
Row = tuple[str, str]
"""A sentence and its function call."""


@functools.cache
def demo_split(split: str, seed: int) -> Sequence[Row]:
    """Returns the rows of a split. No sentence occurs twice, in one split or in two.

    Raises:
        SofitError: there is no such split.
    """
    rng = random.Random(seed)
    total = sum(SIZES.values())
    drawn = [function for function, share in _SHARES.items() for _ in range(-(-total * share // 100))]
    rng.shuffle(drawn)
    rows: dict[str, str] = {}
    for function in drawn[:total]:
        sentence, call = _draw(function, rng)
        while sentence in rows:
            sentence, call = _draw(function, rng)
        rows[sentence] = call
    return take_split(list(rows.items()), split, SIZES)


def _draw(function: str, rng: random.Random) -> Row:
    sentence, facts = _MAKERS[function](rng)
    return sentence, str(FunctionCall(function, tuple(facts.items())).in_order())


def _inform(rng: random.Random) -> tuple[str, Facts]:
    facts = {"name": rng.choice(words.TITLES)} | _some(rng, (*_KINDS, "rating"), 2, 7)
    if "release_year" in facts and rng.random() < 0.3:
        del facts["release_year"]
        facts["exp_release_date"] = rng.choice(words.RELEASE_DATES)
    in_noun = [name for name in facts if name in ("genres", "player_perspective", "has_multiplayer", "rating", "release_year")]
    noun_facts = {name: facts[name] for name in in_noun if name == "genres" or rng.random() < 0.5}
    opening = rng.choice(words.INFORM).format(name=facts["name"], a_game=_a(_noun(rng, noun_facts, "game")))
    rest = {name: value for name, value in facts.items() if name != "name" and name not in noun_facts}
    return " ".join([opening, *_statements(rng, rest)]), facts


def _confirm(rng: random.Random) -> tuple[str, Facts]:
    kind = _some(rng, _KINDS, 1, 2)
    if "release_year" in kind and rng.random() < 0.4:
        del kind["release_year"]
        kind["exp_release_date"] = rng.choice(words.RELEASE_DATES)
    return _named(rng, words.CONFIRM, kind)


def _recommend(rng: random.Random) -> tuple[str, Facts]:
    return _named(rng, words.RECOMMEND, _some(rng, _KINDS, 1, 2))


def _suggest(rng: random.Random) -> tuple[str, Facts]:
    return _named(rng, words.SUGGEST, _some(rng, _KINDS, 1, 2))


def _request(rng: random.Random) -> tuple[str, Facts]:
    facts = _some(rng, _KINDS, 0, 2)
    superlative = rng.random() < 0.4
    specifier = rng.choice(words.SUPERLATIVES if superlative else words.SPECIFIERS)
    template = _opened(rng, words.REQUEST_SUPERLATIVE if superlative else words.REQUEST)
    return _say(rng, template, facts, specifier=specifier, a_specifier=_a(specifier)), facts | {"specifier": specifier}


def _give_opinion(rng: random.Random) -> tuple[str, Facts]:
    rating = rng.choice(_DOMAINS["rating"])
    return _judged(rng, rating, words.VERDICTS[rating], words.REASONS[rating])


def _verify_attribute(rng: random.Random) -> tuple[str, Facts]:
    rating = rng.choice(_DOMAINS["rating"])
    return _judged(rng, rating, words.MEMORIES[rating], words.CHECKS)


def _request_explanation(rng: random.Random) -> tuple[str, Facts]:
    rating, kind = rng.choice(_DOMAINS["rating"]), _some(rng, _KINDS, 1, 2)
    return _say(rng, _opened(rng, words.EXPLANATIONS[rating]), kind), kind | {"rating": rating}


def _request_attribute(rng: random.Random) -> tuple[str, Facts]:
    attribute = rng.choice((*words.PREFERENCES, *words.FEATURES))
    by_which = attribute in words.PREFERENCES
    thing = rng.choice((words.PREFERENCES if by_which else words.FEATURES)[attribute])
    template = _opened(rng, words.PREFERENCE_QUESTIONS if by_which else words.FEATURE_QUESTIONS)
    return template.format(thing=thing), {attribute: ""}


_MAKERS: dict[str, Callable[[random.Random], tuple[str, Facts]]] = {
    "inform": _inform,
    "give_opinion": _give_opinion,
    "verify_attribute": _verify_attribute,
    "confirm": _confirm,
    "recommend": _recommend,
    "request": _request,
    "request_explanation": _request_explanation,
    "suggest": _suggest,
    "request_attribute": _request_attribute,
}


def _some(rng: random.Random, attributes: Sequence[str], least: int, most: int) -> Facts:
    """Draws from `least` to `most` attributes, each with a value."""
    return {name: rng.choice(_DOMAINS[name]) for name in rng.sample(attributes, rng.randint(least, most))}


def _named(rng: random.Random, templates: Sequence[str], kind: Facts) -> tuple[str, Facts]:
    title = rng.choice(words.TITLES)
    return _say(rng, _opened(rng, templates), kind, name=title), {"name": title} | kind


def _judged(rng: random.Random, rating: str, openings: Sequence[str], endings: Sequence[str]) -> tuple[str, Facts]:
    title, kind = rng.choice(words.TITLES), _some(rng, _KINDS, 1, 2)
    opening, ending = rng.choice(openings).format(name=title), _say(rng, rng.choice(endings), kind)
    return f"{opening} {ending}", {"name": title, "rating": rating} | kind


def _say(rng: random.Random, template: str, kind: Facts, **slots: str) -> str:
    game, games = _noun(rng, kind, "game"), _noun(rng, kind, "games")
    sentence = template.format(game=game, a_game=_a(game), games=games, **slots)
    return sentence[0].upper() + sentence[1:]


def _opened(rng: random.Random, templates: Sequence[str]) -> str:
    """Draws a template, and something to say before it where it begins with a question."""
    template, opener = rng.choice(templates), rng.choice(words.OPENERS)
    if not opener or not template.startswith(words.QUESTION_WORDS):
        return template
    return opener + template[0].lower() + template[1:]


def _noun(rng: random.Random, facts: Facts, noun: str) -> str:
    """Puts the modifiers for the facts around a noun."""
    for key, templates in words.MODIFIERS.items():
        attribute, _, only = key.partition("=")
        value = facts.get(attribute)
        if value is None or only not in ("", value):
            continue
        # "Xbox games", but "games for Xbox and PC".
        fitting = [template for template in templates if ", " not in value or attribute == "genres" or template[0] == "*"]
        noun = rng.choice(fitting).format(_spoken(rng, attribute, value)).replace("*", noun)
    return noun


def _statements(rng: random.Random, facts: Facts) -> list[str]:
    keys = [name if name in words.STATEMENTS else f"{name}={value}" for name, value in facts.items()]
    return [
        rng.choice(templates).format(_spoken(rng, key, facts[key]) if key in facts else "")
        for key, templates in words.STATEMENTS.items()
        if key in keys
    ]


def _spoken(rng: random.Random, attribute: str, value: str) -> str:
    """Returns how people say a value."""
    if attribute == "esrb":
        return words.AGE_RATINGS[value]
    parts = value.split(", ")
    if attribute == "genres":
        return " ".join(rng.choice(words.SPOKEN_GENRES.get(part, (part,))) for part in parts)
    if attribute in ("player_perspective", "platforms"):
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    return value


def _a(noun: str) -> str:
    # By sound: "an M rated game", "an Xbox game".
    vowel = noun[0] in "aeiouAEIOX" or noun.startswith("M ")
    return f"{'an' if vowel else 'a'} {noun}"
