"""Published tables of counts, attacked by linear programs over everything that was published."""

import random

import numpy as np
import pytest
from scipy.optimize import linprog

from gateway.domain.exchanges import TableOfCounts
from gateway.errors import BadRequest, Denied
from gateway.release.aggregate import Published, publish

AREAS, STAGES = ("330102", "330105", "330106", "330109", "330110"), ("primary", "junior", "senior", "vocational")
TABLE = TableOfCounts("X28.referred", AREAS, STAGES)


def counts(dice, declared=TABLE):
    weights = [0, 1, 2, 3, 4, 7, 12, 18, 25, 40, 60, 90]
    return {(row, column): dice.choice(weights) for row in declared.rows for column in declared.columns}


def intervals(*tables):
    """Smallest and largest whole value of every cell that is not shown, given all tables together (one block each)."""
    variables = [(at, cell) for at, one in enumerate(tables) for cell in one.cells]
    place = {variable: index for index, variable in enumerate(variables)}
    equations, sides, bounds = [], [], []
    for at, cell in variables:
        shown = tables[at].cells[cell]
        bounds.append((0, 4) if shown == "<5" else (5, None) if shown == "x" else (int(shown), int(shown)))
    for at, one in enumerate(tables):
        sums = [([c for c in one.cells if c[0] == row], total) for row, total in one.row_totals.items()]
        sums += [([c for c in one.cells if c[1] == column], total) for column, total in one.column_totals.items()]
        sums.append((list(one.cells), one.total))
        for cells, total in sums:
            line = np.zeros(len(variables))
            line[[place[at, cell] for cell in cells]] = 1
            equations.append(line)
            sides.append(int(total))
    found = {}
    for at, cell in variables:
        if tables[at].cells[cell] not in ("<5", "x"):
            continue
        aim = np.zeros(len(variables))
        aim[place[at, cell]] = 1
        ends = [linprog(sign * aim, A_eq=np.array(equations), b_eq=sides, bounds=bounds) for sign in (1, -1)]
        low = np.ceil(ends[0].fun - 1e-6)
        high = np.inf if ends[1].status == 3 else np.floor(-ends[1].fun + 1e-6)
        assert ends[0].status == 0
        found[at, cell] = (low, high)
    return found


@pytest.mark.parametrize("pairs", [50, pytest.param(1000, marks=pytest.mark.soak)])
def test_a_linear_program_leaves_every_hidden_cell_at_least_four_values(pairs):
    dice, hidden, small = random.Random(2026), 0, TableOfCounts("X28.small", AREAS[:3], STAGES[:3])
    for trial in range(pairs):
        declared = TABLE if trial % 25 == 0 else small
        first = publish(declared, "2026-09", counts(dice, declared), kept={})
        second = publish(declared, "2026-10", counts(dice, declared), kept={"2026-09": first})
        for low, high in intervals(first, second).values():
            assert high - low + 1 >= 4
            hidden += 1
    assert hidden > pairs


def test_a_weak_suppression_is_broken_by_the_same_attack():
    dice = random.Random(7)
    narrowest = []
    for _ in range(20):
        table = counts(dice)
        strong = publish(TABLE, "2026-09", table, kept={})
        totals_r = {r: str(sum(table[r, c] for c in STAGES)) for r in AREAS}
        totals_c = {c: str(sum(table[r, c] for r in AREAS)) for c in STAGES}
        primary_only = {cell: "<5" if n < 5 else str(n) for cell, n in table.items()}
        weak = Published(strong.table, "2026-09", primary_only, totals_r, totals_c, str(sum(table.values())), ())
        narrowest += [high - low + 1 for low, high in intervals(weak).values()]
    assert min(narrowest) == 1


def test_a_table_without_small_cells_is_shown_whole():
    table = {(row, column): 10 for row in AREAS for column in STAGES}
    shown = publish(TABLE, "2026-09", table, kept={})
    assert set(shown.cells.values()) == {"10"}
    assert (shown.total, shown.withheld) == ("200", ())


def test_one_small_cell_takes_a_rectangle_with_it():
    table = {(row, column): 20 for row in AREAS for column in STAGES}
    table["330106", "junior"] = 2
    shown = publish(TABLE, "2026-09", table, kept={})
    assert shown.cells["330106", "junior"] == "<5"
    left_out = [cell for cell, text in shown.cells.items() if text == "x"]
    assert len(left_out) == 3
    assert {cell[0] for cell in left_out} | {"330106"} == {cell[0] for cell in left_out}
    assert shown.row_totals["330106"] == "62"


def test_zero_is_a_small_count_too():
    table = {(row, column): 20 for row in AREAS for column in STAGES}
    table["330106", "junior"] = 0
    assert publish(TABLE, "2026-09", table, kept={}).cells["330106", "junior"] == "<5"


def test_a_row_that_cannot_be_protected_is_withheld_and_counts_in_no_total():
    table = {(row, column): 20 for row in AREAS for column in STAGES}
    table.update({("330102", column): 1 for column in STAGES})
    shown = publish(TABLE, "2026-09", table, kept={})
    assert shown.withheld == ("330102",)
    assert all(cell[0] != "330102" for cell in shown.cells)
    assert shown.column_totals["primary"] == "80"
    assert "330102" not in shown.row_totals


def test_a_table_of_nothing_but_small_cells_is_withheld_whole():
    shown = publish(TABLE, "2026-09", {(r, c): 3 for r in AREAS for c in STAGES}, kept={})
    assert shown.withheld == AREAS
    assert (shown.cells, shown.total) == ({}, "0")


def test_rounding_rounds_counts_and_totals_to_the_declared_base():
    rounded = TableOfCounts("X28.rounded", AREAS, STAGES, rounding=5)
    shown = publish(rounded, "2026-09", {(r, c): 12 for r in AREAS for c in STAGES}, kept={})
    assert set(shown.cells.values()) == {"10"}
    assert shown.row_totals["330106"] == "50"
    assert shown.column_totals["junior"] == "60"


def test_a_period_is_published_once():
    table = counts(random.Random(1))
    first = publish(TABLE, "2026-09", table, kept={})
    with pytest.raises(Denied) as denied:
        publish(TABLE, "2026-09", table, kept={"2026-09": first})
    assert denied.value.code == "period_published"


@pytest.mark.parametrize(
    "spoil",
    [("330102", "primary", -1), ("330102", "primary", 1.5), ("330102", "primary", True), ("999999", "primary", 1)],
)
def test_only_the_declared_cells_with_counts_are_published(spoil):
    table = counts(random.Random(1))
    table[spoil[0], spoil[1]] = spoil[2]
    with pytest.raises(BadRequest):
        publish(TABLE, "2026-09", table, kept={})


def test_a_missing_cell_is_no_zero():
    table = counts(random.Random(1))
    del table["330102", "primary"]
    with pytest.raises(BadRequest):
        publish(TABLE, "2026-09", table, kept={})


def grid(value=20, **changed):
    table = {(row, column): value for row in AREAS for column in STAGES}
    for cell, count in changed.items():
        area, stage = cell.split("_")
        table[f"33010{area[1:]}" if area != "a10" else "330110", stage] = count
    return table


def shown(table):
    return publish(TABLE, "2026-09", table, kept={})


def test_a_count_of_five_is_shown_and_one_of_four_is_not():
    assert shown(grid(a2_primary=5)).cells["330102", "primary"] == "5"
    assert shown(grid(a2_primary=4)).cells["330102", "primary"] == "<5"


def test_the_corners_that_hide_least_are_left_out():
    table = grid(a2_primary=1, a5_junior=10, a2_junior=11, a5_primary=12)
    cells = shown(table).cells
    assert {cell for cell, text in cells.items() if text == "x"} == {
        ("330102", "junior"),
        ("330105", "primary"),
        ("330105", "junior"),
    }


def test_a_corner_must_have_room_for_the_whole_interval():
    nine = shown(grid(9, a2_primary=1))
    assert list(nine.cells.values()).count("x") == 3
    eight = shown(grid(8, a2_primary=1))
    assert eight.withheld == ("330102",)


def test_cells_that_are_left_out_already_are_used_again():
    table = grid(a2_primary=1, a2_junior=20, a5_primary=20)
    table["330105", "junior"] = 3
    cells = shown(table).cells
    assert cells["330105", "junior"] == "<5"
    first = shown(grid(a2_primary=1, a5_primary=2))
    assert list(first.cells.values()).count("x") == 4


def test_a_table_that_is_not_the_declared_one_is_named_so():
    with pytest.raises(BadRequest) as refused:
        shown({})
    assert refused.value.code == "table_undeclared"


@pytest.mark.parametrize(("count", "text"), [(12, "10"), (13, "15"), (10, "10"), (15, "15")])
def test_counts_are_rounded_to_the_nearest_base(count, text):
    rounded = TableOfCounts("X28.rounded", AREAS, STAGES, rounding=5)
    assert publish(rounded, "2026-09", grid(count), kept={}).cells["330102", "primary"] == text
