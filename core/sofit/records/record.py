"""A row of data that knows where it stands."""

import json
from dataclasses import dataclass
from typing import Any

from sofit.errors import SofitError


@dataclass(frozen=True)
class Record:
    """One row: its fields by name, and where it stands ("train.csv:17")."""

    fields: dict[str, Any]
    where: str

    def first(self, *names: str) -> str | None:
        """Returns which of the fields `names` is the first that the row has; a null is no value."""
        return next((name for name in names if self.fields.get(name) is not None), None)

    def text(self, *names: str) -> str:
        """Returns the text of the first of the fields `names` that the row has.

        Raises:
            SofitError: the row has none of them, or the value is not text.
        """
        name = self._required(*names)
        return self._checked(name, self.fields[name])

    def json(self, *names: str) -> Any:
        """Returns the value of the first of the fields `names` that the row has, read as JSON where it is text; 2.0 is 2.

        Raises:
            SofitError: the row has none of them, or the text is no JSON.
        """
        from sofit.json_schema.json_text import read_json

        name = self._required(*names)
        value = self.fields[name]
        try:
            return read_json(value if isinstance(value, str) else json.dumps(value))
        except (ValueError, TypeError) as error:
            raise SofitError(f"{self.where}: field {name!r} is no JSON: {error}.") from error

    def _required(self, *names: str) -> str:
        name = self.first(*names)
        if name is None:
            wanted = " or ".join(repr(name) for name in names)
            raise SofitError(f"{self.where}: the row has no field {wanted}. Its fields: {', '.join(self.fields) or 'none'}.")
        return name

    def _checked(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise SofitError(f"{self.where}: field {name!r} must be text. Got {type(value).__name__}: {value!r}.")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            # JSON can write "\ud83d" on its own; no tokenizer takes it.
            half = value[error.start]
            raise SofitError(f"{self.where}: field {name!r} holds {half!r}, half of a character. Write the whole one.") from error
        return value
