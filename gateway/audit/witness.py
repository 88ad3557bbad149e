"""A department's witness (c2sp.org/tlog-witness): cosigns a checkpoint only if it extends the one that it cosigned before.

No HTTP here: `add_checkpoint` takes the request's body and gives status, content type and body; `runxin witness` puts it behind a
door. The log's side builds the request (`request_for`) and keeps the answer (`keep_cosignatures`).

Rules kept here: what was cosigned is on disk before the answer leaves; check and set happen under one lock; a refused request
that the log's key had signed (409, 422) is kept as evidence.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.audit.receipts import consistency
from gateway.domain.clock import Clock
from gateway.proofs.checkpoints import Checkpoint, parse_checkpoint, read_checkpoint, verify_checkpoint
from gateway.proofs.cosignature import cosign, cosigned_at, with_signatures
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import EMPTY_ROOT, verify_consistency
from gateway.proofs.notes import Signature, Signer, Verifier, parse_note
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.database import Database, Reading
from keys.durable import only_writer, replace

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})\Z")
_LONGEST_PROOF = 63
_PLAIN = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What goes back to the log."""

    status: int
    body: bytes = b""
    content_type: str = _PLAIN


class Witness:
    """One witness. directory: its own, on its own machine. signer: of kind 0x04. logs: the keys it knows, by origin."""

    def __init__(self, directory: Path, signer: Signer, logs: Mapping[str, Verifier], clock: Clock) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "evidence").mkdir(exist_ok=True)
        self._directory = directory
        self._signer = signer
        self._logs = logs
        self._clock = clock

    @property
    def origins(self) -> tuple[str, ...]:
        """The logs it knows."""
        return tuple(self._logs)

    def latest(self, origin: str) -> bytes | None:
        """The newest cosigned checkpoint of a log, for the monitoring address `<hex sha256(origin)>/checkpoint`."""
        place = self._place(origin)
        return place.read_bytes() if place.exists() else None

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """`POST add-checkpoint`: 200 cosignature, 400 malformed, 403 not signed, 404 unknown log, 409 other size, 422 not a growth."""
        try:
            old, proof, note = _parse(body)
            claimed = read_checkpoint(note)
        except ProofInvalid:
            return WitnessAnswer(400)
        log = self._logs.get(claimed.origin)
        if log is None:
            return WitnessAnswer(404)
        try:
            checkpoint = verify_checkpoint(note, log)
        except ProofInvalid:
            return WitnessAnswer(403)
        if old > checkpoint.size:
            return WitnessAnswer(400)
        place = self._place(checkpoint.origin)
        with only_writer(place):
            latest = self.latest(checkpoint.origin)
            before = read_checkpoint(latest) if latest else Checkpoint(checkpoint.origin, 0, EMPTY_ROOT)
            if old != before.size:
                self._keep(body)
                return WitnessAnswer(409, f"{before.size}\n".encode(), _SIZE)
            try:
                verify_consistency(before.size, checkpoint.size, proof, before.root, checkpoint.root)
                _require_empty_root(checkpoint)
            except ProofInvalid:
                self._keep(body)
                return WitnessAnswer(422)
            parsed = parse_note(note)
            line = cosign(parsed.text, self._signer, int(self._clock.now().timestamp()))
            # A crash before this returns: nothing was cosigned. After it: cosigned, and the log asks again for the answer.
            replace(place, with_signatures(parsed, (line,)).encode())
        return WitnessAnswer(200, line.line.encode())

    def _place(self, origin: str) -> Path:
        return self._directory / sha256(origin.encode()).hexdigest()

    def _keep(self, body: bytes) -> None:
        replace(self._directory / "evidence" / sha256(body).hexdigest(), body)


async def request_for(reading: Reading, note: bytes, old: int) -> bytes:
    """The `add-checkpoint` body for a witness whose last cosigned size is `old`."""
    proof = await consistency(reading, old, read_checkpoint(note).size)
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof)]
    return ("\n".join(lines) + "\n\n").encode() + note


def held_lines(note: bytes, answers: Sequence[bytes], witnesses: Sequence[Verifier]) -> tuple[Signature, ...]:
    """The lines of these answers that are a known witness's cosignature of this very checkpoint; one a witness."""
    parsed = parse_note(note)
    held: dict[Verifier, Signature] = {}
    for answer in answers:
        try:
            lines = parse_note(parsed.text.encode() + b"\n" + answer).signatures
        except ProofInvalid:
            continue
        for line in lines:
            verifier = next((one for one in witnesses if (one.name, one.key_id) == (line.name, line.key_id)), None)
            if verifier is None:
                continue
            with contextlib.suppress(ProofInvalid):
                cosigned_at(parsed.text, line, verifier)
                held[verifier] = line
    return tuple(held.values())


async def keep_cosignatures(
    database: Database,
    note: bytes,
    answers: Sequence[bytes],
    witnesses: Sequence[Verifier],
    quorum: int | Callable[[bytes], bool],
    now: int,
) -> int:
    """Check the witnesses' lines, add those that hold to the ones kept of this checkpoint; how many it has now.

    now: unix seconds. quorum: how many, or a policy's word on the note with its lines. From then on the checkpoint counts as
    witnessed, and receipts are made against it.
    """
    parsed = parse_note(note)
    size = parse_checkpoint(parsed.text).size
    held = held_lines(note, answers, witnesses)
    async with database.write() as writing:
        kept = await audit_keys.get_cosigned(writing, size)
        earlier = held_lines(note, [kept.partition(b"\n\n")[2]], witnesses) if kept else ()
        whole = with_signatures(with_signatures(parsed, earlier), held)
        count = len(whole.signatures) - len(parsed.signatures)
        enough = count >= quorum if isinstance(quorum, int) else quorum(whole.encode())
        await audit_keys.put_cosigned(writing, size, whole.encode(), enough, now)
    return count


async def unwitnessed_for(reading: Reading, now_us: int) -> int:
    """Microseconds since the oldest entry that no witnessed checkpoint covers; 0 if there is none. Alarm after two minutes."""
    head = await store.get_head(reading)
    newest = await store.newest_cosigned(reading)
    covered = newest[0] if newest else 0
    if head is None or covered >= head.size:
        return 0
    (row,) = await store.get_entries(reading, covered, covered + 1)
    return max(0, now_us - int(row.entry_id[:14], 16))


def _require_empty_root(checkpoint: Checkpoint) -> None:
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise ProofInvalid("proof_invalid")


def _parse(body: bytes) -> tuple[int, list[bytes], bytes]:
    head, cut, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except (ValueError, binascii.Error):
        raise ProofInvalid("proof_invalid") from None
    match = _OLD.match(first)
    if not cut or match is None or len(proof) > _LONGEST_PROOF or any(len(step) != 32 for step in proof):
        raise ProofInvalid("proof_invalid")
    return int(match[1]), proof, note
