"""Who has the premises open: everybody who runs shares a lock, and what must not happen beside a running gateway asks to be alone.

Rules kept here: the lock is the operating system's (flock), so it ends with the process however that ends; nobody waits for it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import GatewayFault
from keys.durable import PRIVATE

FILE_NAME = "in-use.lock"


@contextmanager
def present(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Be present in a key folder, with others or alone. Several machines on one folder are not told apart from none.

    Raises `GatewayFault`: premises_in_use (alone is asked and somebody is present, or somebody is alone), premises_missing.
    """
    if not folder.is_dir():
        raise GatewayFault("premises_missing")
    descriptor = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError:
            raise GatewayFault("premises_in_use") from None
        yield
    finally:
        os.close(descriptor)
