"""The root key, under which every other stored key is wrapped, and the places where it may come from.

Rules kept here: the root key leaves its provider only through `wrap` and `unwrap`, so that an HSM or a custodian can take
its place; a wrong passphrase, a wrong mode or a changed file refuses; the root never shows itself.

Places: a file sealed under a passphrase (Argon2id, RFC 9106), an environment variable, or anything else that keeps the
`RootKey` protocol.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import NoReturn, Protocol

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.errors import GatewayFault
from keys.aead import KEY_BYTES, aead_open, aead_seal, random_key
from keys.ceremony import Ceremony, split
from keys.durable import create, read_private

# RFC 9106 section 4, second recommended choice: 64 MiB, three passes, four lanes.
_MEMORY_KIB = 64 * 1024
_PASSES = 3
_LANES = 4
_SALT_BYTES = 16
_MOST_MEMORY_KIB = 4 * 1024 * 1024
_FORMAT = "runxin-root-1"


class RootKey(Protocol):
    """A key that wraps keys. An HSM or a custodian keeps this protocol without ever showing the key itself."""

    @property
    def provider(self) -> str:
        """Where the key is kept: `file`, `env`, `memory`, `pkcs11` …"""
        ...

    def wrap(self, key: bytes, *, binding: bytes) -> bytes:
        """The key encrypted and authenticated together with `binding`."""
        ...

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """The key back. Raises `GatewayFault("unseal_failed")` unless wrapped here with the same binding."""
        ...


class LocalRootKey:
    """A root key held in this process: AES-256-GCM, binding as associated data. root: 32 bytes."""

    __slots__ = ("_root", "provider")

    def __init__(self, root: bytes, *, provider: str = "memory") -> None:
        if len(root) != KEY_BYTES:
            raise GatewayFault("root_key_invalid")
        self._root = root
        self.provider = provider

    @classmethod
    def generate(cls) -> LocalRootKey:
        """A fresh root that lives as long as the process (tests, demo)."""
        return cls(random_key())

    def wrap(self, key: bytes, *, binding: bytes) -> bytes:
        """See `RootKey.wrap`."""
        return aead_seal(self._root, key, binding)

    def unwrap(self, wrapped: bytes, *, binding: bytes) -> bytes:
        """See `RootKey.unwrap`."""
        return aead_open(self._root, wrapped, binding)

    def split(self) -> Ceremony:
        """The root in five shares, any three of which recover it; the one way in which its bytes leave this object."""
        return split(self._root)

    def __repr__(self) -> str:
        return f"LocalRootKey({self.provider})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a root key is not for pickling")


def create_root_file(path: Path, passphrase: str, *, root: bytes | None = None) -> RootKey:
    """Seal a root key (a fresh one, or the one that a ceremony recovered) into a new file of mode 0600.

    Raises `FileExistsError`: a root is never overwritten.
    """
    if Path(path).exists():
        raise FileExistsError(Path(path).name)
    secret = random_key() if root is None else root
    key = LocalRootKey(secret, provider="file")
    head = {
        "format": _FORMAT,
        "kdf": "argon2id",
        "memory_kib": _MEMORY_KIB,
        "passes": _PASSES,
        "lanes": _LANES,
        "salt": b64encode(os.urandom(_SALT_BYTES)).decode("ascii"),
    }
    sealed = aead_seal(_passphrase_key(passphrase, head), secret, _binding(head))
    create(Path(path), json.dumps({**head, "sealed": b64encode(sealed).decode("ascii")}, indent=1).encode("ascii"))
    return key


def open_root_file(path: Path, passphrase: str) -> RootKey:
    """The root key in a sealed file.

    Raises `GatewayFault`: `key_file_missing`, `key_file_mode` (wider than 0600), `root_key_invalid` (no such file
    format), `root_key_refused` (wrong passphrase or changed file).
    """
    data = read_private(Path(path))
    try:
        content = json.loads(data)
        sealed = b64decode(content.pop("sealed"), validate=True)
        key = _passphrase_key(passphrase, content)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GatewayFault("root_key_invalid") from None
    try:
        return LocalRootKey(aead_open(key, sealed, _binding(content)), provider="file")
    except GatewayFault:
        raise GatewayFault("root_key_refused") from None


def open_root_environment(
    name: str = "RUNXIN_ROOT_KEY", environment: MutableMapping[str, str] | None = None
) -> RootKey:
    """The root key in an environment variable (base64 of 32 bytes), which is removed from the environment on the way, so
    that no child process and no dump of settings shows it. Raises `GatewayFault("root_key_invalid")`.
    """
    variables = os.environ if environment is None else environment
    text = variables.pop(name, "")
    try:
        root = b64decode(text, validate=True)
    except ValueError:
        raise GatewayFault("root_key_invalid") from None
    return LocalRootKey(root, provider="env")


def _passphrase_key(passphrase: str, head: Mapping[str, object]) -> bytes:
    memory, passes, lanes, salt = (head[name] for name in ("memory_kib", "passes", "lanes", "salt"))
    if head["format"] != _FORMAT or head["kdf"] != "argon2id" or not isinstance(salt, str):
        raise ValueError("unknown root file")
    if not (isinstance(memory, int) and isinstance(passes, int) and isinstance(lanes, int)):
        raise TypeError("unknown root file")
    # The parameters are authenticated only after they are used: bound them, or a changed file exhausts the machine.
    if not (_MEMORY_KIB <= memory <= _MOST_MEMORY_KIB and 1 <= passes <= 64 and 1 <= lanes <= 64):
        raise ValueError("unknown root file")
    kdf = Argon2id(
        salt=b64decode(salt, validate=True), length=KEY_BYTES, iterations=passes, lanes=lanes, memory_cost=memory
    )
    return kdf.derive(passphrase.encode("utf-8"))


def _binding(head: Mapping[str, object]) -> bytes:
    return json.dumps(dict(head), sort_keys=True, separators=(",", ":")).encode("ascii")
