"""Exchange definitions as one JSON file: the gateway exports it, an edge reads it when it starts.

Rules kept here: an edge acts on definitions that it was given at set-up, never on what an order says of itself; unknown members and
unknown words are refused (`exchange_file_invalid`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.exchanges import Citation, Exchange, Field, GateRule, Generalisation, TableOfCounts
from gateway.domain.vocabulary import ConsentCode, Department, Door, ExchangeState, Level, Pattern, Profile, ScopeKind
from gateway.errors import GatewayFault

_VERSION = 1


def write(exchanges: Iterable[Exchange], path: Path) -> None:
    """Write definitions to a file, canonically, sorted by id."""
    path.write_bytes(dump(exchanges))


def dump(exchanges: Iterable[Exchange]) -> bytes:
    """The canonical JSON of definitions."""
    return canonical({"version": _VERSION, "exchanges": [to_json(e) for e in sorted(exchanges, key=lambda e: e.id)]})


def read(path: Path) -> Mapping[str, Exchange]:
    """Exchange id -> definition. Raises `GatewayFault("exchange_file_invalid")`."""
    try:
        whole = json.loads(path.read_bytes())
        version, listed = whole["version"], [from_json(e) for e in whole["exchanges"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise GatewayFault("exchange_file_invalid") from None
    if version != _VERSION or set(whole) != {"version", "exchanges"}:
        raise GatewayFault("exchange_file_invalid")
    return {e.id: e for e in listed}


def to_json(exchange: Exchange) -> dict[str, Any]:
    """One definition as JSON; members that are None are left out."""
    value = {f.name: getattr(exchange, f.name) for f in fields(Exchange)}
    value["providers"] = [str(d) for d in exchange.providers]
    value["consumers"] = [str(d) for d in exchange.consumers]
    value["consent"] = {str(d): str(c) for d, c in exchange.consent.items()}
    value["scopes"] = {str(d): str(k) for d, k in exchange.scopes.items()}
    value["citations"] = [_members(c) for c in exchange.citations]
    value["fields"] = {name: _members(f) | {"values": list(f.values)} for name, f in exchange.fields.items()}
    value["gates"] = [_gate_to_json(g) for g in exchange.gates]
    value["responsible"] = dict(exchange.responsible)
    value["table"] = _table_to_json(exchange.table) if exchange.table is not None else None
    value["generalisation"] = _coarser_to_json(exchange.generalisation) if exchange.generalisation is not None else None
    # The order of fields is the catalogue's, which canonical JSON would lose.
    value["order"] = list(exchange.fields)
    return {name: str(v) if hasattr(v, "value") else v for name, v in value.items() if v is not None}


def from_json(value: dict[str, Any]) -> Exchange:
    """The definition behind `to_json`. Raises `ValueError`, `KeyError` or `TypeError`."""
    given = dict(value)
    order = given.pop("order")
    if set(order) != set(given["fields"]):
        raise ValueError("order")
    given |= {
        "state": ExchangeState(given["state"]),
        "pattern": Pattern(given["pattern"]),
        "level": Level(given["level"]),
        "profile": Profile(given["profile"]),
        "providers": tuple(Department(d) for d in given["providers"]),
        "consumers": tuple(Department(d) for d in given["consumers"]),
        "consent": {Department(d): ConsentCode(c) for d, c in given["consent"].items()},
        "scopes": {Department(d): ScopeKind(k) for d, k in given["scopes"].items()},
        "citations": tuple(Citation(**c) for c in given["citations"]),
        "fields": {name: _field(given["fields"][name]) for name in order},
        "gates": tuple(_gate(g) for g in given["gates"]),
        "table": _table(given["table"]) if "table" in given else None,
        "generalisation": _coarser(given["generalisation"]) if "generalisation" in given else None,
    }
    return Exchange(**given)


def _members(value: Citation | Field | TableOfCounts) -> dict[str, Any]:
    return {f.name: v for f in fields(value) if (v := getattr(value, f.name)) is not None}


def _field(value: dict[str, Any]) -> Field:
    return Field(**(value | {"values": tuple(value["values"])}))


def _gate_to_json(gate: GateRule) -> dict[str, Any]:
    return {"field": gate.field, "equals": list(gate.equals), "code": gate.code, "doors": sorted(gate.doors)}


def _gate(value: dict[str, Any]) -> GateRule:
    return GateRule(
        field=value["field"],
        equals=tuple(value["equals"]),
        code=value["code"],
        doors=frozenset(Door(d) for d in value["doors"]),
    )


def _table_to_json(table: TableOfCounts) -> dict[str, Any]:
    return _members(table) | {"rows": list(table.rows), "columns": list(table.columns)}


def _table(value: dict[str, Any]) -> TableOfCounts:
    return TableOfCounts(**(value | {"rows": tuple(value["rows"]), "columns": tuple(value["columns"])}))


def _coarser_to_json(coarser: Generalisation) -> dict[str, Any]:
    return {
        "sensitive": coarser.sensitive,
        "groups": {name: [dict(level) for level in levels] for name, levels in coarser.groups.items()},
        "digits": {name: list(digits) for name, digits in coarser.digits.items()},
    }


def _coarser(value: dict[str, Any]) -> Generalisation:
    return Generalisation(
        **(
            value
            | {
                "groups": {name: tuple(levels) for name, levels in value["groups"].items()},
                "digits": {name: tuple(digits) for name, digits in value["digits"].items()},
            }
        )
    )
