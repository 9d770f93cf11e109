"""Tokenised rows, kept between runs, each under a hash of what it was made from: tokenizer, prompt and target.

A row is looked up by its content, so neither another order, nor a changed file, nor another task can bring it wrong tokens. Rows
are kept in shards, files that are written once and appear whole: a run that is killed loses the shard under way, and processes
that fill one folder at the same time add shards side by side.
"""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from sofit.cache_folder import default_cache_folder
from sofit.errors import SofitError
from sofit.token_shards import ShardFile, TokenRow, encode_shard

SHARD_ROWS = 4096
"""Rows in a shard. Making them takes seconds, which is what a killed run loses."""

_SUFFIX = ".tokens"
_log = logging.getLogger(__name__)


class TokenCache:
    """A folder of tokenised rows, on a disk or any fsspec path. What is wrong with it costs time, never a run.

    A shard that lies elsewhere is copied to this machine once. In memory are 16 bytes for each row, not its tokens.
    """

    def __init__(self, folder: str, fingerprint: str) -> None:
        """Opens or makes a folder.

        Args:
            folder: a folder on a disk, or an fsspec address.
            fingerprint: names the tokenizer; see `Tokenizer.fingerprint`.
        """
        self._folder, self._fingerprint = folder, fingerprint
        self._address = f"{folder.rstrip('/')}/{fingerprint}"
        is_remote = "://" in folder
        mirror = hashlib.sha256(folder.encode()).hexdigest()[:16]
        self._local = default_cache_folder() / "tokens" / mirror / fingerprint if is_remote else Path(self._address)
        self._is_remote = is_remote
        self._failure: str | None = None
        self._shards: list[ShardFile] = []
        self._keys = np.zeros(0, np.uint64)  # The first half of each row's key, sorted; the shard has the whole of it.
        self._places = np.zeros((0, 2), np.int32)  # Shard and row of each.
        self._new: dict[bytes, TokenRow] = {}
        self._warnings: set[str] = set()
        try:
            if is_remote:
                self._fetch()
            self._open(sorted(self._local.glob(f"*{_SUFFIX}")))
        except Exception as error:  # Each kind of storage raises its own.
            self._break("read", error)

    def key(self, *content: object) -> bytes:
        """Returns the 16 bytes under which what depends on this content and the tokenizer is kept."""
        text = json.dumps([self._fingerprint, *content], ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]

    def get(self, key: bytes) -> TokenRow | None:
        """Returns the tokens of a row; None where they are not kept, or not as they were written."""
        if key in self._new:
            return self._new[key]
        head = _head(key)
        place = int(np.searchsorted(self._keys, head))
        while place < len(self._keys) and self._keys[place] == head:
            shard, row = self._places[place].tolist()
            try:
                found = self._shards[shard].read(row, key)
            except (OSError, ValueError) as error:
                self._warn("read", error)
                found = None
            if found is not None:
                return found
            place += 1
        return None

    def add(self, key: bytes, row: TokenRow) -> None:
        """Keeps a row: in memory, until there is a shard of them or `flush` is called."""
        self._new[key] = row
        if len(self._new) >= SHARD_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that were added since the last shard."""
        if not self._new or self._failure is not None:
            self._new.clear()
            return
        content = encode_shard(self._new)
        name = hashlib.sha256(content).hexdigest()[:32] + _SUFFIX
        self._new.clear()
        try:
            from sofit.records.filesystems import written_at_once

            with written_at_once(self._local / name) as stream:
                stream.write(content)
            if self._is_remote:
                self._send(name, content)
            self._open([self._local / name])
        except Exception as error:
            self._break("written", error)

    def check(self) -> None:
        """Raises SofitError where the cache could not be read or written, for those who want nothing else of it."""
        if self._failure is not None:
            raise SofitError(f"{self._failure}. Name a folder that can be written (--cache, or the setting data_cache_dir).")

    def _open(self, files: list[Path]) -> None:
        """Takes shards in."""
        keys, places = [self._keys], [self._places]
        for file in files:
            try:
                shard, found = ShardFile.open(file)
            except (OSError, ValueError) as error:
                self._warn("read", ValueError(f"{file.name} is damaged ({error})"))
                file.unlink(missing_ok=True)
                continue
            keys.append(found)
            rows = np.arange(len(found), dtype=np.int32)
            places.append(np.stack([np.full_like(rows, len(self._shards)), rows], axis=1))
            self._shards.append(shard)
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        self._keys, self._places = joined[order], np.concatenate(places)[order]

    def _fetch(self) -> None:
        """Copies the shards that this machine lacks."""
        import fsspec

        from sofit.records.filesystems import written_at_once

        filesystem, folder = fsspec.core.url_to_fs(self._address)
        if not filesystem.exists(folder):
            return
        for info in filesystem.ls(folder, detail=True):
            copy = self._local / Path(info["name"]).name
            if copy.suffix == _SUFFIX and not (copy.is_file() and copy.stat().st_size == info["size"]):
                with written_at_once(copy) as stream:
                    stream.write(filesystem.cat_file(info["name"]))

    def _send(self, name: str, content: bytes) -> None:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(f"{self._address}/{name}")
        filesystem.makedirs(filesystem._parent(path), exist_ok=True)
        with filesystem.transaction, filesystem.open(path, "wb") as file:
            file.write(content)

    def _break(self, what: str, error: Exception) -> None:
        self._failure = f"{self._folder} cannot be {what}: {_reason(error)}"
        self._warn(what, error)

    def _warn(self, what: str, error: Exception) -> None:
        reason = _reason(error)
        if reason in self._warnings:
            return
        self._warnings.add(reason)
        _log.warning("data_cache_dir: %s cannot be %s, so this run does without: %s", self._folder, what, reason)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _head(key: bytes) -> np.uint64:
    return np.frombuffer(key, np.uint64, 1)[0]
