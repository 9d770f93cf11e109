"""Laws of the observers that come with sofit, each on a real plugin manager."""

import dataclasses
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded_run import RecordedRun, make_report, make_run, make_step

from sofit.config_loading import load_config
from sofit.errors import SofitError
from sofit.observers.progress import Progress
from sofit.run import Outcome


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


def test_metrics_have_a_line_a_step_with_the_fields_of_its_record(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path))
    recorded.start()
    for step in (1, 2, 3):
        recorded.step(step)
    assert lines(tmp_path / "metrics.jsonl") == [dataclasses.asdict(make_step(step)) for step in (1, 2, 3)]


def test_a_loss_that_is_not_a_number_is_null(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path))
    recorded.start()
    record = dataclasses.replace(make_step(1), loss=float("nan"), gradient_norm=float("inf"))
    recorded.manager.hook.sofit_step_end(run=recorded.run, step=record)
    assert [(line["loss"], line["gradient_norm"]) for line in lines(tmp_path / "metrics.jsonl")] == [(None, None)]


def test_the_settings_of_a_run_load_again(tmp_path: Path):
    run = make_run(tmp_path, trainer={"seed": 3, "wandb": None}, data="demo")
    RecordedRun(run).start()
    assert load_config(str(tmp_path / "config.yaml")) == run.config
    assert (tmp_path / "config.yaml").read_text().startswith("# The settings of a run made with python 3.")


def test_every_prediction_is_written_with_its_own_scores(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path))
    recorded.start()
    report = make_report("before", 0, right=1)
    recorded.evaluate(report)
    written = lines(tmp_path / "predictions.jsonl")
    assert [entry["output"] for entry in written] == [prediction.text for prediction in report.predictions]
    assert [entry["target"] for entry in written] == [prediction.example.target for prediction in report.predictions]
    assert [entry["scores"]["exact_match"] for entry in written] == [1.0] + [0.0] * 19
    assert {(entry["when"], entry["step"], entry["constrained"]) for entry in written} == {("before", 0, False)}


def test_a_resumed_run_leaves_the_same_files_as_one_that_never_stopped(tmp_path: Path):
    def steps(recorded: RecordedRun, first: int, last: int) -> None:
        for step in range(first, last + 1):
            recorded.step(step)
            if step % 2 == 0:
                recorded.evaluate(make_report("step", step, right=step))

    whole, torn = (make_run(tmp_path / name, evaluation={"every": 2, "patience": 9}) for name in ("whole", "torn"))
    for run in (whole, torn):
        run.folder.mkdir()
        recorded = RecordedRun(run)
        recorded.start()
        recorded.evaluate(make_report("before", 0, right=0))
        steps(recorded, 1, 7)
        if run is torn:  # The checkpoint was saved after step 4; then the process died within a line.
            with (torn.folder / "metrics.jsonl").open("a") as stream:
                stream.write('{"step": 8, "lo')
            recorded = RecordedRun(run)
            recorded.start(first_step=5)
            steps(recorded, 5, 7)
        steps(recorded, 8, 10)
        recorded.evaluate(make_report("after", 10, right=20))
        recorded.end()
    assert snapshot(torn.folder) == snapshot(whole.folder)


def test_a_run_that_goes_on_after_its_end_forgets_the_evaluation_after_it(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path))
    recorded.start()
    recorded.evaluate(make_report("before", 0, right=0))
    recorded.evaluate(make_report("after", 10, right=5))
    again = RecordedRun(make_run(tmp_path, last_step=20))
    again.start(first_step=11)
    again.evaluate(make_report("after", 20, right=6))
    assert [(line["when"], line["step"]) for line in lines(tmp_path / "evaluations.jsonl")] == [("before", 0), ("after", 20)]
    assert len(lines(tmp_path / "predictions.jsonl")) == 40


def test_an_evaluation_that_is_repeated_counts_once(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path))
    recorded.start()
    for constrained in (False, True, False):
        recorded.evaluate(make_report("before", 0, right=2, constrained=constrained))
    assert [line["constrained"] for line in lines(tmp_path / "evaluations.jsonl")] == [True, False]
    assert len(lines(tmp_path / "predictions.jsonl")) == 40


def test_training_stops_once_patience_runs_out(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path, evaluation={"every": 1, "patience": 2, "metric": "exact_match"}))
    recorded.start()
    recorded.evaluate(make_report("before", 0, right=0))
    reasons = []
    for step, right in enumerate((4, 8, 8, 7, 6), start=1):
        recorded.evaluate(make_report("step", step, right=right))
        reasons.append(recorded.step(step))
    assert [reason is not None for reason in reasons] == [False, False, False, True, True]
    assert reasons[3] == "2 evaluations in a row were not better than 0.400 (evaluation.patience)"


def test_patience_counts_on_over_an_interruption(tmp_path: Path):
    first, second = (RecordedRun(make_run(tmp_path, evaluation={"every": 1, "patience": 3})) for _ in range(2))
    first.start()
    for step in (1, 2, 3):
        first.evaluate(make_report("step", step, right=8))
        assert first.step(step) is None
    second.start(first_step=4)
    assert second.step(4) is None
    second.evaluate(make_report("step", 5, right=8))
    assert second.step(5) is not None


def test_patience_judges_the_model_without_the_grammar(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path, evaluation={"every": 1, "patience": 1}))
    recorded.start()
    for step, (alone, constrained) in enumerate(((1, 9), (2, 9)), start=1):
        recorded.evaluate(make_report("step", step, right=constrained, constrained=True))
        recorded.evaluate(make_report("step", step, right=alone))
    assert recorded.step(2) is None


def test_an_unknown_metric_to_decide_by_is_named(tmp_path: Path):
    recorded = RecordedRun(make_run(tmp_path, evaluation={"every": 1, "patience": 1, "metric": "exact_mach"}))
    with pytest.raises(SofitError, match="no metric is called 'exact_mach'"):
        recorded.evaluate(make_report("before", 0, right=0))


def progress_of(tmp_path: Path, stream: io.StringIO, first_step: int = 1) -> str:
    """Runs ten steps under the progress observer alone and returns what it wrote."""
    run = make_run(tmp_path)
    progress = Progress(stream)
    progress.sofit_train_start(run, first_step)
    for step in range(first_step, 11):
        progress.sofit_step_end(run, make_step(step))
    progress.sofit_evaluate_end(run, make_report("after", 10, right=20, constrained=True))
    progress.sofit_train_end(run, Outcome(status="stopped", step=10, reason="it was enough"))
    return stream.getvalue()


def test_a_log_gets_few_lines_and_says_that_data_is_made_up(tmp_path: Path):
    text = progress_of(tmp_path, io.StringIO())
    assert "data: demo (1200 train, 20 validation examples)" in text
    assert "demo data: The plugin of task 'viggo' made these examples up." in text
    assert re.findall(r"step (\d+)/10", text) == ["1", "10"]
    assert "peak: 0.2 TFLOP/s" in text
    assert "step 10/10  loss 0.2707  20 examples/s  MFU 60%  0:00 left" in text
    assert "tokens: 20,000 computed; sharing prompts saved 140,000" in text
    assert "after, constrained: overall_accuracy 1.000" in text
    assert "training stopped after step 10: it was enough" in text
    assert "\x1b" not in text


def test_a_resumed_run_says_where_it_goes_on(tmp_path: Path):
    assert "going on with step 4 of 10" in progress_of(tmp_path, io.StringIO(), first_step=4)


def test_a_terminal_gets_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = progress_of(tmp_path, Terminal())
    assert "\x1b[" in text
    assert "10/10" in text
    assert "after, constrained: overall_accuracy 1.000" in text


def test_tensorboard_shows_what_happened(tmp_path: Path):
    from tensorboardX.proto import event_pb2

    recorded = RecordedRun(make_run(tmp_path, trainer={"tensorboard": {}}))
    recorded.start()
    recorded.step(1)
    recorded.evaluate(make_report("step", 1, right=10, constrained=True))
    recorded.end()
    (file,) = (tmp_path / "tensorboard").iterdir()
    event = vars(event_pb2)["Event"]  # Made when the module is imported, so a type checker does not see it.
    events = [event.FromString(record) for record in _tfrecords(file.read_bytes())]
    shown = {value.tag: (event.step, value.simple_value) for event in events for value in event.summary.value}
    assert shown["train/loss"] == (1, pytest.approx(make_step(1).loss))
    assert shown["train/loss_by_role/value"] == (1, pytest.approx(make_step(1).loss_by_role["value"]))
    assert shown["validation_constrained/exact_match"] == (1, 0.5)


def _tfrecords(data: bytes) -> list[bytes]:
    """Cuts a TFRecord file: eight bytes of length, four of checksum, the record, four of checksum."""
    records = []
    while data:
        length = int.from_bytes(data[:8], "little")
        records.append(data[12 : 12 + length])
        data = data[12 + length + 4 :]
    return records


def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = {"wandb": {"project": "levanter", "tags": ["viggo"]}}
    recorded = RecordedRun(make_run(tmp_path, trainer=settings))
    recorded.start()
    recorded.evaluate(make_report("before", 0, right=10))
    recorded.step(1)
    recorded.end()
    wandb.teardown()  # As at the end of the process: its service writes the file out.
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("run-*.wandb")
    assert file.name == f"run-{(tmp_path / 'wandb_id').read_text().strip()}.wandb"
    content = file.read_bytes()
    missing = [name for name in (b"train/loss", b"validation/exact_match", b"levanter", b"viggo") if name not in content]
    assert not missing


def test_wandb_without_an_account_says_what_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # Where a login is kept.
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(SofitError, match=r"wandb does not start: .*Log in \(wandb login\), keep it on this machine"):
        RecordedRun(make_run(tmp_path, trainer={"wandb": {}}))


@pytest.mark.parametrize(("tracker", "package"), [("wandb", "wandb"), ("tensorboard", "tensorboardX")])
def test_a_tracker_that_is_not_installed_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, package: str
):
    monkeypatch.setitem(sys.modules, package, None)  # Importing it fails, as if it were not there.
    with pytest.raises(SofitError, match=rf"pip install {package}.*--set trainer.{tracker}=null"):
        RecordedRun(make_run(tmp_path, trainer={tracker: {}}))
