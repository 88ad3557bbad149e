"""The schools' screening vendor (心理测评), simulated: it tells an edge by signed webhooks what came of a term's screening.

Rules kept here: outcomes follow from the population alone; one call per pupil; a knob makes it talkative (answers to items), as such
platforms are.

    python -m adapters.sandbox.screening_vendor --to http://127.0.0.1:PORT --secret-file F [--children N] [--with-items]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from adapters.base.webhooks import signature
from adapters.sandbox.population import Child, Population, build

BANDS = ("1", "2", "3")


def outcomes(population: Population, *, with_items: bool = False) -> Iterator[dict[str, object]]:
    """What the vendor tells of every ninth pupil."""
    for child in population.children:
        if child.known_to_education and child.school is not None and child.number % 9 == 0:
            told = _outcome(child, population)
            yield {**told, "items": [3, 1, 0, 2]} if with_items else dict(told)


def _outcome(child: Child, population: Population) -> dict[str, str]:
    assert child.school is not None
    told = {
        "type": "screening.completed",
        "pupil": child.school_key,
        "scale": "mht",
        "band": BANDS[child.number // 9 % 3],
        "urgency": "2" if child.number // 9 % 3 == 2 else "0",
        "screened_on": population.on.isoformat(),
        "guardian_told": "1" if child.number % 2 else "0",
        "contact": child.school.phone,
    }
    return told | ({"guardian_told_at": f"{population.on}T16:30:00"} if child.number % 2 else {})


def call(secret: bytes, number: str, told: dict[str, object], stamp: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one webhook."""
    body = json.dumps(told, ensure_ascii=False).encode()
    sign = signature(secret, number, str(stamp), body)
    return body, {"webhook-id": number, "webhook-timestamp": str(stamp), "webhook-signature": sign}


def main() -> int:
    """Call the edge for every outcome; 1 where it took not all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--with-items", action="store_true")
    given = parser.parse_args()
    secret, taken, refused = given.secret_file.read_bytes().strip(), 0, 0
    with httpx2.Client(trust_env=False) as http:
        for told in outcomes(build(given.children), with_items=given.with_items):
            body, headers = call(secret, f"sc-{told['pupil']}-{told['screened_on']}", told, int(time.time()))
            answer = http.post(f"{given.to}/local/screening", content=body, headers=headers)
            taken, refused = taken + answer.is_success, refused + (not answer.is_success)
    sys.stdout.write(json.dumps({"taken": taken, "refused": refused}) + "\n")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
