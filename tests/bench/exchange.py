"""What the gateway costs beside nothing: X02 through it, and a bare FastAPI route that fetches the same record.

Three processes beside this one: the provider (a real edge door over a register in memory), the gateway (one process, SQLite), the
bare route. Requests are signed beforehand, so the load costs the same on both sides. CPU is the server process's own, from the
operating system. Run as a module or by `make bench ONLY=exchange`.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from adapters.sandbox.demo import site as demo_site
from adapters.sandbox.demo.desk import Desk, enrol_people
from adapters.sandbox.demo.stage import PASSPHRASE
from adapters.sandbox.population import build
from adapters.sandbox.processes import free_port
from gateway.client.session import Pause, Session
from gateway.domain.canonical import canonical
from tests.bench.probes import fsync_probe

ALONE, MANY, IN_FLIGHT = 1500, 3000, 32
ROUNDS = 3
PATHS = {"bare": "/v1/query", "lean": "/v1/lean"}
FIELDS = ["enrolled", "stage", "grade", "school_org_code", "boarding", "status", "as_of"]


class World:
    """The three processes and the keys to speak to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        population = build(200)
        school = next(s for s in population.schools if s.county == demo_site.HOME and s.stage == "3")
        self.site = demo_site.found(folder / "bodies", school)
        self.child = next(c for c in population.children if c.identifier and c.county == demo_site.HOME)
        self.ports = {name: free_port() for name in ("gateway", "bare", "provider")}
        self.gateway = f"http://127.0.0.1:{self.ports['gateway']}"
        self.environment = {
            **os.environ,
            "RUNXIN_DATA": str(folder / "gateway"),
            "RUNXIN_DEMO": "true",
            "RUNXIN_ROOT_PASSPHRASE": PASSPHRASE,
            "RUNXIN_ISSUER": self.gateway,
            "RUNXIN_PORT": str(self.ports["gateway"]),
        }

    def runxin(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def start(self) -> None:
        self.runxin("init")
        self.public = json.loads(self.runxin("keys", "public"))
        exchanges = self.folder / "exchanges.json"
        self.runxin("policy", "exchanges", str(exchanges))
        provider = f"http://127.0.0.1:{self.ports['provider']}"
        site_file = self.folder / "site.toml"
        demo_site.write_site_file(self.site, site_file, {"ed": provider})
        self.runxin("register", str(site_file))
        config = self.folder / "provider.json"
        config.write_text(
            json.dumps(
                {
                    "organisation": self.site["ed"].party.organisation,
                    "signing_key": str(self.folder / "bodies/ed/edge.pem"),
                    "gateway_key": self.public["orders"],
                    "exchanges": str(exchanges),
                    "port": self.ports["provider"],
                }
            )
        )
        self.spawn("-m", "tests.bench.exchange_provider", str(config))
        self.spawn("-m", "tests.bench.exchange_bare", str(self.ports["bare"]), provider)
        self.spawn("-m", "gateway.cli", "serve")
        for name, path in (("provider", "/record"), ("bare", "/openapi.json"), ("gateway", "/readyz")):
            until_answering(f"http://127.0.0.1:{self.ports[name]}{path}")
        people = {"ca": demo_site.PEOPLE["ca"]}
        enrol_people(self.site, self.gateway, self.public["log"], exchanges, people)
        desk = Desk(
            self.site,
            "ca",
            self.gateway,
            self.public["log"],
            exchanges,
            self.site["ca"].officer("M0101", "case_worker"),
        )
        self.case = desk.open_case(self.child, ["X02"], [desk.party], None)
        desk.approve(self.case, "M0900", "M0101", ["X02"])
        with desk.client() as client:
            self.subject = client.pseudonyms([desk.identifier(self.child)])[0]
        self.session = Session(
            self.site.configuration("ca", self.gateway, officer=desk.officer, log_vkey=self.public["log"])
        )

    def spawn(self, *arguments: str) -> None:
        log = (self.folder / "processes.log").open("ab")
        self.processes.append(
            subprocess.Popen([sys.executable, *arguments], env=self.environment, stdout=log, stderr=log)
        )

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)

    def process(self, name: str) -> psutil.Process:
        place = {"provider": 0, "bare": 1, "lean": 1, "gateway": 2}[name]
        return psutil.Process(self.processes[place].pid)

    def signed(self, count: int) -> list[bytes]:
        """Whole HTTP requests, each with a proof of its own."""
        body = canonical(
            {
                "exchange": "X02",
                "purpose": "P14",
                "door": "normal",
                "subject": {"pseudonym": self.subject},
                "case": self.case,
                "fields": FIELDS,
            }
        )
        token = self.token()
        return [
            request("/v1/query", self.session._signed_headers("POST", "/v1/query", body, token), body)
            for _ in range(count)
        ]

    def bare(self, count: int, path: str = "/v1/query") -> list[bytes]:
        body = canonical({"exchange": "X02", "subject": {"pseudonym": self.subject}})
        return [request(path, {"content-type": "application/json"}, body)] * count

    def token(self) -> str:
        step, reply = self.session._current_token(), None
        from gateway.client.carrying import read_incoming

        with httpx2.Client(base_url=self.gateway, trust_env=False) as http:
            while True:
                try:
                    wish = step.send(reply)
                except StopIteration as done:
                    return done.value
                if isinstance(wish, Pause):
                    reply = None
                    continue
                reply = read_incoming(
                    http.request(wish.method, wish.path, headers=dict(wish.headers), content=wish.body)
                )


def request(path: str, headers: dict, body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def one(reader, writer, data: bytes) -> float:
    """Send one request on a kept connection; seconds until the whole answer is there."""
    started = time.perf_counter()
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(f"refused: {body[:200]!r}")
    return time.perf_counter() - started


async def drive(port: int, requests: list[bytes], in_flight: int) -> tuple[list[float], float]:
    """(seconds of each, seconds of all)."""
    waiting = iter(requests)
    took: list[float] = []

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for data in waiting:
            took.append(await one(reader, writer, data))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return took, time.perf_counter() - started


def load(world: World, name: str, count: int, in_flight: int) -> dict:
    requests = world.signed(count) if name == "gateway" else world.bare(count, PATHS[name])
    process = world.process(name)
    before = used(process)
    took, seconds = asyncio.run(drive(world.ports["bare" if name == "lean" else name], requests, in_flight))
    after = used(process)
    took.sort()
    return {
        "rate": count / seconds,
        "p50": statistics.median(took) * 1000,
        "p99": took[int(len(took) * 0.99) - 1] * 1000,
        "cpu": (after - before) / count * 1000,
    }


def used(process: psutil.Process) -> float:
    """Seconds of CPU of every thread that the process has, by the scheduler's own clock where the machine tells it: the usual one
    ticks a hundred times a second, which is a tenth of what a hundred bare requests cost.
    """
    threads = Path(f"/proc/{process.pid}/task")
    try:
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads.iterdir()) / 1e9
    except (OSError, ValueError, IndexError):
        times = process.cpu_times()
        return times.user + times.system


def measure() -> list[dict]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="runxin-bench-") as name:
        world = World(Path(name))
        try:
            world.start()
            for warm in ("gateway", *PATHS):
                load(world, warm, 100, 4)
            entries_before = entries(world)
            for in_flight, count in ((1, ALONE), (IN_FLIGHT, MANY)):
                runs = {side: [] for side in ("gateway", *PATHS)}
                for _ in range(ROUNDS):
                    for side, done in runs.items():
                        done.append(load(world, side, count // ROUNDS, in_flight))
                mine, peer, lean = (
                    {k: statistics.median(r[k] for r in done) for k in done[0]} for done in runs.values()
                )
                rows += compare(mine, peer, in_flight)
                rows.append(
                    row(
                        f"CPU per request, {in_flight} in flight, beside the bare route over our own connections",
                        mine["cpu"],
                        "ms",
                        lean["cpu"],
                        mine["cpu"] / lean["cpu"],
                        None,
                        None,
                    )
                )
            asked = (ALONE // ROUNDS + MANY // ROUNDS) * ROUNDS
            written = entries(world) - entries_before
            rows.append(row("entries written per answer", written / asked, "entries", None, None, 1, written == asked))
            rows.append(row("fsync probe, p50", fsync_probe(world.folder), "ms", None, None, None, None))
        finally:
            world.stop()
    return rows


def entries(world: World) -> int:
    return int(httpx2.get(f"{world.gateway}/v1/audit/checkpoint", trust_env=False).text.split("\n")[1])


def compare(mine: dict, peer: dict, in_flight: int) -> list[dict]:
    cpu = mine["cpu"] / peer["cpu"]
    rows = [
        row(
            f"requests/s, {in_flight} in flight",
            mine["rate"],
            "1/s",
            peer["rate"],
            mine["rate"] / peer["rate"],
            None,
            None,
        ),
        row(f"p50, {in_flight} in flight", mine["p50"], "ms", peer["p50"], mine["p50"] / peer["p50"], None, None),
        row(f"p99, {in_flight} in flight", mine["p99"], "ms", peer["p99"], mine["p99"] / peer["p99"], None, None),
        row(f"CPU per request, {in_flight} in flight", mine["cpu"], "ms", peer["cpu"], cpu, 3.0, cpu <= 3.0),
    ]
    if in_flight == 1:
        added = mine["p50"] - peer["p50"]
        rows.append(row("added at the median, 1 in flight", added, "ms", None, None, 8.0, added <= 8.0))
    return rows


def row(measure: str, value: float, unit: str, beside, ratio, bar, ok) -> dict:
    return {
        "measure": measure,
        "value": round(value, 3),
        "unit": unit,
        "beside": None if beside is None else round(beside, 3),
        "ratio": None if ratio is None else round(ratio, 3),
        "bar": bar,
        "ok": ok,
    }


def until_answering(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(url, timeout=2, trust_env=False).status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


if __name__ == "__main__":
    from tests.bench.__main__ import show

    show("exchange", measure())
