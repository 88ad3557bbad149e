"""The processes of the demo: started in order, found by their addresses, and stopped whatever happens.

Rules kept here: everything listens on loopback; everything the demo writes lies in one folder; a process that does not come up
is named with the file that holds what it said.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from adapters.sandbox.cast import cast
from adapters.sandbox.demo import recorder, site
from adapters.sandbox.demo.departments import DEPARTMENTS, SECRET, Reach
from adapters.sandbox.population import Population, build
from adapters.sandbox.processes import Running, free_port, launch

Progress = Callable[[str, int, int], None]
"""progress(what, done, of): told while something takes long."""

STOPPING_SECONDS = 60  # a loaded machine closes slowly, and what is killed cannot write what it still owes
PASSPHRASE = SECRET


@dataclass(slots=True)
class Stage:
    """A running demo. gateway: the address that everybody uses (the recording hop in front of the gateway)."""

    folder: Path
    population: Population
    site: site.Site
    gateway: str = ""
    public: dict[str, Any] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Reach] = field(default_factory=dict, repr=False)
    console: dict[str, Any] = field(default_factory=dict, repr=False)
    running: list[Running | subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop what was started, last first."""
        while self.running:
            process = self.running.pop()
            if isinstance(process, Running):
                process.stop()
                continue
            process.terminate()
            try:
                process.wait(STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                sys.stderr.write(f"{process.args!r} had to be killed: what it still owed its log is lost.\n")

    def environment(self) -> dict[str, str]:
        """What the gateway's own commands are told."""
        return {
            **os.environ,
            "RUNXIN_DATA": str(self.folder / "gateway"),
            "RUNXIN_DEMO": "true",
            "RUNXIN_ROOT_PASSPHRASE": PASSPHRASE,
            "RUNXIN_ISSUER": self.gateway,
            "RUNXIN_PORT": self.addresses["gateway_port"],
            "RUNXIN_METRICS_PORT": self.addresses["metrics_port"],
            "RUNXIN_POLICIES": str(self.folder / "policies"),
            "RUNXIN_PROTECTIVE_ESCROW": json.dumps([site.escrow(self.site[name]) for name in ("ca", "wf")]),
        }

    def runxin(self, *arguments: str) -> str:
        """Run one `runxin` command; what it prints. Raises `RuntimeError` with what it said."""
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "gateway.cli", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise RuntimeError(f"runxin {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout


def keep_metrics(stage: Stage) -> None:
    """What the gateway counts, as a scraper would see it now, in `metrics.txt`: a test searches it for names and numbers."""
    said = httpx2.get(f"http://127.0.0.1:{stage.addresses['metrics_port']}/metrics", timeout=10, trust_env=False)
    said.raise_for_status()
    (stage.folder / "metrics.txt").write_bytes(said.content)


def build_stage(folder: Path, children: int, progress: Progress, edges: tuple[str, ...] = site.TWO) -> Stage:
    """A fresh folder, the population, the bodies, the addresses. Nothing runs yet. edges: the bodies whose systems take part."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    progress("population", 0, children)
    population = build(children)
    cast(population)  # a population without the story's roles is refused before anything is set up
    progress("population", children, children)
    school = next(s for s in population.schools if s.county == site.HOME and s.stage == "3")
    stage = Stage(folder, population, site.found(folder / "bodies", school, edges))
    public_port = _preferred(8440)
    stage.gateway = f"http://127.0.0.1:{public_port}"
    stage.addresses = {
        "public_port": str(public_port),
        "gateway_port": str(free_port()),
        "metrics_port": str(free_port()),
    }
    write_policies(stage)
    return stage


def write_policies(stage: Stage) -> None:
    """The shipped policies with one exchange's rules narrowed to the demo's city, as a site would do it: X02 for 3301 only."""
    stage.runxin("policy", "copy", str(stage.folder / "policies"))
    rules = stage.folder / "policies" / "rules" / "X02.csv"
    lines = rules.read_text("utf-8").splitlines(keepends=True)
    region = lines[0].strip().split(",").index("reg")
    narrowed = [lines[0]]
    for line in lines[1:]:
        columns = line.split(",")
        columns[region] = site.CITY
        narrowed.append(",".join(columns))
    rules.write_text("".join(narrowed), "utf-8")


def start_systems(stage: Stage) -> None:
    """The departmental systems side by side, each with a log of its own of what it was asked."""
    count, folder = len(stage.population.children), stage.folder / "systems"

    def start(name: str) -> None:
        department = str(stage.site[name].party.department)
        system, source = DEPARTMENTS[name].start(folder / department, count)
        stage.running.append(system)
        stage.sources[name] = source
        stage.addresses |= {department: system.address, f"{department}_log": str(system.request_log)}

    side_by_side(start, stage.site.edges)


def start_gateway(stage: Stage) -> None:
    """`runxin init`, `runxin register`, `runxin serve`, behind the recording hop."""
    stage.runxin("init")
    stage.public = json.loads(stage.runxin("keys", "public"))
    exchanges = stage.folder / "exchanges.json"
    stage.runxin("policy", "exchanges", str(exchanges))
    hops = {}
    for name in stage.site.edges:
        port, hop = free_port(), free_port()
        stage.addresses[f"{name}_edge_port"] = str(port)
        stage.running.append(recorder.start(hop, port, stage.folder / "capture" / f"edge-{name}"))
        hops[name] = f"http://127.0.0.1:{hop}"
    site_file = stage.folder / "site.toml"
    site.write_site_file(stage.site, site_file, hops)
    stage.runxin("register", str(site_file))
    # One account per role, good in demo mode and from loopback only; the screen shows them at the end.
    stage.console = json.loads(stage.runxin("console", "demo-accounts"))
    log = (stage.folder / "gateway.log").open("ab")
    stage.running.append(
        subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve"],
            env=stage.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    )
    port = int(stage.addresses["gateway_port"])
    stage.running.append(
        recorder.start(int(stage.addresses["public_port"]), port, stage.folder / "capture" / "gateway")
    )
    _until_answering(f"{stage.gateway}/readyz", stage.folder / "gateway.log")


def start_edges(stage: Stage, grants: Mapping[str, str], progress: Progress) -> None:
    """Enrol each edge's directory under its grant, then serve; the departments side by side."""

    def start(name: str) -> None:
        local = free_port() if DEPARTMENTS[name].local else None
        config = site.write_edge_files(
            stage.site,
            name,
            port=int(stage.addresses[f"{name}_edge_port"]),
            gateway=stage.gateway,
            public=stage.public,
            exchanges=stage.folder / "exchanges.json",
            source=stage.sources[name],
            local=local,
        )
        errors = stage.folder / f"edge-{name}.err"
        for line in _lines(
            [sys.executable, "-m", "adapters.edge", "--config", str(config), "--enrol", "--grant", grants[name]], errors
        ):
            progress(f"directory-{name}", line.get("enrolled", 0), line.get("total", 0))
        running = launch("adapters.edge", ["--config", str(config)], errors=errors)
        stage.running.append(running)
        stage.addresses[f"{name}_edge"] = running.address
        if local is not None:
            stage.addresses[f"{name}_local"] = f"http://127.0.0.1:{local}"

    side_by_side(start, stage.site.edges)


def side_by_side(act: Callable[[str], None], names: Sequence[str]) -> None:
    """Do one thing for each name, all at once; the first failure is raised once all have ended."""
    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(act, name) for name in names]:
            done.result()


def _lines(command: Sequence[str], errors: Path) -> Iterator[dict[str, Any]]:
    """JSON lines of a command that tells its progress; `RuntimeError` if it fails."""
    with (
        errors.open("ab") as err,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err) as process,  # noqa: S603 - our own module
    ):
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"enrolment failed; see {errors.name}")


def _until_answering(url: str, errors: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(url, timeout=2, trust_env=False).status_code == httpx2.codes.OK:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the gateway did not come up; see {errors.name}")


def _preferred(port: int) -> int:
    """The port that is asked for if it is free, otherwise any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port
