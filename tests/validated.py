"""`sofit validate` with the grammar of ViGGO, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from sofit.cli.validate import validate

GOOD = "inform(name[Portal], release_year[2007])"


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Runs `sofit validate` with the grammar of ViGGO; an error that it raises is raised here."""
    app = typer.Typer()
    app.command()(validate)
    result = CliRunner().invoke(app, [*map(str, arguments), "--grammar", "viggo"], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def findings(*arguments: str | Path) -> list[dict[str, Any]]:
    return json.loads(run(*arguments, "--output-format", "json").stdout)["findings"]


def write(path: Path, lines: Sequence[str | bytes]) -> Path:
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path
