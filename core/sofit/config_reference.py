"""What the configuration's keys mean, said once: for error messages, `sofit config`, config.yaml and docs/config-keys.md."""

import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo

from sofit.config import Config, Section

_COMMENT_WIDTH = 110


@dataclass(frozen=True)
class Key:
    """One key of the configuration."""

    name: str
    """Dotted, such as "trainer.seed"."""
    kind: str
    """What it may be, such as "a whole number of at least 1"."""
    default: Any
    meaning: str
    section: type[Section] | None
    """The schema of what stands below the key; None where the key holds a value."""

    @property
    def depth(self) -> int:
        """How many sections the key stands in."""
        return self.name.count(".")


def keys(schema: type[Section] = Config, prefix: str = "") -> Iterator[Key]:
    """Yields every key of the schema, a section before what stands in it."""
    for name, field in schema.model_fields.items():
        section = _section(field)
        default = field.get_default(call_default_factory=True)
        yield Key(prefix + name, _kind(field), default, " ".join((field.description or "").split()), section)
        if section is not None:
            yield from keys(section, f"{prefix}{name}.")


def as_yaml(config: Config, header: str = "") -> str:
    """Returns the configuration as YAML that loads as itself, with the meaning of every key in a comment above it."""
    blocks = [_comment(header, "")] if header else []
    for key in keys():
        *sections, name = key.name.split(".")
        holder: Any = config
        for section in sections:
            holder = getattr(holder, section)
            if holder is None:
                break
        if holder is None:
            continue
        value = getattr(holder, name)
        indent = "  " * key.depth
        written = "" if isinstance(value, Section) else f" {_scalar(value)}"
        gap = "\n" if key.depth == 0 else ""
        blocks.append(f"{gap}{_comment(key.meaning, indent)}{indent}{name}:{written}\n")
    return "".join(blocks).lstrip("\n")


def as_markdown() -> str:
    """Returns the table of all keys that docs/config-keys.md holds."""
    rows = ["| key | what it may be | default | meaning |", "| --- | --- | --- | --- |"]
    for key in keys():
        kind = key.kind if key.section is None else "a section"
        default = "" if isinstance(key.default, Section) else f"`{_scalar(key.default)}`"
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key.name}`", kind, default, key.meaning)) + " |")
    return "\n".join(rows) + "\n"


def _comment(text: str, indent: str) -> str:
    lines = [line for paragraph in text.splitlines() for line in textwrap.wrap(paragraph, _COMMENT_WIDTH - len(indent))]
    return "".join(f"{indent}# {line}\n" for line in lines)


def _scalar(value: Any) -> str:
    """Writes a value in one line of YAML."""
    import yaml

    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(value, Mapping):
        plain = {name: item.model_dump() if isinstance(item, Section) else item for name, item in value.items()}
    readable, escaped = (
        yaml.safe_dump(plain, default_flow_style=True, allow_unicode=unicode, width=float("inf"))
        .removesuffix("...\n")
        .rstrip("\n")
        for unicode in (True, False)
    )
    # Letters of every script as they are, but not what reads as a line end or as nothing.
    return readable if readable.isprintable() else escaped


def _section(field: FieldInfo) -> type[Section] | None:
    for choice in _choices(field.annotation):
        if isinstance(choice, type) and issubclass(choice, Section):
            return choice
    return None


def _choices(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _kind(field: FieldInfo) -> str:
    choices = [choice for choice in _choices(field.annotation) if choice is not types.NoneType]
    kind = _kind_of(choices[0], field.metadata)
    return kind if len(choices) == len(_choices(field.annotation)) else f"{kind}, or null"


def _kind_of(annotation: Any, metadata: list[Any]) -> str:
    """Says in words which values an annotation takes."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *inner = typing.get_args(annotation)
        # Field(...) inside an annotation keeps its own list of limits.
        limits = [limit for item in inner for limit in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _kind_of(annotation, limits)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"a section of {', '.join(annotation.model_fields)}"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        is_open = typing.get_origin(arguments[0]) is not Literal
        return "a name or a list of names" if is_open else f"a list: {_kind_of(arguments[0], [])}"
    if origin is dict:
        if typing.get_origin(arguments[0]) is Literal:
            return f"a mapping with {', '.join(typing.get_args(arguments[0]))}"
        return "a mapping"
    words = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}[annotation]
    return words + _limits(metadata)


def _limits(metadata: list[Any]) -> str:
    """Says in words which numbers the limits of annotated_types allow."""
    found = {name: getattr(limit, name) for limit in metadata for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)}
    match found:
        case {"ge": low, "le": high}:
            return f" from {low} to {high}"
        case {"ge": low, "lt": high}:
            return f" from {low} to below {high}"
        case {"ge": low}:
            return f" of at least {low}"
        case {"gt": low, "le": high}:
            return f" above {low}, at most {high}"
        case {"gt": low}:
            return f" above {low}"
    return ""
