"""Rows of ViGGO's demo, as many as are asked for, no two alike."""

import json
from pathlib import Path

from sofit_viggo.task import ViggoTask


def write_many_rows(file: Path, count: int) -> Path:
    """Writes instruction rows, each about a game with a number in its title, and returns the file."""
    demo = [example for example in ViggoTask().load("train") if "name[" in example.target]
    with file.open("w", encoding="utf-8") as stream:
        for index in range(count):
            example = demo[index % len(demo)]
            title = example.target.split("name[")[1].split("]")[0]
            sentence, call = (text.replace(title, f"{title} {index}") for text in (example.input, example.target))
            stream.write(json.dumps({"input": sentence, "output": call}) + "\n")
    return file
