"""The layout of the repository: which way imports point, and what starting costs."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY_POINTS = PROJECT["project"]["entry-points"]["sofit"]
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LIBRARIES = {"sofit_sqlite"}
"""What plugins may build on, besides sofit and the grammars. They register nothing."""
FOLDERS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
PLUGINS = [name for name in FOLDERS if name not in LIBRARIES]
HEAVY = ["jax", "haliax", "transformers", "datasets", "torch", "llguidance", "pandas"]


def imported_names(file: Path) -> set[str]:
    """Returns the first part of each module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("file", sorted((ROOT / "core").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_core_imports_no_plugin(file: Path):
    imported = {name.partition(".")[0] for name in imported_names(file)}
    assert not imported & {*FOLDERS, "sofit_grammars"}


@pytest.mark.parametrize("plugin", FOLDERS)
def test_a_plugin_imports_only_the_public_names_of_sofit_and_no_other_plugin(plugin: str):
    for file in (ROOT / "plugins" / plugin).rglob("*.py"):
        names = {name for name in imported_names(file) if name.startswith("sofit")}
        own = {name for name in names if name.partition(".")[0] == plugin}
        grammars = {name for name in names if name.partition(".")[0] == "sofit_grammars"}
        assert names - own - grammars - LIBRARIES <= {"sofit"}, file


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_plugin_is_packaged_and_has_its_entry_point(plugin: str):
    assert f"plugins/{plugin}" in PACKAGES
    assert ENTRY_POINTS[plugin.removeprefix("sofit_")] == plugin


def test_the_package_holds_nothing_else():
    assert sorted(PACKAGES) == sorted(["core/sofit", "grammars/sofit_grammars", *(f"plugins/{name}" for name in FOLDERS)])
    assert ENTRY_POINTS["grammars"] == "sofit_grammars"
    assert len(ENTRY_POINTS) == len(PLUGINS) + 1


def test_starting_the_command_line_and_loading_all_plugins_imports_nothing_heavy():
    code = (
        "import json, sys, sofit, sofit.cli.app; plugins = sofit.load_plugins();"
        f"print(json.dumps([sorted(plugins.tasks), plugins.warnings, [name for name in {HEAVY} if name in sys.modules]]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tasks, warnings, heavy = json.loads(shown.stdout)
    assert tasks == sorted(plugin.removeprefix("sofit_") for plugin in PLUGINS)
    assert warnings == []
    assert heavy == []


def test_no_page_tells_a_user_to_install_the_strangers_package():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("core/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    assert pages
    wrong = [page for page in pages for line in page.read_text().splitlines() if _installs_sofit(line)]
    assert wrong == []


def _installs_sofit(line: str) -> bool:
    words = line.replace("'", " ").replace('"', " ").replace("`", " ").split()
    return "install" in words and any(word == "sofit" or word.startswith(("sofit[", "sofit=")) for word in words)
