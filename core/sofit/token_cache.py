"""Tokenised examples, kept between runs under a name made from their content: equal rows, prompts and tokenizers share one."""

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenCache:
    """A folder of tokenised data sets, on a disk or any fsspec path. What is wrong with it costs time, never a run."""

    folder: str

    def key(self, *content: object) -> str:
        """Returns the name under which what depends on this content alone is kept."""
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]

    def load(self, key: str) -> list[tuple[np.ndarray, int]] | None:
        """Returns each row's token ids, int32, and the length of its prompt; None where they are not kept."""
        import fsspec

        try:
            filesystem, path = fsspec.core.url_to_fs(self._path(key))
            if not filesystem.exists(path):
                return None
            with np.load(io.BytesIO(filesystem.cat_file(path)), allow_pickle=False) as kept:
                rows = np.split(kept["ids"], np.cumsum(kept["lengths"])[:-1])
                return list(zip(rows, kept["prompt_lengths"].tolist(), strict=True))
        except Exception as error:  # Each kind of storage raises its own.
            self._warn("read", error)
            return None

    def save(self, key: str, rows: Sequence[tuple[np.ndarray, int]]) -> None:
        """Keeps rows. Another process may do the same: the file appears whole, or not at all."""
        import fsspec

        buffer = io.BytesIO()
        ids = np.concatenate([ids for ids, _ in rows])
        np.savez(buffer, ids=ids, lengths=[len(ids) for ids, _ in rows], prompt_lengths=[length for _, length in rows])
        try:
            filesystem, path = fsspec.core.url_to_fs(self._path(key))
            filesystem.makedirs(filesystem._parent(path), exist_ok=True)
            with filesystem.transaction, filesystem.open(path, "wb") as file:
                file.write(buffer.getvalue())
        except Exception as error:
            self._warn("written", error)

    def _path(self, key: str) -> str:
        return f"{self.folder.rstrip('/')}/{key}.npz"

    def _warn(self, what: str, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        _log.warning("data_cache_dir: %s cannot be %s, so this run goes without it: %s", self.folder, what, reason)
