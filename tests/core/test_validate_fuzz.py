"""Whatever the input, validation ends with a verdict, soon, and in formats that can be read."""

import contextlib
import csv
import gc
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from sofit import Grammar, SofitError
from sofit.validation import machine_reports, reports
from sofit.validation.fixes import find_fix
from sofit.validation.judge import Judge
from sofit.validation.outputs import FORMATS, FormatName, Output, make_reader
from sofit.validation.run import Mode, validate
from sofit.validation.sources import Source
from sofit_grammars import builtin_grammar
from sofit_viggo import ViggoTask

VIGGO = Judge(builtin_grammar("viggo"), ViggoTask())

# Recursion, several lines, open text that a bracket ends, and a number whose ending the lexer must find.
NOTES = Judge(
    Grammar(
        "notes",
        r"""
        start: entry ("\n" entry)*
        entry: NUMBER ". " TEXT | "(" entry ")" | "no" | "note"
        NUMBER: /[0-9]{1,3}(\.[0-9]{1,2})?/
        TEXT: /[^\n()]{1,40}/
        """,
    )
)

MOST_SECONDS = 1.0
"""Of the processor, for a verdict and a fix: the time on the wall says more of what else the machine does, and that of the whole
process of the garbage collector, which after 100,000 examples takes a second by itself."""
MOST_SECONDS_OF_A_CHARACTER = 5e-5
"""On top, for long texts: several times what they take, and far less than where time grows with the square of the length."""
WORDS = [
    "inform",
    "request_attribute",
    "(",
    ")",
    "[",
    "]",
    ", ",
    "name",
    "release_year",
    "2007",
    "yes",
    "é",
    "\r",
    "\n",
    "1.",
    "no",
]
NEAR_TEXTS = st.lists(st.sampled_from(WORDS), max_size=25).map("".join)
TEXTS = st.text(max_size=60) | NEAR_TEXTS | st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
MORE = settings(max_examples=100_000, suppress_health_check=[HealthCheck.too_slow])
SOME = settings(max_examples=300)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_verdict(judge: Judge, text: str) -> None:
    """A verdict comes soon and is consistent, its place lies in the text, and a fix mends all."""
    with no_garbage_collection():
        start = time.thread_time()
        problems = judge.problems(text)
        errors = [problem for problem in problems if problem.severity == "error"]
        fix = find_fix(text, judge.problems, unsafe=True) if errors else None
        assert time.thread_time() - start < MOST_SECONDS + MOST_SECONDS_OF_A_CHARACTER * len(text)
    assert judge.grammar.accepts(text) or errors
    for problem in problems:
        assert 0 <= problem.offset <= problem.end_offset <= len(text)
        assert problem.line == text.count("\n", 0, problem.offset) + 1
        assert problem.column == problem.offset - text.rfind("\n", 0, problem.offset)
        assert problem.column <= problem.end_column
        problem.message.encode("utf-8")
    if fix is not None:
        assert judge.grammar.accepts(fix.text)
        assert not [problem for problem in judge.problems(fix.text) if problem.severity == "error"]


def mutate(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(text))
        text = (
            text[:start] + chance.choice(["", "", *WORDS, chr(chance.randrange(0x3000))]) + text[start + chance.randint(0, 5) :]
        )
    return text


@pytest.mark.parametrize("judge", [VIGGO, NOTES], ids=["viggo", "notes"])
@given(text=TEXTS)
@SOME
def test_any_text_gets_a_verdict(judge: Judge, text: str):
    check_verdict(judge, text)


@pytest.mark.slow
@pytest.mark.parametrize("judge", [VIGGO, NOTES], ids=["viggo", "notes"])
@given(text=TEXTS)
@MORE
def test_a_hundred_thousand_texts_get_a_verdict(judge: Judge, text: str):
    check_verdict(judge, text)


@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutated_targets_get_a_verdict(shared_data: Path, count: int):
    chance = random.Random(0)
    with (shared_data / "viggo" / "validation.csv").open(encoding="utf-8", newline="") as file:
        targets = [row["mr"] for row in csv.DictReader(file)]
    for _ in range(count):
        check_verdict(VIGGO, mutate(chance.choice(targets), chance))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000,
        "1. x\n" * 20_000,
        "inform(" + "name[x], " * 10_000,
        "[" * 50_000,
        " " * 100_000,
        "```\n" + " " * 100_000,
        "inform(name[" + "x" * 99_999,
    ],
    ids=["nested", "lines", "list", "brackets", "blank", "open fence", "value"],
)
def test_very_long_and_very_deep_texts_get_a_verdict(text: str):
    for judge in (VIGGO, NOTES):
        check_verdict(judge, text)


@pytest.mark.parametrize("format_name", FORMATS)
@given(raw=st.binary(max_size=120) | NEAR_TEXTS.map(str.encode))
@SOME
def test_what_a_reader_yields_is_the_file_itself_byte_for_byte(format_name: FormatName, raw: bytes):
    pieces: list[Output | bytes] = []
    with contextlib.suppress(SofitError):
        pieces.extend(make_reader(format_name).read(io.BytesIO(raw), "file"))
        assert b"".join(piece if isinstance(piece, bytes) else piece.raw for piece in pieces) == raw
    if format_name in ("lines", "text"):
        assert b"".join(piece.rewrite(piece.text) for piece in pieces if isinstance(piece, Output)) == raw


@given(rows=st.lists(st.tuples(TEXTS, st.text(max_size=5)), min_size=1, max_size=4), new=NEAR_TEXTS)
@SOME
def test_a_rewritten_record_holds_the_new_output_and_all_else_unchanged(rows: list[tuple[str, str]], new: str):
    lines = [json.dumps({"output": text, "id": id}) for text, id in rows]
    written = io.StringIO()
    csv.writer(written).writerows([("output", "id"), *rows])
    files: dict[FormatName, bytes] = {
        "jsonl": "\n".join(lines).encode(),
        "csv": written.getvalue().encode("utf-8", "surrogateescape"),
    }
    for format_name, raw in files.items():
        reader = make_reader(format_name)
        outputs = [piece for piece in reader.read(io.BytesIO(raw), "file") if isinstance(piece, Output)]
        assert [(output.text, output.id) for output in outputs] == rows
        header = b"output,id\r\n" if format_name == "csv" else b""
        changed = header + b"".join(output.rewrite(new) for output in outputs)
        again = [piece for piece in reader.read(io.BytesIO(changed), "file") if isinstance(piece, Output)]
        assert [(output.text, output.id) for output in again] == [(new, id) for _, id in rows]


REPORTS: dict[str, tuple[Callable[[io.StringIO], reports.Report], Callable[[str], object]]] = {
    "full": (reports.Full, str),
    "concise": (reports.Concise, str),
    "github": (reports.Github, str),
    "json": (machine_reports.Json, json.loads),
    "jsonl": (machine_reports.JsonLines, lambda text: [json.loads(line) for line in text.splitlines()]),
    "sarif": (lambda stream: machine_reports.Sarif(stream, VIGGO.titles), SarifLog.model_validate_json),
    "junit": (machine_reports.Junit, lambda text: JUnitXml.fromstring(text.encode())),
}


@pytest.mark.parametrize("name", REPORTS)
@given(texts=st.lists(TEXTS.map(lambda text: text.replace("\n", "|")), min_size=1, max_size=4), id=st.text(max_size=3))
@settings(SOME, max_examples=100)
def test_every_report_of_any_text_can_be_read(tmp_path_factory: pytest.TempPathFactory, name: str, texts: list[str], id: str):
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "out.jsonl"
    path.write_text("\n".join(json.dumps({"output": text, "id": id}) for text in texts), encoding="utf-8")
    make_report, read = REPORTS[name]
    stream = io.StringIO()
    result = validate([Source("out.jsonl", path, make_reader("jsonl"))], VIGGO, make_report(stream), Mode())
    assert result.summary.n == len(texts)
    assert not result.failures
    written = stream.getvalue()
    read(written)
    assert name in ("full", "concise", "github") or written.isascii()
    written.encode("utf-8")
