"""Putting another root key in the place of the one that is there: what makes a destroyed key destroyed in old copies as well.

A copy of a key file from before opens with the root from before. So when a scope's key or a child's key has been destroyed, all
that is left is wrapped again under a fresh root, and the old root, its passphrase and its shares are given up.

Rules kept here: the new root is sealed on disk before anything depends on it; each file is under the old root or under the new one,
never in between, so a change that was cut short is taken up by doing it again; nobody else has the premises open meanwhile.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.errors import GatewayFault
from keys import ring_file
from keys.buckets import BucketFile
from keys.durable import read_private, replace
from keys.providers import RootKey, create_root_file, open_root_file
from keys.ring import FILE_NAME as RING
from keys.ring import KeyRing
from keys.solitude import present

BUCKETS = "buckets.json"
SIGNING = "signing.json"
ROOT = "root.json"
NEXT_ROOT = "root.next.json"


def change_root_file(folder: Path, old_passphrase: str, new_passphrase: str) -> None:
    """A fresh root behind a new passphrase, for the `file` provider.

    A copy of the old root file opens with the old passphrase for ever: so the new one has to be another, and the old one has to be
    forgotten. Raises `GatewayFault`: passphrase_same, premises_in_use, and what opening the files raises. Cut short, it is called
    again with the same two passphrases.
    """
    if new_passphrase == old_passphrase or not new_passphrase:
        raise GatewayFault("passphrase_same")
    with present(folder, alone=True):
        coming = folder / NEXT_ROOT
        new = open_root_file(coming, new_passphrase) if coming.exists() else create_root_file(coming, new_passphrase)
        rewrap(folder, open_root_file(folder / ROOT, old_passphrase), new)
        # A crash up to here: both root files are there, and the change is repeated. After it, the old root is nowhere.
        os.replace(coming, folder / ROOT)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def rewrap(folder: Path, old: RootKey, new: RootKey) -> None:
    """Wrap everything in a key folder again: scope keys, bucket keys, the gateway's own signing keys. May be repeated."""
    ring = folder / RING
    if ring.exists() and not _opens(lambda: ring_file.load(ring, new)):
        KeyRing(ring, old).replace_root(new)
    buckets = folder / BUCKETS
    if buckets.exists() and not _opens(lambda: BucketFile.open(buckets, new)):
        BucketFile.open(buckets, old).replace_root(new)
    signing = folder / SIGNING
    if signing.exists():
        _rewrap_signing(signing, old, new)


def prove(folder: Path, root: RootKey) -> int:
    """How many keys of a folder a root opens; all of them, or it raises. For the rehearsal of a ceremony.

    Raises `GatewayFault`: ring_refused, buckets_refused, unseal_failed.
    """
    opened = 0
    for row in ring_file.load(folder / RING, root).values():
        if row.wrapped:
            root.unwrap(row.wrapped, binding=row.slot.binding)
            opened += 1
    if (folder / BUCKETS).exists():
        BucketFile.open(folder / BUCKETS, root)
    if (folder / SIGNING).exists():
        for name, wrapped in json.loads(read_private(folder / SIGNING)).items():
            root.unwrap(b64decode(wrapped), binding=f"signing|{name}".encode())
            opened += 1
    return opened


def _rewrap_signing(path: Path, old: RootKey, new: RootKey) -> None:
    wrapped = {name: b64decode(text) for name, text in json.loads(read_private(path)).items()}
    again = {}
    for name, data in wrapped.items():
        binding = f"signing|{name}".encode()
        if _opens(partial(new.unwrap, data, binding=binding)):
            return
        again[name] = b64encode(new.wrap(old.unwrap(data, binding=binding), binding=binding)).decode("ascii")
    replace(path, json.dumps(again).encode("ascii"))


def _opens(work: Callable[[], object]) -> bool:
    try:
        work()
    except GatewayFault:
        return False
    return True
