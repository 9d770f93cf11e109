"""What the model reads before it writes a function call."""

from typing import Literal

from sofit_viggo.calls import ATTRIBUTES

PromptStyle = Literal["none", "short", "long"]
"""The sentence alone; with the instruction; with the instruction, the meaning of every name, and worked examples."""

FUNCTIONS = {
    "inform": "states facts about one game",
    "request": "asks for some game of a kind",
    "give_opinion": "judges a game and says why",
    "confirm": "asks whether this is the game that is meant",
    "verify_attribute": "recalls your opinion of a game and asks whether it holds for similar games",
    "suggest": "asks whether you like a kind of game, with one as the example",
    "request_explanation": "asks why you like or dislike a kind of game",
    "recommend": "proposes a game and asks whether you know it",
    "request_attribute": "asks what you prefer; the value stays empty",
}
"""What each function does, in the words of the prompt."""

_VALUES = {
    "name": "its title",
    "exp_release_date": "when it is expected, such as May 4, 2019",
    "release_year": "when it came out, such as 2014",
    "developer": "who made it",
    "esrb": "E (for Everyone), E 10+ (for Everyone 10 and Older), T (for Teen), M (for Mature)",
    "rating": "poor, average, good, excellent",
    "genres": "one or more, such as action-adventure, driving/racing, indie, role-playing",
    "player_perspective": "one or more of bird view, first person, side view, third person",
    "has_multiplayer": "yes or no",
    "platforms": "one or more of PlayStation, Xbox, Nintendo, Nintendo Switch, PC",
    "available_on_steam": "yes or no",
    "has_linux_release": "yes or no",
    "has_mac_release": "yes or no",
    "specifier": "the adjective of a request, such as hardest",
}

# Games that no data set has: an example must not give away an answer.
_EXAMPLES = (
    (
        "Moth Parade is a good side view puzzle platformer that Quiet Kettle made in 2013. It's on Steam, but not for Linux.",
        "inform(name[Moth Parade], release_year[2013], developer[Quiet Kettle], rating[good], genres[platformer, puzzle],"
        " player_perspective[side view], available_on_steam[yes], has_linux_release[no])",
    ),
    (
        "Baron of Ash arrives on May 4, 2019, for PlayStation, Xbox and Mac.",
        "inform(name[Baron of Ash], exp_release_date[May 4, 2019], platforms[PlayStation, Xbox], has_mac_release[yes])",
    ),
    (
        "Which first person game was the hardest to finish?",
        "request(player_perspective[first person], specifier[hardest])",
    ),
    (
        "I can't stand Gutter Kings. Driving games on Nintendo never handle well.",
        "give_opinion(name[Gutter Kings], rating[poor], genres[driving/racing], platforms[Nintendo])",
    ),
    (
        "Hold on, is that the Saint Orchid with the T rating and no multiplayer?",
        "confirm(name[Saint Orchid], esrb[T (for Teen)], has_multiplayer[no])",
    ),
    (
        "You told me Tin Harvest was nothing special. Is that how most Switch games from Lowfield strike you?",
        "verify_attribute(name[Tin Harvest], developer[Lowfield], rating[average], platforms[Nintendo Switch])",
    ),
    (
        "Do you go for bird's eye strategy games, something like Thimble Empire?",
        "suggest(name[Thimble Empire], genres[strategy], player_perspective[bird view])",
    ),
    (
        "What makes M rated games without multiplayer so great in your eyes?",
        "request_explanation(esrb[M (for Mature)], rating[excellent], has_multiplayer[no])",
    ),
    (
        "There's a role-playing game for Linux called Pale Lantern. Ever played it?",
        "recommend(name[Pale Lantern], genres[role-playing], has_linux_release[yes])",
    ),
    ("Does it matter to you who developed a game?", "request_attribute(developer[])"),
)

_INSTRUCTION = (
    "Write the meaning of a sentence about video games as one function call. The function says what the speaker does, and"
    " each attribute holds in square brackets a value that the sentence mentions:\n"
    "function(attribute[value], attribute[value])"
)


def shared_prompt(style: PromptStyle) -> str:
    """Returns what stands before every sentence."""
    if style == "none":
        return ""
    if style == "short":
        return f"{_INSTRUCTION}\n\nFunctions: {', '.join(FUNCTIONS)}\nAttributes, in this order: {', '.join(ATTRIBUTES)}\n\n"
    functions = "\n".join(f"- {name}: {meaning}" for name, meaning in FUNCTIONS.items())
    attributes = "\n".join(f"- {name}: {_VALUES[name]}" for name in ATTRIBUTES)
    examples = "".join(f"Sentence: {sentence}\nOutput: {call}\n\n" for sentence, call in _EXAMPLES)
    return f"{_INSTRUCTION}\n\nFunctions:\n{functions}\n\nAttributes, in this order:\n{attributes}\n\n{examples}"


def prompt_for(sentence: str, style: PromptStyle) -> str:
    """Returns the whole prompt for a sentence."""
    return f"{shared_prompt(style)}Sentence: {sentence}\nOutput: "
