"""The local rows of one answer read as `Record`s, and a received line written in local words.

Rules kept here: nobody answers more rows than were asked for, a key twice or a key that was not asked for; a column that was not asked
for is counted and dropped before anything looks at its value; a row without key or region is garbage.

What a text or a date means under one mapping is worked out once per answer: five hundred pupils have twelve grades.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any, TypeVar

from adapters.base import values
from adapters.base.mapping import ExchangeMapping, FieldMapping, InboundField
from adapters.base.source import InboundLine, Record, Wanted
from gateway.domain.orders import FieldValue
from gateway.errors import ProviderFault

Row = Mapping[str, Any]
T = TypeVar("T")

_REGION = re.compile(r"[1-9]\d{5}(\d{3}){0,2}", re.ASCII)


def read_records(
    rows: Collection[Row], mapped: ExchangeMapping, wanted: Wanted, *, made_here: bool = False
) -> dict[str, Record]:
    """Records by key. rows: the answer for `wanted.keys` or for some of them. made_here: the adapter put the rows together itself, so
    that a column which is not wanted is no surplus of the departmental system's.

    Raises `ProviderFault`: `provider_too_much` for more rows than keys, `provider_garbage`, `provider_code_unknown`, naming catalogue
    fields only.
    """
    if len(rows) > len(wanted.keys):
        raise ProviderFault("provider_too_much")
    asked = frozenset(mapped.columns(wanted.fields, birth=wanted.birth))
    keys, resource = frozenset(wanted.keys), mapped.resource
    born = resource.birth if wanted.birth else None
    region_of, born_of = _remembering(_region), _remembering(_born)
    fields = [(name, mapped.fields[name].local, _reader(mapped.fields[name])) for name in sorted(wanted.fields)]
    found: dict[str, Record] = {}
    for row in rows:
        key = _key(row, resource.key)
        if key in found or key not in keys:
            raise ProviderFault("provider_garbage")
        region, read, whole = region_of(row.get(resource.region)), {}, born is None
        for name, local, reader in fields:
            told = row.get(local)
            value = reader(told)
            if value is not None:
                read[name] = value
            elif told is None:
                whole = False
        birth = born_of(row.get(born)) if born is not None else None
        # Where every wanted column is there, the others need only be counted.
        surplus = 0 if made_here else len(row) - len(asked) if whole else len(row.keys() - asked)
        found[key] = Record(key, region, birth, read, surplus)
    return found


def local_content(line: InboundLine, inbound: Mapping[str, InboundField]) -> dict[str, FieldValue]:
    """A received line's references and values by local name. inbound: the exchange's fields, all that the line has among them."""
    given = {**line.references, **line.values}
    return {inbound[name].local: inbound[name].write(value) for name, value in given.items()}


def _reader(mapping: FieldMapping) -> Callable[[Any], FieldValue | None]:
    """A field's reader. A list is made anew for every record, so that no two share one."""
    return mapping.read if mapping.split is not None else _remembering(mapping.read)


def _remembering(read: Callable[[Any], T]) -> Callable[[Any], T]:
    """`read`, asked once for each text or date. Only these: `1`, `1.0` and `True` are equal and do not mean the same."""
    known: dict[Any, T] = {}

    def remembered(value: Any) -> T:
        kind = type(value)
        if kind is not str and kind is not date:
            return read(value)
        if value not in known:
            known[value] = read(value)
        return known[value]

    return remembered


def _key(row: Row, column: str) -> str:
    try:
        key = values.text(row[column])
    except (KeyError, ValueError):
        raise ProviderFault("provider_garbage") from None
    if not key:
        raise ProviderFault("provider_garbage")
    return key


def _region(value: Any) -> str:
    try:
        region = values.text(value)
    except ValueError:
        raise ProviderFault("provider_garbage") from None
    if not _REGION.fullmatch(region):
        raise ProviderFault("provider_garbage")
    return region


def _born(value: Any) -> date | None:
    try:
        return values.day(value) if value else None
    except ValueError:
        raise ProviderFault("provider_garbage") from None
