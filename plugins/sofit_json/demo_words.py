"""The words of the demo set: what is said for each intent, and the slots with their schema and values."""

from collections.abc import Mapping, Sequence
from typing import Any

TEMPLATES: Mapping[str, Sequence[str]] = {
    "SetTimer": (
        "set a timer for {minutes} minutes",
        "set the {label} timer to {minutes} minutes",
        "remind me of the {label} in {minutes} minutes",
        "give me {minutes} minutes for the {label}",
    ),
    "SwitchLight": (
        "turn {state} the light in the {room}",
        "switch {state} the {room} light",
        "dim the light in the {room} to {percent} percent",
        "set the {room} light to {percent} percent",
    ),
    "SetTemperature": (
        "heat the {room} to {degrees} degrees",
        "set the {room} to {degrees} degrees {unit}",
        "make it {degrees} degrees {unit} in the {room}",
    ),
    "AddToList": (
        "put {items} on the {list} list",
        "add {items} to the {list} list",
        "write {items} down for the {list} list",
    ),
    "SendMessage": (
        "tell {person} that {message}",
        "send {person} a message: {message}",
        "let {person} know that {message}",
        "write to {person} that {message} {day}",
    ),
    "AddAppointment": (
        "plan {event} with {person} {day} at {hour} o'clock",
        "put {event} into the calendar {day} at {hour} o'clock",
        "I have {event} with {person} {day}, write it down",
    ),
    "PlayMusic": (
        "play some {genre} in the {room}",
        "play the {genre} playlist at volume {volume}",
        "put {genre} on in the {room} at volume {volume}",
        "I want to hear {genre}",
    ),
}
"""What is said for each intent; a slot in braces."""

_TEXT = {"type": "string"}

SLOTS: Mapping[str, Mapping[str, Any]] = {
    "label": _TEXT,
    "minutes": {"type": "integer", "minimum": 1},
    "room": {"enum": ["kitchen", "hall", "bedroom", "study", "garden", "bathroom", "attic"], "type": "string"},
    "state": {"type": "boolean"},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100},
    "degrees": {"type": "number"},
    "unit": {"enum": ["C", "F"], "type": "string"},
    "list": _TEXT,
    "items": {"type": "array", "items": _TEXT, "minItems": 1},
    "person": _TEXT,
    "message": _TEXT,
    "event": _TEXT,
    "day": _TEXT,
    "hour": {"type": "integer", "minimum": 0, "maximum": 23},
    "genre": _TEXT,
    "volume": {"type": "integer", "minimum": 1, "maximum": 10},
}
"""The schema of each slot, in the order in which they are written."""

NUMBERS: Mapping[str, Sequence[float]] = {
    "minutes": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 75, 90, 100, 120),
    "percent": (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 100),
    "degrees": (15, 16.5, 17, 17.5, 18, 18.5, 19, 19.5, 20, 20.5, 21, 21.5, 22, 23, 24.5, 62, 64, 66.5, 68, 70, 71.5, 73),
    "hour": tuple(range(7, 23)),
    "volume": tuple(range(1, 11)),
}

WORDS: Mapping[str, Any] = {
    "label": (
        "pasta", "rice", "eggs", "tea", "bread", "laundry", "oven", "pizza", "cake", "dumplings", "soup", "roast", "nap",
        "exercise", "jam", "crêpes", "stew",
    ),
    "room": tuple(SLOTS["room"]["enum"]),
    "state": {"on": True, "off": False},
    "unit": {"Celsius": "C", "Fahrenheit": "F"},
    "list": ("shopping", "packing", "birthday", "hardware", "pharmacy", "reading", "party", "camping"),
    "items": (
        "milk", "butter", "oat flakes", "two lemons", "coffee", "soap", "batteries", "candles", "olive oil", "brown rice",
        "a tent", "sun cream", "nails", "string", "wrapping paper", "jalapeños", "apples", "tooth paste", "a new lamp",
    ),
    "person": ("Ines", "Tom", "my sister", "Grandma", "Jonas", "Zoë", "the plumber", "Mr. Okafor", "Lucía", "Dana", "Priya"),
    "message": (
        "I am late", "dinner is ready", "the key is under the mat", "the train is on time", "we need more milk",
        "the cat is back", "I found the book", "the car is at the garage", "the parcel came", "I call back soon",
        'the door code is "4711"', "nobody is at home",
    ),
    "event": (
        "lunch", "choir", "a walk", "chess", "the tax talk", "a haircut", "football", "coffee", "the concert",
    ),
    "day": ("today", "tomorrow", "on Monday", "on Tuesday", "on Wednesday", "on Friday", "on Sunday", "next week", "on 3 May"),
    "genre": (
        "jazz", "fado", "hip-hop", "swing", "baroque", "reggae", "blues", "techno", "bossa nova", "film music", "samba", "ska",
        "rock & roll", "chanson", "folk", "soul", "punk", "opera", "flamenco", "synth pop",
    ),
}  # fmt: skip
"""The values of each slot, as they are said; where they are written otherwise, with what they mean."""
