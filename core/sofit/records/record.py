"""A row of data that knows where it stands."""

from dataclasses import dataclass
from typing import Any

from sofit.errors import SofitError


@dataclass(frozen=True)
class Record:
    """One row: its fields by name, and where it stands ("train.csv:17")."""

    fields: dict[str, Any]
    where: str

    def text(self, *names: str) -> str:
        """Returns the first of the fields `names` that the row has; a null is no value.

        Raises:
            SofitError: the row has none of them, or the value is not text.
        """
        for name in names:
            if self.fields.get(name) is not None:
                return self._checked(name, self.fields[name])
        wanted = " or ".join(repr(name) for name in names)
        raise SofitError(f"{self.where}: the row has no field {wanted}. Its fields: {', '.join(self.fields) or 'none'}.")

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
