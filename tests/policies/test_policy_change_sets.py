"""A rule changes only by a draft that was checked and signed; every worker follows; every step is an entry."""

import asyncio
import dataclasses
import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

sys.path.insert(0, str(Path(__file__).parent))

from policy_house import CASE, LIN, ORGANISATION, opening, rooms, rule, settings_of

from gateway.app import opened
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.flows import policy_asked, policy_changes, policy_versions
from gateway.flows.policy_changes import By
from gateway.settings import Settings
from gateway.store import policy as store
from gateway.store.policy_tables import policy_activations, policy_documents, share_policy
from policies import sources
from policies.book import HOME, PolicyBook
from policies.snapshot import Request
from policies.sources import Edit

pytestmark = pytest.mark.anyio
SHIPPED = PolicyBook.open().version
ASKED = Request("institution_officer@civil_affairs", "civil_affairs", "X02", "enrolled", "query", "normal.P14", "330106",
                "statutory", "2026-11-22T00:00:00Z")  # fmt: skip


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A closed store with version 1: founding one costs more than most tests."""
    folder = tmp_path_factory.mktemp("founded")

    async def found():
        async with rooms(folder):
            pass

    asyncio.run(found())
    return folder


@pytest.fixture
async def house(tmp_path, founded):
    async with rooms(tmp_path, founded) as found:
        await found.enrol("wu", "education")
        await found.enrol("he", "health")
        await found.enrol("lin", "education")
        yield found


def asks(book):
    return book.snapshot.enforce(ASKED)[0]


async def newest(house):
    async with house.house.database.read() as reading:
        return await store.list_activations(reading)


# --- version 1 ------------------------------------------------------------------------------------------------------------


async def test_the_shipped_folder_is_version_1_and_its_entry_says_so(house):
    assert house.book.version == SHIPPED
    (row,) = await newest(house)
    assert (row.number, row.kind, row.version) == (1, "seeded", SHIPPED)
    assert [(code, version) for code, version, _ in await house.told()] == [("seeded", SHIPPED)]


async def test_a_second_start_reads_the_store_and_enters_nothing(tmp_path):
    async with rooms(tmp_path) as first:
        await first.enrol("wu", "education")
        await first.enrol("he", "health")
        await first.activated(opening(first.book.snapshot), "wu", "he")
        version = first.book.version
    async with rooms(tmp_path) as second:
        assert second.book.version == version != SHIPPED
        assert [code for code, _, _ in await second.told()] == [
            "seeded",
            "drafted",
            "approved",
            "approved",
            "activated",
        ]


async def test_an_edited_folder_changes_nothing_until_it_is_drafted_and_signed(tmp_path, monkeypatch):
    async with rooms(tmp_path):
        pass
    sources.write_folder(
        sources.edited(sources.read_folder(HOME), opening(PolicyBook.open().snapshot)), tmp_path / "own"
    )
    monkeypatch.setenv("RUNXIN_POLICIES", str(tmp_path / "own"))
    async with rooms(tmp_path) as again:
        assert Settings().policies == tmp_path / "own"
        assert again.book.version == SHIPPED


# --- draft to rollback ------------------------------------------------------------------------------------------------------


async def test_a_draft_is_signed_activated_and_rolled_back_and_each_step_is_an_entry(house):
    change = await house.draft(opening(house.book.snapshot))
    found = await policy_changes.standing(house.house, change)
    assert (found.state, found.missing, found.review.sound) == ("draft", ("education", "another"), True)
    assert found.review.difference.complete
    assert {each.requests.subject for each in found.review.difference.changes} == {"institution_officer@civil_affairs"}
    await house.approve(change, "wu", "he")
    assert (await policy_changes.standing(house.house, change)).state == "signed"
    await house.activate(change)
    assert asks(house.book)
    assert (await policy_changes.standing(house.house, change)).state == "active"
    _, subject = await policy_changes.rollback_target(house.house)
    await house.take(policy_changes.roll_back(house.house, house.sign("he", subject), by=LIN))
    assert house.book.version == SHIPPED
    assert not asks(house.book)
    drafted = found.change.version
    assert [(code, version) for code, version, _ in await house.told()] == [
        ("seeded", SHIPPED),
        ("drafted", drafted),
        ("approved", drafted),
        ("approved", drafted),
        ("activated", drafted),
        ("rolled_back", SHIPPED),
    ]
    activated = (await house.told())[4][2]
    assert activated["author"] == LIN.person
    assert activated["signers"] == [f"{ORGANISATION}/he", f"{ORGANISATION}/wu"]
    assert [line.deciding for line in await policy_changes.history(house.house)] == [True, False, False]


async def test_a_scheduled_version_decides_from_its_moment_on_and_can_be_taken_back_before(house):
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, "wu", "he")
    later = int((house.clock.now() + timedelta(hours=8)).timestamp())
    await house.activate(change, at=later)
    assert (await policy_changes.standing(house.house, change)).state == "scheduled"
    assert not asks(house.book)
    house.clock.ahead = timedelta(hours=7)
    assert not await policy_changes.catch_up(house.house)
    house.clock.ahead = timedelta(hours=8, seconds=1)
    assert await policy_changes.catch_up(house.house)
    assert asks(house.book)


async def test_taking_back_what_is_scheduled_voids_it_for_good(house):
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, "wu", "he")
    await house.activate(change, at=int((house.clock.now() + timedelta(hours=8)).timestamp()))
    _, subject = await policy_changes.rollback_target(house.house, 1)
    await house.take(policy_changes.roll_back(house.house, house.sign("he", subject), by=LIN, number=1))
    house.clock.ahead = timedelta(hours=9)
    await policy_changes.catch_up(house.house)
    assert house.book.version == SHIPPED


async def test_another_worker_follows_with_one_read_and_one_swap(house):
    second = await house.another_worker()
    assert not await policy_changes.catch_up(second)
    held = second.book.snapshot
    await house.activated(opening(house.book.snapshot), "wu", "he")
    assert await policy_changes.catch_up(second)
    assert second.book.version == house.book.version
    assert held.version == SHIPPED, "whoever held the old version may finish with it"


# --- what refuses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signers", [(), ("wu",), ("he",)])
async def test_owner_and_one_other_department_must_sign(house, signers):
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, *signers)
    with pytest.raises(Denied, match="approval_missing"):
        await house.activate(change)
    assert len(await newest(house)) == 1


async def test_nobody_approves_his_own_nor_twice_nor_what_he_asks_to_roll_back(house):
    change = await house.draft(opening(house.book.snapshot))
    with pytest.raises(Denied, match="approval_self"):
        await house.approve(change, "lin")
    await house.approve(change, "wu", "he")
    with pytest.raises(Denied, match="approval_replayed"):
        await house.approve(change, "wu")
    await house.activate(change)
    _, subject = await policy_changes.rollback_target(house.house)
    with pytest.raises(Denied, match="approval_self"):
        await house.take(policy_changes.roll_back(house.house, house.sign("lin", subject), by=LIN))


async def test_an_edit_after_signing_voids_the_signatures(house):
    change = await house.draft(opening(house.book.snapshot))
    old = (await policy_changes.standing(house.house, change)).subject
    await house.approve(change, "wu", "he")
    again = opening(house.book.snapshot, reason="另一理由")
    await house.take(policy_changes.draft(house.house, again, reason="改", by=LIN, change_id=change))
    found = await policy_changes.standing(house.house, change)
    assert (found.change.revision, found.approvals, found.missing) == (2, (), ("education", "another"))
    with pytest.raises(Denied, match="approval_subject"):
        await house.take(policy_changes.approve(house.house, change, house.sign("wu", old), by=LIN))


async def test_a_draft_on_a_version_that_is_no_longer_the_last_is_stale(house):
    one = await house.draft(opening(house.book.snapshot))
    two = await house.draft(opening(house.book.snapshot, "X02.ca.other", reason="另一理由"))
    await house.approve(one, "wu", "he")
    await house.approve(two, "wu", "he")
    await house.activate(one)
    assert (await policy_changes.standing(house.house, two)).state == "stale"
    with pytest.raises(Denied, match="policy_stale"):
        await house.activate(two)


async def test_two_administrators_who_activate_at_once_cannot_both_be_first(house):
    steps = []
    for name in ("X02.ca.new", "X02.ca.other"):
        change = await house.draft(opening(house.book.snapshot, name))
        await house.approve(change, "wu", "he")
        steps.append(await policy_changes.activate(house.house, change, by=LIN))
    await policy_changes.carry_out(house.house, steps[0])
    with pytest.raises(Denied, match="policy_stale"):
        await policy_changes.carry_out(house.house, steps[1])
    assert len(await newest(house)) == 2


async def test_an_unsound_draft_is_kept_shown_and_never_activated(house):
    edit = opening(house.book.snapshot)
    change = await house.draft(dataclasses.replace(edit, put_cases=""))
    await house.approve(change, "wu", "he")
    found = await policy_changes.standing(house.house, change)
    assert found.state == "unsound"
    assert any("institution_officer" in case for case in found.review.failing_cases)
    with pytest.raises(Denied, match="policy_unsound"):
        await house.activate(change)


async def test_a_rule_that_breaks_an_invariant_is_refused_with_a_synthetic_counterexample(house):
    harmful = dataclasses.replace(
        rule(house.book.snapshot, "X02.ca.q01"),
        id="X13.bad",
        obj="X13",
        act="receive",
        pur="emergency.P04",
        fld="class:care",
    )
    change = await house.draft(Edit(put=(harmful,)))
    await house.approve(change, "wu", "he")
    (breach,) = (await policy_changes.standing(house.house, change)).review.breaches
    assert breach.invariant == "no door that the catalogue does not open: X13"
    assert breach.requests.exchange == "X13"
    with pytest.raises(Denied, match="policy_unsound"):
        await house.activate(change)


async def test_an_approval_that_ended_or_whose_key_was_retired_no_longer_counts(house):
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, "wu", "he")
    await house.enrol("he", "health")  # a new key retires the old one
    found = await policy_changes.standing(house.house, change)
    assert found.missing == ("another",)
    with pytest.raises(Denied, match="approver_unknown"):
        await house.activate(change)


async def test_a_key_retired_after_the_activation_leaves_the_version_standing(house):
    await house.activated(opening(house.book.snapshot), "wu", "he")
    await house.enrol("he", "health")
    assert (await house.another_worker()).book.version == house.book.version


async def test_a_person_who_is_no_approver_signs_nothing(house):
    await house.enrol("zhou", "health", "case_worker")
    change = await house.draft(opening(house.book.snapshot))
    with pytest.raises(Denied, match="approver_function"):
        await house.approve(change, "zhou")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda row: Edit(put=(dataclasses.replace(row, id="X02.n", sub="*"),)), "column `sub`"),
        (lambda row: Edit(put=(dataclasses.replace(row, id="X02.n", pur="normal.P99"),)), "column `pur`"),
        (lambda row: Edit(put=(dataclasses.replace(row, id="X02.n", dom="a,b"),)), "column `dom`"),
        (lambda row: Edit(put=(dataclasses.replace(row, id="X02.n", fld="x" * 10_240),)), "column `fld`"),
        (lambda row: Edit(put=(dataclasses.replace(row, id="X02.n", reason="one\ntwo"),)), "column `reason`"),
        (lambda row: Edit(remove=frozenset({"no such"})), "no rule of this version"),
        (lambda row: Edit(put=(row, row)), "put twice"),
        (lambda row: Edit(put_cases="[[case]]\nname = 1\n"), "case 1"),
        (lambda row: Edit(put_cases="not toml"), "begins with a line"),
        (lambda row: Edit(remove_cases=frozenset({"no such"})), "no case of this version"),
        (lambda row: Edit(put=(dataclasses.replace(row, reason=row.reason),)), "changes nothing"),
    ],
)
async def test_a_bad_edit_is_refused_with_a_sentence_and_what_is_active_stays(house, edit, says):
    with pytest.raises(BadRequest, match="policy_invalid") as refused:
        await house.draft(edit(rule(house.book.snapshot, "X02.ca.q01")))
    assert says in str(refused.value.facts["sentence"])
    assert "xxxx" not in str(refused.value.facts)
    assert house.book.version == SHIPPED
    assert await policy_changes.list_drafts(house.house) == []


async def test_a_source_without_rules_or_with_a_foreign_matcher_is_refused(house):
    source = sources.read_folder(HOME)
    broken = source.files | {"model.conf": source.model.replace("inRegion(r.reg, p.reg)", "eval(p.reg)")}
    for bad in (dataclasses.replace(source, rules=()), dataclasses.replace(source, files=broken)):
        with pytest.raises(BadRequest, match="policy_invalid"):
            await house.draft(bad)
    assert house.book.version == SHIPPED


async def test_only_its_author_revises_or_gives_up_a_draft(house):
    change = await house.draft(opening(house.book.snapshot))
    other = By(f"{ORGANISATION}/wu", "command line")
    for making in (
        policy_changes.give_up(house.house, change, by=other),
        policy_changes.draft(
            house.house, opening(house.book.snapshot, "X02.a"), reason="r", by=other, change_id=change
        ),
    ):
        with pytest.raises(Denied, match="policy_author"):
            await making
    await house.take(policy_changes.give_up(house.house, change, by=LIN))
    with pytest.raises(Denied, match="policy_closed"):
        await house.activate(change)


@pytest.mark.parametrize("hours", [-1, 9_000])
async def test_an_activation_lies_between_now_and_a_year_from_now(house, hours):
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, "wu", "he")
    with pytest.raises(BadRequest, match="policy_time"):
        await house.activate(change, at=int((house.clock.now() + timedelta(hours=hours)).timestamp()))


async def test_a_new_catalogue_or_model_needs_all_five_departments(house):
    source = sources.read_folder(HOME)
    name = "catalogue/exchanges/X16.toml"
    changed = source.files | {name: source.files[name].replace('seed = "', 'seed = "（修订）')}
    change = await house.draft(dataclasses.replace(source, files=changed))
    found = await policy_changes.standing(house.house, change)
    assert len(found.review.owners) == 5
    assert not found.review.difference.complete


# --- what the store may not get away with -----------------------------------------------------------------------------------


async def test_a_row_of_the_store_that_somebody_changed_does_not_load(house):
    await house.activated(opening(house.book.snapshot), "wu", "he")
    async with house.house.database.write() as writing:
        await writing.connection.execute(update(share_policy).where(share_policy.c.id == "X02.ca.new").values(fld="*"))
    with pytest.raises(GatewayFault, match="policy_unreadable"):
        await house.another_worker()


async def test_a_document_that_somebody_changed_does_not_load(house):
    async with house.house.database.write() as writing:
        await writing.connection.execute(update(policy_documents).values(document="anything"))
    with pytest.raises(GatewayFault, match="policy_unreadable"):
        await house.another_worker()


async def test_an_activation_without_its_signatures_does_not_load_even_under_the_gateways_seal(house):
    """As if the step that asks for them had been left out: whoever loads asks again."""
    second = await house.another_worker()
    change = await house.draft(opening(house.book.snapshot))
    await house.approve(change, "wu")
    async with house.house.database.write() as writing:
        rows = await store.list_activations(writing)
        draft = await store.get_change(writing, change)
        (approval,) = await store.approvals_of(writing, change, 1)
        row = dataclasses.replace(
            rows[0],
            number=2,
            kind="activated",
            change_id=change,
            version=draft.version,
            statements=(approval.statement,),
        )
        seal = policy_versions.sealed(house.house.versions.secret, row, rows[-1].seal)
        await store.add_activation(writing, dataclasses.replace(row, seal=seal))
    with pytest.raises(GatewayFault, match="policy_unsigned"):
        await policy_changes.catch_up(second)
    assert second.book.version == SHIPPED


@pytest.mark.parametrize("column", ["at", "version", "kind", "statements", "seal"])
async def test_an_activation_that_the_gateway_did_not_write_does_not_load(house, column):
    await house.activated(opening(house.book.snapshot), "wu", "he")
    value = {"at": 0, "version": SHIPPED, "kind": "seeded", "statements": json.dumps([]), "seal": b"\0" * 32}[column]
    async with house.house.database.write() as writing:
        await writing.connection.execute(
            update(policy_activations).where(policy_activations.c.number == 2).values(**{column: value})
        )
    with pytest.raises(GatewayFault, match="policy_unsigned"):
        await house.another_worker()


async def test_a_version_that_does_not_load_stops_the_start_and_leaves_a_running_worker_as_it_is(house, tmp_path):
    second = await house.another_worker()
    await house.activated(opening(house.book.snapshot), "wu", "he")
    async with house.house.database.write() as writing:
        await writing.connection.execute(update(policy_activations).values(seal=b"\0" * 32))
    with pytest.raises(GatewayFault, match="policy_unsigned"):
        await policy_changes.catch_up(second)
    assert second.book.version == SHIPPED
    with pytest.raises(GatewayFault, match="policy_unsigned"):
        async with opened(settings_of(tmp_path)):
            pass


@pytest.mark.parametrize(
    "values",
    [{"sub": "*"}, {"eft": "maybe"}, {"nbf": "2027-01-01T00:00:00Z", "exp": "2026-01-01T00:00:00Z"}, {"reg": ""}],
)
async def test_the_table_itself_refuses_what_no_row_may_be(house, values):
    async with house.house.database.read() as reading:
        row = (await reading.connection.execute(select(share_policy).where(share_policy.c.id == "X02.ca.q01"))).one()
    given = {**row._mapping, **values, "digest": b"\1" * 32}
    del given["number"]
    with pytest.raises(IntegrityError):
        async with house.house.database.write() as writing:
            await writing.connection.execute(insert(share_policy).values(**given))


async def test_rules_are_only_ever_added(house):
    async def numbers():
        async with house.house.database.read() as reading:
            found = await reading.connection.execute(select(share_policy.c.number, share_policy.c.digest))
            return set(map(tuple, found))

    before = await numbers()
    await house.activated(opening(house.book.snapshot), "wu", "he")
    after = await numbers()
    assert before < after
    assert len(after - before) == 1


# --- export and import --------------------------------------------------------------------------------------------------------


async def test_what_was_exported_drafted_and_exported_again_is_the_same_byte_for_byte(house, tmp_path):
    await house.activated(opening(house.book.snapshot), "wu", "he")
    first = await policy_changes.source_now(house.house)
    sources.write_folder(first, tmp_path / "one")
    again = sources.read_folder(tmp_path / "one")
    assert again == first
    edited = sources.edited(again, Edit(remove=frozenset({"X02.ca.new"}), remove_cases=frozenset({CASE.split('"')[1]})))
    change = await house.draft(edited)
    stored = await policy_changes.source_now(house.house, change)
    sources.write_folder(stored, tmp_path / "two")
    sources.write_folder(sources.read_folder(tmp_path / "two"), tmp_path / "three")
    for one, other in ((sources.read_folder(tmp_path / "two"), edited), (stored, edited)):
        assert one == other
    two, three = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in ("two", "three"))  # fmt: skip
    assert two == three


def test_the_shipped_folder_round_trips_byte_for_byte(tmp_path):
    sources.write_folder(sources.read_folder(HOME), tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 100
    for path in written:
        assert path.read_bytes() == (HOME / path.relative_to(tmp_path / "out")).read_bytes()


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("X01.ed.q01", "X02.ed.q01")]
)
def test_a_file_in_another_form_or_place_is_refused_and_not_repaired(tmp_path, change):
    sources.write_folder(sources.read_folder(HOME), tmp_path / "out")
    path = tmp_path / "out" / "rules" / "X01.csv"
    path.write_bytes(change(path.read_text("utf-8")).encode())
    with pytest.raises(sources.SourceError, match=r"X01\.csv"):
        sources.read_folder(tmp_path / "out")


# --- replay ---------------------------------------------------------------------------------------------------------------------


async def test_what_was_asked_is_counted_without_a_child_and_a_draft_is_replayed_against_it(house):
    asked = ("case_worker@civil_affairs", "civil_affairs", "X02", "query", "normal.P14", "330106", "statutory")
    house.book._asked[asked] = 3
    await policy_asked.keep_asked(house.house)
    house.book._asked[asked] = 2
    await policy_asked.keep_asked(house.house)
    removing = Edit(remove=frozenset({"X02.ca.q01"}))
    found = (await policy_changes.preview(house.house, removing)).replayed
    assert found.decisions == 5 * len(house.book.catalogue.exchanges["X02"].fields)
    assert {times for _, times in found.lost} == {5}
    house.clock.ahead = timedelta(days=100)
    house.book._asked[asked] = 1
    await policy_asked.keep_asked(house.house)
    assert (await policy_changes.preview(house.house, removing)).replayed.decisions == len(
        house.book.catalogue.exchanges["X02"].fields
    )
