"""Post-conditions of a release and of an envelope: the gateway believes no edge and no sender.

Whether signatures and digests hold is `keys.envelope`'s question, and the flow asks it; here stands what may be inside.

Rules kept here: every field granted, in its ordered form, sealed exactly where sealing was ordered; every number as ordered;
a record outside the permitted regions looks like an absent one; an error names field and edge, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Checked, Envelope, FieldValue, Line, PlainValue, Release, SealedValue, SealInfo
from gateway.domain.permits import Obligation, Permit
from gateway.domain.vocabulary import Door
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release.expected import FormBroken, expectations
from gateway.release.labels import labels
from gateway.release.numbers import is_region


@dataclass(frozen=True, slots=True)
class Admitted:
    """What of an envelope may go into the outbox: gate fields and regions are gone, everything else is sealed.

    fields: names of the fields that the recipient will get, sorted. gates: names of the gate fields that were read.
    """

    lines: tuple[Line, ...]
    fields: tuple[str, ...]
    gates: tuple[str, ...]


def check(
    release: Release,
    *,
    permit: Permit,
    request: str,
    subjects: Mapping[int, str | None] | None = None,
    medical: bool = False,
) -> Checked:
    """Check a provider's release, already translated into the recipient's scope, against the permit that ordered it.

    request: id that the order carried. subjects: ordered line number -> pseudonym text in the recipient's scope; where given,
    every line must carry exactly these. medical: whether the provider is a medical institution; no other may state a
    diagnosis. Lines outside `permit.regions` join the missing ones; regions are not passed on.

    Raises `ProviderFault("form_violation", field=…, edge="org/dept")`; `field` is `line`, `region`, `request`, `exchange`
    or `seal` where the frame is broken.
    """
    exchange = permit.basis.ask.exchange
    expected = expectations(exchange, permit.grants, medical=medical)
    frame = SealInfo(request, 0, exchange.id, release.provider, permit.basis.ask.recipient, "")
    within: dict[str | None, bool] = {}
    lines: list[Line] = []
    outside: list[int] = []
    try:
        _require_frame(release, request=request, exchange=exchange, subjects=subjects)
        for line in release.lines:
            _require_seal(line, frame)
            if line.region not in within:
                within[line.region] = _within(line.region, permit.regions)
            if within[line.region]:
                lines.append(_passed_on(line, line.values))
            else:
                outside.append(line.number)
        expected.require(release.lines)
    except FormBroken as broken:
        raise ProviderFault("form_violation", field=broken.name, edge=release.provider.text) from None
    return Checked(
        permit_request=request,
        lines=tuple(lines),
        missing=tuple(sorted((*release.missing, *outside))),
        labels=labels(exchange, permit.basis.ask.purpose, permit.until, permit.grants),
        fields=_names(lines),
        sighted=release.sighted,
    )


def check_envelope(
    envelope: Envelope,
    *,
    exchange: Exchange,
    permits: Mapping[int, Permit],
    door: Door | None = None,
    recipient_kid: str | None = None,
    medical: bool = False,
) -> Admitted:
    """Check a sender's envelope against the permits of its lines (line number -> permit).

    Every field is sealed but gate fields and record ids; gate rules of the door are evaluated. door: of the send permit;
    where given, every line's permit must be of that door. recipient_kid: the sealing key that the send permit named.
    medical: as in `check`. Raises `BadRequest("envelope_invalid", field=…, edge=…)`, `BadRequest("field_required", field=…)`,
    `BadRequest("region_required")`, `Denied("region")`, and `Denied(<code of the gate rule>, field=…)`.
    """
    gates = frozenset(name for name, defined in exchange.fields.items() if defined.gate)
    frame = SealInfo(envelope.permit, 0, exchange.id, envelope.sender, envelope.recipient, recipient_kid or "")
    lines: list[Line] = []
    try:
        _require(envelope.exchange == exchange.id, "exchange")
        _require(0 < len(envelope.lines) == len({line.number for line in envelope.lines}), "line")
        for line in envelope.lines:
            _require(line.number in permits, "line")
            permit = permits[line.number]
            _require(door is None or permit.basis.ask.door is door, "line")
            _require_seal(line, frame)
            expectations(exchange, permit.grants, gates=gates, medical=medical).require_line(line)
            _require_present(line, exchange, permit.grants)
            _require_region(line, permit)
            _require_gates(line, exchange, permit)
            kept = {name: value for name, value in line.values.items() if name not in gates}
            lines.append(_passed_on(line, kept))
    except FormBroken as broken:
        raise BadRequest("envelope_invalid", field=broken.name, edge=envelope.sender.text) from None
    read = {name for line in envelope.lines for name in line.values} & gates
    return Admitted(lines=tuple(lines), fields=_names(lines), gates=tuple(sorted(read)))


def broken_forms(
    values: Mapping[str, FieldValue], *, exchange: Exchange, grants: Mapping[str, Obligation]
) -> tuple[str, ...]:
    """Names of opened fields that are not in their ordered form: the recipient's own check of what came sealed."""
    expected = expectations(exchange, grants, medical=True)
    return tuple(
        sorted(
            name for name, value in values.items() if name not in expected or not expected[name].form.recognises(value)
        )
    )


def _require_frame(
    release: Release, *, request: str, exchange: Exchange, subjects: Mapping[int, str | None] | None
) -> None:
    _require(release.request == request, "request")
    _require(release.exchange == exchange.id, "exchange")
    numbers = [*(line.number for line in release.lines), *release.missing]
    _require(len(set(numbers)) == len(numbers), "line")
    if subjects is not None:
        _require(set(numbers) == subjects.keys(), "line")
        for line in release.lines:
            _require(line.subject == subjects[line.number], "line")


def _require_seal(line: Line, frame: SealInfo) -> None:
    sealing = line.sealing
    if sealing is None:
        raise FormBroken("seal")
    info = sealing.info
    bound = (
        info.line == line.number
        and info.request == frame.request
        and info.exchange == frame.exchange
        and info.sender == frame.sender
        and info.recipient == frame.recipient
        # The recipient's key is held against the frame only where the caller knows which it must be.
        and frame.recipient_kid in ("", info.recipient_kid)
    )
    _require(bound, "seal")


def _passed_on(line: Line, values: Mapping[str, SealedValue | PlainValue]) -> Line:
    """The line as it leaves: its region was for the check alone."""
    return Line(line.number, line.subject, line.references, None, values, line.sealing)


def _names(lines: list[Line]) -> tuple[str, ...]:
    return tuple(sorted(set().union(*(line.values for line in lines), *(line.references for line in lines))))


def _require_present(line: Line, exchange: Exchange, grants: Mapping[str, Obligation]) -> None:
    for name, defined in exchange.fields.items():
        if defined.required and name in grants and name not in line.values and name not in line.references:
            raise BadRequest("field_required", field=name)


def _require_region(line: Line, permit: Permit) -> None:
    if line.region is None and "" not in permit.regions:
        raise BadRequest("region_required")
    if not _within(line.region, permit.regions):
        raise Denied("region")


def _require_gates(line: Line, exchange: Exchange, permit: Permit) -> None:
    for rule in exchange.gates:
        if permit.basis.ask.door not in rule.doors:
            continue
        given = line.values.get(rule.field)
        if not isinstance(given, PlainValue) or given.value not in rule.equals:
            raise Denied(rule.code, field=rule.field)


def _within(region: str | None, prefixes: tuple[str, ...]) -> bool:
    """Whether a record's region lies under one of the prefixes; a record without one is inside only where any region is."""
    if region is None:
        return "" in prefixes
    if not is_region(region):
        raise FormBroken("region")
    return region.startswith(prefixes)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise FormBroken(name)
