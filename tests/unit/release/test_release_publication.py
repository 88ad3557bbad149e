"""A published period as a document: what is read back, what no reader takes, and that periods form one chain."""

import json
import random
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest

from gateway.domain.canonical import canonical
from gateway.domain.exchanges import TableOfCounts
from gateway.errors import BadRequest, Denied
from gateway.release import publication
from gateway.release.aggregate import publish
from gateway.release.publication import Publication, chained, follows, period_named, read, require_safe, write
from keys.signing import SigningKey
from policies.catalogue import load

TABLE = load().exchanges["X04"].table
UNIT = SigningKey.generate()
COUNTS = [0, 3, 4, 12, 30, 55, 80, 120]


def counts(dice):
    return {(row, column): dice.choice(COUNTS) for row in TABLE.rows for column in TABLE.columns}


def months(number, dice=None, table=TABLE):
    """Documents of consecutive months."""
    dice, documents, kept = dice or random.Random(4), [], {}
    for month in range(1, number + 1):
        made = publish(table, f"2026-{month:02d}", counts(dice), kept=kept)
        kept[made.period] = made
        before = publication.digest(documents[-1]) if documents else ""
        documents.append(write(Publication(table, "330106", "某区教育局", before, made), UNIT))
    return documents


def signed_anew(document, change):
    """What a unit would send that signs something else: the reader may not rely on its honesty."""
    told = json.loads(document.partition(b"\n")[0])
    change(told)
    text = canonical(told)
    return text + b"\n" + urlsafe_b64encode(UNIT.sign(b"runxin-publication-1\n" + text)).rstrip(b"=") + b"\n"


def reason(document):
    with pytest.raises(BadRequest) as refused:
        read(document, TABLE, UNIT.verify_key)
    return refused.value.facts.get("reason", refused.value.code)


def test_what_was_published_is_read_back():
    for document in months(12):
        made = read(document, TABLE, UNIT.verify_key)
        assert write(made, UNIT) == document


def test_a_changed_byte_is_no_longer_the_units():
    document = months(1)[0]
    for at in range(0, len(document) - 1, 7):
        changed = bytearray(document)
        changed[at] ^= 1
        with pytest.raises(BadRequest, match="publication_signature"):
            read(bytes(changed), TABLE, UNIT.verify_key)
    with pytest.raises(BadRequest, match="publication_signature"):
        read(document, TABLE, SigningKey.generate().verify_key)


@pytest.mark.parametrize("seed", range(30))
def test_a_small_count_shown_or_bared_by_one_cell_is_not_taken_whoever_signed_it(seed):
    dice = random.Random(seed)
    document = months(1, dice)[0]
    told = json.loads(document.partition(b"\n")[0])
    hidden = [(row, column) for row, line in told["cells"].items() for column, text in line.items() if text == "<5"]
    for row, column in hidden[:3]:
        assert (
            reason(signed_anew(document, lambda t, at=(row, column): t["cells"][at[0]].update({at[1]: "3"}))) == "cell"
        )
    left_out = [(row, column) for row, line in told["cells"].items() for column, text in line.items() if text == "x"]
    if hidden:
        # Showing every cell that was left out bares the small ones.
        def bare(t):
            for row, column in left_out:
                t["cells"][row][column] = "40"

        assert reason(signed_anew(document, bare)) == "not_protected"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t["rows"].update(primary="1"), "sum"),
        (lambda t: t.update(total="999999999999999"), "total"),
        (lambda t: t.update(total=7), "total"),
        (lambda t: t["cells"]["primary"].update(low="-3"), "cell"),
        (lambda t: t["cells"]["primary"].update(low="<9"), "cell"),
        (lambda t: t["cells"]["primary"].update(low=["12"]), "form"),
        (lambda t: t["cells"].pop("primary"), "table_undeclared"),
        (lambda t: t["cells"].update(street={"low": "12"}), "table_undeclared"),
        (lambda t: t.update(table="X28"), "table_undeclared"),
        (lambda t: t.update(threshold=3), "table_undeclared"),
        (lambda t: t.update(withheld=["street"]), "table_undeclared"),
        (lambda t: t.update(withheld=[["street"]]), "form"),
        (lambda t: t.update(period="2026-01/2026-02"), "period"),
        (lambda t: t.update(region="3301"), "form"),
        (lambda t: t.update(before="me"), "form"),
        (lambda t: t.update(note="zhang san"), "form"),
        (lambda t: t.pop("unit"), "form"),
    ],
)
def test_what_is_not_the_declared_table_is_refused(change, says):
    assert reason(signed_anew(months(1)[0], change)) == says


def test_garbage_is_refused_as_such():
    for junk in (b"", b"\n", b"{}\n", b"x" * 300_000, b"[]\n" + b"A" * 86):
        with pytest.raises(BadRequest):
            read(junk, TABLE, UNIT.verify_key)


SMALL = TableOfCounts("X28", ("a", "b", "c"), ("d", "e", "f"))
FIGURES = dict(zip(((row, column) for row in "abc" for column in "def"), (2, 9, 20, 9, 9, 30, 40, 50, 60), strict=True))


def made_by_hand(rounding=1, **totals):
    """The 3x3 table whose small cell stands in the corner of a rectangle, with totals put in by hand."""
    table = replace(SMALL, rounding=rounding)
    made = publish(table, "2026", FIGURES, kept={})
    rows = {row: totals.get(row, text) for row, text in made.row_totals.items()}
    columns = {column: totals.get(column, text) for column, text in made.column_totals.items()}
    return table, replace(made, row_totals=rows, column_totals=columns, total=totals.get("total", made.total))


@pytest.mark.parametrize(
    ("totals", "safe"),
    [
        ({}, True),
        ({"c": "151"}, False),  # nothing is hidden in the row: 40 + 50 + 60
        ({"c": "149"}, False),
        ({"a": "29"}, True),  # 20 shown, and 9 for the cell that was left out
        ({"a": "28"}, False),
        ({"a": "24"}, False),
        ({"b": "48"}, True),  # 30 shown, 18 for two
        ({"b": "47"}, False),
        ({"a": "900"}, True),  # what was left out may be anything
        ({"total": "227"}, True),  # 200 shown, 27 for three
        ({"total": "226"}, False),
        ({"total": "1" * 12}, True),
        ({"total": "1" * 13}, False),
        ({"f": "110"}, True),
        ({"f": "109"}, False),
    ],
)
def test_totals_hold_and_leave_what_is_hidden_room(totals, safe):
    table, made = made_by_hand(**totals)
    if safe:
        require_safe(table, made)
        return
    with pytest.raises(BadRequest, match="publication_invalid") as refused:
        require_safe(table, made)
    assert refused.value.facts["reason"] in ("sum", "total")


@pytest.mark.parametrize(
    ("totals", "safe"),
    [
        ({"c": "170"}, True),  # four numbers, each off by half of ten at most
        ({"c": "130"}, True),
        ({"c": "180"}, False),
        ({"c": "120"}, False),
        ({"a": "20"}, True),  # 20 shown, 9 to find, two numbers off by five
        ({"a": "10"}, False),
    ],
)
def test_totals_of_rounded_numbers_may_be_off_by_their_rounding_only(totals, safe):
    table, made = made_by_hand(rounding=10, **totals)
    if safe:
        require_safe(table, made)
        return
    with pytest.raises(BadRequest) as refused:
        require_safe(table, made)
    assert refused.value.facts["reason"] == "sum"


@pytest.mark.parametrize(
    ("rounding", "shown", "safe"), [(1, "5", True), (1, "4", False), (10, "10", True), (10, "0", False)]
)
def test_no_number_is_shown_that_a_count_below_the_threshold_could_be(rounding, shown, safe):
    table, made = made_by_hand(rounding=rounding)
    total = str(sum(int(text) for row, text in made.cells.items() if row[0] == "c" and row[1] != "d") + int(shown))
    table, made = made_by_hand(rounding=rounding, c=total)
    made = replace(made, cells={**made.cells, ("c", "d"): shown})
    if safe:
        require_safe(table, made)
        return
    with pytest.raises(BadRequest) as refused:
        require_safe(table, made)
    assert refused.value.facts["reason"] == "cell"


def test_a_document_is_read_up_to_its_bound_and_a_units_name_up_to_sixty_characters():
    document = months(1)[0]
    assert reason(document.partition(b"\n")[0] + b" " * publication.MOST) == "size"
    assert reason(signed_anew(document, lambda t: t.update(unit="局" * 61))) == "form"
    assert read(signed_anew(document, lambda t: t.update(unit="局" * 60)), TABLE, UNIT.verify_key).unit == "局" * 60


def test_documents_of_two_counties_form_no_chain():
    first, second = months(2)
    told = signed_anew(second, lambda t: t.update(region="330105"))
    with pytest.raises(BadRequest, match="publication_chain") as refused:
        chained([first, told], TABLE, UNIT.verify_key)
    assert refused.value.facts == {"period": "2026-02"}


def test_whatever_publish_gives_is_safe_and_rounded_tables_too():
    dice = random.Random(11)
    for base in (1, 3, 5, 10):
        table = replace(TABLE, rounding=base)
        for _ in range(60):
            require_safe(table, publish(table, "2026", counts(dice), kept={}))


def test_a_period_left_out_changed_or_put_in_later_breaks_the_chain():
    documents = months(5)
    assert [one.published.period for one in chained(documents, TABLE, UNIT.verify_key)][-1] == "2026-05"
    other = months(5, random.Random(9))
    for wrong in (
        documents[1:],
        [*documents[:2], *documents[3:]],
        [documents[1], documents[0]],
        [*documents[:2], other[2], *documents[3:]],
        [documents[0], documents[0]],
    ):
        with pytest.raises(BadRequest, match="publication_chain"):
            chained(wrong, TABLE, UNIT.verify_key)


def test_periods_of_one_chain_have_one_length_and_only_go_forward():
    assert follows("2026-10", "2026-09") and follows("2026-Q3", "2026-Q2") and follows("2027", "2026")
    assert not any(
        follows(period, before)
        for period, before in [
            ("2026", "2026-09"),
            ("2026-Q4", "2026-09"),
            ("2026-09", "2026-09"),
            ("2026-08", "2026-09"),
        ]
    )
    for wrong in ("2026-13", "2026-01/2026-03", "", 2026, "2026-1"):
        with pytest.raises(BadRequest):
            period_named(wrong)


def test_a_period_is_published_once():
    made = publish(TABLE, "2026-01", counts(random.Random(1)), kept={})
    with pytest.raises(Denied, match="period_published"):
        publish(TABLE, "2026-01", counts(random.Random(2)), kept={"2026-01": made})
