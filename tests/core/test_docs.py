"""The documentation says what the code does: its examples run, and its lists are whole."""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_run import RecordedRun, make_report, make_run, make_step

from sofit import hookspecs, load_plugins
from sofit.config_reference import as_markdown
from sofit.scaffold import write_plugin
from sofit.testing import check_task

DOCS = Path(__file__).parents[2] / "docs"
VIGGO = (DOCS / "write-a-task.md").read_text().split("## A larger one: ViGGO")[1].split("\n## ")[0]
HOOKS = sorted(name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("sofit_"))


def plugin_example(hook: str, folder: Path) -> Path:
    """Writes the example that docs/plugins.md gives of a hook into a plugin file."""
    section = (DOCS / "plugins.md").read_text().split(f"### {hook}\n")[1].split("\n#")[0]
    code = "\n".join(line for line in section.splitlines() if line.startswith("    ") or not line)
    path = folder / "example_plugin.py"
    path.write_text(textwrap.dedent(code))
    return path


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_every_hook_runs(hook: str, tmp_path: Path):
    plugins = load_plugins([plugin_example(hook, tmp_path)])
    recorded = RecordedRun(make_run(tmp_path), plugins.manager)
    hooks = plugins.manager.hook
    hooks.sofit_register_observers(run=recorded.run, register=plugins.manager.register)
    recorded.start()
    recorded.evaluate(make_report("before", 0, right=1))
    stop_reason = recorded.step(1)
    (tmp_path / "checkpoint").mkdir()
    hooks.sofit_checkpoint_saved(run=recorded.run, step=make_step(1), path=tmp_path / "checkpoint")
    recorded.end()
    effects: dict[str, Callable[[], bool]] = {
        "sofit_register_tasks": lambda: "viggo-short" in plugins.tasks,
        "sofit_register_grammars": lambda: plugins.grammar("mood").accepts("good"),
        "sofit_register_observers": lambda: float((tmp_path / "lowest_loss.txt").read_text()) == make_step(1).loss,
        "sofit_train_start": lambda: (tmp_path / "started.txt").read_text() == "viggo from step 1 to 10\n",
        "sofit_step_end": lambda: not (tmp_path / "steep.txt").exists(),
        "sofit_evaluate_progress": lambda: (tmp_path / "evaluating.txt").read_text() == "before 0: 20 of 20\n",
        "sofit_evaluate_end": lambda: len((tmp_path / "unfinished-before-0.txt").read_text().split()) == 19,
        "sofit_checkpoint_saved": lambda: (tmp_path / "copies" / "1").is_dir(),
        "sofit_should_stop": lambda: stop_reason is None,
        "sofit_train_end": lambda: (tmp_path / "ended.txt").read_text() == "finished after step 10 \n",
    }
    assert effects[hook]()


def test_the_tutorial_shows_the_package_that_plugin_new_writes(tmp_path: Path):
    write_plugin("lights", tmp_path / "lights")
    page = (DOCS / "write-a-task.md").read_text()
    shown = [code for _, code in re.findall(r"```(python|lark)\n(.*?)```", page.replace(VIGGO, ""), re.DOTALL)]
    source = tmp_path / "lights" / "src" / "sofit_lights"
    files = [source / "task.py", source / "lights.lark", tmp_path / "lights" / "tests" / "test_lights.py"]
    assert shown == [file.read_text() for file in files]
    (row,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert row in (source / "rows" / "train.jsonl").read_text()


def test_the_walk_through_the_smallest_plugin_shows_what_is_there():
    sources = {path.name: path.read_text() for path in (DOCS.parent / "plugins" / "sofit_viggo").glob("*.py")}
    shown = re.findall(r"```python\n(.*?)```", VIGGO, re.DOTALL)
    assert len(shown) > 5
    assert [code for code in shown if not any(code in source for source in sources.values())] == []
    assert set(re.findall(r"`(\w+\.py)`", VIGGO)) <= sources.keys()


def test_the_task_of_the_tutorial_keeps_the_contract_and_reads_data_of_the_users(tmp_path: Path):
    write_plugin("lights", tmp_path / "lights")
    plugins = load_plugins([tmp_path / "lights" / "src" / "sofit_lights" / "task.py"])
    check_task(plugins.task("lights")())
    rows = [f'{{"wish": "Dark hall, {number}!", "command": "light(hall, off)"}}\n' for number in range(20)]
    (tmp_path / "wishes.jsonl").write_text("".join(rows))
    examples = list(plugins.task("lights")(data=str(tmp_path / "wishes.jsonl")).load("train"))
    assert len(examples) == 18  # A tenth is held out for validation.
    assert {example.target for example in examples} == {"light(hall, off)"}


def test_the_table_of_settings_is_current():
    remedy = "python -c 'from sofit.config_reference import as_markdown as table; print(table(), end=\"\")' > docs/config-keys.md"
    assert (DOCS / "config-keys.md").read_text() == as_markdown(), remedy


def test_every_link_between_the_pages_leads_somewhere():
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
