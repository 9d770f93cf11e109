"""The progress bar of a long validation."""

import io
from pathlib import Path

import pytest

from sofit.validation import progress
from sofit.validation.outputs import make_reader
from sofit.validation.sources import Source


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    path = tmp_path / "out.txt"
    path.write_bytes(b"x" * 1000)
    return [Source("out.txt", path, make_reader("lines"))]


def test_a_long_validation_shows_a_bar_on_the_terminal(sources: list[Source], monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", -1.0)
    with progress.progress_bar(sources) as on_read:
        on_read(400)
        on_read(600)
    assert "Validating" in terminal.getvalue()
    assert "1.0/1.0 kB" in terminal.getvalue()


def test_a_short_validation_shows_none(sources: list[Source], monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.progress_bar(sources) as on_read:
        on_read(1000)
    assert terminal.getvalue() == ""


def test_nothing_is_shown_where_there_is_no_terminal(sources: list[Source], monkeypatch: pytest.MonkeyPatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", -1.0)
    with progress.progress_bar(sources) as on_read:
        on_read(1000)
    assert stream.getvalue() == ""
