"""The gateway's side of witnessing: ask each witness, keep what it cosigns, raise an alarm when the witnesses fall behind.

Rules kept here: a cosignature is checked before it is kept; a witness that says the log did not grow (422) or that it knows a
longer one (409) is evidence, kept with its answer, and an entry; a witness that does not answer stops nobody; every alarm is
given once for as long as its cause lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.witness import keep_cosignatures, request_for, unwitnessed_for
from gateway.domain.clock import Clock
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.proofs.checkpoints import read_checkpoint
from gateway.proofs.policy import Policy, WitnessAt
from keys.durable import replace

Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""POSTs a body to a URL: (status, body). Raises `OSError` where nobody answers."""

LAG_ALARM_US = 120_000_000
_WAIT = 10
_OK, _CONFLICT, _NOT_A_GROWTH = 200, 409, 422


@dataclass(slots=True)
class Cosigning:
    """Collects cosignatures. evidence: a folder of the operator's for what witnesses refused."""

    log: AuditLog
    policy: Policy
    post: Post
    evidence: Path
    clock: Clock
    _sizes: dict[str, int] = field(default_factory=dict, init=False)
    _alarmed: set[str] = field(default_factory=set, init=False)

    async def collect(self) -> int:
        """Ask every witness about the newest checkpoint; how many cosigned it. Never raises for a witness's sake."""
        note = await self.log.checkpoint()
        answers = await asyncio.gather(*(self._ask(one, note) for one in self.policy.witnesses if one.url))
        count = 0
        lines = [line for line in answers if line]
        if lines:
            verifiers = [one.verifier for one in self.policy.witnesses]
            now = int(self.clock.now().timestamp())
            count = await keep_cosignatures(self.log.database, note, lines, verifiers, self.policy.reached, now)
        await self._watch()
        return count

    async def _ask(self, witness: WitnessAt, note: bytes) -> bytes:
        size = read_checkpoint(note).size
        old = min(self._sizes.get(witness.name, 0), size)
        for _ in range(2):
            async with self.log.database.read() as reading:
                body = await request_for(reading, note, old)
            try:
                async with asyncio.timeout(_WAIT):
                    status, answer = await self.post(f"{witness.url.rstrip('/')}/add-checkpoint", body)
            except (OSError, TimeoutError):
                return b""
            if status == _OK:
                self._sizes[witness.name] = size
                self._alarmed.discard(f"witness_refused {witness.name}")
                return answer
            known = int(answer) if status == _CONFLICT and answer.strip().isdigit() and len(answer) < 20 else None
            if known is not None and known <= size and known != old:
                old = known  # it remembers what we had forgotten
                continue
            if status in (_CONFLICT, _NOT_A_GROWTH):
                await self._keep(witness, body, status, answer)
            return b""
        return b""

    async def _keep(self, witness: WitnessAt, body: bytes, status: int, answer: bytes) -> None:
        """The witness saw another log than this one: request and answer stay, whatever becomes of the database."""
        whole = f"{witness.name} {status}\n".encode() + answer[:200] + b"\n" + body
        self.evidence.mkdir(parents=True, exist_ok=True)
        name = sha256(whole).hexdigest()
        replace(self.evidence / name, whole)
        await self._alarm(
            f"witness_refused {witness.name}", "witness_refused", {"witness": witness.name, "evidence": name}
        )

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
