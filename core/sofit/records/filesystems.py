"""Files on a disk or any fsspec path, told apart by what they hold, and copied to this machine where that helps."""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from sofit.cache_folder import default_cache_folder
from sofit.errors import SofitError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}
"""The extra of sofit-jax that reads a protocol."""

_VERSIONS = ("mtime", "created", "updated", "etag", "generation", "last_modified", "lastmodified", "md5hash", "blob_id", "oid")
"""What filesystems call the facts that change with a file's content, in lower case."""


def open_filesystem(url: str) -> "tuple[AbstractFileSystem, str]":
    """Returns the filesystem of a path or address, and the path in it.

    Raises:
        SofitError: there is no such filesystem, or the package for it is not installed.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(url.partition("://")[0])
        remedy = f" Install it with: pip install 'sofit-jax[{extra}]'." if extra else ""
        raise SofitError(f"Cannot read {url}: {error}.{remedy}") from error
    except ValueError as error:
        raise SofitError(f"Cannot read {url}: {error}.") from error


def read_text(place: str) -> str | None:
    """Returns the text of a small file, a schema beside the rows for instance; None where there is none.

    Args:
        place: a path, or an address of any kind that fsspec knows.

    Raises:
        SofitError: it cannot be read, or is not UTF-8.
    """
    filesystem, path = open_filesystem(place)
    try:
        return local_file(filesystem, path).read_text(encoding="utf-8-sig") if filesystem.isfile(path) else None
    except (OSError, UnicodeDecodeError) as error:
        raise SofitError(f"Cannot read {place}: {error}.") from error


def identity_of(filesystem: "AbstractFileSystem", path: str) -> str:
    """Returns a name for a file as it is now. Another one is given to it once its content changes.

    It is made of the path, the size and the time or tag of the version. A filesystem that tells no version, such as a plain web
    server, gets a new name each time.
    """
    info = filesystem.info(path)
    facts: dict[str, object] = {key: value for key, value in info.items() if key.lower().replace("-", "_") in _VERSIONS}
    if "mtime" in facts and "ino" in info:  # A disk. fsspec tells the time as a float, which is too coarse.
        facts = {"mtime": os.stat(path).st_mtime_ns, "inode": info["ino"]}
    if not facts:
        facts = {"now": time.time_ns()}
    content = [str(filesystem.protocol), str(info["name"]), info["size"], facts]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def local_file(filesystem: "AbstractFileSystem", path: str) -> Path:
    """Returns where the file is on a disk of this machine: itself, or a copy in sofit's cache folder, made now or earlier.

    Raises:
        SofitError: it cannot be copied.
    """
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(filesystem, LocalFileSystem):
        return Path(path)
    copy = default_cache_folder() / "data" / identity_of(filesystem, path) / Path(path).name
    try:
        if not copy.is_file():
            with written_at_once(copy) as target, filesystem.open(path, "rb") as source:
                shutil.copyfileobj(cast(IO[bytes], source), target)
    except OSError as error:
        raise SofitError(f"Cannot copy {path} to {copy}: {error}. The variable SOFIT_CACHE names another folder.") from error
    return copy


@contextlib.contextmanager
def written_at_once(path: Path) -> Iterator[IO[bytes]]:
    """Gives a file to write that takes its name once it is whole; of several processes, the last one's is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
