"""JSON of orders, releases, envelopes and their parts: one strict codec per type.

Every `…_to_wire` gives a dict that `gateway.domain.canonical` can encode; every `…_from_wire` takes a parsed JSON value and
raises `BadRequest("wire_invalid")` for anything but the documented shape.

Rules kept here: closed keys both ways; absent means absent (no null); bytes as base64url without padding; a line number
appears once per document; sizes as in `wire_reading`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gateway.domain.base64url import encode as unpadded
from gateway.domain.orders import (
    Acknowledgement,
    Envelope,
    Line,
    Order,
    OrderLine,
    PlainValue,
    Release,
    SealedValue,
    SealInfo,
    Sealing,
    SealingKey,
)
from gateway.domain.parties import Party
from gateway.domain.permits import Grants, Obligation
from gateway.domain.vocabulary import AgeBand
from gateway.errors import BadRequest
from gateway.release import obligation_text
from gateway.release import wire_reading as read
from gateway.release.wire_reading import refuse

_SUITE = re.compile("x25519|xwing")
_STATUS = re.compile("stored|rejected")
_HIGHEST_LINE = 1_000_000

Wire = dict[str, Any]


def to_wire(
    value: Order | Release | Envelope | Line | SealInfo | Sealing | SealingKey | Acknowledgement,
) -> Wire:
    """The JSON of any value that this module carries."""
    match value:
        case Order():
            return order_to_wire(value)
        case Release():
            return release_to_wire(value)
        case Envelope():
            return envelope_to_wire(value)
        case Line():
            return line_to_wire(value)
        case Sealing():
            return sealing_to_wire(value)
        case SealInfo():
            return seal_info_to_wire(value)
        case SealingKey():
            return sealing_key_to_wire(value)
        case Acknowledgement():
            return acknowledgement_to_wire(value)


def order_to_wire(order: Order) -> Wire:
    """An order as JSON; `age_band` is absent where nothing was asserted."""
    wire: Wire = {
        "request": order.request,
        "exchange": order.exchange,
        "purpose": order.purpose,
        "provider": order.provider.text,
        "recipient": order.recipient.text,
        "recipient_key": sealing_key_to_wire(order.recipient_key),
        "lines": [_order_line_to_wire(line) for line in order.lines],
        "grants": {**_grants(Grants.of(order.grants))},
        "regions": list(order.regions),
        "request_digest": order.request_digest,
        "expires_at": order.expires_at,
    }
    if order.age_band is not None:
        wire["age_band"] = str(order.age_band)
    return wire


@lru_cache(maxsize=1_024)
def _grants(grants: Grants) -> dict[str, str]:
    return {name: obligation_text.write(obligation) for name, obligation in grants.items()}


_ORDER = frozenset(
    {
        "request",
        "exchange",
        "purpose",
        "provider",
        "recipient",
        "recipient_key",
        "lines",
        "grants",
        "regions",
        "request_digest",
        "expires_at",
    }
)


def order_from_wire(value: object) -> Order:
    """An order from JSON. An obligation whose transform is unknown reads as `suppress`."""
    wire = read.members(value, _ORDER, frozenset({"age_band"}))
    lines = read.listing(wire["lines"], "lines", _order_line_from_wire, limit=read.MAX_LINES)
    _require_distinct([line.number for line in lines])
    return Order(
        request=read.matched(wire["request"], read.TOKEN, "request"),
        exchange=read.matched(wire["exchange"], read.TOKEN, "exchange"),
        purpose=read.matched(wire["purpose"], read.TOKEN, "purpose"),
        provider=read.party(wire["provider"], "provider"),
        recipient=read.party(wire["recipient"], "recipient"),
        recipient_key=sealing_key_from_wire(wire["recipient_key"]),
        lines=lines,
        grants=read.by_field(wire["grants"], "grants", obligation_from_wire),
        regions=read.listing(
            wire["regions"], "regions", lambda item: read.matched(item, read.REGION_PREFIX, "regions"), limit=64
        ),
        age_band=_age_band(wire["age_band"]) if "age_band" in wire else None,
        request_digest=read.matched(wire["request_digest"], read.HEX_DIGEST, "request_digest"),
        expires_at=read.whole(wire["expires_at"], "expires_at", low=0, high=2**40),
    )


def release_to_wire(release: Release) -> Wire:
    """A release as JSON."""
    return {
        "request": release.request,
        "exchange": release.exchange,
        "provider": release.provider.text,
        "lines": [line_to_wire(line) for line in release.lines],
        "missing": list(release.missing),
        "surplus": release.surplus,
        "sighted": release.sighted,
    }


_RELEASE = frozenset({"request", "exchange", "provider", "lines", "missing", "surplus", "sighted"})


def release_from_wire(value: object) -> Release:
    """A release from JSON; a number stands either among the lines or among the missing, once."""
    wire = read.members(value, _RELEASE)
    lines = read.listing(wire["lines"], "lines", line_from_wire, limit=read.MAX_LINES)
    missing = read.listing(wire["missing"], "missing", _line_number, limit=read.MAX_LINES)
    _require_distinct([*(line.number for line in lines), *missing])
    return Release(
        request=read.matched(wire["request"], read.TOKEN, "request"),
        exchange=read.matched(wire["exchange"], read.TOKEN, "exchange"),
        provider=read.party(wire["provider"], "provider"),
        lines=lines,
        missing=missing,
        surplus=read.whole(wire["surplus"], "surplus", low=0, high=10**9),
        sighted=read.flag(wire["sighted"], "sighted"),
    )


def envelope_to_wire(envelope: Envelope) -> Wire:
    """An envelope as JSON."""
    return {
        "permit": envelope.permit,
        "exchange": envelope.exchange,
        "sender": envelope.sender.text,
        "recipient": envelope.recipient.text,
        "lines": [line_to_wire(line) for line in envelope.lines],
    }


_ENVELOPE = frozenset({"permit", "exchange", "sender", "recipient", "lines"})


def envelope_from_wire(value: object) -> Envelope:
    """An envelope from JSON, with one line at least."""
    wire = read.members(value, _ENVELOPE)
    lines = read.listing(wire["lines"], "lines", line_from_wire, limit=read.MAX_LINES)
    if not lines:
        refuse("lines")
    _require_distinct([line.number for line in lines])
    return Envelope(
        permit=read.matched(wire["permit"], read.TOKEN, "permit"),
        exchange=read.matched(wire["exchange"], read.TOKEN, "exchange"),
        sender=read.party(wire["sender"], "sender"),
        recipient=read.party(wire["recipient"], "recipient"),
        lines=lines,
    )


def line_to_wire(line: Line) -> Wire:
    """One line as JSON; `subject`, `region` and `seal` are absent where there is none."""
    wire: Wire = {
        "line": line.number,
        "references": dict(line.references),
        "fields": {name: value_to_wire(value) for name, value in line.values.items()},
    }
    if line.subject is not None:
        wire["subject"] = line.subject
    if line.region is not None:
        wire["region"] = line.region
    if line.sealing is not None:
        wire["seal"] = sealing_to_wire(line.sealing)
    return wire


_LINE = frozenset({"line", "references", "fields"})
_LINE_OPTIONAL = frozenset({"subject", "region", "seal"})


def line_from_wire(value: object) -> Line:
    """One line from JSON. A seal must be about this line; whether it is valid is `keys.envelope`'s question."""
    wire = read.members(value, _LINE, _LINE_OPTIONAL)
    number = _line_number(wire["line"])
    sealing = sealing_from_wire(wire["seal"]) if "seal" in wire else None
    if sealing is not None and sealing.info.line != number:
        refuse("seal")
    return Line(
        number=number,
        subject=read.matched(wire["subject"], read.TOKEN, "subject") if "subject" in wire else None,
        references=read.by_field(wire["references"], "references", _reference, limit=16),
        region=read.matched(wire["region"], read.REGION, "region") if "region" in wire else None,
        values=read.by_field(wire["fields"], "fields", value_from_wire),
        sealing=sealing,
    )


_PLAIN, _SEALED = frozenset({"v", "s"}), frozenset({"c"})
_salt = read.bytes_of(16, "s")
_digest = read.bytes_of(32, "digests")
_signature = read.bytes_of(64, "signature")


def value_to_wire(value: SealedValue | PlainValue) -> Wire:
    """`{"c": ciphertext}` of a sealed field, `{"v": value, "s": salt}` of an unsealed one."""
    if isinstance(value, SealedValue):
        return {"c": unpadded(value.ciphertext)}
    plain = value.value
    return {"v": list(plain) if isinstance(plain, list) else plain, "s": unpadded(value.salt)}


def value_from_wire(value: object) -> SealedValue | PlainValue:
    """A field's value from JSON: exactly one of the two shapes; the salt has 16 bytes."""
    if not isinstance(value, dict):
        refuse("object")
    if value.keys() == _PLAIN:
        return PlainValue(read.field_value(value["v"]), _salt(value["s"]))
    if value.keys() != _SEALED:
        refuse("members")
    return SealedValue(read.binary(value["c"], "c", high=read.MAX_CIPHERTEXT))


def seal_info_to_wire(info: SealInfo) -> Wire:
    """What a line's sealing is bound to, as JSON; its canonical bytes are what `keys.envelope` may bind."""
    return {
        "request": info.request,
        "line": info.line,
        "exchange": info.exchange,
        "sender": info.sender.text,
        "recipient": info.recipient.text,
        "recipient_kid": info.recipient_kid,
    }


_INFO = frozenset({"request", "line", "exchange", "sender", "recipient", "recipient_kid"})


def seal_info_from_wire(value: object) -> SealInfo:
    """A seal's binding from JSON."""
    return _seal_info(read.members(value, _INFO))


def _seal_info(wire: Mapping[str, Any]) -> SealInfo:
    return SealInfo(
        request=read.matched(wire["request"], read.TOKEN, "request"),
        line=_line_number(wire["line"]),
        exchange=read.matched(wire["exchange"], read.TOKEN, "exchange"),
        sender=read.party(wire["sender"], "sender"),
        recipient=read.party(wire["recipient"], "recipient"),
        recipient_kid=read.text(wire["recipient_kid"], "recipient_kid", limit=64),
    )


def sealing_to_wire(sealing: Sealing) -> Wire:
    """A line's cryptographic frame as one flat object."""
    return {
        **seal_info_to_wire(sealing.info),
        "suite": sealing.suite,
        "enc": unpadded(sealing.encapsulation),
        "digests": {name: unpadded(digest) for name, digest in sealing.digests.items()},
        "signature": unpadded(sealing.signature),
        "sender_kid": sealing.sender_kid,
    }


_SEALING = _INFO | {"suite", "enc", "digests", "signature", "sender_kid"}


def sealing_from_wire(value: object) -> Sealing:
    """A line's cryptographic frame from JSON: digests of 32 bytes, an Ed25519 signature of 64."""
    wire = read.members(value, _SEALING)
    return Sealing(
        info=_seal_info(wire),
        suite=read.matched(wire["suite"], _SUITE, "suite"),
        # A line without any sealed field carries no content key.
        encapsulation=read.binary(wire["enc"], "enc", low=0, high=read.MAX_ENCAPSULATION),
        digests=read.by_field(wire["digests"], "digests", _digest),
        signature=_signature(wire["signature"]),
        sender_kid=read.text(wire["sender_kid"], "sender_kid", limit=64),
    )


def sealing_key_to_wire(key: SealingKey) -> Wire:
    """A recipient's public sealing key as JSON."""
    return {"party": key.party.text, "suite": key.suite, "kid": key.kid, "key": unpadded(key.public_key)}


_KEY = frozenset({"party", "suite", "kid", "key"})


def sealing_key_from_wire(value: object) -> SealingKey:
    """A recipient's public sealing key from JSON; X25519 keys have 32 bytes, X-Wing keys 1,216."""
    wire = read.members(value, _KEY)
    suite = read.matched(wire["suite"], _SUITE, "suite")
    size = 32 if suite == "x25519" else 1216
    return SealingKey(
        party=read.party(wire["party"], "party"),
        suite=suite,
        kid=read.text(wire["kid"], "kid", limit=64),
        public_key=read.binary(wire["key"], "key", low=size, high=size),
    )


def acknowledgement_to_wire(acknowledgement: Acknowledgement) -> Wire:
    """A recipient's acknowledgement as JSON; `code` is absent where empty."""
    wire: Wire = {"delivery": acknowledgement.delivery, "status": acknowledgement.status}
    if acknowledgement.code:
        wire["code"] = acknowledgement.code
    return wire


def acknowledgement_from_wire(value: object) -> Acknowledgement:
    """A recipient's acknowledgement from JSON."""
    wire = read.members(value, frozenset({"delivery", "status"}), frozenset({"code"}))
    return Acknowledgement(
        delivery=read.matched(wire["delivery"], read.TOKEN, "delivery"),
        status=read.matched(wire["status"], _STATUS, "status"),
        code=read.matched(wire["code"], read.FIELD_NAME, "code") if "code" in wire else "",
    )


def party_to_wire(party: Party) -> str:
    """`<organisation>/<department>`."""
    return party.text


def party_from_wire(value: object) -> Party:
    """A party from `<organisation>/<department>`."""
    return read.party(value, "party")


def obligation_to_wire(obligation: Obligation) -> str:
    """The text form of an obligation (grammar in `obligation_text`)."""
    return obligation_text.write(obligation)


def obligation_from_wire(value: object) -> Obligation:
    """An obligation from its text form; the wire's one error code, whatever is wrong."""
    if not isinstance(value, str):
        refuse("grants")
    try:
        return obligation_text.parse(value)
    except BadRequest:
        refuse("grants")


def _order_line_to_wire(line: OrderLine) -> Wire:
    return {"line": line.number} if line.subject is None else {"line": line.number, "subject": line.subject}


def _order_line_from_wire(value: object) -> OrderLine:
    wire = read.members(value, frozenset({"line"}), frozenset({"subject"}))
    subject = read.matched(wire["subject"], read.TOKEN, "subject") if "subject" in wire else None
    return OrderLine(number=_line_number(wire["line"]), subject=subject)


def _reference(value: object) -> str:
    return read.matched(value, read.TOKEN, "references")


def _line_number(value: object) -> int:
    return read.whole(value, "line", low=1, high=_HIGHEST_LINE)


def _age_band(value: object) -> AgeBand:
    try:
        return AgeBand(value)  # type: ignore[arg-type]
    except ValueError:
        refuse("age_band")


def _require_distinct(numbers: list[int]) -> None:
    if len(set(numbers)) != len(numbers):
        refuse("lines")
