"""One period's published table as a document: canonical bytes, signed by the unit, chained to the period before, checked by whoever gets it.

Rules kept here: a document tells nothing that `aggregate.publish` does not; one that could give a small count away, by form or by its own
sums, is refused by the reader too, whoever signed it; documents of one region form a chain, so none is changed, left out or put in later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from gateway.domain.canonical import canonical, parse_canonical
from gateway.domain.exchanges import TableOfCounts
from gateway.errors import BadRequest
from gateway.release.aggregate import LEFT_OUT, Published, least_left_out, rounded, small_text
from gateway.release.forms_time import is_period
from gateway.release.wire_reading import binary, matched, members, unpadded
from gateway.release.wire_reading import text as short_text
from keys.signing import SIGNATURE_BYTES, SigningKey, VerifyKey

_CONTEXT = b"runxin-publication-1\n"
_MEMBERS = frozenset(
    {"table", "region", "period", "unit", "threshold", "rounding", "before", "cells", "rows", "columns", "total", "withheld"}
)  # fmt: skip
MOST = 256 * 1024
"""Bytes of a document."""
_COUNTY = re.compile(r"[0-9]{6}", re.ASCII)
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a document says. region: six digits. unit: the name of who publishes.

    before: SHA-256 hex of the document of the period before, empty for the first.
    """

    table: TableOfCounts
    region: str
    unit: str
    before: str
    published: Published


def write(publication: Publication, signer: SigningKey) -> bytes:
    """The document: one line of canonical JSON, one line of the unit's Ed25519 signature over it. Raises as `require_safe` does."""
    require_safe(publication.table, publication.published)
    told = canonical(_told(publication))
    return b"%b\n%b\n" % (told, unpadded(signer.sign(_CONTEXT + told)).encode("ascii"))


def read(document: bytes, table: TableOfCounts, key: VerifyKey) -> Publication:
    """What a document says, once its signature, its form and its safety hold.

    Raises `BadRequest`: `publication_signature`, `publication_invalid` (fact: reason), `table_undeclared`.
    """
    told, _, signature = document.rstrip(b"\n").partition(b"\n")
    if len(document) > MOST:
        _refuse("size")
    try:
        key.verify(binary(signature.decode("ascii"), "signature", high=SIGNATURE_BYTES), _CONTEXT + told)
    except (BadRequest, ValueError):
        raise BadRequest("publication_signature") from None
    try:
        value = parse_canonical(told)
        members(value, _MEMBERS)
        publication = _read(value, table)
    except (BadRequest, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, BadRequest) and error.code != "wire_invalid":
            raise
        raise BadRequest("publication_invalid", reason="form") from None
    require_safe(table, publication.published)
    return publication


def chained(documents: Sequence[bytes], table: TableOfCounts, key: VerifyKey) -> tuple[Publication, ...]:
    """The documents of one region, oldest first, once each holds and names the one before it.

    Raises as `read` does, and `BadRequest("publication_chain", period=…)` at the first document that does not follow.
    """
    found: list[Publication] = []
    before = ""
    for document in documents:
        publication = read(document, table, key)
        period, last = publication.published.period, found[-1] if found else None
        if publication.before != before or (
            last is not None and (publication.region != last.region or not follows(period, last.published.period))
        ):
            raise BadRequest("publication_chain", period=period)
        found.append(publication)
        before = digest(document)
    return tuple(found)


def period_named(value: object) -> str:
    """`YYYY`, `YYYY-Qn` or `YYYY-MM`. Raises `BadRequest("publication_invalid")`."""
    if not isinstance(value, str) or "/" in value or not is_period(value):
        _refuse("period")
    return value


def follows(period: str, before: str) -> bool:
    """Whether a period is later than another and of the same length: a year less its months would show a month."""
    return (len(period), "Q" in period) == (len(before), "Q" in before) and period > before


def digest(document: bytes) -> str:
    """What the next document names as the one before: SHA-256 hex of all its bytes."""
    return sha256(document).hexdigest()


def require_safe(table: TableOfCounts, published: Published) -> None:
    """Refuse a table that gives a small count away. Only what is written counts, so anybody can ask.

    Every "<5" needs a rectangle of three cells left out; every number shown is at least what a count at the threshold is rounded to;
    sums hold where nothing is hidden, and leave every hidden cell room where something is.
    Raises `BadRequest("table_undeclared")`, `BadRequest("publication_invalid", reason=…)`.
    """
    rows = [row for row in table.rows if row not in published.withheld]
    if published.table != table.name or set(published.withheld) - set(table.rows):
        raise BadRequest("table_undeclared")
    if (
        published.cells.keys() != {(row, column) for row in rows for column in table.columns}
        or published.row_totals.keys() != set(rows)
        or published.column_totals.keys() != set(table.columns)
    ):
        raise BadRequest("table_undeclared")
    small = small_text(table)
    least = rounded(table, table.threshold)
    for text in published.cells.values():
        if text not in (small, LEFT_OUT) and not (_is_count(text) and int(text) >= least):
            _refuse("cell")
    for (row, column), text in published.cells.items():
        if text == small and not _is_in_rectangle(published.cells, rows, table.columns, row, column):
            _refuse("not_protected")
    for texts, total in _sums(table, rows, published):
        if not _is_count(total):
            _refuse("total")
        _require_room(table, texts, int(total), small)


def _is_in_rectangle(
    cells: Mapping[tuple[str, str], str], rows: list[str], columns: tuple[str, ...], row: str, column: str
) -> bool:
    return any(
        cells[row, other] == cells[line, column] == cells[line, other] == LEFT_OUT
        for line in rows
        if line != row
        for other in columns
        if other != column
    )


def _sums(table: TableOfCounts, rows: list[str], published: Published) -> Iterator[tuple[list[str], str]]:
    """Each line of cells with its total."""
    for row in rows:
        yield [published.cells[row, column] for column in table.columns], published.row_totals[row]
    for column in table.columns:
        yield [published.cells[row, column] for row in rows], published.column_totals[column]
    yield list(published.cells.values()), published.total


def _require_room(table: TableOfCounts, texts: list[str], total: int, small: str) -> None:
    """The total is what its cells say, or leaves the hidden ones what they may at least be."""
    hidden_small, left_out = texts.count(small), texts.count(LEFT_OUT)
    shown = sum(int(text) for text in texts if text not in (small, LEFT_OUT))
    # Each number was rounded by itself, so a sum may be off by half the base for every one of them.
    slack = (table.rounding // 2) * (len(texts) - hidden_small - left_out + 1)
    rest = total - shown
    if not hidden_small and not left_out:
        if abs(rest) > slack:
            _refuse("sum")
    elif rest + slack < left_out * least_left_out(table):
        # A small cell never stands alone in a line, so there is no largest total to hold against.
        _refuse("sum")


def _told(publication: Publication) -> dict[str, Any]:
    published, table = publication.published, publication.table
    return {
        "table": table.name,
        "region": publication.region,
        "period": published.period,
        "unit": publication.unit,
        "threshold": table.threshold,
        "rounding": table.rounding,
        "before": publication.before,
        "cells": {row: {name: published.cells[row, name] for name in table.columns} for row in published.row_totals},
        "rows": dict(published.row_totals),
        "columns": dict(published.column_totals),
        "total": published.total,
        "withheld": list(published.withheld),
    }


def _read(value: dict[str, Any], table: TableOfCounts) -> Publication:
    if (value["table"], value["threshold"], value["rounding"]) != (table.name, table.threshold, table.rounding):
        raise BadRequest("table_undeclared")
    published = Published(
        table=value["table"],
        period=period_named(value["period"]),
        cells={(row, column): text for row, line in value["cells"].items() for column, text in _texts(line).items()},
        row_totals=_texts(value["rows"]),
        column_totals=_texts(value["columns"]),
        total=value["total"],
        withheld=tuple(_texts(dict.fromkeys(value["withheld"], ""))),
    )
    return Publication(
        table=table,
        region=matched(value["region"], _COUNTY, "region"),
        unit=short_text(value["unit"], "unit", limit=60),
        before=matched(value["before"], _DIGEST, "before"),
        published=published,
    )


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or any(not isinstance(text, str) for pair in value.items() for text in pair):
        _refuse("form")
    return value


def _is_count(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 12


def _refuse(reason: str) -> NoReturn:
    raise BadRequest("publication_invalid", reason=reason)
