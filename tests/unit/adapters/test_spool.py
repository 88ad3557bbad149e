"""The spool: what was accepted is sent at least once and delivered once, whatever dies when."""

import asyncio
import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from random import Random

import pytest

from adapters.base.source import Record
from adapters.edge.log import EdgeLog
from adapters.edge.port import Sent
from adapters.edge.sender import Sender
from adapters.edge.spool import Spool
from gateway.errors import BadRequest, Denied, GatewayFault, ProviderFault

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
        self.reached, self.answering = asyncio.Event(), asyncio.Event()
        self.answering.set()

    async def send(self, sending):
        self.reached.set()
        await self.answering.wait()
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


class Register(Source):
    """Counts how often it was read; `hold` keeps a read open, `fault` makes it fail."""

    def __init__(self):
        self.reads, self.hold, self.fault = 0, asyncio.Event(), ""
        self.hold.set()

    async def local_values(self, exchange, records):
        self.reads += 1
        await self.hold.wait()
        if self.fault:
            raise ProviderFault(self.fault)
        return {key: Record(key, "330106", None, {"org_name": "服务台"}) for key in records}


@pytest.fixture
def register(sender):
    sender._source = Register()
    return sender._source


READ = {"records": [{"record": "S1"}]}


async def test_a_round_of_catching_up_does_not_read_what_a_call_is_reading(sender, gateway, register):
    register.hold.clear()
    call = asyncio.create_task(sender.send(request("key-0001", **READ), "t"))
    while not register.reads:
        await asyncio.sleep(0)
    assert await sender.catch_up() == 0
    register.hold.set()
    assert (await call)["delivery"] == "d-1"
    assert (register.reads, len(gateway.accepted)) == (1, 1)


async def test_a_round_of_catching_up_leaves_what_a_call_is_handing_in(sender, gateway, register):
    gateway.answering.clear()
    call = asyncio.create_task(sender.send(request("key-0001", **READ), "t"))
    await gateway.reached.wait()
    assert await sender.catch_up() == 0
    gateway.answering.set()
    assert (await call)["receipt"]
    assert (register.reads, len(gateway.accepted)) == (1, 1)


async def test_a_round_of_catching_up_leaves_what_a_call_finished_meanwhile_and_its_receipt(sender, gateway, register):
    gateway.away = True
    await sender.send(request("key-0001", **READ), "t")
    await sender.send(request("key-0002", **READ), "t")
    gateway.away = False
    register.hold.clear()
    round_of_two = asyncio.create_task(sender.catch_up())
    while register.reads < 3:
        await asyncio.sleep(0)
    register.hold.set()
    said = await sender.send(request("key-0002", **READ), "t")
    await round_of_two
    assert await sender.send(request("key-0002", **READ), "t") == said
    assert said["receipt"] and "repeated" not in said
    assert (register.reads, sorted(gateway.accepted)) == (4, ["key-0001", "key-0002"])


async def test_a_repeat_of_a_finished_key_does_not_read_the_register_again(sender, register):
    first = await sender.send(request("key-0001", **READ), "t")
    assert await sender.send(request("key-0001", **READ), "t") == first
    assert register.reads == 1


async def test_a_call_whose_register_fails_is_told_so_and_not_kept(sender, register):
    register.fault = "provider_garbage"
    with pytest.raises(ProviderFault, match="provider_garbage"):
        await sender.send(request("key-0001", **READ), "t")
    assert sender.spool.waiting == 0


async def test_a_queued_sending_keeps_its_place_while_the_register_fails(sender, gateway, register):
    gateway.away = True
    await sender.send(request("key-0001", **READ), "t")
    gateway.away, register.fault = False, "provider_garbage"
    assert await sender.catch_up() == 0
    with pytest.raises(ProviderFault):
        await sender.send(request("key-0001", **READ), "t")
    register.fault = ""
    assert await sender.catch_up() == 1
    assert list(gateway.accepted) == ["key-0001"]


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


class Away:
    """The gateway over HTTP: 409 is a repeat, no answer is none."""

    def __init__(self, url):
        self.url = url

    def ask(self, key):
        request = urllib.request.Request(self.url, method="POST", headers={"Idempotency-Key": key})
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


def edge(url, home, first, count):
    """The process that is killed: the edge's own sender and spool. What the department did stands in a file of its own."""

    async def work():
        log, spool = EdgeLog(home / "edge.jsonl"), Spool(home / "spool.sqlite")
        made = Sender(Away(url), Source(), None, region="330106", token=b"t", log=log, spool=spool)
        said.write("ready\n")
        while await made.catch_up():
            pass
        for number in range(first, first + count):
            said.write(f"offer {number}\n")
            await made.send(request(f"key-{number:06d}"), "t")
            said.write(f"done {number}\n")

    with (home / "said").open("a", buffering=1) as said:
        asyncio.run(work())


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
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def killed(counter, home, times):
    """Kill the edge at a random moment, `times` times; then let it finish. Numbers that the department offered, in the spool or done."""
    context, random, first = get_context("forkserver"), Random(11), 0
    # What takes long to import is imported once.
    context.set_forkserver_preload(["pytest", "adapters.edge.sender"])
    url, said = f"http://127.0.0.1:{counter.server_port}", home / "said"
    for _ in range(times):
        said.write_text("")
        process = context.Process(target=edge, args=(url, home, first, 100_000))
        process.start()
        while not said.stat().st_size:
            assert process.is_alive()
            process.join(0.001)
        time.sleep(random.uniform(0.02, 0.25))
        process.kill()
        process.join()
        lines = said.read_text().split("\n")
        offered = [int(line.split()[1]) for line in lines if line.startswith("offer ") and line[6:].isdigit()]
        first = max(offered, default=first - 1) + 1
    last = context.Process(target=edge, args=(url, home, first, 1))
    last.start()
    last.join()
    assert last.exitcode == 0
    assert f"done {first}\n" in said.read_text()
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
