"""Approvals and recorded consents: a person's own signature, over exactly this, in force now."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client import statements
from gateway.errors import BadRequest, Denied
from gateway.identity.approvals import subject_digest, verify_approval, verify_consent
from gateway.store.registry_changes import disable_person
from keys.signing import SigningKey
from tests.unit.identity.conftest import EDUCATION, World, person_statement, resigned

pytestmark = pytest.mark.anyio
SUBJECT = statements.case_access(
    case="case-a", officer_id="T0001", organisation=EDUCATION.organisation, exchanges=["X02", "X01"], from_=1, until=2
)


def approval(world: World, **changes: Any) -> str:
    parts: dict[str, Any] = {"key": world.officer_key, "subject": SUBJECT, "now": world.clock.seconds}
    return statements.approval("T0417", EDUCATION, **{**parts, **changes})


async def refused(world: World, code: str, text: str, **options: Any) -> None:
    with pytest.raises(Denied) as caught:
        verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, **options)
    assert caught.value.code == code


async def test_an_approval_names_its_approver_subject_and_digest(world: World) -> None:
    text = approval(world)
    found = verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, expected=SUBJECT)
    assert found.approver.person_id == "T0417"
    assert found.subject == SUBJECT
    assert found.subject["exchanges"] == ["X01", "X02"]
    assert found.digest == subject_digest(SUBJECT)
    assert found.statement == text


async def test_an_approval_of_one_thing_is_no_approval_of_another(world: World) -> None:
    await refused(world, "approval_subject", approval(world), expected={**SUBJECT, "officer": "T0002"})


async def test_an_approval_over_another_digest_is_invalid(world: World) -> None:
    swapped = resigned(approval(world), world.officer_key, subject={**SUBJECT, "case": "case-b"})
    await refused(world, "approval_invalid", swapped)


async def test_an_approval_by_an_unknown_key_is_refused(world: World) -> None:
    for stranger in (world.client_key, world.admin_key, SigningKey.generate()):
        await refused(world, "approver_unknown", approval(world, key=stranger))


async def test_an_approval_in_anothers_name_is_invalid(world: World) -> None:
    await refused(world, "approval_invalid", resigned(approval(world), world.client_key))
    await refused(world, "approval_invalid", resigned(approval(world), world.officer_key, iss="T0001"))
    await refused(world, "approval_invalid", resigned(approval(world), world.officer_key, dept="health"))


async def test_only_an_approver_approves(world: World) -> None:
    key = SigningKey.generate()
    await world.enrol(
        person_statement(world, person_id="T0600", functions=["children_worker"], person_key=key.verify_key)
    )
    text = statements.approval("T0600", EDUCATION, key, subject=SUBJECT, now=world.clock.seconds)
    await refused(world, "approver_function", text)


async def test_an_approval_ends(world: World) -> None:
    text = approval(world, lifetime=100)
    world.clock.step(159)
    verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds)
    world.clock.step(1)
    await refused(world, "approval_expired", text)


async def test_an_approval_for_more_than_thirty_days_is_invalid(world: World) -> None:
    await refused(world, "approval_invalid", approval(world, lifetime=30 * 86_400 + 1))


async def test_a_retired_approver_approves_nothing_any_more(world: World) -> None:
    text = approval(world)
    await world.change(disable_person, world.officer_key.thumbprint)
    await refused(world, "approver_unknown", text)


async def test_an_approvers_key_counts_until_its_statement_ends(world: World) -> None:
    world.clock.step(365 * 86_400 - 1)
    text = approval(world)
    verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds)
    world.clock.step(1)
    await refused(world, "approver_unknown", text)


async def test_an_officer_assertion_is_no_approval_and_the_other_way_round(world: World) -> None:
    await refused(world, "approval_invalid", world.officer())


@pytest.mark.parametrize("subject", [{"a": 1.5}, {"a": None}, {"ключ": 1}, "text"])
async def test_a_subject_without_a_canonical_form_cannot_be_approved(world: World, subject: Any) -> None:
    await refused(world, "approval_invalid", resigned(approval(world), world.officer_key, subject=subject))


async def test_a_recorded_consent_names_its_recorder(world: World) -> None:
    artefact = {"exchange": "X13", "fields": ["a"], "grantor": "guardian"}
    text = statements.consent_statement(
        "T0417", EDUCATION, world.officer_key, artefact=artefact, now=world.clock.seconds
    )
    found = verify_consent(text, snapshot=await world.snapshot(), now=world.clock.seconds)
    assert found.recorder.person_id == "T0417"
    assert found.artefact == artefact
    assert "guardian" not in repr(found)


async def test_a_consent_that_nobody_enrolled_recorded_is_refused(world: World) -> None:
    snapshot, now = await world.snapshot(), world.clock.seconds
    text = statements.consent_statement("T0417", EDUCATION, world.client_key, artefact={}, now=now)
    with pytest.raises(Denied, match="recorder_unknown"):
        verify_consent(text, snapshot=snapshot, now=now)
    good = statements.consent_statement("T0417", EDUCATION, world.officer_key, artefact={}, now=now)
    with pytest.raises(BadRequest, match="statement_invalid"):
        verify_consent(resigned(good, world.client_key), snapshot=snapshot, now=now)
    with pytest.raises(BadRequest, match="statement_invalid"):
        verify_consent(approval(world), snapshot=snapshot, now=now)
    with pytest.raises(Denied, match="statement_expired"):
        verify_consent(good, snapshot=snapshot, now=now + 86_400 + 60)
