"""What can be wrong with an output."""

from dataclasses import dataclass
from typing import Literal

UNEXPECTED_CHARACTER = "SOF001"
UNEXPECTED_TOKEN = "SOF002"
TRUNCATED = "SOF003"
TRAILING_TEXT = "SOF004"
EMPTY = "SOF005"
NOT_UTF8 = "SOF006"
SCHEMA_VIOLATION = "SOF007"

TITLES = {
    UNEXPECTED_CHARACTER: "Text that the grammar does not know stands where something else must.",
    UNEXPECTED_TOKEN: "A word or bracket of the grammar stands where it cannot, or is missing.",
    TRUNCATED: "The output ends too early.",
    TRAILING_TEXT: "Text follows the end of the output.",
    EMPTY: "The output is empty.",
    NOT_UTF8: "The output is not UTF-8.",
    SCHEMA_VIOLATION: "The output is JSON, but not what the schema describes.",
}
"""What each code of sofit's own means. The codes of a task's rules are SOF101 and up; `Task.rules` describes them."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an output, and where."""

    code: str
    message: str
    line: int
    """From 1, in lines of the output."""
    column: int
    """From 1, in characters."""
    end_column: int
    """The column after what was found, or after the line where that goes on; `column` itself where something is missing."""
    offset: int
    """From 0, in characters from the start of the output."""
    end_offset: int
    """The offset after what was found."""
    found: str = ""
    """What stands there and should not; "" where something is missing or the output ends."""
    expected: tuple[str, ...] = ()
    """What could have stood there, as a user would write it."""
    suggestion: str | None = None
    """What was probably meant in place of `found`."""
    severity: Severity = "error"
    """An error makes the output invalid; a warning does not."""

    @classmethod
    def at(
        cls,
        text: str,
        offset: int,
        code: str,
        message: str,
        *,
        end_offset: int | None = None,
        found: str = "",
        expected: tuple[str, ...] = (),
        suggestion: str | None = None,
        severity: Severity = "error",
    ) -> "Problem":
        """Makes a problem of the characters of `text` from `offset` on; they are `found`, unless `end_offset` ends them."""
        line = text.count("\n", 0, offset) + 1
        column = offset - text.rfind("\n", 0, offset)
        end_offset = offset + len(found) if end_offset is None else end_offset
        line_end = text.find("\n", offset, end_offset)
        end_column = column + (end_offset if line_end < 0 else line_end) - offset
        return cls(code, message, line, column, end_column, offset, end_offset, found, expected, suggestion, severity)

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.code} {self.message}"
