"""Data sets of the Hugging Face Hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from sofit.errors import SofitError

_PARQUET_CONVERSION = "refs/convert/parquet"
"""The Hub keeps data sets under this revision as CONFIG/SPLIT/0000.parquet; those that need a script exist only there."""

_PROBE_SECONDS = 5.0
"""How long the Hub may take for its first answer. The loading that follows would retry for a minute before it gave up."""

HubRows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each split, by the split's own name; they stay on the disk until they are asked for."""


def load_from_hub(name: str) -> HubRows:
    """Loads a data set "org/name", or one configuration of it, "org/name/configuration".

    It comes from the Hub or, with HF_HUB_OFFLINE=1, from the cache of an earlier run.

    Raises:
        SofitError: the Hub is out of reach, does not have the data set, or has several under that name; lists them.
    """
    import datasets
    from huggingface_hub.constants import HF_HUB_OFFLINE

    organisation, _, rest = name.partition("/")
    dataset, _, configuration = rest.partition("/")
    dataset = f"{organisation}/{dataset}" if dataset else organisation
    revision = _PARQUET_CONVERSION if HF_HUB_OFFLINE else _revision(dataset, configuration)
    try:
        if revision and configuration:
            return cast(HubRows, datasets.load_dataset("parquet", data_files=_converted_files(dataset, configuration)))
        return cast(HubRows, datasets.load_dataset(dataset, configuration or None, revision=revision))
    except Exception as error:  # The libraries below raise kinds of their own for whatever a data set can get wrong.
        raise SofitError(f"Cannot load hf:{name}: {_reason(error)}. Or give --data a folder or a file.") from error


def _revision(name: str, configuration: str) -> str | None:
    """Returns the revision to load: the Parquet conversion, or the data set itself where there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(name, revision=_PARQUET_CONVERSION, timeout=_PROBE_SECONDS)
    except RevisionNotFoundError:
        _check_configuration(name, configuration, _configurations_of(name))
        return None
    except GatedRepoError as error:
        raise SofitError(f"The Hub gives no access to hf:{name}: ask for it on its page, then run `hf auth login`.") from error
    except RepositoryNotFoundError as error:
        raise SofitError(f"The Hub has no data set {name!r}. If it is a private one, run `hf auth login`.") from error
    except Exception as error:  # The HTTP library below raises kinds of its own for "not reachable".
        raise SofitError(
            f"Cannot reach the Hugging Face Hub for hf:{name}: {_reason(error)}. Check the network; or set HF_HUB_OFFLINE=1 if an"
            " earlier run loaded it; or give --data a folder or a file."
        ) from error
    files = [file.rfilename for file in info.siblings or ()]
    _check_configuration(name, configuration, sorted({file.split("/")[0] for file in files if file.endswith(".parquet")}))
    return _PARQUET_CONVERSION


def _converted_files(name: str, configuration: str) -> dict[str, list[str]]:
    """Fetches a configuration's folder of the conversion, or finds it in the cache; returns the files of each split.

    `datasets` would load the folder as well, and then not find it again without the network.
    """
    from huggingface_hub import snapshot_download

    pattern = f"{configuration}/*/*.parquet"
    folder = snapshot_download(name, repo_type="dataset", revision=_PARQUET_CONVERSION, allow_patterns=pattern)
    files: dict[str, list[str]] = {}
    for file in sorted(Path(folder).glob(pattern)):
        files.setdefault(file.parent.name, []).append(str(file))
    if not files:
        raise FileNotFoundError(f"the cache has no configuration {configuration!r} of it")
    return files


def _configurations_of(name: str) -> Sequence[str]:
    """Returns the configurations that a data set without a conversion declares; none where that cannot be told."""
    import datasets

    try:
        return datasets.get_dataset_config_names(name)
    except Exception:  # Loading says then what is wrong with it.
        return ()


def _check_configuration(name: str, configuration: str, found: Sequence[str]) -> None:
    """Fails on a configuration that is not there, and where none is chosen of several, whose rows would be mixed."""
    listing = ", ".join(found)
    if configuration and found and configuration not in found:
        raise SofitError(f"hf:{name} has no configuration {configuration!r}. It has: {listing}.")
    if not configuration and len(found) > 1:
        raise SofitError(f"hf:{name} is several data sets in one ({listing}). Choose one: --data hf:{name}/{found[0]}.")


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
