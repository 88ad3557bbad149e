"""`python -m adapters.sandbox.demo`: set the stage, tell the story, stay up (or, with --once, stop and say how it went).

Exit status 0 means that every event ended as expected.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.sandbox.demo.departments import DEPARTMENTS
from adapters.sandbox.demo.desk import enrol_people, enrolment_grant
from adapters.sandbox.demo.site import FIVE, PEOPLE, TWO
from adapters.sandbox.demo.stage import Stage, build_stage, keep_metrics, start_edges, start_gateway, start_systems
from adapters.sandbox.demo.steps import tell
from adapters.sandbox.demo.story import Story
from adapters.sandbox.demo.telling import Teller


def main() -> int:
    """Set up, tell, stay or stop."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sandbox.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop everything at the end")
    parser.add_argument("--children", type=int, default=2000, help="size of the invented population (default 2000)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where everything is written (default .demo)"
    )
    parser.add_argument(
        "--departments",
        choices=("five", "two"),
        default="five",
        help="two leaves out health, 12355, 12338 (steps i to o)",
    )
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="adapters inside the gateway, no edges: what may not be seen there is refused",
    )
    given = parser.parse_args()
    teller = Teller(os.environ.get("RUNXIN_DEMO_LANGUAGE", "zh"))
    teller.title()
    started = time.monotonic()
    edges = FIVE if given.departments == "five" else TWO
    with build_stage(given.folder.resolve(), given.children, teller.progress, edges, embedded=given.embedded) as stage:
        set_up(stage, teller, accounts=not given.once)
        story = Story(stage, teller)
        tell(story)
        story.save()
        keep_metrics(stage)
        teller.console.print()
        teller.say("done")
        teller.console.print(
            f"{len(story.rows)} events, {time.monotonic() - started:.0f} s, {given.folder}/summary.json"
        )
        teller.addresses(addresses(stage))
        if given.once:
            return 0 if story.good else 1
        teller.accounts(str(stage.console["address"]), stage.console["accounts"])
        teller.say("stay")
        until_told()
        return 0 if story.good else 1


def set_up(stage: Stage, teller: Teller, *, accounts: bool = False) -> None:
    """Systems, gateway, people, grants, edges. accounts: see `start_gateway`."""
    with ThreadPoolExecutor() as beside:
        teller.progress("systems", 0, 1)
        systems = beside.submit(start_systems, stage) if not stage.embedded else None
        teller.progress("gateway", 0, 1)
        start_gateway(stage, accounts=accounts)
        teller.progress("gateway", 1, 1)
        if systems is not None:
            systems.result()
        teller.progress("systems", 1, 1)
    exchanges = stage.folder / "exchanges.json"
    log = str(stage.public["log"])
    teller.progress("people", 0, 1)
    enrol_people(stage.site, stage.gateway, log, exchanges, PEOPLE)
    teller.progress("people", 1, 1)
    start_edges(stage, {name: granted(stage, name) for name in stage.site.edges}, teller.progress)
    teller.progress_done()
    teller.say("ready")


def granted(stage: Stage, name: str) -> str:
    """A grant to enrol a department's register, signed by its two approvers; its id."""
    size = sum(map(DEPARTMENTS[name].knows, stage.population.children))
    approvers = [person for person, functions in PEOPLE[name].items() if "approver" in functions]
    exchanges, log = stage.folder / "exchanges.json", str(stage.public["log"])
    return enrolment_grant(stage.site, name, stage.gateway, log, exchanges, size + 50, approvers)


def addresses(stage: Stage) -> list[tuple[str, str]]:
    """What listens where."""
    rows = [("gateway", stage.gateway), ("metrics", f"http://127.0.0.1:{stage.addresses['metrics_port']}/metrics")]
    for name in stage.site.edges:
        department = str(stage.site[name].party.department)
        spoken = department.replace("_", " ")
        rows.append((f"{spoken}: system", stage.addresses[department]))
        if not stage.embedded:
            rows.append((f"{spoken}: edge", stage.addresses[f"{name}_edge"]))
    return rows


def until_told() -> None:
    """Wait for Ctrl+C or SIGTERM."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()


if __name__ == "__main__":
    sys.exit(main())
