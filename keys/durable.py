"""Files that hold wrapped keys: replaced whole or not at all, one writer at a time, mode 0600.

Rules kept here: a reader sees the old file or the new one, never a part; when `replace` returns, the new one is on disk.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import GatewayFault

PRIVATE = 0o600


def replace(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file, atomically and durably, under `only_writer`. Raises `OSError`."""
    # One fixed name: what a crashed writer left behind, perhaps a key that is to be destroyed now, goes with the next write.
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        # If we crash before this returns, the old file is whole and the temporary one is rubbish that nobody reads.
        os.fsync(file.fileno())
    # If we crash here, the same: the new content is durable under a name that nobody reads, and is written again.
    os.replace(temporary, path)
    # If we crash here, the name may point at either file after the restart; both are whole, and the caller has not yet
    # used what only the new one holds, because we have not returned.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    # If we crash from here on, the new file is the file.


def create(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet. Raises `FileExistsError`."""
    if path.exists():
        raise FileExistsError(path.name)
    replace(path, data)


def read_private(path: Path) -> bytes:
    """The content of a regular file that only its owner may read or write.

    Raises `GatewayFault("key_file_mode")` if it is wider, `GatewayFault("key_file_missing")` if there is none.
    """
    try:
        # Opened first and asked after, so that the file that is checked is the file that is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        raise GatewayFault("key_file_missing") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise GatewayFault("key_file_mode")
        return file.read()


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the file's lock: of all threads and processes, one is between reading and replacing."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a file from another (inode, time of change, size); None if there is no file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
