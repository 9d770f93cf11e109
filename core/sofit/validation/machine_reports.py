"""Writing findings down for programs: `json`, `jsonl`, `sarif` and `junit`.

All of it is ASCII, other characters escaped, so that it can be read whatever encoding the reader assumes.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import IO, Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from sofit.validation.findings import SCHEMA_VERSION, Finding, Summary
from sofit.validation.outputs import Output

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_COPIED_BYTES = 1 << 16
# XML 1.0, section 2.2: these characters cannot stand in a document, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JsonLines:
    """Each finding as a JSON object on a line of its own."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            self._stream.write(json.dumps(finding.as_json()) + "\n")

    def finish(self, summary: Summary) -> None:
        """Writes nothing: the summary goes to the standard error."""


class Json:
    """One JSON object: the version of its schema, all findings, and the summary."""

    def __init__(self, stream: IO[str]):
        self._stream = stream
        self._separator = "\n"
        stream.write(f'{{"version": {SCHEMA_VERSION}, "findings": [')

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            self._stream.write(f"{self._separator}  {json.dumps(finding.as_json())}")
            self._separator = ",\n"

    def finish(self, summary: Summary) -> None:
        """Writes the summary and closes the object."""
        self._stream.write(f'\n], "summary": {json.dumps(summary.as_json())}}}\n')


class Sarif:
    """A SARIF log, version 2.1.0 (OASIS, errata 01), which code scanners and editors read."""

    def __init__(self, stream: IO[str], titles: Mapping[str, str]):
        self._stream = stream
        self._titles = titles
        self._separator = "\n"
        stream.write(
            f'{{"$schema": "{_SARIF_SCHEMA}", "version": "2.1.0", "runs": [{{"columnKind": "unicodeCodePoints", "results": ['
        )

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Writes the findings."""
        for finding in findings:
            self._stream.write(f"{self._separator}  {json.dumps(self._result(finding))}")
            self._separator = ",\n"

    def finish(self, summary: Summary) -> None:
        """Writes the rules and closes the log."""
        rules = [{"id": code, "shortDescription": {"text": title}} for code, title in self._titles.items()]
        driver = {"name": "sofit validate", "version": version("sofit-jax"), "rules": rules}
        properties = {"summary": summary.as_json()}
        self._stream.write(f'\n], "tool": {json.dumps({"driver": driver})}, "properties": {json.dumps(properties)}}}]}}\n')

    def _result(self, finding: Finding) -> dict[str, Any]:
        problem = finding.problem
        region: dict[str, int] = {"startLine": finding.line}
        if finding.is_flat:
            region |= {"startColumn": problem.column, "endColumn": problem.end_column}
        location = {"artifactLocation": {"uri": quote(os.fsencode(finding.file.replace("\\", "/")))}, "region": region}
        details = {
            key: value for key, value in finding.as_json().items() if key in ("record", "id", "offset", "expected", "suggestion")
        }
        return {
            "ruleId": problem.code,
            "level": problem.severity,
            "message": {"text": problem.message},
            "locations": [{"physicalLocation": location}],
            "properties": details,
        }


class Junit:
    """JUnit's XML: each file a test suite, each output a test case, which an error fails."""

    def __init__(self, stream: IO[str]):
        self._stream = stream
        # A suite begins with its counts, which are known at its end; so the cases wait on the disk.
        self._cases = tempfile.TemporaryFile()  # noqa: SIM115  # Closed in finish.
        self._suites: list[dict[str, Any]] = []

    def add(self, file: str, output: Output, findings: Sequence[Finding]) -> None:
        """Keeps the output as a test case."""
        if not self._suites or self._suites[-1]["name"] != file:
            self._suites.append({"name": file, "tests": 0, "failures": 0, "start": self._cases.tell()})
        suite = self._suites[-1]
        suite["tests"] += 1
        name = f"{output.record}" if output.id is None else f"{output.record} {output.id}"
        content = self._content(suite, findings)
        self._cases.write(
            f"<testcase classname={_attribute(file)} name={_attribute(name)}>{content}</testcase>\n".encode("ascii")
        )

    def _content(self, suite: dict[str, Any], findings: Sequence[Finding]) -> str:
        errors = [finding for finding in findings if finding.problem.severity == "error"]
        warnings = [finding for finding in findings if finding.problem.severity == "warning"]
        content = ""
        if errors:
            suite["failures"] += 1
            first, text = errors[0].problem, "\n".join(map(_line, errors))
            content += f"<failure type={_attribute(first.code)} message={_attribute(first.message)}>{_text(text)}</failure>"
        if warnings:
            text = "\n".join(map(_line, warnings))
            content += f"<system-out>{_text(text)}</system-out>"
        return content

    def finish(self, summary: Summary) -> None:
        """Writes the suites with their counts and cases."""
        total = {key: sum(suite[key] for suite in self._suites) for key in ("tests", "failures")}
        write = self._stream.write
        write('<?xml version="1.0" encoding="UTF-8"?>\n')
        write(f'<testsuites name="sofit validate" tests="{total["tests"]}" failures="{total["failures"]}" errors="0">\n')
        ends = [suite["start"] for suite in self._suites[1:]] + [self._cases.tell()]
        for suite, end in zip(self._suites, ends, strict=True):
            counts = f'tests="{suite["tests"]}" failures="{suite["failures"]}" errors="0" skipped="0"'
            write(f"<testsuite name={_attribute(suite['name'])} {counts}>\n")
            self._cases.seek(suite["start"])
            for start in range(suite["start"], end, _COPIED_BYTES):
                write(self._cases.read(min(_COPIED_BYTES, end - start)).decode("ascii"))
            write("</testsuite>\n")
        write("</testsuites>\n")
        self._cases.close()


def _line(finding: Finding) -> str:
    return f"{finding.place}: {finding.problem.code} {finding.problem.message}"


def _attribute(text: str) -> str:
    return _ascii(quoteattr(_NOT_XML.sub("\ufffd", text)))


def _text(text: str) -> str:
    return _ascii(escape(_NOT_XML.sub("\ufffd", text)))


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
