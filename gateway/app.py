"""The only place that names concrete classes: opens the premises, builds the house, puts the doors in front of it.

Rules kept here: rooms open in the order in which they need each other and close in reverse; self-tests run before anything;
signing keys lie wrapped under the root key and never in clear; whatever is wrong at start stops the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from adapters.certificates import CertificateFiles, Certificates, shared
from adapters.remote import RemoteEdges
from gateway.api.description import describe
from gateway.api.patience import Patience
from gateway.api.problems import sentences
from gateway.api.routes import not_found, not_of_the_form, router, signed_endpoints
from gateway.api.shortcut import WithShortcuts
from gateway.audit.cosigning import Cosigning, read_policy
from gateway.audit.erasure import settle as settle_erasures
from gateway.audit.highwater import HighWater
from gateway.audit.histories import Escrow
from gateway.audit.log import AuditLog
from gateway.audit.witness_web import HttpWitnessWeb
from gateway.consent.basis import BasisFinder
from gateway.console.mount import mount
from gateway.domain.clock import SystemClock
from gateway.domain.parties import Party
from gateway.errors import GatewayError, GatewayFault
from gateway.flows.house import House
from gateway.flows.own_scope import settle_own_scope
from gateway.flows.policy_asked import keep_asked
from gateway.flows.policy_changes import catch_up
from gateway.flows.policy_versions import open_versions
from gateway.flows.refusals import Refusals
from gateway.flows.registration import read_party, unbase64
from gateway.flows.upkeep import roll_up, upkeep
from gateway.guardian_page.mount import mount as mount_guardian_page
from gateway.identity.authenticate import Authenticator
from gateway.identity.token_endpoint import TokenEndpoint
from gateway.observe import configure, log, serve_metrics
from gateway.proofs.notes import Signer
from gateway.settings import Settings
from gateway.store.database import Database
from gateway.store.registry import Registry
from keys.buckets import BucketFile
from keys.process import keep_memory_private
from keys.providers import RootKey, create_root_file, open_root_environment, open_root_file
from keys.ring import KeyRing
from keys.sealed_bytes import seal_bytes
from keys.sealing_keys import sealing_key
from keys.selftest import run as run_selftest
from keys.signing import SigningKey
from keys.solitude import present
from policies.book import HOME as POLICIES
from policies.sources import read_folder

UPKEEP_SECONDS = 5.0
POLICY_SECONDS = 0.5
WITNESS_SECONDS = 2.0
SIGNING_KEYS = ("token", "order", "log")


# --- premises: what lies in the data folder ---------------------------------------------------------------------------


def found_premises(settings: Settings) -> RootKey:
    """Make a new data folder: root key, signing keys, folders; the root key. Raises `FileExistsError` where one is."""
    settings.data.mkdir(mode=0o700, parents=True)
    (settings.data / "keys").mkdir(mode=0o700)
    if settings.root_key_source == "file":
        root = create_root_file(settings.data / "keys" / "root.json", settings.root_passphrase.get_secret_value())
    else:
        root = open_root_environment()
    wrapped = {
        name: b64encode(root.wrap(SigningKey.generate().pem(), binding=f"signing|{name}".encode())).decode()
        for name in SIGNING_KEYS
    }
    wrapped["source"] = b64encode(root.wrap(os.urandom(32), binding=b"signing|source")).decode()
    path = settings.data / "keys" / "signing.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(wrapped, file)
    if not settings.database:
        # SQLite gives its side files the mode of the database; nobody else on the machine reads either.
        (settings.data / "gateway.sqlite3").touch(mode=0o600)
    return root


def open_root(settings: Settings) -> RootKey:
    """The root key from where the settings say."""
    if settings.root_key_source == "env":
        return open_root_environment()
    return open_root_file(settings.data / "keys" / "root.json", settings.root_passphrase.get_secret_value())


def _wrapped(settings: Settings, root: RootKey, name: str) -> bytes:
    path = settings.data / "keys" / "signing.json"
    if not path.exists():
        raise GatewayFault("premises_missing")
    wrapped = json.loads(path.read_text("ascii"))
    key: bytes = root.unwrap(b64decode(wrapped[name]), binding=f"signing|{name}".encode())
    return key


def signing_key(settings: Settings, root: RootKey, name: str) -> SigningKey:
    """One of the gateway's own signing keys: `token`, `order` or `log`."""
    return SigningKey.from_pem(_wrapped(settings, root, name))


def console_secret(settings: Settings) -> bytes:
    """What seals the console's one-time-code secrets, 32 bytes; it lies wrapped under the root key like the rest."""
    return hmac.digest(_wrapped(settings, open_root(settings), "source"), b"runxin/console", "sha256")


def log_signer(settings: Settings, root: RootKey) -> Signer:
    """The signer of the audit log; its name is the log's origin."""
    key = signing_key(settings, root, "log")
    return Signer(settings.origin, key.verify_key.public, key.sign)


# --- the house ----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened(settings: Settings, root: RootKey | None = None) -> AsyncIterator[House]:
    """The rooms, open. Raises `GatewayFault` where something does not hold (keys, log head, self-test)."""
    keep_memory_private()
    run_selftest()
    clock = SystemClock()
    root = root or open_root(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(present(settings.data / "keys"))
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        await database.create_schema()
        registry = Registry()
        async with database.read() as reading:
            await registry.refresh(reading)
        audit = AuditLog(
            database,
            signer=log_signer(settings, root),
            buckets=BucketFile.open(settings.data / "keys" / "buckets.json", root),
            high_water=HighWater(settings.data / "high-water"),
            clock=clock,
            escrow=_escrow(settings),
            room=_room_in(str(settings.data)),
            reserve=settings.disk_reserve_mib * 1024 * 1024,
        )
        await audit.start()
        stack.push_async_callback(audit.close)
        await settle_erasures(audit)
        ring = KeyRing.open(settings.data / "keys", root)
        await settle_own_scope(database, ring, now=int(clock.now().timestamp()))
        cosigning = None
        if settings.witness_policy is not None:
            web = HttpWitnessWeb()
            stack.push_async_callback(web.close)
            policy = read_policy(settings.witness_policy, audit)
            cosigning = Cosigning(audit, policy, web, settings.data / "witness-evidence", clock)
        order_key = signing_key(settings, root, "order")
        edges = RemoteEdges(order_key, timeout=settings.order_timeout, tls=_certificates(settings))
        stack.push_async_callback(edges.close)
        authenticator = Authenticator(
            issuer=settings.issuer, registry=registry, clock=clock, token_key=signing_key(settings, root, "token")
        )
        versions, book = await open_versions(
            database,
            registry,
            audit,
            clock=clock,
            secret=hmac.digest(_wrapped(settings, root, "source"), b"runxin/policy-activations", "sha256"),
            seed=lambda: read_folder(settings.policies or POLICIES),
        )
        yield House(
            clock=clock,
            database=database,
            registry=registry,
            authenticator=authenticator,
            token_endpoint=TokenEndpoint(
                issuer=settings.issuer,
                tokens=authenticator.tokens,
                registry=registry,
                database=database,
                clock=clock,
            ),
            refusals=Refusals(key=_wrapped(settings, root, "source")),
            ring=ring,
            book=book,
            policy_versions=versions,
            basis=BasisFinder(clock),
            log=audit,
            providers=edges,
            order_key=order_key,
            issuer=settings.issuer,
            embedded_may_serve_sensitive=settings.embedded_may_serve_sensitive,
            holders=_holders(settings),
            guardian_address=settings.guardian_address,
            retention_every_days=settings.retention_every_days,
            cosigning=cosigning,
        )


@contextlib.asynccontextmanager
async def with_embedded(settings: Settings, house: House) -> AsyncIterator[House]:
    """The house with the adapters that the settings embed, at work. Raises `GatewayFault` where one cannot be assembled."""
    if not settings.embedded:
        yield house
        return
    # Only here: it loads every protocol that any department speaks.
    from adapters.embedded import EmbeddedAdapters

    adapters = EmbeddedAdapters.open(settings.embedded, house.providers, settings.order_timeout)
    async with adapters.working():
        yield replace(house, providers=adapters, embedded=adapters.parties)


def _escrow(settings: Settings) -> tuple[Escrow, Escrow] | None:
    """Two departments hold the halves of every protective history's first key (DESIGN section 8).

    Their keys stand in the settings and not in the registry: they are needed before the first party is registered, and a
    changed registry must not redirect them.
    """
    if not settings.protective_escrow:
        return None
    first, second = (_seals_to(text) for text in settings.protective_escrow)
    return first, second


def _holders(settings: Settings) -> tuple[Party, Party] | None:
    if not settings.protective_escrow:
        return None
    first, second = (read_party(text.split(":")[0]) for text in settings.protective_escrow)
    if first.department is second.department:
        raise GatewayFault("escrow_missing")
    return first, second


def _seals_to(text: str) -> Escrow:
    party, suite, key = text.split(":")
    recipient = sealing_key(read_party(party), suite, unbase64(key))

    def seal(half: bytes) -> bytes:
        return seal_bytes(recipient, half, b"runxin/protective-half")

    return seal


# --- the doors ------------------------------------------------------------------------------------------------------------


def _certificates(settings: Settings) -> Certificates | None:
    """The machine door's certificate and authority, which also speak to the edges; None where there are none (demo)."""
    if settings.demo or not (settings.tls_certificate and settings.tls_key and settings.tls_client_ca):
        return None
    return shared(CertificateFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca))


@contextlib.asynccontextmanager
async def _renewing(certificates: Certificates | None) -> AsyncIterator[None]:
    """New certificates are taken meanwhile, without a restart."""
    if certificates is None:
        yield
        return
    async with certificates.renewing(lambda code: log.info("certificates", code=code)):
        yield


def build(settings: Settings) -> FastAPI:
    """The ASGI application of one worker."""
    configure(settings.log_level)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not settings.demo and settings.protective_escrow is None:
            # Better no start than a protective report whose history one department alone could open.
            raise GatewayFault("escrow_missing")
        async with (
            opened(settings) as rooms,
            with_embedded(settings, rooms) as house,
            _renewing(_certificates(settings)),
        ):
            if house.cosigning is not None:
                # Nothing is signed before the witnesses have said what they saw; those that do not answer stop nobody.
                await house.cosigning.hold_head()
            app.state.house = house
            app.state.patience = Patience()
            app.state.console_secret = console_secret(settings)
            closing = asyncio.Event()
            keepers = [
                asyncio.create_task(_each(UPKEEP_SECONDS, closing, lambda: _keep_up(house))),
                asyncio.create_task(_each(POLICY_SECONDS, closing, lambda: _follow_policy(house))),
            ]
            witnessing: list[asyncio.Task[None]] = []
            if house.cosigning is not None:
                # Beside the rest: a witness that hangs must not keep envelopes from being destroyed in time.
                witnessing.append(asyncio.create_task(_each(WITNESS_SECONDS, closing, house.cosigning.collect)))
            if settings.metrics_port:
                serve_metrics(settings.host, settings.metrics_port)
            _settle_memory()
            log.info("ready", version=house.book.version, address=settings.issuer)
            try:
                yield
            finally:
                # Keepers end their round: cut off within an append one could not know whether its roll-ups stand already.
                closing.set()
                try:
                    await asyncio.gather(*keepers)
                    await roll_up(house, close=True)
                finally:
                    # Only now for the witnesses: one that hangs may outlast the time that whoever stops us gives us.
                    await asyncio.gather(*witnessing)
                    await console.works.close()

    # The API description loads nothing from outside: no bundled viewer, only the document.
    app = WithShortcuts(
        signed_endpoints,
        title="Runxin Gateway 润心网关",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,  # a redirect would repeat the path and trust the Host header
    )
    app.include_router(router)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(RequestValidationError, not_of_the_form)
    app.openapi = describe(app)  # type: ignore[method-assign]  # FastAPI's own way of replacing it
    console = mount(
        app,
        lambda: app.state.house,
        settings=settings,
        sentences=sentences(),
        secret_getter=lambda: app.state.console_secret,
    )
    mount_guardian_page(app, lambda: app.state.house, patience_getter=lambda: app.state.patience, statuses=sentences())
    return app


def _room_in(directory: str) -> Callable[[], int]:
    """How many bytes are free there. Every entry asks, so the one number is taken and no summary is made."""

    def room() -> int:
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    return room


def _settle_memory() -> None:
    """What start-up built lives as long as the process: leave it out of every later collection, and collect less often.

    A request makes few cycles; walking the rules and tables again and again was a twentieth of its CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _keep_up(house: House) -> None:
    """Roll-ups, expired envelopes, spent proofs: small work beside the requests."""
    await roll_up(house)
    await upkeep(house)
    await keep_asked(house)


async def _follow_policy(house: House) -> None:
    """Let the version decide that the store says: one read of one number, where nothing has changed."""
    if await catch_up(house):
        log.info("policy", version=house.book.version)


async def _each(seconds: float, closing: asyncio.Event, work: Callable[[], Awaitable[object]]) -> None:
    """Work again and again, until the house closes."""
    while not await _set_within(closing, seconds):
        try:
            await work()
        except GatewayError as error:
            log.warning("upkeep failed", code=error.code)
        except Exception as error:
            log.error("upkeep failed", exc_info=error)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def application() -> FastAPI:
    """For `uvicorn gateway.app:application --factory`."""
    return build(Settings())


__all__ = [
    "application",
    "build",
    "console_secret",
    "found_premises",
    "log_signer",
    "open_root",
    "opened",
    "signing_key",
]
