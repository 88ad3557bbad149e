"""What an exchange may publish: its table of counts, and how its records become like each other.

Rules kept here: a table's rows and columns are written out, so nobody publishes another cut of the same children; a threshold may be
stricter than 5, never laxer; a generalisation covers every value of its field, and the sensitive field is not itself generalised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.domain.exchanges import Field, Generalisation, TableOfCounts
from policies.catalogue.reading import Table

LEAST = 5
_LABEL = re.compile(r"[a-z0-9_]{1,40}\Z")


def read_table(exchange: str, table: Table) -> TableOfCounts:
    """The `[table]` of an exchange. Raises `CatalogueError`."""
    read = TableOfCounts(
        name=exchange,
        rows=table.texts("rows"),
        columns=table.texts("columns"),
        threshold=table.count("threshold", LEAST) or LEAST,
        rounding=table.count("rounding", 1) or 1,
    )
    table.finish()
    if len(read.rows) < 2 or len(read.columns) < 2:
        raise table.refusal("a table has two rows and two columns at least; a smaller one cannot hide a small count")
    if any(not _LABEL.fullmatch(label) for label in (*read.rows, *read.columns)):
        raise table.refusal("rows and columns are named in small letters, digits and _")
    if read.threshold < LEAST:
        raise table.refusal(f"`threshold` is {LEAST} at least")
    return read


def read_generalisation(table: Table, fields: Mapping[str, Field]) -> Generalisation:
    """The `[generalisation]` of an exchange. Raises `CatalogueError`."""
    sensitive = table.text("sensitive")
    groups: dict[str, tuple[Mapping[str, str], ...]] = {}
    digits: dict[str, tuple[int, ...]] = {}
    for name, entry in table.table("fields").entries():
        field = fields.get(name)
        if field is None or name == sensitive:
            raise entry.refusal("a field that is made coarser is one of the exchange, and not the sensitive one")
        if field.type == "region":
            digits[name] = tuple(int(text) for text in entry.texts("digits") if text in ("6", "4", "2"))
            if not digits[name] or sorted(digits[name], reverse=True) != list(digits[name]):
                raise entry.refusal("`digits` are of 6, 4 and 2, finest first")
        else:
            groups[name] = _levels(entry, field)
        entry.finish()
    table.finish()
    if sensitive not in fields or not (groups or digits):
        raise table.refusal("`sensitive` is a field of the exchange, and at least one other is made coarser")
    return Generalisation(sensitive, groups, digits)


def _levels(entry: Table, field: Field) -> tuple[Mapping[str, str], ...]:
    """The values themselves, and above them the declared groups, if there are any."""
    finest = {value: value for value in field.values}
    coarser: dict[str, str] = {}
    for group in entry.tables("groups"):
        name, values = group.text("name"), group.texts("values")
        group.finish()
        if name in coarser.values() or coarser.keys() & set(values):
            raise entry.refusal("a group has a name of its own, and a value is in one group")
        coarser |= dict.fromkeys(values, name)
    if not finest or (coarser and coarser.keys() != finest.keys()):
        raise entry.refusal("the groups hold each value of the field")
    return (finest, coarser) if coarser else (finest,)
