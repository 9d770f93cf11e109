"""Data sets of the Hugging Face Hub."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sofit.errors import SofitError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

_PARQUET_CONVERSION = "refs/convert/parquet"
"""The Hub keeps data sets under this revision as CONFIG/SPLIT/0000.parquet; those that need a script exist only there."""

_PROBE_SECONDS = 5.0
"""How long the Hub may take for its first answer. The loading that follows would retry for a minute before it gave up."""

HubRows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each split, by the split's own name; they stay on the disk until they are asked for."""


def load_from_hub(name: str) -> HubRows:
    """Loads a data set "org/name", from the Hub or, with HF_HUB_OFFLINE=1, from the cache of an earlier run.

    Raises:
        SofitError: the Hub is out of reach, does not have the data set, or has several under that name.
    """
    import datasets
    from huggingface_hub.constants import HF_HUB_OFFLINE

    revision = _PARQUET_CONVERSION if HF_HUB_OFFLINE else _revision(name)
    try:
        return cast(HubRows, datasets.load_dataset(name, revision=revision))
    except Exception as error:  # The libraries below raise kinds of their own for whatever a data set can get wrong.
        raise SofitError(f"Cannot load hf:{name}: {_reason(error)}. Or give --data a folder or a file.") from error


def _revision(name: str) -> str | None:
    """Returns the revision to load: the Parquet conversion, or the data set itself where there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        _check_configurations(name, HfApi().dataset_info(name, revision=_PARQUET_CONVERSION, timeout=_PROBE_SECONDS))
        return _PARQUET_CONVERSION
    except SofitError:
        raise
    except RevisionNotFoundError:
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


def _check_configurations(name: str, info: "DatasetInfo") -> None:
    """Fails on a data set with several configurations, whose rows would be mixed."""
    files = [file.rfilename for file in info.siblings or ()]
    configurations = sorted({file.split("/")[0] for file in files if file.endswith(".parquet")})
    if len(configurations) > 1:
        found = ", ".join(configurations)
        raise SofitError(
            f"hf:{name} is several data sets in one ({found}). Download the one you want and give --data its folder."
        )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
