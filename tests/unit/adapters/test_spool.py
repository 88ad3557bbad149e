"""The spool: what was accepted is sent at least once and delivered once, whatever dies when."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest

from adapters.edge.log import EdgeLog
from adapters.edge.port import Sent
from adapters.edge.sender import Sender
from adapters.edge.spool import Spool
from gateway.errors import BadRequest, Denied, GatewayFault

pytestmark = pytest.mark.anyio
PARTY = "11330106MB00000011/civil_affairs"


def request(key, **changes):
    body = {
        "exchange": "X16",
        "purpose": "P05",
        "door": "normal",
        "recipient": PARTY,
        "key": key,
        "records": [{"values": {"org_name": "服务台"}}],
        **changes,
    }
    return json.dumps(body).encode()


class Source:
    def is_about_children(self, exchange):
        return False

    async def local_values(self, exchange, records):
        return {}


class Gateway:
    """Accepts a key once, as the gateway does; `away` and `lose` let it be unreachable before or after accepting."""

    def __init__(self):
        self.accepted, self.away, self.lose, self.refuse = {}, False, False, ""

    async def send(self, sending):
        if self.away:
            raise GatewayFault("gateway_unreachable")
        if self.refuse:
            raise Denied(self.refuse)
        if sending.key in self.accepted:
            raise Denied("idempotency_conflict")
        self.accepted[sending.key] = sending
        if self.lose:
            raise GatewayFault("gateway_unreachable")
        return Sent(f"d-{len(self.accepted)}", "log 1 2", {})


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def sender(gateway, tmp_path):
    spool = Spool(tmp_path / "spool.sqlite", most=3)
    log = EdgeLog(tmp_path / "edge.jsonl")
    made = Sender(gateway, Source(), None, region="330106", token=b"t", log=log, spool=spool)
    made.spool = spool
    yield made
    spool.close()


async def test_a_sending_while_the_gateway_is_away_is_queued_and_sent_later(sender, gateway):
    gateway.away = True
    assert await sender.send(request("key-0001"), "t") == {"queued": "key-0001"}
    assert await sender.catch_up() == 0
    gateway.away = False
    assert await sender.catch_up() == 1
    assert list(gateway.accepted) == ["key-0001"]
    assert sender.spool.waiting == 0


async def test_an_answer_that_was_lost_is_not_sent_twice(sender, gateway):
    gateway.lose = True
    assert await sender.send(request("key-0001"), "t") == {"queued": "key-0001"}
    gateway.lose = False
    assert await sender.catch_up() == 1
    assert len(gateway.accepted) == 1


async def test_the_same_key_answers_the_same(sender, gateway):
    first = await sender.send(request("key-0001"), "t")
    assert await sender.send(request("key-0001"), "t") == first
    assert len(gateway.accepted) == 1


async def test_one_key_is_one_content(sender):
    await sender.send(request("key-0001"), "t")
    with pytest.raises(BadRequest) as caught:
        await sender.send(request("key-0001", purpose="P06"), "t")
    assert caught.value.code == "local_key_reused"


async def test_what_is_refused_for_good_does_not_stay(sender, gateway):
    gateway.refuse = "purpose"
    with pytest.raises(Denied):
        await sender.send(request("key-0001"), "t")
    assert sender.spool.waiting == 0
    gateway.refuse = ""
    assert "delivery" in await sender.send(request("key-0001"), "t")


async def test_a_full_spool_refuses_instead_of_forgetting(sender, gateway):
    gateway.away = True
    for number in range(3):
        await sender.send(request(f"key-{number:04d}"), "t")
    with pytest.raises(GatewayFault) as caught:
        await sender.send(request("key-0009"), "t")
    assert caught.value.code == "spool_full"
    assert sender.spool.waiting == 3


async def test_what_was_sent_is_erased_from_the_file(sender, tmp_path):
    await sender.send(request("key-0001"), "t")
    sender.spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = b"".join(path.read_bytes() for path in tmp_path.glob("spool.sqlite*"))
    assert "服务台".encode() not in data
    assert b"\\u670d\\u52a1" not in data
    assert (tmp_path / "spool.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_spool_refuses_to_start(tmp_path):
    (tmp_path / "spool.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(GatewayFault):
        Spool(tmp_path / "spool.sqlite")


# --- kill -9 -----------------------------------------------------------------------------------------------------------------

EDGE = """
import asyncio, json, sys, urllib.error, urllib.request
from pathlib import Path
from adapters.edge.log import EdgeLog
from adapters.edge.port import Sent
from adapters.edge.sender import Sender
from adapters.edge.spool import Spool
from gateway.errors import Denied, GatewayFault

url, home, first, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

class Gateway:
    def ask(self, key):
        request = urllib.request.Request(url, method="POST", headers={"Idempotency-Key": key})
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            raise GatewayFault("gateway_unreachable") from None
    async def send(self, sending):
        if await asyncio.to_thread(self.ask, sending.key) == 409:
            raise Denied("idempotency_conflict")
        return Sent("d", "log 1 2", {})

class Source:
    def is_about_children(self, exchange): return False

async def main():
    sender = Sender(Gateway(), Source(), None, region="330106", token=b"t", log=EdgeLog(home / "edge.jsonl"),
                    spool=Spool(home / "spool.sqlite"))
    print("ready", flush=True)
    while await sender.catch_up(): pass
    for number in range(first, first + count):
        body = {"exchange": "X16", "purpose": "P05", "door": "normal", "recipient": "11330106MB00000011/civil_affairs",
                "key": f"key-{number:06d}", "records": [{"values": {"org_name": "x"}}]}
        print("offer", number, flush=True)
        await sender.send(json.dumps(body).encode(), "t")
        print("done", number, flush=True)

asyncio.run(main())
"""


class Counter(BaseHTTPRequestHandler):
    """Delivers a key once; a repeat is a conflict, as at the gateway."""

    def do_POST(self):
        key = self.headers["Idempotency-Key"]
        with self.server.lock:
            repeat = key in self.server.delivered
            self.server.delivered[key] = self.server.delivered.get(key, 0) + (not repeat)
            self.server.tries += 1
        # Where a kill falls is up to chance: before, between and after.
        time.sleep(self.server.random.uniform(0, 0.01))
        self.send_response(409 if repeat else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def counter():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    server.delivered, server.tries, server.lock, server.random = {}, 0, threading.Lock(), Random(7)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def killed(counter, home, times):
    """Kill the edge at a random moment, `times` times; then let it finish. Numbers that the department offered, in the spool or done."""
    script = home / "edge_under_test.py"
    script.write_text(EDGE, "utf-8")
    random, first = Random(11), 0
    command = [sys.executable, str(script), f"http://127.0.0.1:{counter.server_port}", str(home)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    for _ in range(times):
        process = subprocess.Popen([*command, str(first), "100000"], stdout=subprocess.PIPE, env=environment, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.02, 0.25))
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split("\n")
        process.wait()
        offered = [int(line.split()[1]) for line in said if line.startswith("offer ") and line[6:].isdigit()]
        first = max(offered, default=first - 1) + 1
    done = subprocess.run([*command, str(first), "1"], env=environment, capture_output=True, text=True, check=True)
    assert f"done {first}" in done.stdout
    return first


def require_nothing_lost(counter, home, last):
    with sqlite3.connect(home / "spool.sqlite") as db:
        kept = {row[0] for row in db.execute("SELECT key FROM sendings")}
        waiting = db.execute("SELECT count(*) FROM sendings WHERE body IS NOT NULL").fetchone()[0]
    assert waiting == 0
    # Whatever reached the spool was delivered, and nothing twice; what was killed before that was never accepted.
    assert kept == set(counter.delivered)
    assert set(counter.delivered.values()) == {1}
    assert len(kept) >= last - 110
    return len(kept)


def test_ten_kills_lose_nothing_and_deliver_once(counter, tmp_path):
    last = killed(counter, tmp_path, 10)
    assert require_nothing_lost(counter, tmp_path, last) > 20


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_and_deliver_once(counter, tmp_path):
    last = killed(counter, tmp_path, 100)
    assert require_nothing_lost(counter, tmp_path, last) > 200


async def test_two_tries_of_one_key_at_once_send_once(sender, gateway):
    both = await asyncio.gather(sender.send(request("key-0001"), "t"), sender.send(request("key-0001"), "t"))
    assert len(gateway.accepted) == 1
    assert sum("delivery" in said for said in both) >= 1
