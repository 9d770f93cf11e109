"""A model without its weights: what planning a run needs, and what a folder with nothing but a config.json can give."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sofit.errors import SofitError
from sofit.pretrained.folder import has_tokenizer, read_config, read_tokenizer
from sofit.pretrained.hub import HubError, fetch_from_hub
from sofit.pretrained.load import KNOWN_MODELS, load_pretrained, model_folder
from sofit.pretrained.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class PretrainedOutline:
    """What is known of a model before its weights are read."""

    config: Mapping[str, Any]
    """config.json, as `normalise_config` spells it."""
    tokenizer: Tokenizer | None
    """None where the folder has none."""


def outline_pretrained(name_or_path: str) -> PretrainedOutline:
    """Returns the outline of a model by any name that `load_pretrained` takes; no weights are downloaded from the Hub.

    Raises:
        SofitError: it is not there, cannot be fetched, or is not a model that sofit can read.
    """
    path = Path(name_or_path).expanduser()
    if name_or_path not in KNOWN_MODELS and path.is_dir():
        return _outline_folder(model_folder(path))
    if name_or_path not in KNOWN_MODELS and not path.is_file():
        try:
            return _outline_folder(fetch_from_hub(name_or_path, with_weights=False))
        except HubError:
            pass  # A name that is none, or a model of an earlier download: the loader knows, and has the messages.
    pretrained = load_pretrained(name_or_path)
    return PretrainedOutline(pretrained.config, pretrained.tokenizer)


def load_tokenizer(name_or_path: str) -> Tokenizer:
    """Returns the tokenizer of a model, as `outline_pretrained` finds it.

    Raises:
        SofitError: the model cannot be had, or comes without a tokenizer.
    """
    tokenizer = outline_pretrained(name_or_path).tokenizer
    if tokenizer is None:
        raise SofitError(f"The model {name_or_path} has no tokenizer. Its folder should hold a tokenizer.json.")
    return tokenizer


def _outline_folder(folder: Path) -> PretrainedOutline:
    config = read_config(folder)
    return PretrainedOutline(config, read_tokenizer(folder, config) if has_tokenizer(folder) else None)
