"""A plugin stays small: what it cannot leave to sofit, to the grammars or to a library is under 600 lines."""

from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
MOST_LINES = 600
TASKS = ("sofit_json", "sofit_sql", "sofit_viggo")


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_every_package_of_the_folder_is_a_task_or_the_sandbox():
    found = {path.parent.name for path in PLUGINS.glob("*/__init__.py")}
    assert found == {*TASKS, "sofit_sqlite"}


@pytest.mark.parametrize("name", [*TASKS, "sofit_sqlite"])
def test_a_plugin_is_under_600_lines_without_its_demo_data(name: str):
    files = [path for path in (PLUGINS / name).rglob("*.py") if path.name not in ("demo.py", "demo_words.py")]
    assert sum(map(lines, files)) < MOST_LINES


@pytest.mark.parametrize("name", TASKS)
def test_no_file_of_a_plugin_is_long(name: str):
    assert max(map(lines, (PLUGINS / name).rglob("*.py"))) < 300
