"""Making a configuration from a YAML file, `--set KEY=VALUE` and the command line's own options, each over the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import ValidationError

from sofit.config import Config, MixturePartConfig
from sofit.config_reference import Key, keys
from sofit.errors import SofitError, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path = tuple[str, ...]
"""A key as its parts: ("trainer", "seed")."""


@dataclass
class _Tree:
    """Values before they are checked, and where each was said, for messages."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)

    def assign(self, path: Path, value: Any, place: str) -> None:
        section = self.values
        for name in path[:-1]:
            if not isinstance(section.get(name), dict):
                section[name] = {}
            section = section[name]
        section[path[-1]] = value
        self.places[path] = place

    def place(self, path: Path) -> str:
        """Returns where the key, something below it, or the nearest section around it was said."""
        below = [place for other, place in self.places.items() if other[: len(path)] == path]
        around = [self.places[path[:length]] for length in range(len(path) - 1, 0, -1) if path[:length] in self.places]
        return [*below, *around, "configuration"][0]


def load_config(
    path: str | None = None,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    method: Literal["lora", "full"] | None = None,
) -> Config:
    """Returns the configuration of a file, under `settings` ("trainer.seed=1", YAML values), under `overrides` by dotted key.

    Without a file the method is LoRA; a file means LoRA if it has a `lora` section; `method` overrides both. Nothing that the
    configuration names is opened.

    Raises:
        SofitError: the file cannot be read, or is not YAML; a key is unknown; a value is wrong. Names the file, line and key.
    """
    tree = _Tree({"lora": {}}) if path is None else _read(path)
    for setting in settings:
        _apply(tree, setting)
    for key, value in (overrides or {}).items():
        tree.assign(tuple(key.split(".")), value, "command line")
    _choose_method(tree, method)
    try:
        return Config.model_validate(tree.values)
    except ValidationError as error:
        known = {tuple(key.name.split(".")): key for key in keys()}
        # One wrong value of a list or mapping may raise several errors; the first says it.
        messages = dict.fromkeys(_explain(tree, known, detail) for detail in error.errors())
        raise SofitError("\n".join(messages)) from error


def _choose_method(tree: _Tree, method: Literal["lora", "full"] | None) -> None:
    if method == "lora" and tree.values.get("lora") is None:
        tree.values["lora"] = {}
    if method == "full":
        asked = [".".join(key) for key, place in tree.places.items() if key[0] == "lora" and place == "--set"]
        if tree.values.get("lora") is not None and asked:
            raise SofitError(f"--method full trains no adapters, but --set asks for {asked[0]}. Leave one of them out.")
        tree.values["lora"] = None


def _apply(tree: _Tree, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise SofitError(f"--set takes KEY=VALUE, such as trainer.seed=1. Got {setting!r}.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SofitError(f"--set {key}: {text!r} is not a YAML value. Quote it: --set '{key}=\"...\"'.") from error
    tree.assign(tuple(key.strip().split(".")), value, "--set")


def _read(path: str) -> _Tree:
    text = _read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise SofitError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}.") from error
    if node is None:
        return _Tree()
    if not isinstance(node, yaml.MappingNode):
        raise SofitError(f"{path}: a configuration is a mapping of keys to values. Got {type(values).__name__}.")
    tree = _Tree(values)
    sections = {tuple(key.name.split(".")) for key in keys() if key.section is not None}
    for key_path, value, line in _walk(node, path):
        tree.places[key_path] = f"{path}:{line}"
        # `lora:` with nothing below it is the section with its defaults; `lora: null` is no section.
        if key_path in sections and isinstance(value, yaml.ScalarNode) and value.value == "":
            tree.assign(key_path, {}, f"{path}:{line}")
    return tree


def _read_text(path: str) -> str:
    try:
        if "://" in path:
            import fsspec

            filesystem, name = fsspec.core.url_to_fs(path)
            return filesystem.cat_file(name).decode("utf-8")
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise SofitError(f"There is no configuration file {path}.") from error
    except (OSError, UnicodeDecodeError, ImportError, ValueError) as error:
        raise SofitError(f"Cannot read the configuration {path}: {error}") from error


def _walk(node: yaml.MappingNode, path: str, prefix: Path = ()) -> list[tuple[Path, yaml.Node, int]]:
    """Returns every key with its value and line.

    Raises:
        SofitError: a key is not text, or stands twice in one mapping, of which YAML would silently take the last.
    """
    found: list[tuple[Path, yaml.Node, int]] = []
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        name, line = key_node.value, key_node.start_mark.line + 1
        if key_node.tag != "tag:yaml.org,2002:str":
            raise SofitError(f"{path}:{line}: a key must be text. Got {key_node.tag.rpartition(':')[2]} {name!r}.")
        if name in lines:
            raise SofitError(f"{path}:{line}: key {'.'.join((*prefix, name))!r} stands twice, first in line {lines[name]}.")
        lines[name] = line
        found.append(((*prefix, name), value_node, line))
        if isinstance(value_node, yaml.MappingNode):
            found += _walk(value_node, path, (*prefix, name))
    return found


def _explain(tree: _Tree, known: Mapping[Path, Key], detail: "ErrorDetails") -> str:
    """Says what is wrong with a key: where it was said, what was found, what is expected."""
    path = tuple(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{tree.place(path)}: unknown key {'.'.join(path)!r}.{_nearest_key(path, known)}"
    if path[0] == "mixture" and len(path) > 1:
        place = tree.place(path if path in tree.places else path[:-1])
        if detail["type"] == "missing":
            return f"{place}: {'.'.join(path)} is missing. Each part of a mixture needs it."
        return f"{place}: {'.'.join(path)}: {detail['msg']}. Got {detail['input']!r}."
    while path not in known:  # A fault inside a list or mapping is that key's fault.
        path = path[:-1]
    found: Any = tree.values
    for name in path:
        found = found[name]
    key = known[path]
    own_reason = detail.get("ctx", {}).get("error") if detail["type"] == "value_error" else None
    reason = f": {str(own_reason).rstrip('.')}" if own_reason else ""
    return f"{tree.place(path)}: {key.name} must be {key.kind}. Got {found!r}{reason}."


def _nearest_key(path: Path, known: Mapping[Path, Key]) -> str:
    """Names the key that was meant: one of the same section, else one of the same name in another."""
    siblings = sorted(other[-1] for other in known if other[:-1] == path[:-1])
    if path[0] == "mixture" and len(path) == len(("mixture", "PART", "KEY")):
        siblings = sorted(MixturePartConfig.model_fields)
    if hint := did_you_mean(path[-1], siblings):
        return hint
    namesakes = [key.name for other, key in known.items() if other[-1] == path[-1]]
    if namesakes:
        return f" Did you mean {' or '.join(map(repr, namesakes))}?"
    return f" Keys there: {', '.join(siblings)}."
