"""Speed of naming, translating and sealing, each beside its bare primitive in the same run.

Subject and peer take turns in short rounds and medians are compared. What is told per core is counted in processor time, so
that other load on the machine does not count. Two cores are two processes, as the gateway's workers are, and counted by the
clock: that row means something only on a machine that is otherwise idle, and the bare multiplication on two cores stands
beside it to tell. The same by each worker's processor time stands below: it does not see who else wants the cores, only what the two
workers cost each other. Run as a module it prints a table and writes `.bench/pseudonyms.json`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rbcl

from gateway.domain.canonical import canonical
from gateway.domain.orders import SealInfo
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, Transform
from keys.envelope import SUITES, SealingPair, open_line, seal_line
from keys.group import hash_to_group, random_scalar
from keys.identifiers import Identifier
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.sealing_keys import public
from keys.signing import SigningKey
from keys.text import read, write

BATCH = 250
ROUNDS = 25
BURST = 6
SCOPE = Scope.open(Department.EDUCATION)
SCHOOL = Party("12330106MB0000001A", Department.EDUCATION)
HOSPITAL = Party("12330106MB0000002B", Department.HEALTH)
# Twelve fields of the lengths that a referral has: names, codes, dates, an address, two short texts.
RECORD = {
    "name": "王小某",
    "gender": "1",
    "birth_month": "2012-05",
    "school": "12330106MB0000001A",
    "grade": "七年级",
    "address": "杭州市西湖区文新街道某某社区",
    "guardian": "李某",
    "phone": "13800000000",
    "urgency": "2",
    "reason": ["A01", "B03"],
    "note": "近两周情绪低落，班主任已与监护人沟通。" * 3,
    "request": "请安排心理门诊随访，并反馈结果。",
}
GRANTS = dict.fromkeys(RECORD, Obligation(Transform.CLEAR, sealed=True))


def measure() -> list[dict]:
    """All rows: measure, value and unit of the subject, the peer's value beside it, ratio, bar, ok (None: no bar)."""
    with tempfile.TemporaryDirectory() as directory:
        ring = KeyRing.open(Path(directory), LocalRootKey.generate())
        children = [ring.derive(SCOPE, Identifier("issued", b"issued:%d" % number)) for number in range(BATCH)]
        ring.translate(children, GATEWAY_SCOPE)
        return [*_naming(ring, children), *_two_cores(ring, children), *_sealing()]


def _naming(ring: KeyRing, children: list) -> list[dict]:
    points = [child.point for child in children]
    texts = [write(child) for child in children]
    key, raw = random_scalar(), rbcl.crypto_scalarmult_ristretto255
    times = _interleave(
        batch=lambda: ring.translate(children, GATEWAY_SCOPE),
        single=lambda: [ring.translate([child], GATEWAY_SCOPE) for child in children],
        door=lambda: ring.evaluate(SCOPE, points),
        raw=lambda: [raw(key, point) for point in points],
        text=lambda: [write(name) for name in ring.translate([read(text, SCOPE) for text in texts], GATEWAY_SCOPE)],
        derive=lambda: [ring.derive(SCOPE, Identifier("issued", b"issued:%d" % number)) for number in range(BATCH)],
        peer=lambda: [raw(key, hash_to_group(b"issued:%d" % number)) for number in range(BATCH)],
    )
    raw_rate = BATCH / times["raw"]
    rows = []
    for name, what, bar in (
        ("batch", "batch translate, one core, 32-byte points", 0.8),
        ("door", "blind door evaluation, batch, one core", None),
        ("text", "batch translate, text in and out, one core", None),
    ):
        rate = BATCH / times[name]
        rows.append(_row(what, rate, "points/s", raw_rate, rate / raw_rate, bar, at_least=True))
    single, bare = times["single"] / BATCH * 1e6, times["raw"] / BATCH * 1e6
    rows.append(_row("single translate, 32-byte point", single, "µs", bare, single / bare, 1.5, at_least=False))
    derive, bare = times["derive"] / BATCH * 1e6, times["peer"] / BATCH * 1e6
    rows.append(_row("assisted door, beside hash-to-group and multiply", derive, "µs", bare, derive / bare, None))
    return rows


def _two_cores(ring: KeyRing, children: list) -> list[dict]:
    """Two processes at once beside one alone; the same for the bare multiplication, which tells what the machine can give."""
    points, key, raw = [child.point for child in children], random_scalar(), rbcl.crypto_scalarmult_ristretto255
    subject = _Pair(lambda: ring.translate(children, GATEWAY_SCOPE))
    peer = _Pair(lambda: [raw(key, point) for point in points])
    samples: dict[str, list[tuple[float, float]]] = {"one": [], "two": [], "raw_one": [], "raw_two": []}
    try:
        for _ in range(ROUNDS // 3):
            for core in (0, 1):
                samples["one"].append(subject.run(core))
                samples["raw_one"].append(peer.run(core))
            samples["two"].append(subject.run(0, 1))
            samples["raw_two"].append(peer.run(0, 1))
    finally:
        subject.close()
        peer.close()
    rate, by_processor = (
        {
            name: (2 if "two" in name else 1) * BURST * BATCH / statistics.median(one[kind] for one in taken)
            for name, taken in samples.items()
        }
        for kind in (0, 1)
    )
    gain, raw_gain = rate["two"] / rate["one"], rate["raw_two"] / rate["raw_one"]
    apart = by_processor["two"] / by_processor["one"]
    return [
        _row("batch translate, two cores beside one", rate["two"], "points/s", rate["one"], gain, 1.6, at_least=True),
        _row("bare multiplication, two cores beside one", rate["raw_two"], "points/s", rate["raw_one"], raw_gain, None),
        _row("the first by processor time", by_processor["two"], "points/s", by_processor["one"], apart, None),
    ]


class _Pair:
    """Two forked workers that do `work` on demand, together or one alone."""

    def __init__(self, work: Callable[[], object]) -> None:
        fork = multiprocessing.get_context("fork")
        self._ends, self._processes = [], []
        for core in sorted(os.sched_getaffinity(0))[:2]:
            here, there = fork.Pipe()
            process = fork.Process(target=_serve, args=(there, work, core), daemon=True)
            process.start()
            self._ends.append(here)
            self._processes.append(process)

    def run(self, *cores: int) -> tuple[float, float]:
        """Seconds until the workers of all these cores are done, and the processor seconds that each took on average."""
        ends = [self._ends[core] for core in cores]
        start = time.perf_counter()
        for end in ends:
            end.send(True)
        taken = [float(end.recv()) for end in ends]
        return time.perf_counter() - start, statistics.mean(taken)

    def close(self) -> None:
        for end, process in zip(self._ends, self._processes, strict=True):
            end.send(False)
            process.join()


def _serve(end, work: Callable[[], object], core: int) -> None:
    # Bursts this short would otherwise be woken on one core and never moved to the other.
    os.sched_setaffinity(0, {core})
    while end.recv():
        start = time.process_time()
        for _ in range(BURST):
            work()
        end.send(time.process_time() - start)


def _sealing() -> list[dict]:
    rows = []
    for suite in SUITES:
        pair, signer = SealingPair.generate(suite), SigningKey.generate()
        info = SealInfo("00000000-0000-7000-8000-000000000001", 1, "X05", SCHOOL, HOSPITAL, pair.kid)
        recipient, key, hpke = pair.sealing_key(HOSPITAL), public(suite, pair.public_key), SUITES[suite]
        plaintexts = [canonical(value) for value in RECORD.values()]
        ciphertexts = [hpke.encrypt(plaintext, key, b"info") for plaintext in plaintexts]

        def seal(info=info, recipient=recipient, signer=signer):
            return seal_line(
                RECORD,
                grants=GRANTS,
                info=info,
                recipient=recipient,
                signer=signer,
                number=1,
                subject=None,
                references={},
                region=None,
            )

        line = seal()
        verifier = signer.verify_key
        times = _interleave(
            seal=lambda: [seal() for _ in range(20)],
            bare=lambda: [hpke.encrypt(plaintext, key, b"info") for _ in range(20) for plaintext in plaintexts],
            open=lambda: [open_line(line, pair=pair, sender_key=verifier, expected=info) for _ in range(20)],
            bare_open=lambda: [hpke.decrypt(text, pair.private, b"info") for _ in range(20) for text in ciphertexts],
        )
        taken = {name: seconds / 20 * 1e6 for name, seconds in times.items()}
        rows += [
            _row(
                f"12-field record sealed and signed, {suite}, beside 12 bare HPKE",
                taken["seal"],
                "µs",
                taken["bare"],
                taken["seal"] / taken["bare"],
                0.4,
                at_least=False,
            ),
            _row(
                f"12-field record verified and opened, {suite}, beside 12 bare HPKE",
                taken["open"],
                "µs",
                taken["bare_open"],
                taken["open"] / taken["bare_open"],
                None,
            ),
        ]
    return rows


def _interleave(**work: Callable[[], object]) -> dict[str, float]:
    """Median seconds of processor time of each, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, one in work.items():
            start = time.process_time()
            one()
            taken[name].append(time.process_time() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def _row(what: str, value: float, unit: str, beside: float, ratio: float, bar: float | None, *, at_least=True) -> dict:
    ok = None if bar is None else bool(ratio >= bar if at_least else ratio <= bar)
    text = "none" if bar is None else f"{'>=' if at_least else '<='} {bar:.2f}"
    return {"measure": what, "value": value, "unit": unit, "beside": beside, "ratio": ratio, "bar": text, "ok": ok}


def main() -> int:
    """Print the table and keep it."""
    rows = measure()
    for row in rows:
        verdict = {True: "ok", False: "NOT MET", None: ""}[row["ok"]]
        print(
            f"{row['measure']:<66} {row['value']:>10,.1f} {row['unit']:<9} beside {row['beside']:>10,.1f}  "
            f"ratio {row['ratio']:>5.2f}  bar {row['bar']:<8} {verdict}"
        )
    target = Path(".bench")
    target.mkdir(exist_ok=True)
    (target / "pseudonyms.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0 if all(row["ok"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
