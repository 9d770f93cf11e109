"""Fetching a model folder from the Hugging Face Hub."""

from pathlib import Path

from sofit.errors import SofitError
from sofit.pretrained.folder import TOKENIZER_FILES

_PROBE_SECONDS = 5.0
"""How long the Hub may take for its first answer, before it counts as out of reach."""

_WEIGHTS = "*.safetensors"
_FILES = ["*.json", "*.model", "*.jinja", "*.txt", _WEIGHTS]
_OTHER_FILES = ["*/*", "consolidated*"]


class HubError(SofitError):
    """The Hub cannot be reached, or does not have the model in a form that sofit reads."""


def cached_from_hub(name: str) -> Path | None:
    """Returns the folder in which an earlier download from the Hub lies, if there is a whole one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True, allow_patterns=_FILES, ignore_patterns=_OTHER_FILES))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    # What was cut off leaves a folder with some of the files.
    files = {path.name for path in folder.iterdir()}
    is_whole = (
        "config.json" in files and any(name.endswith(".safetensors") for name in files) and not files.isdisjoint(TOKENIZER_FILES)
    )
    return folder if is_whole else None


def fetch_from_hub(name: str, *, with_weights: bool = True) -> Path:
    """Downloads the files of a model "org/name" that are not in the Hub's own cache yet, and returns their folder.

    Without weights it takes config and tokenizer only.

    Raises:
        HubError: the Hub is out of reach, has no such model or gives no access to it, or the model is not in safetensors.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        model = HfApi().model_info(name, timeout=_PROBE_SECONDS)
        _check_files(name, [file.rfilename for file in model.siblings or ()])
        left_out = _OTHER_FILES if with_weights else [*_OTHER_FILES, _WEIGHTS]
        return Path(snapshot_download(name, allow_patterns=_FILES, ignore_patterns=left_out))
    except HubError:
        raise
    except GatedRepoError as error:
        raise HubError(f"The Hub gives no access to {name}: ask for it on the model's page, then run `hf auth login`.") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"The Hub has no model {name}. If it is a private one, run `hf auth login`.") from error
    except Exception as error:  # The Hub's client raises kinds of several libraries for "not reachable".
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HubError(f"Cannot get {name} from the Hugging Face Hub: {reason.rstrip('.')}.") from error


def _check_files(name: str, files: list[str]) -> None:
    """Fails before anything is downloaded on a model that could not be read."""
    if not any(file.endswith(".safetensors") and "/" not in file for file in files):
        pickled = [file for file in files if file.endswith((".bin", ".pth", ".pt"))]
        found = f"only pickles ({pickled[0]}), which run code when they are read" if pickled else "no weights"
        raise HubError(f"{name} on the Hub has {found}. sofit reads safetensors.")
