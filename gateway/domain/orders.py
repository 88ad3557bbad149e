"""取数单、信封、发布内容: what the gateway asks of a provider, what a sender hands in, what leaves.

Rules kept here: an order names no identifier, only pseudonyms of the provider's own open scope by line number; a line's
signature covers `info`, the encapsulation and one digest per field, so a field may be dropped but not changed; pseudonyms
and record references stand outside the signature, because the gateway translates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import AgeBand

FieldValue = str | int | bool | list[str]


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A recipient organisation's public sealing key. suite: `x25519` or `xwing` (ML-KEM-768+X25519).

    kid: first 16 hex digits of SHA-256 over suite and key. public_key: raw bytes.
    """

    party: Party
    suite: str
    kid: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class SealInfo:
    """What a line's sealing is bound to: HPKE `info` and the first part of the sender's signature (DESIGN section 5).

    request: id of the request (query) or send permit (delivery). No pseudonym and no internal id stands here.
    """

    request: str
    line: int
    exchange: str
    sender: Party
    recipient: Party
    recipient_kid: str


@dataclass(frozen=True, slots=True)
class SealedValue:
    """AES-256-GCM ciphertext of one field under HKDF(content key, field name), plaintext padded to 64 bytes."""

    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlainValue:
    """An unsealed field: the value in its ordered form and the 16-byte salt of its signed digest."""

    value: FieldValue = field(repr=False)
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealing:
    """The cryptographic frame of one line.

    encapsulation: HPKE output that carries the content key. digests: field name -> 32-byte digest, for every field that
    the sender sealed or stated, also those dropped later. signature: the sender's Ed25519 signature over info,
    encapsulation and digests. sender_kid: RFC 7638 thumbprint of the sender's signing key.
    """

    info: SealInfo
    suite: str
    encapsulation: bytes = field(repr=False)
    digests: Mapping[str, bytes] = field(repr=False)
    signature: bytes = field(repr=False)
    sender_kid: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a release or envelope.

    subject: pseudonym text, in the scope of whoever holds this line at the moment; None for NoChild exchanges.
    references: record ids by field name (case, plan, register …), likewise in the present holder's form.
    region: six digits of the record's region, read by the gateway's check and not passed on.
    """

    number: int
    subject: str | None = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    region: str | None
    values: Mapping[str, SealedValue | PlainValue] = field(repr=False)
    sealing: Sealing | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One child asked for: line number and the pseudonym in the provider's own open scope (text form)."""

    number: int
    subject: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """取数单, signed by the gateway; an edge answers nothing else.

    grants: field -> obligation. regions: permitted prefixes. age_band: as asserted, for the edge to contradict.
    parameters: exchange-specific answers asked for (none in most). request_digest: SHA-256 hex of the caller's body.
    expires_at: unix seconds; an edge refuses a stale order.
    """

    request: str
    exchange: str
    purpose: str
    provider: Party
    recipient: Party
    recipient_key: SealingKey
    lines: tuple[OrderLine, ...]
    grants: Mapping[str, Obligation]
    regions: tuple[str, ...]
    age_band: AgeBand | None
    request_digest: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Release:
    """发布内容 as it came from a provider, unchecked. surplus: how many fields the source held back, for its
    administrator. `missing`: line numbers for which there is nothing to give (absent, unknown and outside look alike).
    sighted: True where an embedded adapter answered inside the gateway.
    """

    request: str
    exchange: str
    provider: Party
    lines: tuple[Line, ...]
    missing: tuple[int, ...]
    surplus: int = 0
    sighted: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """信封: what a sender hands in under a send permit, already reduced and sealed."""

    permit: str
    exchange: str
    sender: Party
    recipient: Party
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """Step (6) done. Built by `gateway/release/check.py` only: every field permitted and in its ordered form, region as
    permitted, labels set, pseudonyms translated. body: the exact bytes that will leave.
    """

    permit_request: str
    lines: tuple[Line, ...]
    missing: tuple[int, ...]
    labels: Mapping[str, str]
    fields: tuple[str, ...]
    sighted: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """回执 of a recipient: it holds the envelope (`stored`) or could not take it (`rejected`, with a stable code)."""

    delivery: str
    status: str
    code: str = ""
