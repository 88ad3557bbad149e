"""Mutual TLS of the gateway and of the edges, with certificates that change while the process runs.

A new certificate is put where the old one lay; whoever connects from then on meets the new one, in both directions. Connections that
stand are left to end by themselves.

Rules kept here: TLS 1.2 or newer; the other side must show a certificate of the pinned authority, whatever the machine trusts; sessions
are not resumed, so that every connection is judged by the certificates of its own time; files that do not fit each other change
nothing (`certificate_invalid`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import httpx2

from gateway.errors import GatewayFault

EVERY = 5.0
"""Seconds between two looks at the files."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files. certificate: our own with its chain. key: its private key. authority: who issues the other side's certificates."""

    certificate: Path
    key: Path = field(repr=False)
    authority: Path


class Certificates:
    """What lies in the files, as contexts. Raises `GatewayFault("certificate_invalid")` where they do not fit at the start."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._seen = self._digest()
        self._accepting, self.connecting = self._contexts()
        self._asked = asyncio.Event()

    def listening(self) -> ssl.SSLContext:
        """A context to listen with: each handshake is given the context in force at that moment."""
        context, _ = self._contexts()
        context.sni_callback = self._hand_over  # called for every handshake, named host or not
        return context

    def renew(self) -> bool:
        """Whether other files lay there and were taken.

        Raises `GatewayFault("certificate_invalid")` where they do not fit (yet); what is in force stays, and the next look tries again.
        """
        digest = self._digest()
        if digest == self._seen:
            return False
        self._accepting, self.connecting = self._contexts()
        self._seen = digest
        return True

    async def run(self, stop: asyncio.Event, told: Callable[[str], None], *, every: float = EVERY) -> None:
        """Look until told to stop or cancelled. told: gets `certificates_renewed` or a fault's code, each once per change of the files."""
        self._asked = asyncio.Event()
        refused = b""
        while not stop.is_set():
            try:
                if self.renew():
                    told("certificates_renewed")
            except GatewayFault as fault:
                digest = self._tried_digest()
                if digest != refused:
                    told(fault.code)
                refused = digest
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), every)
            self._asked.clear()

    def look_now(self) -> None:
        """Let `run` look without waiting, because somebody says that the files are there."""
        self._asked.set()

    @contextlib.asynccontextmanager
    async def renewing(self, told: Callable[[str], None]) -> AsyncIterator[None]:
        """Look meanwhile, and at once on SIGHUP. told: as for `run`."""
        with contextlib.suppress(RuntimeError):
            # Only the main thread hears signals; elsewhere looking is enough.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.look_now)
        looking = asyncio.create_task(self.run(asyncio.Event(), told))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._accepting

    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        files = self._files
        made = []
        for purpose in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
            context = ssl.SSLContext(purpose)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_TICKET
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_cert_chain(files.certificate, files.key)
                context.load_verify_locations(files.authority)
            except (OSError, ValueError):
                # Its text may name the file's place.
                raise GatewayFault("certificate_invalid") from None
            made.append(context)
        accepting, connecting = made
        connecting.set_alpn_protocols(["http/1.1"])
        accepting.num_tickets = 0
        return accepting, connecting

    def _digest(self) -> bytes:
        digest = sha256()
        try:
            for path in (self._files.certificate, self._files.key, self._files.authority):
                digest.update(sha256(path.read_bytes()).digest())
        except OSError:
            raise GatewayFault("certificate_invalid") from None
        return digest.digest()

    def _tried_digest(self) -> bytes:
        try:
            return self._digest()
        except GatewayFault:
            return b"unreadable"


@cache
def _shared(files: CertificateFiles) -> Certificates:
    return Certificates(files)


def shared(files: CertificateFiles) -> Certificates:
    """The process's certificates from these files, for all who listen and connect with them. Raises as `Certificates` does.

    A server asks for its context before it loads the application that looks for new files, and gives it nothing to remember.
    """
    certificates = _shared(files)
    certificates.renew()
    return certificates


def listening(files: CertificateFiles, _config: object, _default: object) -> ssl.SSLContext:
    """What the server of a worker process listens with (uvicorn's `ssl_context_factory`, less the first argument)."""
    return shared(files).listening()


class RenewedTransport(httpx2.AsyncBaseTransport):
    """Requests over mutual TLS; a new pool is opened when the certificates have changed."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._context = certificates.connecting
        self._pool = self._opened()
        self._older: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request over the certificates in force."""
        if self._context is not self._certificates.connecting:
            self._context = self._certificates.connecting
            outlived, self._older, self._pool = self._older, self._pool, self._opened()
            if outlived is not None:
                # Two changes old; nothing is under way on it any more.
                await outlived.aclose()
        return await self._pool.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the pools."""
        await self._pool.aclose()
        if self._older is not None:
            await self._older.aclose()

    def _opened(self) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=self._context, trust_env=False)
