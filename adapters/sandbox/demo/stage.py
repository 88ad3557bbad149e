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

Process = Running | subprocess.Popen[bytes]
Progress = Callable[[str, int, int], None]
"""progress(what, done, of): told while something takes long."""

STOPPING_SECONDS = 60  # a loaded machine closes slowly, and what is killed cannot write what it still owes
PASSPHRASE = SECRET


@dataclass(slots=True)
class Stage:
    """A running demo. gateway: the address that everybody uses (the recording hop in front of the gateway). edges: their processes;
    running: all others. embedded: whether the adapters run inside the gateway instead of behind edges.
    """

    folder: Path
    population: Population
    site: site.Site
    gateway: str = ""
    embedded: bool = False
    public: dict[str, Any] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Reach] = field(default_factory=dict, repr=False)
    console: dict[str, Any] = field(default_factory=dict, repr=False)
    running: list[Process] = field(default_factory=list)
    edges: list[Process] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the edges, which may still have something to tell the gateway; then everything else at once."""
        for processes in (self.edges, self.running):
            for process in processes:
                _process_of(process).terminate()
            while processes:
                _end(processes.pop())

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
            "RUNXIN_EMBEDDED": json.dumps([str(self.edge_file(name)) for name in self.site.edges if self.embedded]),
            "RUNXIN_PROTECTIVE_ESCROW": json.dumps([site.escrow(self.site[name]) for name in ("ca", "wf")]),
        }

    def edge_file(self, name: str) -> Path:
        """Settings of a body's edge."""
        return self.site.folder / name / "edge.toml"

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


def _process_of(process: Process) -> subprocess.Popen[bytes]:
    return process.process if isinstance(process, Running) else process


def _end(process: Process) -> None:
    """Wait for a process that was told to end."""
    if isinstance(process, Running):
        process.stop(STOPPING_SECONDS)
        return
    try:
        process.wait(STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        sys.stderr.write(f"{process.args!r} had to be killed: what it still owed its log is lost.\n")


def keep_metrics(stage: Stage) -> None:
    """What the gateway counts, as a scraper would see it now, in `metrics.txt`: a test searches it for names and numbers."""
    said = httpx2.get(f"http://127.0.0.1:{stage.addresses['metrics_port']}/metrics", timeout=10, trust_env=False)
    said.raise_for_status()
    (stage.folder / "metrics.txt").write_bytes(said.content)


def build_stage(
    folder: Path, children: int, progress: Progress, edges: tuple[str, ...] = site.TWO, *, embedded: bool = False
) -> Stage:
    """A fresh folder, the population, the bodies, the addresses. Nothing runs yet. edges: the bodies whose systems take part;
    embedded: see `Stage`.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    progress("population", 0, children)
    population = build(children)
    cast(population)  # a population without the story's roles is refused before anything is set up
    progress("population", children, children)
    school = next(s for s in population.schools if s.county == site.HOME and s.stage == "3")
    stage = Stage(folder, population, site.found(folder / "bodies", school, edges), embedded=embedded)
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


def start_gateway(stage: Stage, *, accounts: bool) -> None:
    """`runxin init`, `runxin register`, `runxin serve`, behind the recording hop. accounts: whether people will look at the console."""
    stage.runxin("init")
    stage.public = json.loads(stage.runxin("keys", "public"))
    exchanges = stage.folder / "exchanges.json"
    stage.runxin("policy", "exchanges", str(exchanges))
    hops = {name: f"embedded:{name}" if stage.embedded else _hop(stage, name) for name in stage.site.edges}
    site_file = stage.folder / "site.toml"
    site.write_site_file(stage.site, site_file, hops)
    stage.runxin("register", str(site_file))
    if accounts:
        # One account per role, good in demo mode and from loopback only; the screen shows them at the end.
        stage.console = json.loads(stage.runxin("console", "demo-accounts"))
    if stage.embedded:
        # The gateway reads them when it starts, and their systems have to be known by then.
        start_systems(stage)
        for name in stage.site.edges:
            _write_edge_files(stage, name)
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


def _hop(stage: Stage, name: str) -> str:
    """A recording hop in front of an edge that is still to come; the URL under which the gateway reaches it."""
    port, hop = free_port(), free_port()
    stage.addresses[f"{name}_edge_port"] = str(port)
    stage.running.append(recorder.start(hop, port, stage.folder / "capture" / f"edge-{name}"))
    return f"http://127.0.0.1:{hop}"


def start_edges(stage: Stage, grants: Mapping[str, str], progress: Progress) -> None:
    """Enrol each edge's directory under its grant, then serve; the departments side by side. An embedded one serves already."""

    def start(name: str) -> None:
        errors, config = stage.folder / f"edge-{name}.err", stage.edge_file(name)
        if not stage.embedded:
            _write_edge_files(stage, name)
        for line in _lines(
            [sys.executable, "-m", "adapters.edge", "--config", str(config), "--enrol", "--grant", grants[name]], errors
        ):
            progress(f"directory-{name}", line.get("enrolled", 0), line.get("total", 0))
        if not stage.embedded:
            running = launch("adapters.edge", ["--config", str(config)], errors=errors)
            stage.edges.append(running)
            stage.addresses[f"{name}_edge"] = running.address

    side_by_side(start, stage.site.edges)


def _write_edge_files(stage: Stage, name: str) -> None:
    """An edge's settings; it has a door for the department's own system where that sends through it."""
    local = free_port() if DEPARTMENTS[name].local and not stage.embedded else None
    site.write_edge_files(
        stage.site,
        name,
        port=int(stage.addresses.get(f"{name}_edge_port", "0")),
        gateway=stage.gateway,
        public=stage.public,
        exchanges=stage.folder / "exchanges.json",
        source=stage.sources[name],
        local=local,
    )
    if local is not None:
        stage.addresses[f"{name}_local"] = f"http://127.0.0.1:{local}"


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


def _until_answering(url: str, errors: Path, seconds: float = 180.0) -> None:
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
