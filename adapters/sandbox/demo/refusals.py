"""Step e of the story: what is refused, each with its own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adapters.sandbox.cast import Cast
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.story import Outcome, Story, approved_case, asked, sent, warning
from gateway.client.configuration import OfficerKey
from gateway.domain.vocabulary import AgeBand


def step_e(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """What is refused, each with its own code."""
    civil, school, outside = desks["ca"], desks["sc"], desks["out"]

    def event(what: str, exchange: str, caller: str, expected: str, act: Callable[[], Any], role: str = "") -> None:
        story.sending("e", what, exchange, caller, expected, act, role=role, provider="")

    case = approved_case(civil, roles.other, ["X02"], "M0900")
    event("wrong purpose", "X02", "ca", "purpose", lambda: asked(civil, "X02", "P06", roles.other, case), "other")
    event("no case", "X02", "ca", "case_missing", lambda: asked(civil, "X02", "P14", roles.other, None), "other")

    far = approved_case(outside, roles.other, ["X02"], "N0900")
    event(
        "caller outside the rule's region",
        "X02",
        "out",
        "region",
        lambda: asked(outside, "X02", "P14", roles.other, far),
        "other",
    )

    away = approved_case(civil, roles.outside, ["X02"], "M0900")
    event(
        "record outside the region",
        "X02",
        "ca",
        "no_result",
        lambda: asked(civil, "X02", "P14", roles.outside, away),
        "outside",
    )

    consent = school.consent_to_warning(roles.other, AgeBand.A8_13, "granted")
    with school.client() as client:
        client.withdraw_consent(consent)
    event(
        "consent withdrawn a moment ago",
        "X05",
        "sc",
        "consent_withdrawn",
        lambda: sent(school, "X05", "P01", civil, [(roles.other, warning(contacted=True))]),
        "other",
    )

    school.consent_to_warning(roles.teen, AgeBand.A14_15, "not_asked")
    event(
        "14 and above, without the child's own consent",
        "X05",
        "sc",
        "child_consent_missing",
        lambda: sent(school, "X05", "P01", civil, [(roles.teen, warning(contacted=True))]),
        "teen",
    )

    def approve_himself() -> Outcome:
        mine = civil.open_case(roles.other, ["X02"], [civil.party], None)
        civil.approve(mine, "M0900", "M0900", ["X02"])
        return "approved", None, ()

    event("an officer approving himself", "X02", "ca", "approval_self", approve_himself, "other")

    forged = OfficerKey("M0101", "case_worker", civil.site["ca"].client_key)
    impostor = civil.acting_as(forged)
    with civil.client() as client:
        name = client.pseudonyms([civil.identifier(roles.other)])[0]
    event(
        "an officer assertion made by a client key",
        "X02",
        "ca",
        "officer_key_unknown",
        lambda: asked_by_name(impostor, name, case),
    )


def asked_by_name(desk: Desk, name: str, case: str) -> Outcome:
    """Ask by a pseudonym that is known already, so that the question itself is what meets the gateway first."""
    with desk.client() as client:
        answer = client.ask("X02", "P14", pseudonym=name, case=case)
        return "released", answer.receipt.index, list(answer.values)
