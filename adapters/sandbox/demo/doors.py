"""Steps f and g of the story: the emergency and the protective door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.sandbox.cast import Cast
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.story import Outcome, Story, final_state, sent, warning
from gateway.domain.orders import FieldValue
from gateway.domain.vocabulary import Door


def step_f(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X05 through the emergency door: granted, notice owed, review task opened."""
    school, civil = desks["sc"], desks["ca"]
    story.sending(
        "f",
        "X05, emergency door",
        "X05",
        "sc",
        "accepted",
        lambda: sent(
            school,
            "X05",
            "P01",
            civil,
            [(roles.teen, {**warning(contacted=False), "risk_band": "crisis", "urgency": "immediate"})],
            door=Door.EMERGENCY,
            reason="self_harm_risk",
        ),
        role="teen",
    )
    story.arrival("f", "X05, recipient", "X05", "ca", "sc", "acknowledged", lambda: final_state(school, "X05"))

    def review() -> Outcome:
        with school.client() as client:
            open_tasks = [task for task in client.reviews() if task["kind"] == "emergency"]
        return ("review opened" if len(open_tasks) == 1 else "none"), None, ()

    story.arrival("f", "review task", "X05", "sc", "sc", "review opened", review)


def step_g(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X20 through the protective door: no trace in the guardian's view."""
    school, civil = desks["sc"], desks["ca"]
    child = roles.other

    def guardians_page() -> dict[str, Any]:
        with civil.client() as client:
            return client.guardian_accesses(identifier=civil.identifier(child))

    before = guardians_page()
    report: dict[str, FieldValue] = {
        "report_id": "QZBG-2026-0007",
        "child_name": child.name,
        "child_id_number": child.identifier or "",
        "location": child.address,
        "harm_type": "physical",
        "immediate_danger": "Y",
        "reporter_org": school.party.organisation,
        "actions_taken": "已转移至安全场所，已联系民政值班人员。",
    }
    story.sending(
        "g",
        "X20, protective door",
        "X20",
        "sc",
        "accepted",
        lambda: sent(school, "X20", "P07", civil, [(child, report)], door=Door.PROTECTIVE, reason="violence"),
        role="other",
    )
    story.arrival("g", "X20, recipient", "X20", "ca", "sc", "acknowledged", lambda: final_state(school, "X20"))
    after = guardians_page()
    story.event(
        "g",
        "the guardian's page",
        "X20",
        "ca",
        "",
        "no trace",
        lambda: (
            "no trace"
            if before["accesses"] == after["accesses"] and before["sentence"] == after["sentence"]
            else "trace",
            None,
            (),
        ),
        role="other",
    )
