"""The 12338 vendor's SFTP server: one pinned host key, one key of our own, bounded transfers.

Rules kept here: a server with another host key is refused before anything is sent; no password, no agent, no known_hosts of the
machine; a file is fetched whole into a folder of mode 0700 and counts only if size and digest are those of its marker.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import asyncssh

from gateway.errors import ProviderFault

MOST = 256 * 1024 * 1024
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom. host_key: the server's public key (OpenSSH line). key: our private key file. folder: on the server."""

    host: str
    port: int
    user: str
    host_key: str
    key: Path = field(repr=False)
    folder: str = "."
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Marked:
    """A complete file as its marker (`<name>.ok`, written last) describes it."""

    name: str
    size: int
    digest: str


@asynccontextmanager
async def connected(account: Account) -> AsyncIterator[Any]:
    """An SFTP session. Raises `ProviderFault`: provider_refused (host key, our key), provider_unavailable, provider_timeout."""
    pinned = asyncssh.import_known_hosts(f"* {account.host_key.strip()}\n")
    try:
        async with asyncio.timeout(account.seconds):
            connection = await asyncssh.connect(
                account.host,
                port=account.port,
                username=account.user,
                known_hosts=pinned,
                client_keys=[str(account.key)],
                agent_path=None,
                password=None,
                preferred_auth="publickey",
                config=None,
            )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied, asyncssh.KeyImportError):
        raise ProviderFault("provider_refused") from None
    except TimeoutError:
        raise ProviderFault("provider_timeout") from None
    except (asyncssh.Error, OSError):
        raise ProviderFault("provider_unavailable") from None
    try:
        async with connection, connection.start_sftp_client() as session:
            yield session
    except (asyncssh.SFTPError, asyncssh.Error, OSError):
        raise ProviderFault("provider_unavailable") from None


async def marked(session: Any, account: Account) -> list[Marked]:
    """The files whose markers say that they are complete, by name. A marker that is none is passed over."""
    names = [str(n) for n in await session.listdir(account.folder)]
    found = []
    for name in sorted(names):
        if not name.endswith(".csv.ok") or not _plain(name):
            continue
        said = await _fetched(session, f"{account.folder}/{name}", 4096)
        try:
            given = json.loads(said)
            found.append(Marked(name.removesuffix(".ok"), int(given["size"]), str(given["sha256"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found


async def fetch(session: Any, account: Account, file: Marked, into: Path) -> Path | None:
    """The file, or None while it is not yet what its marker says. Raises `ProviderFault("provider_too_much")`."""
    if file.size > MOST:
        raise ProviderFault("provider_too_much")
    data = await _fetched(session, f"{account.folder}/{file.name}", file.size + 1)
    if len(data) != file.size or sha256(data).hexdigest() != file.digest:
        return None
    path = into / file.name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as kept:
        kept.write(data)
    return path


async def put(session: Any, account: Account, name: str, data: bytes) -> None:
    """Write a file under another name and rename it, so that the vendor never sees half of one."""
    target = str(PurePosixPath(account.folder) / "in" / name)
    async with session.open(target + ".part", "wb") as file:
        await file.write(data)
    await session.posix_rename(target + ".part", target)


async def _fetched(session: Any, path: str, most: int) -> bytes:
    parts, size = [], 0
    async with session.open(path, "rb") as file:
        while piece := await file.read(min(_PIECE, most - size)):
            parts.append(piece)
            size += len(piece)
            if size >= most:
                break
    return b"".join(parts)


def _plain(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and name.isascii()
