"""The registry as a request sees it: one frozen snapshot a worker, at most a second old.

Rules kept here: a request reads the registry without a query; once a second one indexed read of `registry_version` tells
whether anything changed, and only then the tables are read again; a registry that was never read answers nothing
(`ProgrammingError`), it does not answer "nobody"; what is disabled stays visible as disabled, so that a refusal can name
the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from gateway.domain.orders import SealingKey
from gateway.domain.parties import Client, Organisation, Party, Person
from gateway.domain.vocabulary import Department
from gateway.errors import Denied, ProgrammingError
from gateway.store.database import Reading
from gateway.store.prepared import Prepared
from gateway.store.proof_claims import consume_proof, proof_used
from gateway.store.registry_tables import (
    clients,
    edges,
    kill_switches,
    organisations,
    people,
    people_admins,
    people_security_keys,
    registry_version,
    sealing_keys,
    sender_keys,
)
from keys.signing import VerifyKey

__all__ = [
    "Edge",
    "Enrolled",
    "PeopleAdmin",
    "Registry",
    "SecurityKey",
    "SenderKey",
    "Snapshot",
    "consume_proof",
    "load",
    "proof_used",
    "region_prefix",
]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A person's key as the registry holds it. valid_until: unix seconds, the end of the administrator's statement."""

    person: Person
    valid_until: int
    enrolled_by: str
    statement: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeopleAdmin:
    """Who may enrol people of one department, in organisations within the region of the administrator's own."""

    admin_id: str
    party: Party
    thumbprint: str
    public_key: bytes
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SecurityKey:
    """A security key for which a person vouched. kid: SHA-256 of the statement, base64url. person: `<organisation>/<staff number>`,
    for finding it. credential: the authenticator's id for it. statement: by the person's own key; it alone says whose key it is.
    """

    kid: str
    person: str
    credential: bytes
    statement: str = field(repr=False)
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """A provider's edge. region_prefix: digits without trailing zero groups, "" for everywhere. sender_kid: RFC 7638
    thumbprint of the key that signs its releases.
    """

    party: Party
    region_prefix: str
    url: str
    sender_kid: str
    sender_key: VerifyKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class SenderKey:
    """A party's public signing key. entry_index: where the log holds its announcement, None before that."""

    party: Party
    key: VerifyKey
    active: bool
    entry_index: int | None

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint."""
        return self.key.thumbprint

    @property
    def jwk(self) -> dict[str, str]:
        """The public JWK."""
        return self.key.jwk()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a request may ask of the registry, at one version. stopped: (kind, target) of thrown kill switches.
    client_keys: key thumbprint -> client id.
    """

    version: int
    organisations: Mapping[str, Organisation]
    clients: Mapping[str, Client]
    people: Mapping[str, Enrolled]
    admins: Mapping[str, PeopleAdmin]
    edges: tuple[Edge, ...]
    sealing_keys: Mapping[Party, SealingKey]
    sender_keys: Mapping[str, SenderKey]
    stopped: frozenset[tuple[str, str]]
    client_keys: Mapping[str, str]
    security_keys: Mapping[str, SecurityKey] = field(default_factory=dict)

    def client_by_key(self, thumbprint: str) -> Client | None:
        """The client whose registered key has this thumbprint."""
        client_id = self.client_keys.get(thumbprint)
        return self.clients[client_id] if client_id else None


def region_prefix(region: str) -> str:
    """GB/T 2260 digits without the trailing zero groups that mean "and below": `330100` -> `3301`, `330106002000` ->
    `330106002`.
    """
    groups = [region[0:2], region[2:4], region[4:6], region[6:9], region[9:12]]
    while groups and not groups[-1].strip("0"):
        groups.pop()
    return "".join(groups)


class Registry:
    """One worker's copy of the registry. max_age: seconds for which a copy is used unasked, at most 1."""

    def __init__(self, *, max_age: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not 0 <= max_age <= 1:
            raise ProgrammingError("a copy of the registry is at most one second old")
        self._max_age = max_age
        self._monotonic = monotonic
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")

    async def refresh(self, reading: Reading) -> Snapshot:
        """The snapshot, read again where the copy is too old and the version has moved."""
        now = self._monotonic()
        if self._snapshot is not None and now - self._read_at < self._max_age:
            return self._snapshot
        version = await _version(reading)
        if self._snapshot is None or self._snapshot.version != version:
            self._snapshot = await load(reading, version)
        self._read_at = now
        return self._snapshot

    @property
    def current(self) -> Snapshot:
        """The copy that the last `refresh` left."""
        if self._snapshot is None:
            raise ProgrammingError("the registry was not read yet")
        return self._snapshot

    def forget(self) -> None:
        """Let the next `refresh` ask the database: called in the worker that has just changed something."""
        self._read_at = float("-inf")

    def require_running(self, exchange: str, client_id: str) -> None:
        """Refuse where a kill switch is thrown (C59): `Denied("exchange_stopped")`, `Denied("client_disabled")`."""
        stopped = self.current.stopped
        if ("exchange", exchange) in stopped:
            raise Denied("exchange_stopped", exchange=exchange)
        if ("client", client_id) in stopped:
            raise Denied("client_disabled")

    def find_organisation(self, code: str) -> Organisation | None:
        """The organisation with this credit code, if it is registered."""
        return self.current.organisations.get(code)

    def organisation(self, code: str) -> Organisation:
        """The organisation with this credit code. `Denied("organisation_unknown")`."""
        found = self.current.organisations.get(code)
        if found is None:
            raise Denied("organisation_unknown")
        return found

    def client(self, client_id: str) -> Client:
        """The client, enabled or not. `Denied("client_unknown")`."""
        found = self.current.clients.get(client_id)
        if found is None:
            raise Denied("client_unknown")
        return found

    def person(self, party: Party, person_id: str) -> Enrolled | None:
        """The person's newest enabled key in this party."""
        found = [
            enrolled
            for enrolled in self.current.people.values()
            if enrolled.person.person_id == person_id and enrolled.person.party == party and enrolled.person.enabled
        ]
        return max(found, key=lambda enrolled: enrolled.valid_until, default=None)

    def edge_for(self, department: Department, region: str) -> Edge | None:
        """The department's edge whose region prefix covers `region` most narrowly."""
        covering = (
            edge
            for edge in self.current.edges
            if edge.party.department is department and region.startswith(edge.region_prefix)
        )
        return max(covering, key=lambda edge: len(edge.region_prefix), default=None)

    def sealing_key(self, party: Party) -> SealingKey:
        """The party's active public sealing key. `Denied("recipient_key_missing")` where it has none."""
        key = self.current.sealing_keys.get(party)
        if key is None:
            raise Denied("recipient_key_missing")
        return key

    def sender_key(self, party: Party) -> SenderKey:
        """The party's active public signing key. `Denied("sender_key_missing")` where it has none."""
        for key in self.current.sender_keys.values():
            if key.party == party and key.active:
                return key
        raise Denied("sender_key_missing")

    def find_sender_key(self, kid: str) -> SenderKey | None:
        """The signing key with this thumbprint, active or retired."""
        return self.current.sender_keys.get(kid)


async def load(reading: Reading, version: int) -> Snapshot:
    """Read every table of the snapshot. The caller names the version that it read before."""
    registered = await _clients(reading)
    return Snapshot(
        version=version,
        organisations=await _organisations(reading),
        clients=registered,
        people=await _people(reading),
        admins=await _admins(reading),
        edges=await _edges(reading),
        sealing_keys=await _sealing_keys(reading),
        sender_keys=await _sender_keys(reading),
        stopped=await _stopped(reading),
        client_keys={client.thumbprint: client.client_id for client in registered.values()},
        security_keys=await _security_keys(reading),
    )


_VERSION = Prepared(lambda: select(registry_version.c.version).where(registry_version.c.id == 1))


async def _version(reading: Reading) -> int:
    row = await _VERSION.first(reading)
    return int(row[0]) if row is not None else 0


async def _organisations(reading: Reading) -> dict[str, Organisation]:
    rows = await reading.connection.execute(select(organisations))
    return {
        row.code: Organisation(
            code=row.code,
            name=row.name,
            region=row.region,
            departments=frozenset(Department(word) for word in row.departments.split(",") if word),
            medical=row.medical,
        )
        for row in rows
    }


async def _clients(reading: Reading) -> dict[str, Client]:
    rows = await reading.connection.execute(select(clients))
    return {
        row.client_id: Client(
            client_id=row.client_id,
            party=Party(row.organisation, Department(row.department)),
            region=row.region,
            thumbprint=row.thumbprint,
            public_key=row.public_key,
            enabled=row.enabled,
        )
        for row in rows
    }


async def _people(reading: Reading) -> dict[str, Enrolled]:
    rows = await reading.connection.execute(select(people))
    return {
        row.thumbprint: Enrolled(
            person=Person(
                person_id=row.person_id,
                party=Party(row.organisation, Department(row.department)),
                functions=frozenset(word for word in row.functions.split(",") if word),
                thumbprint=row.thumbprint,
                public_key=row.public_key,
                enabled=row.enabled,
            ),
            valid_until=row.valid_until,
            enrolled_by=row.enrolled_by,
            statement=row.statement,
        )
        for row in rows
    }


async def _security_keys(reading: Reading) -> dict[str, SecurityKey]:
    rows = await reading.connection.execute(select(people_security_keys))
    return {
        row.kid: SecurityKey(row.kid, row.person, bytes(row.credential), row.statement, row.enabled) for row in rows
    }


async def _admins(reading: Reading) -> dict[str, PeopleAdmin]:
    rows = await reading.connection.execute(select(people_admins))
    return {
        row.thumbprint: PeopleAdmin(
            admin_id=row.admin_id,
            party=Party(row.organisation, Department(row.department)),
            thumbprint=row.thumbprint,
            public_key=row.public_key,
            enabled=row.enabled,
        )
        for row in rows
    }


async def _edges(reading: Reading) -> tuple[Edge, ...]:
    rows = await reading.connection.execute(select(edges))
    return tuple(
        Edge(
            party=Party(row.organisation, Department(row.department)),
            region_prefix=row.region_prefix,
            url=row.url,
            sender_kid=row.sender_kid,
            sender_key=VerifyKey(row.sender_public_key),
        )
        for row in rows
    )


async def _sealing_keys(reading: Reading) -> dict[Party, SealingKey]:
    rows = await reading.connection.execute(
        select(sealing_keys).where(sealing_keys.c.active).order_by(sealing_keys.c.enrolled_at, sealing_keys.c.kid)
    )
    keys = [
        SealingKey(Party(row.organisation, Department(row.department)), row.suite, row.kid, row.public_key)
        for row in rows
    ]
    return {key.party: key for key in keys}


async def _sender_keys(reading: Reading) -> dict[str, SenderKey]:
    rows = await reading.connection.execute(select(sender_keys))
    return {
        row.kid: SenderKey(
            party=Party(row.organisation, Department(row.department)),
            key=VerifyKey(row.public_key),
            active=row.active,
            entry_index=row.entry_index,
        )
        for row in rows
    }


async def _stopped(reading: Reading) -> frozenset[tuple[str, str]]:
    rows = await reading.connection.execute(select(kill_switches.c.kind, kill_switches.c.target))
    return frozenset((row.kind, row.target) for row in rows)
