"""The five departments' story with every adapter inside the gateway: what nobody there may see is refused, the rest is labelled."""

import json
import shutil
import tomllib
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from adapters.embedded import EmbeddedAdapter, EmbeddedAdapters
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department, Level, Profile
from policies.catalogue import load
from tests.spec.rederived_log import opened
from tests.support.demo import tell

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded") / "told"
    if said := tell(folder, "--embedded"):
        pytest.fail(f"the demo did not end well: {said}", pytrace=False)
    return folder


@pytest.fixture(scope="module")
def summary(embedded):
    return json.loads((embedded / "summary.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def entries(embedded, tmp_path_factory):
    return opened(embedded, tmp_path_factory.mktemp("auditor"))


@pytest.fixture(scope="module")
def sensitive():
    return {e.id for e in load().exchanges.values() if e.profile is Profile.D0 or e.level is Level.L5}


@pytest.mark.soak
def test_every_sending_of_profile_d0_or_level_l5_was_to_be_refused_and_was(summary, sensitive):
    rows = [row for row in summary if row["exchange"] in sensitive and row["status"] != "no trace"]
    assert {row["exchange"] for row in rows} == {"X05", "X08", "X09", "X10", "X12", "X18", "X19", "X20"}
    assert {(row["expected"], row["status"]) for row in rows} == {("sighted_refused", "sighted_refused")}
    # Twice in step c, twice in step e, once in step f; the seven others once each.
    assert len(rows) == 5 + 7


@pytest.mark.soak
def test_everything_else_went_as_it_goes_with_edges(summary, sensitive):
    rest = [row for row in summary if row["exchange"] not in sensitive]
    assert all(row["status"] == row["expected"] != "sighted_refused" for row in rest)
    statuses = [(row["step"], row["exchange"], row["status"]) for row in rest]
    for one in [
        ("a", "X02", "released"),
        ("b", "X01", "released"),
        ("d", "X13", "acknowledged"),
        ("d", "X13", "opened"),
    ]:
        assert one in statuses
    assert ("k", "X23", "acknowledged") in statuses
    assert ("m", "X16", "accepted") in statuses
    assert {row["step"] for row in summary} == set("abcdefghijklmno")


@pytest.mark.soak
def test_log_holds_no_release_and_no_delivery_of_what_may_not_be_seen(entries, sensitive):
    told = [entry for entry in entries if entry.word("exchange") in sensitive]
    assert {entry.word("kind") for entry in told} == {"consent.given", "consent.withdrawn", "send_permit"}
    refused = [entry for entry in told if entry.word("kind") == "send_permit"]
    assert len(refused) == 12
    assert {(e.word("outcome"), e.word("code")) for e in refused} == {("denied", "sighted_refused")}


@pytest.mark.soak
def test_every_entry_of_what_went_says_that_the_gateway_saw(entries):
    went = [e for e in entries if e.word("kind") in ("query", "send_permit", "accepted", "delivered")]
    assert {e.word("outcome") for e in went} >= {"released", "done", "denied"}
    for entry in went:
        asked_of_nobody = entry.word("kind") == "query" and entry.word("outcome") == "denied"
        assert entry.skeleton.get("sighted", False) is not asked_of_nobody, entry.skeleton


@pytest.mark.anyio
async def test_settings_of_five_edges_make_five_embedded_adapters(told_demo, tmp_path):
    """The same files; nothing is reached for until something is asked."""
    shutil.copytree(told_demo / "bodies", tmp_path / "bodies")
    files = [tmp_path / "bodies" / name / "edge.toml" for name in ("ca", "ed", "he", "yl", "wf")]
    registered = tomllib.loads((told_demo / "site.toml").read_text("utf-8"))["edges"]
    others = SimpleNamespace(at=lambda edge: edge.url)
    adapters = EmbeddedAdapters.open(files, others, timeout=5.0)
    assert {party.text for party in adapters.parties} == {row["party"] for row in registered}
    for party in adapters.parties:
        assert isinstance(adapters.at(RegisteredEdge(party, "embedded:")), EmbeddedAdapter)
    elsewhere = RegisteredEdge(Party("11330203MB0007042Q", Department.CIVIL_AFFAIRS), "http://127.0.0.1:9")
    assert adapters.at(elsewhere) == elsewhere.url


@dataclass(frozen=True)
class RegisteredEdge:
    party: Party
    url: str
