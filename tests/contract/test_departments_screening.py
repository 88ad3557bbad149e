"""Education's screening vendor: outcomes come signed, wait at the edge, and fill an early warning when the school sends one."""

import json
import sqlite3
import subprocess
import sys

import httpx2
import pytest

from adapters.base.calls import Calls
from adapters.base.source import Wanted
from adapters.edge.log import EdgeLog
from adapters.edge.port import Sent
from adapters.edge.sender import Sender, build_local_app
from adapters.education.register import RestRegister
from adapters.education.screening import Screenings
from adapters.education.signature import AppKey
from adapters.sandbox import screening_vendor
from adapters.sandbox.population import build
from adapters.sandbox.processes import free_port, launch
from gateway.errors import BadRequest, NotAuthenticated
from keys.signing import SigningKey
from tests.contract.departments import SHORT
from tests.contract.orders import CIVIL_AFFAIRS, EDUCATION, X05, Ask, mapping_of
from tests.contract.test_edge_process import settings

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000
TOLD = {
    "type": "screening.completed",
    "pupil": "XS0000001",
    "scale": "mht",
    "band": "3",
    "urgency": "2",
    "screened_on": "2026-10-20",
    "guardian_told": "1",
    "guardian_told_at": "2026-10-20T16:30:00",
    "contact": "0571-55501234",
}


@pytest.fixture
def kept(tmp_path):
    made = Screenings(tmp_path / "screenings.sqlite", b"s", now=lambda: NOW)
    yield made
    made.close()


def call(told, *, secret=b"s", number="evt-1", stamp=NOW):
    return screening_vendor.call(secret, number, told, stamp)


@pytest.fixture
async def school(school_system, exchanges, ring, tmp_path, kept):
    """The platform and the vendor's outcomes as one register, with a filled directory."""
    key = AppKey("edge", b"a secret of the platform")
    register = RestRegister(
        school_system.address, key, mapping_of("education", exchanges), Calls(SHORT), screenings=kept
    )
    async with Ask.over(register, EDUCATION, exchanges, ring, tmp_path) as ask:
        yield ask


async def test_an_outcome_is_read_with_the_platforms_region_and_birth_date(school, kept, players):
    pupil = players.pupil
    ask = Wanted("X05", (pupil.school_key, "XS9999999"), frozenset(X05), birth=True)
    assert await school.register.read(ask) == {}
    assert await kept.take(*call(TOLD | {"pupil": pupil.school_key})) == {"kept": "evt-1"}
    (record,) = (await school.register.read(ask)).values()
    assert (record.key, record.region, record.born) == (pupil.school_key, pupil.school.county, pupil.born)
    assert record.values == {
        "risk_band": "crisis",
        "urgency": "immediate",
        "observed_from": "2026-10-20",
        "guardian_contacted": "Y",
        "guardian_contacted_at": "2026-10-20T08:30:00Z",
        "school_contact": "0571-55501234",
    }
    assert record.surplus == 0


async def test_an_outcome_of_a_pupil_whom_the_platform_does_not_know_is_nobodys(school, kept):
    await kept.take(*call(TOLD | {"pupil": "XS9999999"}))
    assert await school.register.read(Wanted("X05", ("XS9999999",), frozenset(X05))) == {}


async def test_a_repeat_changes_nothing_and_an_older_screening_replaces_no_newer_one(school, kept, players):
    key = players.pupil.school_key
    newest = TOLD | {"pupil": key}
    for _ in range(3):
        await kept.take(*call(newest))
    await kept.take(*call(newest | {"screened_on": "2026-03-01", "band": "1"}, number="evt-0"))
    (record,) = (await school.register.read(Wanted("X05", (key,), frozenset(X05)))).values()
    assert (record.values["risk_band"], record.values["observed_from"]) == ("crisis", "2026-10-20")
    await kept.take(*call(newest | {"screened_on": "2026-11-01", "band": "2"}, number="evt-2"))
    (record,) = (await school.register.read(Wanted("X05", (key,), frozenset(X05)))).values()
    assert record.values["risk_band"] == "warning"


@pytest.mark.parametrize("name", ["items", "answers", "item_scores"])
async def test_answers_to_items_are_refused_and_not_kept(kept, tmp_path, name):
    with pytest.raises(BadRequest) as caught:
        await kept.take(*call(TOLD | {name: [3, 3, 0, 1]}))
    assert (caught.value.code, caught.value.facts) == ("scale_items_refused", {"field": name})
    assert kept.rows(["XS0000001"], ["cpdj"]) == {}


async def test_a_talkative_vendor_gets_nothing_in(kept):
    for told in screening_vendor.outcomes(build(100), with_items=True):
        with pytest.raises(BadRequest, match="scale_items_refused"):
            await kept.take(*call(told))
    for told in screening_vendor.outcomes(build(100)):
        assert await kept.take(*call(told)) == {"kept": "evt-1"}


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        TOLD | {"type": "screening.deleted"},
        TOLD | {"pupil": "XS1'; DROP TABLE records"},
        TOLD | {"name": "欧阳"},
        TOLD | {"screened_on": "2026-13-01"},
        TOLD | {"screened_on": "2026-10-20' OR 1=1"},
        TOLD | {"band": 3},
        TOLD | {"band": "3\x00"},
        TOLD | {"contact": "0" * 65},
        {name: value for name, value in TOLD.items() if name != "band"},
    ],
)
async def test_a_call_that_says_something_else_is_refused(kept, told):
    with pytest.raises(BadRequest) as caught:
        await kept.take(*call(told))
    assert caught.value.code == "local_request_invalid"


@pytest.mark.parametrize("change", [{"secret": b"x"}, {"secret": b""}, {"stamp": NOW - 301}, {"number": "x" * 65}])
async def test_a_call_that_is_not_the_vendors_is_refused_before_it_is_read(kept, change):
    with pytest.raises(NotAuthenticated):
        await kept.take(*call(TOLD | {"items": []}, **change))


class Gateway:
    """Remembers what was handed in."""

    def __init__(self):
        self.sent = []

    async def send(self, sending):
        self.sent.append(sending)
        return Sent("d-1", "log 1 2", {})


async def test_the_school_sends_an_early_warning_whose_values_are_the_outcome(school, kept, players, tmp_path):
    await school.enrol()
    key, gateway = players.pupil.school_key, Gateway()
    sender = Sender(
        gateway, school.source, school.directory, region="330106", token=b"t", log=EdgeLog(tmp_path / "edge.jsonl")
    )
    app = build_local_app(sender, outcomes=kept)
    body, headers = call(TOLD | {"pupil": key})
    wanted = {"exchange": "X05", "purpose": "P01", "door": "normal", "recipient": CIVIL_AFFAIRS.text}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://edge") as http:
        assert (await http.post("/local/screening", content=body, headers=headers)).status_code == 202
        assert gateway.sent == []
        refused = await http.post("/local/screening", content=body, headers=headers | {"webhook-id": "evt-9"})
        assert (refused.status_code, refused.json()["code"]) == (401, "local_unauthorised")
        sending = wanted | {"key": "key-0001", "records": [{"record": key}]}
        sent = await http.post("/local/send", json=sending, headers={"Local-Token": "t"})
    assert sent.status_code == 202, sent.text
    (line,) = gateway.sent[0].lines
    assert line.subject == school.pseudonym(players.pupil)
    assert (line.values["risk_band"], line.values["guardian_contacted"]) == ("crisis", "Y")
    assert "mht" not in json.dumps(dict(line.values))


def test_an_edge_takes_a_whole_screening_from_the_simulated_vendor(tmp_path, school_system):
    port, client = free_port(), tmp_path / "client.pem"
    config, _ = settings(
        tmp_path,
        school_system,
        SigningKey.generate(),
        more='screening_secret = "screening-secret"\n\n[gateway]\nclient = "client.toml"\ninbox = false\n\n'
        f'[local]\nport = {port}\ntoken = "local-token"\n',
    )
    SigningKey.generate().save(client)
    (tmp_path / "client.toml").write_text(
        f'gateway = "http://127.0.0.1:1"\nclient_id = "ed"\nparty = "{EDUCATION.text}"\nclient_key = "client.pem"\n'
        'sender_key = "signing.pem"\n'
    )
    (tmp_path / "screening-secret").write_text("s")
    (tmp_path / "local-token").write_text("t")
    command = [sys.executable, "-m", "adapters.sandbox.screening_vendor", "--children", "300"]
    command += ["--to", f"http://127.0.0.1:{port}", "--secret-file", str(tmp_path / "screening-secret")]
    with launch("adapters.edge", ["--config", str(config)], errors=tmp_path / "edge.err"):
        told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert told["refused"] == 0 and told["taken"] > 20
    with sqlite3.connect(tmp_path / "screenings.sqlite") as db:
        assert db.execute("SELECT count(*) FROM records").fetchone()[0] == told["taken"]
    assert (tmp_path / "screenings.sqlite").stat().st_mode & 0o777 == 0o600
