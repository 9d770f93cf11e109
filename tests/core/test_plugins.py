"""Loading plugins: real distributions on a path of their own, and single files."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sofit import SofitError, load_plugins

TASK = """
from dataclasses import dataclass
from typing import ClassVar
from sofit import Example, Grammar, Scores, Task, hookimpl

@dataclass(frozen=True, kw_only=True)
class {class_name}(Task):
    name: ClassVar[str] = "{name}"
    grammar: ClassVar[Grammar | None] = Grammar("letters", 'start: "a"')

    def load(self, split):
        yield Example(id=split, input="?", target="a")

    def prompt(self, example):
        return example.input

    def score(self, predictions):
        return Scores(metrics={{}})

@hookimpl
def sofit_register_tasks(register):
    register({class_name})
"""

SHOW = """
import json, sys
from sofit import SofitError, load_plugins
try:
    plugins = load_plugins(sys.argv[1:])
    origins = {name: plugins.origin("task", name) for name in plugins.tasks}
    print(json.dumps({"tasks": origins, "grammars": list(plugins.grammars), "warnings": plugins.warnings}))
except SofitError as error:
    print(json.dumps({"error": str(error)}))
"""


def install(site: Path, distribution: str, module: str, source: str) -> None:
    """Puts a distribution with one module and its entry point where Python finds it, as an installer does."""
    (site / f"{module}.py").write_text(source)
    metadata = site / f"{module}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[sofit]\n{module} = {module}\n")


def load_with(site: Path, *files: Path) -> dict[str, Any]:
    shown = subprocess.run(
        [sys.executable, "-c", SHOW, *map(str, files)],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(shown.stdout)


def write(folder: Path, source: str, name: str = "my_task.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def error_of(file: Path) -> str:
    with pytest.raises(SofitError) as error:
        load_plugins([file])
    return str(error.value)


def test_the_tasks_of_installed_distributions_are_found_and_know_where_they_come_from(tmp_path: Path):
    install(tmp_path, "acme-letters", "acme_letters", TASK.format(class_name="Letters", name="letters"))
    found = load_with(tmp_path)
    assert found["tasks"] == dict.fromkeys(load_plugins().tasks, "sofit-jax") | {"letters": "acme-letters"}
    assert found["warnings"] == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_like_that", "ModuleNotFoundError: No module named 'nothing_like_that'"),
        ("def (", "SyntaxError: "),
        ("raise SystemError('no')", "SystemError: no"),
        ("import sofit\n@sofit.hookimpl\ndef sofit_register_tasks(register):\n    register(1 / 0)", "ZeroDivisionError: "),
        ("import sofit\n@sofit.hookimpl\ndef sofit_register_tasks(registrar):\n    pass", "PluginValidationError: "),
    ],
    ids=["missing import", "syntax", "exception", "exception in a hook", "wrong parameter"],
)
def test_a_broken_distribution_is_named_and_left_out_and_the_others_work(tmp_path: Path, source: str, reason: str):
    install(tmp_path, "acme-broken", "acme_broken", source)
    install(tmp_path, "acme-letters", "acme_letters", TASK.format(class_name="Letters", name="letters"))
    found = load_with(tmp_path)
    assert {"letters", "viggo"} <= set(found["tasks"])
    [warning] = found["warnings"]
    assert warning.startswith(f"Plugin 'acme_broken' of acme-broken does not load and is left out: {reason}")


def test_two_distributions_with_the_same_task_are_an_error_that_names_both(tmp_path: Path):
    install(tmp_path, "acme-one", "acme_one", TASK.format(class_name="One", name="letters"))
    install(tmp_path, "acme-two", "acme_two", TASK.format(class_name="Two", name="letters"))
    assert load_with(tmp_path) == {
        "error": "Both acme-one and acme-two register a task called 'letters'. Uninstall or rename one of them."
    }


def test_a_file_is_loaded_beside_what_is_installed(tmp_path: Path):
    file = write(tmp_path, TASK.format(class_name="Letters", name="letters"))
    plugins = load_plugins([file])
    assert {"letters", "viggo"} <= set(plugins.tasks)
    assert plugins.origin("task", "letters") == str(file)


def test_a_file_may_postpone_its_annotations(tmp_path: Path):
    file = write(tmp_path, "from __future__ import annotations\n" + TASK.format(class_name="Letters", name="letters"))
    assert load_plugins([file]).task("letters")().is_demo


def test_two_files_of_the_same_name_in_two_folders_do_not_collide(tmp_path: Path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(write(tmp_path / name, TASK.format(class_name="Same", name=name)))
    assert {"one", "two"} <= set(load_plugins(files).tasks)


def test_a_file_and_a_distribution_with_the_same_task_are_an_error_that_names_both(tmp_path: Path):
    file = write(tmp_path, TASK.format(class_name="Another", name="viggo"))
    assert error_of(file) == f"Both sofit-jax and {file} register a task called 'viggo'. Uninstall or rename one of them."


def test_a_file_that_is_named_twice_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path, TASK.format(class_name="Letters", name="letters"))
    monkeypatch.chdir(tmp_path)
    assert "letters" in load_plugins([file, file.name, f"./{file.name}"]).tasks


def test_a_file_without_a_hook_is_an_error(tmp_path: Path):
    file = write(tmp_path, "def sofit_register_tasks(register):\n    pass\n")
    assert error_of(file) == f"Plugin {file} has no hook. Mark its functions with @sofit.hookimpl, as sofit_register_tasks."


def test_a_misspelt_hook_is_an_error_that_names_it(tmp_path: Path):
    file = write(tmp_path, "import sofit\n@sofit.hookimpl\ndef sofit_register_task(register):\n    pass\n")
    assert "unknown hook 'sofit_register_task'" in error_of(file)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_like_that", "does not load: ModuleNotFoundError: No module named 'nothing_like_that'"),
        (
            "import sofit\n@sofit.hookimpl\ndef sofit_register_tasks(registrar):\n    pass",
            "does not load: PluginValidationError: ",
        ),
    ],
)
def test_a_file_that_does_not_load_is_an_error(tmp_path: Path, source: str, reason: str):
    file = write(tmp_path, source)
    assert error_of(file).startswith(f"Plugin {file} {reason}")


@pytest.mark.parametrize("name", ["nothing.py", "folder", "notes.txt"])
def test_a_path_that_is_no_python_file_is_an_error(tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("")
    message = f"There is no plugin file {tmp_path / name}. --plugin takes the path of a Python file."
    assert error_of(tmp_path / name).startswith(message)


def test_an_incomplete_task_is_an_error_that_lists_what_is_missing(tmp_path: Path):
    file = write(
        tmp_path,
        """
        from sofit import Task, hookimpl

        class Half(Task):
            def prompt(self, example):
                return ""

        @hookimpl
        def sofit_register_tasks(register):
            register(Half)
        """,
    )
    message = error_of(file)
    for part in (
        "load() is not defined",
        "score() is not defined",
        "`name: ClassVar[str]",
        "neither `grammar` nor grammar_for()",
    ):
        assert part in message


def test_an_unknown_task_or_grammar_is_an_error_with_the_nearest_name():
    plugins = load_plugins()
    with pytest.raises(SofitError, match=r"No task is called 'vigo'\. Installed: .*\. Did you mean 'viggo'\?"):
        plugins.task("vigo")
    with pytest.raises(
        SofitError, match=r"No grammar is called 'vigo'\. Installed: .*must end in \.lark.* Did you mean 'viggo'\?"
    ):
        plugins.grammar("vigo")


def test_a_grammar_is_also_found_by_its_path(tmp_path: Path):
    file = write(tmp_path, 'start: "a"\n', "letters.lark")
    assert load_plugins().grammar(str(file)).accepts("a")


def test_every_load_is_independent_of_the_last():
    first, second = load_plugins(), load_plugins()
    assert first.manager is not second.manager
    assert first.tasks == second.tasks
