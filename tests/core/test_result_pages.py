"""No number on a page of results differs from what was measured, and every recipe is one command."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from recorded_run import RecordedRun, make_report, make_run

from sofit.config_loading import load_config
from sofit.outputs import write_outputs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
PAGES = sorted(RESULTS.glob("*.md"))
RECIPES = sorted((RESULTS / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The script benchmarks/result_pages.py."""
    spec = importlib.util.spec_from_file_location("result_pages", ROOT / "benchmarks" / "result_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pages_and_their_pictures_are_what_the_stored_results_say(pages: ModuleType, page: Path) -> None:
    for path, content in pages.files_of(page).items():
        assert path.is_file(), f"{path.relative_to(ROOT)} is missing: python benchmarks/result_pages.py write"
        assert path.read_text(encoding="utf-8") == content, f"{path.relative_to(ROOT)}: python benchmarks/result_pages.py write"


def test_no_picture_is_left_over(pages: ModuleType) -> None:
    made = {path for page in PAGES for path in pages.files_of(page)}
    assert set(RESULTS.rglob("*.svg")) <= made


def test_no_stored_result_tells_of_the_machine_it_was_made_on() -> None:
    for path in RESULTS.rglob("*.json"):
        results = json.loads(path.read_text(encoding="utf-8"))
        assert "/" not in results["model"] + results["data"]["source"], path
        assert "model_source" not in results, path


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_every_recipe_opens_with_its_command_and_is_a_valid_configuration(recipe: Path) -> None:
    first = recipe.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# sofit train --config {recipe.relative_to(ROOT)} --data ")
    config = load_config(str(recipe))
    assert config.method == recipe.stem.rpartition("-")[2]
    command = first.removeprefix("# ")
    assert any(command in page.read_text(encoding="utf-8") for page in PAGES)


@pytest.fixture
def stored(tmp_path: Path, pages: ModuleType) -> Path:
    """A folder with a page, and the results of two runs beside it."""
    for name, right in (("base", 2), ("full", 17)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        recorded = RecordedRun(make_run(tmp_path / "runs" / name))
        recorded.start()
        for step in range(1, 11):
            recorded.step(step)
        for constrained in (False, True):
            recorded.evaluate(make_report("after", 10, right=right, constrained=constrained, junk="inform(name[Nothing])"))
        write_outputs(recorded.run, recorded.end())
        file = tmp_path / "pages" / "viggo" / f"{name}.json"
        pages.main(["store", str(recorded.run.folder), str(file)])
    kinds = (
        "scores viggo/base viggo/full",
        "training viggo/full",
        "curves viggo/full",
        "confusion viggo/full",
        "errors viggo/full",
    )
    blocks = [f"<!-- {kind} -->\nold 0.123\n<!-- end -->" for kind in kinds]
    (tmp_path / "pages" / "page.md").write_text("\n\n".join(["# Page", *blocks, "The end."]))
    return tmp_path / "pages"


def test_a_page_is_filled_from_what_is_stored(stored: Path, pages: ModuleType) -> None:
    files: dict[Path, Any] = pages.files_of(stored / "page.md")
    text = files[stored / "page.md"]
    assert "old 0.123" not in text
    assert "| exact_match | 0.100 | 0.100 | 0.850 | 0.850 |" in text
    assert "| full | 1,200 | 10 | 0.2 | 15.50 |" in text
    assert "| attribute | right | " in text
    assert text.startswith("# Page\n")
    assert text.endswith("\n\nThe end.")
    names = ["full-confusion.svg", "full-loss.svg", "full-roles.svg"]
    assert sorted(path.name for path in files if path.suffix == ".svg") == names
    for name in names:
        assert f"](viggo/{name})" in text
        assert ElementTree.fromstring(files[stored / "viggo" / name]).tag == "{http://www.w3.org/2000/svg}svg"
    for path, content in files.items():
        path.write_text(content)
    assert pages.files_of(stored / "page.md") == files


def test_the_scores_of_one_run_are_those_before_and_after(tmp_path: Path, pages: ModuleType) -> None:
    (tmp_path / "run").mkdir()
    recorded = RecordedRun(make_run(tmp_path / "run", last_step=1))
    recorded.start()
    recorded.evaluate(make_report("before", 0, right=2, constrained=False))
    recorded.step(1)
    recorded.evaluate(make_report("after", 1, right=17, constrained=False))
    write_outputs(recorded.run, recorded.end())
    pages.main(["store", str(recorded.run.folder), str(tmp_path / "viggo" / "full.json")])
    page = tmp_path / "page.md"
    page.write_text("<!-- scores viggo/full -->\n<!-- end -->\n\n<!-- training viggo/full -->\n<!-- end -->")
    text = pages.files_of(page)[page]
    assert "| metric | before | after |" in text
    assert "| exact_match | 0.100 | 0.850 |" in text
    peak = json.loads((tmp_path / "viggo" / "full.json").read_text())["train"]["peak_memory_bytes"]
    assert f"| {peak / 1e9:.1f} | " in text


def test_a_number_that_was_changed_by_hand_does_not_last(stored: Path, pages: ModuleType) -> None:
    (stored / "page.md").write_text(pages.files_of(stored / "page.md")[stored / "page.md"].replace("0.850", "0.990"))
    assert "0.990" not in pages.files_of(stored / "page.md")[stored / "page.md"]


def test_a_run_that_is_not_stored_is_said_to_be_missing(stored: Path, pages: ModuleType) -> None:
    (stored / "viggo" / "full.json").unlink()
    text = pages.files_of(stored / "page.md")[stored / "page.md"]
    assert "Not measured yet: viggo/full." in text


def test_parts_are_counted_from_the_predictions_of_runs_that_did_not_count_them(stored: Path, pages: ModuleType) -> None:
    counted = json.loads((stored / "viggo" / "full.json").read_text())["evaluations"]
    folder = stored.parent / "runs" / "full"
    results = json.loads((folder / "results.json").read_text())
    for entry in results["evaluations"]:
        del entry["breakdown"]
    (folder / "results.json").write_text(json.dumps(results))
    pages.main(["store", str(folder), str(stored / "again.json")])
    assert json.loads((stored / "again.json").read_text())["evaluations"] == counted
