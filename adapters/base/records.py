"""The local rows of one answer read as `Record`s, and a received line written in local words.

Rules kept here: nobody answers more rows than were asked for, a key twice or a key that was not asked for; a column that was not asked
for is counted and dropped before anything looks at its value; a row without key or region is garbage.

An answer is read column by column, and what a value means under the mapping is worked out once per answer: five hundred pupils have
twelve grades, and one look into a table costs a tenth of reading a value.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from itertools import repeat
from operator import itemgetter, setitem
from typing import Any, TypeVar

from adapters.base import values
from adapters.base.mapping import ExchangeMapping, FieldMapping, InboundField
from adapters.base.source import InboundLine, Record, Wanted
from gateway.domain.orders import FieldValue
from gateway.errors import ProviderFault

Row = Mapping[str, Any]
Column = Sequence[Any]
T = TypeVar("T")

_REGION = re.compile(r"[1-9]\d{5}(\d{3}){0,2}", re.ASCII)
# Of these kinds no two equal values mean different things. `1`, `1.0` and `True` are equal and do not mean the same.
_TELLING = frozenset({str, date, type(None)})


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
    names = mapped.columns(wanted.fields, birth=wanted.birth)
    try:
        told = {name: [*map(itemgetter(name), rows)] for name in names}
    except KeyError:
        asked = frozenset(names)
        told = {name: [row.get(name) for row in rows] for name in names}
        surplus = [len(row.keys() - asked) for row in rows]
    else:
        # Every wanted column is there, so the others need only be counted.
        surplus = [size - len(names) for size in map(len, rows)]
    return _records(told, mapped, wanted, repeat(0) if made_here else surplus)


def read_table(rows: Collection[Sequence[Any]], mapped: ExchangeMapping, wanted: Wanted) -> dict[str, Record]:
    """Records by key, from rows that have the cells of `mapped.columns(…)` in their order and no others. Raises as `read_records`."""
    if len(rows) > len(wanted.keys):
        raise ProviderFault("provider_too_much")
    names = mapped.columns(wanted.fields, birth=wanted.birth)
    columns = zip(*rows, strict=True) if rows else repeat(())
    return _records(dict(zip(names, columns)), mapped, wanted, repeat(0))  # noqa: B905 - no rows have columns without end


def local_content(line: InboundLine, inbound: Mapping[str, InboundField]) -> dict[str, FieldValue]:
    """A received line's references and values by local name. inbound: the exchange's fields, all that the line has among them."""
    given = {**line.references, **line.values}
    return {inbound[name].local: inbound[name].write(value) for name, value in given.items()}


def _records(
    told: Mapping[str, Column], mapped: ExchangeMapping, wanted: Wanted, surplus: Iterable[int]
) -> dict[str, Record]:
    """told: every wanted local column, all of one length."""
    resource = mapped.resource
    keys = _keys(told[resource.key], wanted.keys)
    regions = _each(told[resource.region], _regions)
    born = resource.birth if wanted.birth else None
    births = _each(told[born], _births) if born is not None else repeat(None)
    read = _by_record(len(keys), {name: _field(told, mapped.fields[name]) for name in sorted(wanted.fields)})
    parts = zip(keys, regions, births, read, surplus)  # noqa: B905 - what is the same for all has no end
    # Made without a call of Python's; a record is nothing but its parts.
    found = dict(zip(keys, map(tuple.__new__, repeat(Record), parts), strict=True))
    if len(found) < len(keys):
        raise ProviderFault("provider_garbage")
    return found


def _keys(column: Column, asked: Sequence[str]) -> Column:
    """The rows' keys, each one of those asked for."""
    known = frozenset(asked)
    try:
        keys = column if known.issuperset(column) else [values.text(value) for value in column]
    except (TypeError, ValueError):
        raise ProviderFault("provider_garbage") from None
    if "" in keys or not known.issuperset(keys):
        raise ProviderFault("provider_garbage")
    return keys


def _field(told: Mapping[str, Column], mapping: FieldMapping) -> Column:
    """One field's values. A list is made anew for every record, so that no two share one."""
    column = told[mapping.local]
    return _each(column, mapping.read_all) if mapping.split is None else mapping.read_all(column)


def _each(column: Column, read: Callable[[Iterable[Any]], Sequence[T]]) -> Sequence[T]:
    """What `read` says of the values, asked once for each text or date however often it comes."""
    try:
        once = dict.fromkeys(column)
    except TypeError:
        return read(column)
    if not _TELLING.issuperset(map(type, once)):
        return read(column)
    table = dict(zip(once, read(once), strict=True))
    return [*map(table.__getitem__, column)]


def _by_record(count: int, columns: Mapping[str, Column]) -> list[dict[str, FieldValue]]:
    """Each record's values by field, without those that are None."""
    blank: dict[str, Any] = dict.fromkeys(columns)
    made = [blank.copy() for _ in range(count)]
    for name, column in columns.items():
        # The loop runs inside the interpreter: half the cost of putting every record together by itself.
        deque(map(setitem, made, repeat(name), column), maxlen=0)
        if not all(column):
            for values_of, value in zip(made, column, strict=True):
                if value is None:
                    del values_of[name]
    return made


def _regions(column: Iterable[Any]) -> Sequence[str]:
    try:
        regions = [values.text(value) for value in column]
    except ValueError:
        raise ProviderFault("provider_garbage") from None
    if not all(map(_REGION.fullmatch, regions)):
        raise ProviderFault("provider_garbage")
    return regions


def _births(column: Iterable[Any]) -> Sequence[date | None]:
    try:
        return [values.day(value) if value else None for value in column]
    except ValueError:
        raise ProviderFault("provider_garbage") from None
