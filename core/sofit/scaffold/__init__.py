"""A new plugin, as `sofit plugin new` writes it: a package whose tests pass and whose task trains, to be changed from there."""

import importlib.util
import re
from pathlib import Path

from sofit.errors import SofitError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "__init__.py": "src/{package}/__init__.py",
    "task.py": "src/{package}/task.py",
    "grammar.lark": "src/{package}/{name}.lark",
    "train.jsonl": "src/{package}/rows/train.jsonl",
    "validation.jsonl": "src/{package}/rows/validation.jsonl",
    "test_task.py": "tests/test_{module}.py",
}
"""Where each template goes."""


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Writes the package of a task called `name` into a new folder, and returns the files in it.

    Raises:
        SofitError: the name cannot be one, the package or the folder is there already, or it cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not _NAME.fullmatch(name):
        raise SofitError(
            f"A task cannot be called {name!r}. Use small letters, digits and single hyphens, and begin with a letter: my-task."
        )
    if folder.exists():
        raise SofitError(f"{folder} is there already. Name another folder with --out, or remove it.")
    module = name.replace("-", "_")
    if importlib.util.find_spec(f"sofit_{module}"):
        raise SofitError(f"A package sofit_{module} is installed already. Choose another name.")
    words = {
        "name": name,
        "module": module,
        "package": f"sofit_{module}",
        "class_name": "".join(word.capitalize() for word in name.split("-")) + "Task",
    }
    templates = Environment(
        loader=PackageLoader("sofit.scaffold", "template"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    written = []
    for template, place in _FILES.items():
        path = folder / place.format(**words)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(templates.get_template(f"{template}.jinja").render(words), encoding="utf-8")
        except OSError as error:
            raise SofitError(f"Cannot write {path}: {error.strerror or error}. Name another folder with --out.") from error
        written.append(path)
    return written
