"""An edge killed while it takes its inbox: every envelope reaches the departmental system, once, and is acknowledged after that."""

import asyncio
import json
import sqlite3
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest

from adapters.base import mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.civil_affairs.register import SqlRegister
from adapters.directory import Directory
from adapters.edge.inbox import Inbox
from adapters.edge.log import EdgeLog
from adapters.edge.port import Received, ReceivedLine
from adapters.sandbox import civil_affairs_data
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from keys.signing import SigningKey
from policies.catalogue import load

ROOT = Path(__file__).resolve().parents[3]
PARTY = Party("11330106MB00000011", Department.CIVIL_AFFAIRS)
SENDER = Party("51330106MB0007034Y", Department.YOUTH_LEAGUE)
LINES, PER_KILL = 2, 12


class Gateway:
    """The edge's side: envelopes come over HTTP from the test, acknowledgements go there."""

    def __init__(self, url):
        self.url = url

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + path, data=body, method="GET" if body is None else "POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    async def inbox(self, *, wait, limit):
        while numbers := json.loads(await asyncio.to_thread(self.ask, "/inbox")):
            for number in numbers[:limit]:
                values = [{"org_name": f"service {number}", "capacity": n} for n in range(LINES)]
                lines = tuple(ReceivedLine(n, None, {}, given) for n, given in enumerate(values, 1))
                yield Received(f"d-{number}", "X16", "P05", SENDER, {}, lines)

    async def acknowledge(self, acknowledgement):
        assert acknowledgement.status == "stored"
        await asyncio.to_thread(self.ask, f"/acknowledge/{acknowledgement.delivery}", b"{}")


def edge(url, home, exchanges, local):
    """The process that is killed: the edge's own inbox, source and SQL register."""
    directory = Directory(home / "directory.sqlite", PARTY.department)
    source = DepartmentSource(
        Office(PARTY, "330106", SigningKey.generate()),
        exchanges=exchanges,
        mapping=local,
        register=SqlRegister(f"sqlite:///{home / 'department.sqlite'}", local),
        directory=directory,
    )
    inbox = Inbox(Gateway(url), source, directory, EdgeLog(home / "edge.jsonl"))
    asyncio.run(inbox.once(wait=0))


class Desk(BaseHTTPRequestHandler):
    """The gateway: hands out what is not acknowledged, again and again; notes what was in the department's table by then."""

    def do_GET(self):
        self.say(json.dumps(self.server.waiting()).encode())

    def do_POST(self):
        delivery = self.path.rpartition("/")[2]
        stored = self.server.stored(delivery)
        with self.server.lock:
            self.server.acknowledged.setdefault(delivery, stored)
        self.say(b"{}")

    def say(self, body):
        # Where a kill falls is up to chance: before, between and after.
        threading.Event().wait(self.server.random.uniform(0, 0.004))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def desk(tmp_path):
    """A gateway with envelopes for a department whose database is empty."""
    with sqlite3.connect(tmp_path / "department.sqlite") as db:
        for statement in civil_affairs_data.SCHEMA:
            db.execute(statement)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.acknowledged, server.lock, server.random, server.offered = {}, threading.Lock(), Random(3), 0

    def stored(delivery):
        with sqlite3.connect(tmp_path / "department.sqlite", timeout=30) as db:
            return db.execute("SELECT count(*) FROM jh_sjx WHERE xxbh LIKE ?", (f"{delivery}:%",)).fetchone()[0]

    server.stored = stored
    server.waiting = lambda: [n for n in range(server.offered) if f"d-{n}" not in server.acknowledged]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def killed(desk, home, times):
    """Kill the edge at a random moment of its work, `times` times; then let it finish."""
    context, random, unfinished = get_context("forkserver"), Random(5), 0
    # What takes long to import is imported once.
    context.set_forkserver_preload(
        ["pytest", "policies.catalogue", "adapters.edge.inbox", "adapters.civil_affairs.register"]
    )
    exchanges = load().exchanges
    local = mapping.load(ROOT / "adapters/civil_affairs/mapping.toml", exchanges)
    arguments = (f"http://127.0.0.1:{desk.server_port}", home, {"X16": exchanges["X16"]}, local)
    for _ in range(times):
        desk.offered += PER_KILL
        process = context.Process(target=edge, args=arguments)
        process.start()
        # From its first sign of life on; how far it comes is chance.
        before = len(desk.acknowledged) + random.randrange(1, PER_KILL)
        while len(desk.acknowledged) < before and process.is_alive():
            process.join(0.001)
        process.kill()
        process.join()
        unfinished += bool(desk.waiting())
    last = context.Process(target=edge, args=arguments)
    last.start()
    last.join()
    assert last.exitcode == 0
    return unfinished


def require_each_once(desk, home):
    assert desk.waiting() == []
    # Acknowledged only after every line was there.
    assert set(desk.acknowledged.values()) == {LINES}
    with sqlite3.connect(home / "department.sqlite") as db:
        numbers = [row[0] for row in db.execute("SELECT xxbh FROM jh_sjx")]
    assert len(numbers) == len(set(numbers)) == desk.offered * LINES


def test_ten_kills_while_receiving_lose_nothing_and_store_once(desk, tmp_path):
    assert killed(desk, tmp_path, 10) >= 8
    require_each_once(desk, tmp_path)


@pytest.mark.soak
def test_a_hundred_kills_while_receiving_lose_nothing_and_store_once(desk, tmp_path):
    assert killed(desk, tmp_path, 100) >= 80
    require_each_once(desk, tmp_path)
