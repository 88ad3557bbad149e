"""What the checks work with: an edge's parts over its real system, and a gateway and a recipient of the kit's own.

The kit reads the department's settings, builds register, mapping and source as the edge would, and enrols into a directory of its own
under keys that live as long as the run. It orders as the gateway orders and opens as a recipient opens.

Rules kept here: nothing is written to the departmental system; the edge's own directory is not touched; what is read stays in memory and
in a temporary folder of mode 0700; a failed check says why in words of the catalogue, never with a value.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.base.answering import DepartmentSource
from adapters.base.mapping import LocalMapping
from adapters.base.source import LocalPerson, Record, Register, Wanted
from adapters.directory import Directory
from adapters.edge.assembly import Rebuild, assemble
from adapters.edge.service import OrderDoor
from adapters.edge.settings import EdgeSettings
from gateway.domain.canonical import canonical
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import FieldValue, Order, OrderLine, Release, SealInfo
from gateway.domain.parties import Party
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import AgeBand
from gateway.release.obligation_text import parse
from gateway.release.wire import order_to_wire, release_from_wire
from keys.envelope import open_line
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey

SAMPLE = 200
"""How many records a check looks at."""


class Failed(Exception):  # noqa: N818 - the outcome of a check
    """A check does not hold. reason: a stable word; detail: names of the catalogue and counts only."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Skipped(Exception):  # noqa: N818 - the outcome of a check
    """A check has nothing to look at."""


@dataclass(slots=True)
class Kit:
    """One run. people: the register as enrolled. shown: exchange -> keys whose records the register has, with their records."""

    settings: EdgeSettings
    exchanges: Mapping[str, Exchange]
    mapping: LocalMapping
    register: Register
    directory: Directory
    source: DepartmentSource
    door: OrderDoor
    gateway: SigningKey
    pair: SealingPair
    ring: KeyRing
    people: list[LocalPerson] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    shown: dict[str, dict[str, Record]] = field(default_factory=dict)
    number: int = 0

    async def evaluate(self, points: Sequence[bytes], grant: str | None) -> tuple[Sequence[bytes], int]:
        """The kit's own blind door."""
        del grant
        scope = Scope.open(self.settings.party.department)
        return self.ring.evaluate(scope, points), self.ring.current_epoch(scope)

    def recipient(self, exchange: str) -> Party:
        """Somebody who may receive an exchange."""
        return Party("11330106MB0000000K", min(self.exchanges[exchange].consumers))

    def grants(self, exchange: str, *, sealed: bool = True) -> dict[str, str]:
        """An obligation for every mapped field: as open as the catalogue's types let it be."""
        definition = self.exchanges[exchange]
        clear = "clear+sealed" if sealed else "clear"
        return {
            name: "pseudonymise" if definition.fields[name].type == "record_id" else clear
            for name in self.mapping.exchanges[exchange].fields
        }

    def order(
        self,
        exchange: str,
        subjects: Sequence[str],
        grants: Mapping[str, str] | None = None,
        *,
        regions: tuple[str, ...] = ("",),
        band: AgeBand | None = None,
        life: int = 60,
        **changes: Any,
    ) -> Order:
        """An order as the gateway would make it. regions: prefixes; the empty one is everywhere."""
        self.number += 1
        recipient = self.recipient(exchange)
        made = Order(
            request=f"kit-{self.number:05d}",
            exchange=exchange,
            purpose=self.exchanges[exchange].purpose,
            provider=self.settings.party,
            recipient=recipient,
            recipient_key=self.pair.sealing_key(recipient),
            lines=tuple(OrderLine(n, subject) for n, subject in enumerate(subjects, 1)),
            grants={name: parse(text) for name, text in (grants or self.grants(exchange)).items()},
            regions=tuple(str(n) for n in range(1, 9)) if regions == ("",) else regions,
            age_band=band,
            request_digest="0" * 64,
            expires_at=int(time.time()) + life,
        )
        return replace(made, **changes)

    def signed(self, order: Order, key: SigningKey | None = None) -> tuple[bytes, str]:
        """An order's bytes and their signature."""
        body = canonical(order_to_wire(order))
        return body, base64.urlsafe_b64encode((key or self.gateway).sign(body)).rstrip(b"=").decode()

    async def asked(self, order: Order) -> tuple[Release, bytes]:
        """The release and its bytes. Raises what the edge raises."""
        answer = await self.door.answer(*self.signed(order))
        return release_from_wire(json.loads(answer)), answer

    def opened(self, release: Release, number: int) -> dict[str, FieldValue]:
        """A line as the recipient opens it."""
        line = next(each for each in release.lines if each.number == number)
        recipient = self.recipient(release.exchange)
        info = SealInfo(
            request=release.request,
            line=number,
            exchange=release.exchange,
            sender=self.settings.party,
            recipient=recipient,
            recipient_kid=self.pair.kid,
        )
        return open_line(line, pair=self.pair, sender_key=self.settings.signing_key.verify_key, expected=info)

    def subjects(self, exchange: str, most: int = SAMPLE) -> list[str]:
        """Pseudonyms of records that the register has for an exchange."""
        names = (self.directory.pseudonym(key) for key in self.shown.get(exchange, {}))
        return [name for name in names if name is not None][:most]

    def about_children(self) -> list[str]:
        """Mapped exchanges that are about children and for which there are records."""
        return [name for name in sorted(self.shown) if self.exchanges[name].personal and self.subjects(name, 1)]


@asynccontextmanager
async def opened_kit(settings: EdgeSettings, rebuild: Rebuild | None = None) -> AsyncIterator[Kit]:
    """The edge of these settings, with a directory and a log of the kit's own, and the kit around it. rebuild: what stands before the
    register. Raises `GatewayFault` where the edge would refuse to start.
    """
    with TemporaryDirectory(prefix="runxin-kit-") as folder:
        home = Path(folder)
        edge = assemble(settings, directory=home / "directory.sqlite", log=home / "kit.jsonl", rebuild=rebuild)
        gateway = SigningKey.generate()
        try:
            yield Kit(
                settings=settings,
                exchanges=edge.exchanges,
                mapping=edge.mapping,
                register=edge.register,
                directory=edge.directory,
                source=edge.source,
                door=OrderDoor(edge.source, gateway.verify_key),
                gateway=gateway,
                pair=SealingPair.generate(),
                ring=KeyRing.open(home / "ring", LocalRootKey.generate()),
            )
        finally:
            await edge.close()


async def sampled(kit: Kit) -> None:
    """Enrol, and find records for every mapped exchange; the checks work on them. Raises `ProviderFault`."""
    kit.people = [person async for person in kit.register.people()]
    await kit.source.enrol(kit.evaluate, None)
    keys = tuple(person.key for person in kit.people)
    for name, mapped in kit.mapping.exchanges.items():
        if not kit.exchanges[name].personal:
            continue
        found: dict[str, Record] = {}
        for start in range(0, len(keys), SAMPLE * 5):
            part = keys[start : start + SAMPLE * 5]
            found |= await kit.register.read(Wanted(name, part, frozenset(mapped.fields), birth=True))
            if len(found) >= SAMPLE:
                break
        kit.shown[name] = {key: record for key, record in list(found.items())[:SAMPLE] if kit.directory.pseudonym(key)}
