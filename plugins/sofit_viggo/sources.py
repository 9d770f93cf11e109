"""Where the sentences and their function calls stand in a row of data.

    CSV of the data set        mr,ref
    Hub (GEM/viggo)            meaning_representation, target, references
    instruction JSONL          {"instruction": "...", "input": "a sentence", "output": "a function call"}

The instruction of a JSONL row, `instruction` or `instruction_field`, is left out: the task writes the prompt itself, so that
training, evaluation and generation cannot see different ones.
"""

from sofit import Example, Record, SofitError

_SENTENCES = ("ref", "input", "target")
_CALLS = ("mr", "output", "meaning_representation")


def example_from(record: Record, id: str) -> Example:
    """Makes an example of a row.

    Raises:
        SofitError: the row lacks the sentence or the function call; names its file and line.
    """
    sentence, target = record.text(*_SENTENCES).strip(), record.text(*_CALLS)
    for what, text, names in (("sentence", sentence, _SENTENCES), ("function call", target, _CALLS)):
        if not text:
            found = next(name for name in names if name in record.fields)
            raise SofitError(f"{record.where}: the {what} in field {found!r} is empty.")
    return Example(id=id, input=sentence, target=target, where=record.where)
