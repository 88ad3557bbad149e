"""Witnesses: they cosign growth and nothing else, remember it, and keep what speaks against a log."""

from __future__ import annotations

import pytest

from gateway.audit.witness import Witness, keep_cosignatures, request_for, unwitnessed_for
from gateway.proofs.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from gateway.proofs.notes import COSIGNATURE, Signer
from gateway.proofs.tlogproof import verify_proof
from tests.unit.audit.audit_world import ORIGIN, SIGNER, HandClock, a_log, draft

pytestmark = pytest.mark.anyio

NAMES = ("civil-affairs", "education", "health", "youth-league", "womens-federation")


def witness_signer(number: int) -> Signer:
    return Signer.from_seed(f"{NAMES[number]}.example/witness", bytes([50 + number]) * 32, COSIGNATURE)


def make_witness(directory, number: int = 0) -> Witness:
    return Witness(directory / f"w{number}", witness_signer(number), {ORIGIN: SIGNER.verifier}, HandClock())


async def _request(log, old: int) -> bytes:
    note = await log.checkpoint()
    async with log.database.read() as reading:
        return await request_for(reading, note, old)


async def test_witness_follows_growth_and_refuses_everything_else(tmp_path) -> None:
    witness = make_witness(tmp_path)
    async with a_log(tmp_path) as log:
        for _ in range(3):
            await log.append(draft())
        assert witness.add_checkpoint(await _request(log, 0)).status == 200
        for _ in range(4):
            await log.append(draft())
        growth = await _request(log, 3)
        assert (witness.add_checkpoint(await _request(log, 2)).status, witness.latest(ORIGIN) is None) == (409, False)
        assert witness.add_checkpoint(await _request(log, 2)).body == b"3\n"
        assert witness.add_checkpoint(growth.replace(b"old 3", b"old 9")).status == 400
        assert witness.add_checkpoint(b"old 3\n\nrubbish").status == 400
        forged = (
            growth.partition(b"\n\n")[0]
            + b"\n\n"
            + sign_checkpoint(Checkpoint(ORIGIN, 7, b"\x01" * 32), Signer.from_seed(ORIGIN, b"\x77" * 32))
        )
        assert witness.add_checkpoint(forged).status == 403
        other = sign_checkpoint(
            Checkpoint("other.example", 7, b"\x01" * 32), Signer.from_seed("other.example", b"1" * 32)
        )
        assert witness.add_checkpoint(b"old 3\n\n" + other).status == 404
        rewritten = (
            growth.partition(b"\n\n")[0] + b"\n\n" + sign_checkpoint(Checkpoint(ORIGIN, 7, b"\x01" * 32), SIGNER)
        )
        assert witness.add_checkpoint(rewritten).status == 422
        assert rewritten in [file.read_bytes() for file in (tmp_path / "w0" / "evidence").iterdir()]
        assert witness.add_checkpoint(growth).status == 200
        again = make_witness(tmp_path)
        assert read_checkpoint(again.latest(ORIGIN) or b"").size == 7


async def test_receipt_rises_to_witnessed_with_the_third_of_five(tmp_path) -> None:
    clock = HandClock()
    async with a_log(tmp_path, clock=clock) as log:
        receipt = await log.append(draft())
        note, body = await log.checkpoint(), await _request(log, 0)
        answers = [make_witness(tmp_path, number).add_checkpoint(body).body for number in range(5)]
        verifiers = [witness_signer(number).verifier for number in range(5)]
        clock.move(minutes=3)
        now_us = int(clock.at.timestamp() * 1e6)
        async with log.database.read() as reading:
            assert await unwitnessed_for(reading, now_us) == 180_000_000
        assert await keep_cosignatures(log.database, note, answers[:2], verifiers, 3, 1) == 2
        assert (await log.receipt(0)).state == "logged"
        assert await keep_cosignatures(log.database, note, answers[:3], verifiers, 3, 1) == 3
        witnessed = await log.receipt(0)
        assert witnessed.state == "witnessed"
        verify_proof(witnessed.proof, receipt.leaf, SIGNER.verifier, verifiers, 3)
        async with log.database.read() as reading:
            assert await unwitnessed_for(reading, now_us) == 0
