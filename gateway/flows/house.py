"""Everything a story needs, gathered once by `gateway/app.py`.

Rules kept here: flows name rooms, never concrete stores, key files or sockets; the policy book swaps one reference when a
version is published, and each decision reads it once.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from gateway.audit.cosigning import Cosigning
from gateway.audit.log import AuditLog
from gateway.consent.basis import BasisFinder
from gateway.domain.clock import Clock
from gateway.domain.orders import Order, Release
from gateway.domain.parties import Party
from gateway.domain.subjects import Scope
from gateway.errors import GatewayFault
from gateway.flows.policy_versions import Versions
from gateway.flows.refusals import Refusals
from gateway.identity.authenticate import Authenticator
from gateway.identity.token_endpoint import TokenEndpoint
from gateway.store.database import Database
from gateway.store.registry import Edge, Registry
from keys.ring import KeyRing
from keys.signing import SigningKey
from policies.book import PolicyBook
from policies.catalogue import Catalogue


class Provider(Protocol):
    """A provider's edge as the gateway sees it."""

    async def fetch(self, order: Order) -> Release:
        """What the provider releases for this order. Raises `ProviderFault` with a stable code."""
        ...


class Providers(Protocol):
    """Reaches providers' edges."""

    def at(self, edge: Edge) -> Provider:
        """The provider behind a registered edge."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """The rooms, wired. issuer: the gateway's own URL as tokens and proofs name it. holders: of the halves of protective histories.
    guardian_address: where guardians reach their page, "" for the gateway's own. retention_every_days: between dry runs, 0 for none.
    looked_through: exchange -> the definition to which this worker has held every consent.
    """

    clock: Clock
    database: Database
    registry: Registry
    authenticator: Authenticator
    token_endpoint: TokenEndpoint
    refusals: Refusals
    ring: KeyRing
    book: PolicyBook
    basis: BasisFinder
    log: AuditLog
    providers: Providers
    order_key: SigningKey
    issuer: str
    embedded: frozenset[Party] = frozenset()
    embedded_may_serve_sensitive: bool = False
    cosigning: Cosigning | None = None
    policy_versions: Versions | None = None
    holders: tuple[Party, Party] | None = None
    guardian_address: str = ""
    retention_every_days: int = 0
    bells: dict[str, asyncio.Event] = field(default_factory=dict)
    looked_through: dict[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> Versions:
        """The versions of the policy in the store. A house that was built without them has one version for ever."""
        if self.policy_versions is None:
            raise GatewayFault("policy_unreadable")
        return self.policy_versions

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the active policy version."""
        return self.book.catalogue

    def ring_refer(self, kind: str, record_id: str, scope: Scope) -> str:
        """What the holder of a scope calls a record of ours."""
        return self.ring.reference(scope, kind, record_id)

    def wake(self, party: str) -> None:
        """Ring for whoever waits at this party's inbox in this process."""
        bell = self.bells.pop(party, None)
        if bell is not None:
            bell.set()

    async def sleep_until_woken(self, party: str, seconds: float) -> None:
        """Wait for the bell, or until the time is up."""
        bell = self.bells.setdefault(party, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bell.wait(), seconds)
