"""The gateway's side of witnessing: ask each witness, keep what it cosigns, raise an alarm when the witnesses fall behind.

Rules kept here: a cosignature is checked before it is kept; a witness that says the log did not grow (422) or that it knows a
longer one (409) is evidence, kept with its answer, and an entry; a witness that does not answer stops nobody; every alarm is
given once for as long as its cause lasts; of all workers of a machine one asks.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from gateway.audit.log import AuditLog
from gateway.audit.tree import root_at
from gateway.audit.witness import held_lines, keep_cosignatures, request_for, unwitnessed_for
from gateway.domain.clock import Clock
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import GatewayFault
from gateway.proofs.checkpoints import read_checkpoint, verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.policy import Policy, WitnessAt, parse_policy
from gateway.store import audit as store
from keys.durable import PRIVATE, replace

LAG_ALARM_US = 120_000_000
_WAIT = 10
_OK, _CONFLICT, _NOT_A_GROWTH = 200, 409, 422


class WitnessWeb(Protocol):
    """Reaches witnesses. Each call gives (status, body) and raises `OSError` where nobody answers."""

    async def get(self, url: str) -> tuple[int, bytes]:
        """What a witness cosigned last."""
        ...

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """A checkpoint with its consistency proof."""
        ...


def read_policy(path: Path, log: AuditLog) -> Policy:
    """The witnesses' policy of this log. Raises `GatewayFault("witness_policy_invalid")`: not understood, or of another log."""
    try:
        policy = parse_policy(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ProofInvalid):
        raise GatewayFault("witness_policy_invalid") from None
    if policy.log != log.signer.verifier:
        raise GatewayFault("witness_policy_invalid")
    return policy


@dataclass(slots=True)
class Cosigning:
    """Collects cosignatures. evidence: a folder of the operator's for what witnesses refused, and for whose turn it is."""

    log: AuditLog
    policy: Policy
    web: WitnessWeb
    evidence: Path
    clock: Clock
    _known: dict[str, int] = field(default_factory=dict, init=False)
    _cosigned: dict[str, int] = field(default_factory=dict, init=False)
    _alarmed: set[str] = field(default_factory=set, init=False)

    async def hold_head(self) -> int:
        """At start: hold the log against what each witness cosigned last; how many of them answered.

        Raises `GatewayFault`: `log_step_back` (a witness knows a longer log, so this database is an old one), `log_fork`
        (another past). Both only on a checkpoint that the log's own key signed: a witness alone cannot stop a gateway.
        """
        origin = sha256(self.log.origin.encode()).hexdigest()
        asked = [one for one in self.policy.witnesses if one.url]
        notes = await asyncio.gather(*(self._get(f"{one.url.rstrip('/')}/{origin}/checkpoint") for one in asked))
        async with self.log.database.read() as reading:
            head = await store.get_head(reading)
            size = head.size if head else 0
            for witness, note in zip(asked, notes, strict=True):
                try:
                    seen = verify_checkpoint(note, self.log.signer.verifier)
                except ProofInvalid:
                    continue  # it knows nothing yet, or nothing that this log said
                if seen.size > size:
                    self._put(witness, "ahead", b"", note)
                    raise GatewayFault("log_step_back", here=size, seen=seen.size)
                if await root_at(reading, seen.size, size) != seen.root:
                    self._put(witness, "fork", b"", note)
                    raise GatewayFault("log_fork")
                self._known[witness.name] = seen.size
        return sum(bool(note) for note in notes)

    async def collect(self) -> int:
        """Ask every witness about the newest checkpoint that it has not cosigned; how many have. Never raises for its sake."""
        with self._turn() as mine:
            if not mine:
                return 0
            note = await self.log.checkpoint()
            size = read_checkpoint(note).size
            behind = [one for one in self.policy.witnesses if one.url and self._cosigned.get(one.name) != size]
            answers = await asyncio.gather(*(self._ask(one, note) for one in behind))
            lines = [line for line in answers if line]
            count = 0
            if lines:
                verifiers = [one.verifier for one in self.policy.witnesses]
                now = int(self.clock.now().timestamp())
                count = await keep_cosignatures(self.log.database, note, lines, verifiers, self.policy.reached, now)
            await self._watch()
            return count

    async def _ask(self, witness: WitnessAt, note: bytes) -> bytes:
        size = read_checkpoint(note).size
        old = min(self._known.get(witness.name, 0), size)
        for _ in range(2):
            async with self.log.database.read() as reading:
                body = await request_for(reading, note, old)
            try:
                async with asyncio.timeout(_WAIT):
                    status, answer = await self.web.post(f"{witness.url.rstrip('/')}/add-checkpoint", body)
            except (OSError, TimeoutError):
                return b""
            if status == _OK:
                if not held_lines(note, [answer], [witness.verifier]):
                    return b""
                self._known[witness.name] = self._cosigned[witness.name] = size
                self._alarmed.discard(f"witness_refused {witness.name}")
                return answer
            known = int(answer) if status == _CONFLICT and answer.strip().isdigit() and len(answer) < 20 else None
            if known is not None and known <= size and known != old:
                old = known  # it remembers what we had forgotten
                continue
            if status in (_CONFLICT, _NOT_A_GROWTH):
                await self._refused(witness, body, status, answer)
            return b""
        return b""

    async def _get(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(_WAIT):
                status, answer = await self.web.get(url)
        except (OSError, TimeoutError):
            return b""
        return answer if status == _OK else b""

    async def _refused(self, witness: WitnessAt, body: bytes, status: int, answer: bytes) -> None:
        """The witness saw another log than this one: request and answer stay, whatever becomes of the database."""
        name = self._put(witness, str(status), answer, body)
        await self._alarm(
            f"witness_refused {witness.name}", "witness_refused", {"witness": witness.name, "evidence": name}
        )

    def _put(self, witness: WitnessAt, what: str, answer: bytes, body: bytes) -> str:
        whole = f"{witness.name} {what}\n".encode() + answer[:200] + b"\n" + body
        self.evidence.mkdir(parents=True, exist_ok=True)
        name = sha256(whole).hexdigest()
        replace(self.evidence / name, whole)
        return name

    async def _watch(self) -> None:
        async with self.log.database.read() as reading:
            lag = await unwitnessed_for(reading, int(self.clock.now().timestamp() * 1_000_000))
        if lag > LAG_ALARM_US:
            await self._alarm("witness_lag", "witness_lag", {"seconds": str(lag // 1_000_000)})
        elif not lag:
            self._alarmed.discard("witness_lag")

    async def _alarm(self, cause: str, code: str, facts: dict[str, str]) -> None:
        if cause not in self._alarmed:
            self._alarmed.add(cause)
            await self.log.append(
                EntryDraft(kind=EntryKind.ALARM, outcome=Outcome.FAULT, code=code, detail=dict(facts))
            )

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Whether it is this worker's turn. The lock is the operating system's, so it ends with the process."""
        self.evidence.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{self.evidence}.lock", os.O_RDWR | os.O_CREAT, PRIVATE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)
