"""Whoever waits for outputs sees how far they are: on a terminal, in a log, and within a training run."""

import io
import itertools
import re
from pathlib import Path

import pytest
from recorded_run import make_report, make_run, make_step

from sofit import generation_progress
from sofit.decoding.outputs import Generated, Outputs
from sofit.generation_progress import GenerationProgress
from sofit.observers.progress import Progress
from sofit.run import EvaluationProgress, Outcome


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def show_all(progress: GenerationProgress, n: int = 40) -> None:
    for name in ("unconstrained", "constrained"):
        for done in range(n + 1):
            progress.show(name, done, n, done / n)


def test_a_terminal_gets_a_bar_that_is_taken_away(terminal: Terminal):
    with GenerationProgress(terminal) as progress:
        show_all(progress)
    text = terminal.getvalue()
    assert "unconstrained" in text
    assert re.search(r"constrained.* 0/40", text)
    assert text.endswith("\x1b[2K\x1b[?25h\r"), "the row is erased, and the cursor is back"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets two seconds pass before each output."""
    now = itertools.count(2.0, 2.0)
    monkeypatch.setattr(generation_progress.time, "monotonic", lambda: next(now))


@pytest.mark.usefixtures("clock")
def test_a_log_gets_a_line_now_and_then():
    stream = io.StringIO()
    show_all(GenerationProgress(stream), 12)
    assert stream.getvalue().splitlines() == [
        "unconstrained: 5/12  0.5 outputs/s  0:14 left",
        "unconstrained: 10/12  0.5 outputs/s  0:04 left",
        "constrained: 5/12  0.5 outputs/s  0:14 left",
        "constrained: 10/12  0.5 outputs/s  0:04 left",
    ]


def test_the_time_left_is_that_of_the_outputs_and_not_of_compiling(monkeypatch: pytest.MonkeyPatch):
    # A minute passes before the first three outputs, and then a second for each.
    times = iter([0.0, 60.0, 60.1, 60.2, *(60.2 + second for second in range(1, 18))])
    monkeypatch.setattr(generation_progress.time, "monotonic", lambda: next(times))
    stream = io.StringIO()
    show_once = GenerationProgress(stream)
    for done in range(21):
        show_once.show("generating", done, 20, done / 20)
    assert stream.getvalue().splitlines() == [
        "generating: 1/20",
        "generating: 13/20  1 outputs/s  0:07 left",
    ]


def test_the_share_of_the_writing_goes_by_how_long_outputs_are() -> None:
    told: list[tuple[int, float]] = []
    outputs = Outputs(4, 100, lambda done, share: told.append((done, share)))
    outputs.tell_progress([50, 50])  # Nothing is done yet: each may take 100.
    outputs.add(0, Generated((7,) * 20, finished=True))
    outputs.tell_progress([50, 10])  # The first is longer than what is done, and taken to reach 100; the others take 20.
    for member in (1, 2, 3):
        outputs.add(member, Generated((7,), finished=True))
    outputs.tell_progress([])
    assert told == [(0, 100 / 400), (1, 80 / (80 + 50 + 10 + 20)), (4, 1.0)]


def test_outputs_under_way_count_by_what_is_written_of_them(monkeypatch: pytest.MonkeyPatch):
    # Two short outputs end early, and the others get longer by a tenth every ten seconds.
    times = iter([0.0, *(60.0 + 10 * tenth for tenth in range(10))])
    monkeypatch.setattr(generation_progress.time, "monotonic", lambda: next(times))
    stream = io.StringIO()
    progress = GenerationProgress(stream)
    progress.show("generating", 0, 20, 0.0)
    for tenth in range(1, 5):
        progress.show("generating", 2, 20, tenth / 10)
    assert stream.getvalue().splitlines() == [
        "generating: 2/20",
        "generating: 2/20  1:20 left",
        "generating: 2/20  1:10 left",
        "generating: 2/20  1:00 left",
    ]


def test_no_time_is_told_while_the_share_falls(monkeypatch: pytest.MonkeyPatch):
    times = iter([0.0, 60.0, 70.0])
    monkeypatch.setattr(generation_progress.time, "monotonic", lambda: next(times))
    stream = io.StringIO()
    progress = GenerationProgress(stream)
    for done, share in ((0, 0.0), (2, 0.5), (4, 0.4)):
        progress.show("generating", done, 20, share)
    assert stream.getvalue().splitlines() == ["generating: 2/20", "generating: 4/20  0.2 outputs/s"]


def test_what_is_done_at_once_leaves_no_line():
    stream = io.StringIO()
    show_all(GenerationProgress(stream))
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("clock")
def test_an_evaluation_has_a_bar_beside_that_of_the_steps(tmp_path: Path, terminal: Terminal):
    run, progress = make_run(tmp_path), Progress(terminal)
    progress.sofit_train_start(run, 1)
    for done in range(21):
        far = EvaluationProgress(when="before", step=0, constrained=True, done=done, n=20, share=done / 20)
        progress.sofit_evaluate_progress(far)
        if done == 10:
            assert progress._bar is not None
            progress._bar.refresh()
    progress.sofit_evaluate_end(run, make_report("before", 0, right=1, constrained=True))
    progress.sofit_step_end(run, make_step(1))
    progress.sofit_train_end(run, Outcome(status="finished", step=1))
    text = terminal.getvalue()
    assert re.search(r"before, constrained\D+10/20", re.sub(r"\x1b\[[0-9;]*m", "", text))
    assert "outputs/s" in text
    left = text.rpartition("\x1b[2K")[2]
    assert "1/10" in left
    assert "/20" not in left, "the bar of the evaluation is gone"
