"""Tables of counts for publication: declared beforehand, one immutable release per period, small cells protected.

A count below the threshold is shown as "<5". So that totals do not give it away, three more cells are left out ("x"), which form a
rectangle with it: row and column sums then fit every value from 0 to 4, whatever an attacker computes (Cox 1980). Where
no such rectangle exists, the whole row is withheld and counts in no total.

Rules kept here: only declared tables; each period counts its own events (a running total would let two periods be
differenced, and is refused by having no declaration); a period once published is never published again (统计法 28).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.exchanges import TableOfCounts
from gateway.errors import BadRequest, Denied

LEFT_OUT = "x"

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Published:
    """One period's table as anybody may see it. Cells and totals are text: a number, "<5" or "x".

    withheld: rows of which nothing is told; no total counts them.
    """

    table: str
    period: str
    cells: Mapping[Cell, str]
    row_totals: Mapping[str, str]
    column_totals: Mapping[str, str]
    total: str
    withheld: tuple[str, ...]


def small_text(declared: TableOfCounts) -> str:
    """How a count below the threshold is shown."""
    return f"<{declared.threshold}"


def least_left_out(declared: TableOfCounts) -> int:
    """The smallest count that is left out: room for a small cell to be anything from 0 to threshold - 1, itself at the threshold still."""
    return 2 * declared.threshold - 1


def rounded(declared: TableOfCounts, number: int) -> int:
    """A count or total as it is shown."""
    base = declared.rounding
    return (number + base // 2) // base * base


def publish(
    declared: TableOfCounts, period: str, counts: Mapping[Cell, int], *, kept: Mapping[str, Published]
) -> Published:
    """Publish one period. counts: (row, column) -> count of that period's own events. kept: periods published so far.

    Raises `BadRequest("table_undeclared")` where the cells are not the declared ones or are no counts, and
    `Denied("period_published")`.
    """
    wanted = {(row, column) for row in declared.rows for column in declared.columns}
    if counts.keys() != wanted or any(type(n) is not int or n < 0 for n in counts.values()):
        raise BadRequest("table_undeclared")
    if period in kept:
        raise Denied("period_published")
    rows = list(declared.rows)
    while True:
        left_out, hopeless = _left_out(counts, rows, declared)
        if hopeless is None:
            break
        rows.remove(hopeless)
    return _shown(declared, period, counts, rows, left_out)


def _left_out(counts: Mapping[Cell, int], rows: list[str], declared: TableOfCounts) -> tuple[set[Cell], str | None]:
    """Cells to leave out besides the small ones; or the first row whose small cell has no rectangle."""
    small = [(row, column) for row in rows for column in declared.columns if counts[row, column] < declared.threshold]
    chosen: set[Cell] = set()
    for row, column in small:
        corners = _rectangle(counts, rows, declared, (row, column), chosen)
        if corners is None:
            return set(), row
        chosen.update(corners)
    return chosen, None


def _rectangle(
    counts: Mapping[Cell, int], rows: list[str], declared: TableOfCounts, cell: Cell, chosen: set[Cell]
) -> tuple[Cell, Cell, Cell] | None:
    """The three corners that cost least. Each has room for the small cell to be anything from 0 to threshold - 1 while it
    stays itself at or above the threshold, which an attacker knows of an "x".
    """
    room = least_left_out(declared)
    best: tuple[tuple[int, int], tuple[Cell, Cell, Cell]] | None = None
    for row in rows:
        for column in declared.columns:
            if row == cell[0] or column == cell[1]:
                continue
            corners = ((cell[0], column), (row, cell[1]), (row, column))
            if any(counts[corner] < room for corner in corners):
                continue
            new = [corner for corner in corners if corner not in chosen]
            cost = (len(new), sum(counts[corner] for corner in new))
            if best is None or cost < best[0]:
                best = (cost, corners)
    return best[1] if best else None


def _shown(
    declared: TableOfCounts, period: str, counts: Mapping[Cell, int], rows: list[str], left_out: set[Cell]
) -> Published:
    def text(number: int) -> str:
        return str(rounded(declared, number))

    def cell_text(cell: Cell) -> str:
        if counts[cell] < declared.threshold:
            return small_text(declared)
        return LEFT_OUT if cell in left_out else text(counts[cell])

    by_row = {row: sum(counts[row, column] for column in declared.columns) for row in rows}
    by_column = {column: sum(counts[row, column] for row in rows) for column in declared.columns}
    return Published(
        table=declared.name,
        period=period,
        cells={(row, column): cell_text((row, column)) for row in rows for column in declared.columns},
        row_totals={row: text(total) for row, total in by_row.items()},
        column_totals={column: text(total) for column, total in by_column.items()},
        total=text(sum(by_row.values())),
        withheld=tuple(row for row in declared.rows if row not in rows),
    )
