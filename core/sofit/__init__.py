"""sofit fine-tunes language models to write structured output. These are the names that plugins may rely on."""

from sofit.errors import SofitError
from sofit.grammar import Grammar, Problem
from sofit.hookspecs import hookimpl
from sofit.plugins import Plugins, load_plugins
from sofit.records import Record, read_examples, read_split
from sofit.task import Example, Message, Prediction, Scores, Task

__all__ = [
    "Example",
    "Grammar",
    "Message",
    "Plugins",
    "Prediction",
    "Problem",
    "Record",
    "Scores",
    "SofitError",
    "Task",
    "hookimpl",
    "load_plugins",
    "read_examples",
    "read_split",
]
