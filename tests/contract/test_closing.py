"""The doors close: what the minute still owes the log is written once, also from the middle of a round of upkeep."""

import asyncio
import contextlib
import sqlite3
from dataclasses import replace

import pytest

import gateway.app
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind
from gateway.settings import Settings


@pytest.fixture
def anyio_backend():
    return "asyncio"


def rolled_up(folder):
    with sqlite3.connect(folder / "gateway.sqlite3") as database:
        query = "SELECT count(*) FROM audit_entries WHERE instr(leaf, CAST('auth.refused' AS BLOB)) > 0"
        return database.execute(query).fetchone()[0]


@pytest.fixture
def settings(tmp_path):
    made = Settings(
        data=tmp_path / "gateway", demo=True, root_passphrase="only here", issuer="http://127.0.0.1:1", metrics_port=0
    )
    gateway.app.found_premises(made)
    return made


@pytest.mark.anyio
@pytest.mark.parametrize("minutes_ago", [0, 1])
async def test_closing_writes_the_refusals_of_the_running_minute(settings, minutes_ago):
    app = gateway.app.build(settings)
    async with app.router.lifespan_context(app):
        house = app.state.house
        now = int(house.clock.now().timestamp())
        house.refusals.note("192.0.2.7", "officer_key_unknown", now=now - 60 * minutes_ago)
    assert rolled_up(settings.data) == 1


@pytest.mark.anyio
async def test_closing_within_an_append_of_the_keeper_writes_its_roll_up_once(settings, monkeypatch):
    monkeypatch.setattr(gateway.app, "UPKEEP_SECONDS", 0.0)
    app = gateway.app.build(settings)
    appending, go_on = asyncio.Event(), asyncio.Event()
    async with app.router.lifespan_context(app):
        house = app.state.house
        append = house.log.append

        async def slowly(draft: EntryDraft, **more):
            receipt = await append(draft, **more)
            appending.set()
            await go_on.wait()
            return receipt

        monkeypatch.setattr(house.log, "append", slowly)
        now = int(house.clock.now().timestamp())
        house.refusals.note("192.0.2.7", "officer_key_unknown", now=now - 60)
        await appending.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert rolled_up(settings.data) == 1


class HangingWitness:
    """A round of witnessing that does not end before the entry of the minute's refusals stands."""

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def hold_head(self) -> None:
        """The witnesses know of no later head."""

    async def collect(self) -> None:
        self.asked.set()
        await self.answers.wait()


@pytest.mark.anyio
@pytest.mark.timeout(60)
async def test_closing_writes_its_roll_up_before_it_waits_for_a_witness_that_hangs(settings, monkeypatch):
    witness, opened = HangingWitness(), gateway.app.opened
    monkeypatch.setattr(gateway.app, "WITNESS_SECONDS", 0.0)

    @contextlib.asynccontextmanager
    async def with_witness(*arguments, **more):
        async with opened(*arguments, **more) as rooms:
            yield replace(rooms, cosigning=witness)

    monkeypatch.setattr(gateway.app, "opened", with_witness)
    app = gateway.app.build(settings)
    async with app.router.lifespan_context(app):
        house = app.state.house
        append = house.log.append

        async def told(draft: EntryDraft, **more):
            receipt = await append(draft, **more)
            if draft.kind is EntryKind.AUTH_REFUSED:
                witness.answers.set()
            return receipt

        monkeypatch.setattr(house.log, "append", told)
        await witness.asked.wait()
        house.refusals.note("192.0.2.7", "officer_key_unknown", now=int(house.clock.now().timestamp()))
    # Had closing waited for the witness first, neither would ever have come.
    assert rolled_up(settings.data) == 1
