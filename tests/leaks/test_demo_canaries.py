"""After the demo no name, phone or citizen number of any child or guardian is anywhere on the gateway's side.

The gateway's side is: every file of its data folder, its log, its metrics, every byte that it received and sent. A planted leak is
found in each form and in each kind of place, so that a silent searcher cannot pass for a silent gateway.
"""

import base64
import json
import shutil
import sqlite3
from urllib.parse import quote

import pytest

from tests.support.canaries import Searcher
from tests.support.demo import population
from tests.support.recorded import calls

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def searcher():
    return Searcher(population().canaries())


def files(folder, pattern="**/*"):
    """(name, bytes) of every file below a folder."""
    found = [
        (str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.glob(pattern)) if path.is_file()
    ]
    assert found, f"nothing to search in {folder.name}"
    return found


def leaks(searcher, sources):
    return [leak for name, data in sources for leak in searcher.search(name, data)]


def test_data_folder_holds_no_canary(told_demo, searcher):
    sources = files(told_demo / "gateway")
    assert {"gateway.sqlite3", "high-water", "keys/ring.json"} <= {name for name, _ in sources}
    assert sum(len(data) for _, data in sources) > 500_000
    assert leaks(searcher, sources) == []


def test_log_and_metrics_hold_no_canary(told_demo, searcher):
    sources = [(name, (told_demo / name).read_bytes()) for name in ("gateway.log", "metrics.txt")]
    assert all(data for _, data in sources)
    assert b"# TYPE" in sources[1][1]
    assert leaks(searcher, sources) == []


def test_nothing_that_the_gateway_received_holds_a_canary(told_demo, searcher):
    sources = files(told_demo / "capture" / "gateway", "*.in")
    sources += files(told_demo / "capture", "edge-*/*.out")
    assert sum(len(data) for _, data in sources) > 300_000
    assert leaks(searcher, sources) == []


def test_nothing_that_the_gateway_sent_holds_a_canary(told_demo, searcher):
    sources = files(told_demo / "capture" / "gateway", "*.out")
    sources += files(told_demo / "capture", "edge-*/*.in")
    assert leaks(searcher, sources) == []


def test_problem_bodies_hold_no_canary_and_nothing_of_the_request(told_demo, searcher):
    problems = [call for call in calls(told_demo / "capture" / "gateway") if call.status >= 400]
    assert len(problems) == 9
    for call in problems:
        assert call.answered["content-type"] == "application/problem+json"
        assert searcher.search(call.path, call.answer) == []
        for text in texts(call.asked):
            assert len(text) < WORD or text.encode() not in call.answer


WORD = 16
"""Longer texts of a request are pseudonyms, points, references, statements: none may come back."""


def texts(value):
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def test_export_and_edges_own_logs_hold_no_canary(told_demo, searcher):
    sources = (
        files(told_demo / "audit-export-five")
        + files(told_demo / "bodies", "*/edge.jsonl")
        + files(told_demo, "edge-*.err")
    )
    assert {"he/edge.jsonl", "yl/edge.jsonl", "wf/edge.jsonl"} <= {name for name, _ in sources}
    assert leaks(searcher, sources) == []


def test_sealed_report_was_received_and_shows_nothing(told_demo, searcher):
    """X20 names a child in full; it passed through the gateway and left there only in its recipient's own system."""
    handed_in = [
        call for call in calls(told_demo / "capture" / "gateway") if call.path == "/v1/deliveries" and call.body
    ]
    (report,) = (call for call in handed_in if call.asked["envelope"]["exchange"] == "X20")
    fields = report.asked["envelope"]["lines"][0]["fields"]
    assert all(set(fields[name]) == {"c"} for name in ("child_name", "child_id_number", "location"))
    assert searcher.search("report", report.body) == []
    kinds = {
        leak.kind for leak in searcher.search("log", (told_demo / "systems/civil_affairs/pgdata/log").read_bytes())
    }
    assert "number" in kinds


def test_departments_own_systems_do_hold_canaries(told_demo, searcher):
    store = told_demo / "systems" / "civil_affairs" / "pgdata"
    # What a server wrote last may stand in its journal only.
    sources = [*files(store / "base")[-400:], *files(store / "pg_wal")]
    assert {leak.kind for name, data in sources for leak in searcher.search(name, data)} >= {
        "name",
        "phone",
        "number",
    }


# --- planted leaks -----------------------------------------------------------------------------------------------------------


PLANTED = {
    "utf-8 plain": lambda text: text.encode(),
    "gb18030 plain": lambda text: text.encode("gb18030"),
    "utf-8 hex": lambda text: text.encode().hex().encode(),
    "utf-8 HEX": lambda text: text.encode().hex().upper().encode(),
    "gb18030 hex": lambda text: text.encode("gb18030").hex().encode(),
    "gb18030 HEX": lambda text: text.encode("gb18030").hex().upper().encode(),
    **{
        f"{charset} {alphabet} at {before}": lambda text, c=charset, e=encode, b=before: e(
            b"{:}"[:b] + text.encode(c) + b"tail"
        )
        for charset in ("utf-8", "gb18030")
        for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode))
        for before in range(3)
    },
    "utf-8 percent": lambda text: quote(text).encode() if not text.isascii() else every_byte(text.encode()),
    "utf-8 percent, lower": lambda text: every_byte(text.encode()).lower(),
    "gb18030 percent": lambda text: every_byte(text.encode("gb18030")),
    "json": lambda text: json.dumps({"v": text}).encode(),
    "json, in json": lambda text: json.dumps(json.dumps(text)).encode(),
    "json, every character": lambda text: "".join(f"\\u{ord(one):04X}" for one in text).encode(),
}


def every_byte(data):
    return "".join(f"%{byte:02X}" for byte in data).encode()


def canary(kind):
    canaries = population().canaries()
    return {"name": canaries.names, "phone": canaries.phones, "number": canaries.identifiers}[kind][7]


@pytest.mark.parametrize("kind", ["name", "phone", "number"])
@pytest.mark.parametrize("form", PLANTED)
@pytest.mark.parametrize("place", ["gateway.log", "metrics.txt", "capture/gateway/*.in", "capture/gateway/*.out"])
def test_leak_planted_in_a_file_is_found(told_demo, searcher, kind, form, place):
    path = min(told_demo.glob(place))
    whole = path.read_bytes()
    middle = len(whole) // 2
    planted = whole[:middle] + PLANTED[form](canary(kind)) + whole[middle:]
    found = searcher.search(path.name, planted)
    assert {leak.kind for leak in found} == {kind}
    assert all(middle <= leak.at <= middle + len(planted) - len(whole) for leak in found)


@pytest.mark.parametrize("kind", ["name", "phone", "number"])
@pytest.mark.parametrize("form", PLANTED)
def test_leak_planted_in_the_database_is_found_in_its_write_ahead_log(told_demo, searcher, tmp_path, kind, form):
    copy = tmp_path / "gateway.sqlite3"
    shutil.copyfile(told_demo / "gateway" / "gateway.sqlite3", copy)
    connection = sqlite3.connect(copy)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE planted (note BLOB)")
        connection.execute("INSERT INTO planted VALUES (?)", (PLANTED[form](canary(kind)),))
        connection.commit()
        found = searcher.search("wal", (tmp_path / "gateway.sqlite3-wal").read_bytes())
        assert {leak.kind for leak in found} == {kind}
    finally:
        connection.close()


def test_leak_planted_in_the_database_itself_is_found(told_demo, searcher, tmp_path):
    copy = tmp_path / "gateway.sqlite3"
    shutil.copyfile(told_demo / "gateway" / "gateway.sqlite3", copy)
    with sqlite3.connect(copy) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("CREATE TABLE planted (note TEXT)")
        connection.executemany(
            "INSERT INTO planted VALUES (?)", [(canary(kind),) for kind in ("name", "phone", "number")]
        )
    connection.close()
    assert sorted(leak.kind for leak in searcher.search("database", copy.read_bytes())) == ["name", "number", "phone"]
