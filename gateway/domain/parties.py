"""Who takes part: organisations acting for departments, their clients, and people.

Rules kept here: roles never attach to an organisation (one bureau may act for several departments), so a `Party` is
always the pair; a client carries one key; a person's function is chosen per assertion and never merged with another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.domain.vocabulary import Department


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation acting for a department: provider, recipient or requester of an exchange.

    organisation: GB 32100 unified social credit code, 18 characters.
    text: `<organisation>/<department>`, the form in orders, envelopes and labels. A request asks for it a dozen times.
    """

    organisation: str
    department: Department
    text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.organisation}/{self.department}")


@dataclass(frozen=True, slots=True)
class Organisation:
    """单位. region: GB/T 2260 code or its extension, 6, 9 or 12 digits, trailing zero groups mean "and below"."""

    code: str
    name: str
    region: str
    departments: frozenset[Department]
    medical: bool = False


@dataclass(frozen=True, slots=True)
class Client:
    """接入系统: a departmental system with a key of its own.

    thumbprint: RFC 7638 SHA-256 thumbprint of its Ed25519 key, base64url without padding.
    public_key: raw Ed25519 public key, 32 bytes.
    """

    client_id: str
    party: Party
    region: str
    thumbprint: str
    public_key: bytes
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """An officer or approver. `functions` are those that the department's people administrator signed for.

    person_id: staff number within the organisation, not a citizen's identity.
    """

    person_id: str
    party: Party
    functions: frozenset[str]
    thumbprint: str
    public_key: bytes
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Officer:
    """经办人: the person behind one request, in the one function that the assertion names."""

    person_id: str
    party: Party
    function: str
    thumbprint: str

    @property
    def role(self) -> str:
        """The Casbin subject: `<function>@<department>`."""
        return f"{self.function}@{self.party.department}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Built by `gateway/identity` only, after token, request proof, body digest and officer are checked.

    evidence: the request proof and the officer assertion as received (compact JWS), kept in the entry's detail so
    that a request can be neither altered nor denied. body_digest: SHA-256 of the raw body, 32 bytes.
    """

    client: Client
    officer: Officer | None
    region: str
    body_digest: bytes
    evidence: tuple[str, ...]
    request_id: str

    @property
    def party(self) -> Party:
        """The organisation and department that the client speaks for."""
        return self.client.party

    @property
    def role(self) -> str:
        """The Casbin subject of this request; a machine without an officer is `system@<department>`."""
        return self.officer.role if self.officer else f"system@{self.client.party.department}"
