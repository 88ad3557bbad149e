"""Reading a configuration, and what the desk's calls send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.client.configuration import load, read_party
from gateway.client.errors import AnswerRejected
from gateway.client.headers import headers_for
from gateway.domain.vocabulary import AgeBand
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs.notes import Signer
from keys.envelope import SealingPair
from keys.signing import SigningKey
from tests.unit.client.conftest import ME, SCHOOL, Desk, incoming

MINIMAL = f"""
gateway = "https://gateway.example:8443"
client_id = "mz-xihu"
party = "{ME.text}"
client_key = "client.pem"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    SigningKey.generate().save(tmp_path / "client.pem")
    SigningKey.generate().save(tmp_path / "officer.pem")
    SealingPair.generate("xwing").save(tmp_path / "sealing.json")
    return tmp_path


def written(home: Path, text: str) -> Path:
    (home / "runxin.toml").write_text(text, encoding="utf-8")
    return home / "runxin.toml"


def test_a_small_configuration_is_enough(home: Path) -> None:
    made = load(written(home, MINIMAL))
    assert made.party == ME
    assert made.name_of_gateway == made.origin == "https://gateway.example:8443"
    assert made.signer is made.client_key
    assert (made.officer, made.sealing, made.log_vkey) == (None, (), None)


def test_a_whole_configuration_names_officer_sealing_and_senders(home: Path) -> None:
    sender = SigningKey.generate()
    text = (
        MINIMAL
        + f"""
issuer = "https://name.example/base"
sealing = ["sealing.json"]
sender_key = "officer.pem"
log_vkey = "v"
witness_policy = "policy"
timeout = 5
[officer]
person = "M0001"
function = "children_director"
key = "officer.pem"
[[senders]]
party = "{SCHOOL.text}"
x = "{sender.jwk()["x"]}"
"""
    )
    (home / "policy").write_text(f"log {Signer.from_seed('log.example', bytes(32)).verifier.vkey}\nquorum none")
    made = load(written(home, text))
    assert made.origin == "https://name.example"
    assert made.witness_policy is not None
    (home / "policy").write_text("quorum none")
    with pytest.raises(BadRequest, match="configuration_invalid"):
        load(written(home, text))
    assert made.officer is not None
    assert made.officer.key.thumbprint == made.signer.thumbprint != made.client_key.thumbprint
    assert made.sealing[0].suite == "xwing"
    assert made.senders == {sender.thumbprint: (SCHOOL, sender.verify_key)}
    assert made.timeout == 5.0


@pytest.mark.parametrize(
    ("text", "member"),
    [
        (MINIMAL + "tiemout = 5\n", "tiemout"),
        (MINIMAL.replace("client_id", "client_name"), "client_name"),
        (MINIMAL.replace('client_id = "mz-xihu"', ""), "client_id"),
        (MINIMAL.replace(ME.text, "nobody"), "party"),
        (MINIMAL + '[officer]\nperson = "M1"\nkey = "officer.pem"\n', "function"),
    ],
)
def test_a_member_that_is_unknown_or_missing_is_named(home: Path, text: str, member: str) -> None:
    with pytest.raises(BadRequest, match="configuration_invalid") as caught:
        load(written(home, text))
    assert caught.value.facts == {"member": member}


def test_a_file_that_cannot_be_read_is_a_fault(home: Path) -> None:
    with pytest.raises(GatewayFault, match="configuration_unreadable"):
        load(home / "absent.toml")
    with pytest.raises(GatewayFault, match="configuration_unreadable"):
        load(written(home, "not toml"))


def test_headers_are_made_for_the_configured_gateway_only(home: Path) -> None:
    with pytest.raises(BadRequest, match="configuration_invalid"):
        headers_for(written(home, MINIMAL), method="GET", url="https://elsewhere.example/v1/reviews", body=b"")


def test_a_party_has_two_parts() -> None:
    assert read_party(ME.text) == ME
    with pytest.raises(BadRequest):
        read_party(ME.organisation)


# --- desk -----------------------------------------------------------------------------------------------------------------


def sent(desk: Desk, path: str, answer: dict[str, Any], step: Any) -> tuple[Any, Any]:
    desk.gateway.answer[path] = lambda _: incoming(answer)
    result = desk.run(step)
    assert desk.gateway.seen[-1].path == path
    return json.loads(desk.gateway.seen[-1].body), result


def test_a_case_is_opened_on_a_child(desk: Desk) -> None:
    step = desk.core.open_case(
        identifier=None,
        pseudonym="cao1qqq",
        exchanges=["X02"],
        parties=[ME, SCHOOL],
        region="330106",
        age_band=AgeBand.A8_13,
        assisted=False,
    )
    body, case = sent(desk, "/v1/cases", {"case": "case-a"}, step)
    assert case == "case-a"
    assert body == {
        "subject": {"pseudonym": "cao1qqq"},
        "exchanges": ["X02"],
        "parties": [ME.text, SCHOOL.text],
        "region": "330106",
        "age_band": "8-13",
    }


def test_a_call_about_a_child_needs_one(desk: Desk) -> None:
    with pytest.raises(ValueError, match="about a child"):
        desk.run(desk.core.guardian_accesses(identifier=None, pseudonym=None, assisted=False))
    assert desk.gateway.seen == []


def test_statements_are_carried_as_they_are(desk: Desk) -> None:
    core = desk.core
    assert sent(desk, "/v1/cases/approvals", {"approval": "a"}, core.hand_in_approval("j.w.t")) == (
        {"approval": "j.w.t"},
        "a",
    )
    assert sent(desk, "/v1/people", {"key": "k"}, core.enrol_person("j.w.t")) == ({"statement": "j.w.t"}, "k")
    assert sent(desk, "/v1/pseudonyms/grants", {"grant": "g"}, core.enrolment_grant(["a", "b"])) == (
        {"approvals": ["a", "b"]},
        "g",
    )
    step = core.record_consent("j.w.t", identifier=None, pseudonym="cao1qqq", assisted=False)
    assert sent(desk, "/v1/consents", {"consent": "c"}, step) == (
        {"subject": {"pseudonym": "cao1qqq"}, "statement": "j.w.t"},
        "c",
    )


def test_withdrawing_and_closing_name_our_own_references(desk: Desk) -> None:
    core = desk.core
    assert sent(desk, "/v1/consents/withdraw", {}, core.withdraw_consent("consent-a"))[0] == {"consent": "consent-a"}
    assert sent(desk, "/v1/cases/close", {}, core.close_case("case-a"))[0] == {"case": "case-a"}
    assert sent(desk, "/v1/reviews/close", {}, core.close_review("review-a", "justified"))[0] == {
        "review": "review-a",
        "finding": "justified",
    }


def test_a_guardians_question_gives_the_whole_answer(desk: Desk) -> None:
    answer = {"sentence": "…", "accesses": []}
    step = desk.core.guardian_accesses(identifier=None, pseudonym="cao1qqq", assisted=False)
    assert sent(desk, "/v1/guardians/accesses", answer, step)[1] == answer


def test_an_answer_without_its_member_is_rejected(desk: Desk) -> None:
    desk.gateway.answer["/v1/people"] = lambda _: incoming({})
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({})
    desk.gateway.answer["/v1/deliveries"] = lambda _: incoming({"deliveries": {}})
    for step in (desk.core.enrol_person("j.w.t"), desk.core.reviews(), desk.core.deliveries()):
        with pytest.raises(AnswerRejected, match="answer_malformed"):
            desk.run(step)
