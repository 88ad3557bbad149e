"""Controls of keys, sealing and the log, held against the real rooms."""

import json
import subprocess
import sys

import pytest

from gateway.audit.erasure import erase, freeze
from gateway.audit.export import Export, export
from gateway.audit.histories import child_holder
from gateway.audit.reading import child_history
from gateway.domain.permits import Obligation
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department, EntryKind, Transform
from gateway.errors import BadRequest, Denied
from gateway.proofs import verify as standalone
from gateway.store import audit_keys
from keys.envelope import SealingPair, open_line, seal_line, verify_plain
from keys.group import hash_to_group
from keys.identifiers import check_character, identify
from keys.providers import LocalRootKey
from keys.ring import FILE_NAME, KeyRing
from keys.rotation import advance, begin, destroy, prepare, retire
from keys.signing import SigningKey
from tests.unit.audit.audit_world import CHILD, OTHER, a_log, draft
from tests.unit.keys.test_keys_envelope import HOSPITAL, info_for

pytestmark = pytest.mark.anyio
EDUCATION, HEALTH = Scope.open(Department.EDUCATION), Scope.open(Department.HEALTH)
SEALED = Obligation(Transform.CLEAR, sealed=True)


def child(number):
    body = f"33010620140301{number:03d}"
    return identify("cn-rid", body + check_character(body))


def test_C21_a_child_has_another_name_in_every_scope_and_a_dictionary_without_the_key_meets_none(tmp_path):
    ring = KeyRing.open(tmp_path / "one", LocalRootKey.generate())
    stranger = KeyRing.open(tmp_path / "two", LocalRootKey.generate())
    children = [child(number) for number in range(200)]
    education = {ring.derive(EDUCATION, one).point for one in children}
    health = {ring.derive(HEALTH, one).point for one in children}
    assert len(education) == len(health) == 200 and not education & health
    unkeyed = {hash_to_group(one.canonical) for one in children} | {one.canonical for one in children}
    other = {stranger.derive(EDUCATION, one).point for one in children}
    assert not education & (unkeyed | other | health)


def test_C41_what_is_sealed_for_a_recipient_opens_with_no_key_that_the_gateway_has():
    pair, signer = SealingPair.generate(), SigningKey.generate()
    line = seal_line(
        {"note": "需要随访的情况"},
        grants={"note": SEALED},
        info=info_for(pair),
        recipient=pair.sealing_key(HOSPITAL),
        signer=signer,
        number=1,
        subject=None,
        references={},
        region="330106",
    )
    assert "需要随访的情况".encode() not in repr(line).encode() + line.values["note"].ciphertext
    verify_plain(line, signer.verify_key)  # all that the gateway does with it
    with pytest.raises(BadRequest):
        open_line(line, pair=SealingPair.generate(), sender_key=signer.verify_key, expected=info_for(pair))
    opened = open_line(line, pair=pair, sender_key=signer.verify_key, expected=info_for(pair))
    assert opened == {"note": "需要随访的情况"}


def test_C44_a_rotation_under_load_fails_no_call_and_a_destroyed_key_is_gone(tmp_path):
    root = LocalRootKey.generate()
    ring = KeyRing.open(tmp_path, root)
    children = [child(number) for number in range(20)]
    truth = [ring.derive(GATEWAY_SCOPE, one) for one in children]
    names = [ring.derive(EDUCATION, one) for one in children]
    wrapped = {key["wrapped"] for key in json.loads((tmp_path / FILE_NAME).read_bytes())["keys"]}
    first = [row.wrapped for row in ring.rows() if row.slot.epoch == 1]
    stale = names[0]
    rotating = KeyRing.open(tmp_path, root)
    failed, steps = 0, {100: prepare, 200: begin, 300: advance}
    for turn in range(400):
        if turn in steps:
            steps[turn](rotating, EDUCATION)
        place = turn % 20
        failed += ring.translate([names[place]], GATEWAY_SCOPE) != [truth[place]]
        [names[place]] = ring.translate([truth[place]], EDUCATION)
    assert failed == 0
    retire(rotating, EDUCATION)
    destroy(rotating, EDUCATION, 1)
    left = {key["wrapped"] for key in json.loads((tmp_path / FILE_NAME).read_bytes())["keys"]}
    assert len(wrapped - left) == 1 and len(first) > 1
    with pytest.raises(BadRequest, match="pseudonym_epoch"):
        KeyRing.open(tmp_path, root).translate([Pseudonym(EDUCATION, 1, stale.point)], GATEWAY_SCOPE)


async def test_C46_nothing_is_destroyed_while_a_legal_term_holds_it_and_then_it_is(tmp_path):
    entry = draft(kind=EntryKind.ERASURE, actors=("person:330000-ca/1", "person:330000-ed/2"))
    async with a_log(tmp_path) as log:
        for _ in range(3):
            await log.append(draft(CHILD, actors=()))
        ends = 3 * 366 * 86_400
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "hd-1", child_holder(CHILD), "legal_term", ends)
        for now in (1, 200 * 86_400, ends - 1):
            with pytest.raises(Denied, match="history_held"):
                await erase(log, child_holder(CHILD), entry, now=now)
        await freeze(log, child_holder(CHILD), entry)
        await erase(log, child_holder(CHILD), entry, now=ends + 1)
        async with log.database.read() as reading:
            assert await child_history(reading, log.keeper, CHILD) == []


async def packaged(tmp_path):
    async with a_log(tmp_path) as log:
        for number in range(300):
            await log.append(draft(CHILD if number % 50 == 0 else OTHER, actors=()))
        target = tmp_path / "package"
        entry = draft(kind=EntryKind.AUDIT_EXPORT, actors=("person:330000-ca/auditor",))
        await export(log, target, Export(children=[CHILD], details=True), entry)
        return target, log.signer.verifier.vkey


async def test_C47_a_changed_deleted_or_reordered_entry_is_found_by_the_offline_verifier(tmp_path):
    target, vkey = await packaged(tmp_path)
    path = target / "tile/entries/000"
    whole, spans, at = path.read_bytes(), [], 0
    while at < len(whole):
        size = 2 + int.from_bytes(whole[at : at + 2], "big")
        spans.append(whole[at : at + size])
        at += size
    changed = bytearray(spans[7])
    changed[20] ^= 1
    attacks = {
        "changed": [*spans[:7], bytes(changed), *spans[8:]],
        "deleted": [*spans[:7], *spans[8:]],
        "reordered": [*spans[:7], spans[8], spans[7], *spans[9:]],
    }
    for name, attack in attacks.items():
        path.write_bytes(b"".join(attack))
        said = []
        assert not standalone.verify(target, vkey, report=said.append), name
        assert "entry 7:" in said[-1] or name == "deleted"
    path.write_bytes(whole)
    assert standalone.verify(target, vkey, report=lambda _: None)


async def test_C49_the_audit_package_verifies_without_the_gateway(tmp_path):
    target, vkey = await packaged(tmp_path)
    assert {path.name for path in target.iterdir()} >= {"checkpoint", "tile", "histories", "details", "verify.py"}
    command = [sys.executable, "-I", "-S", "verify.py", ".", vkey]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=60, check=False, env={})
    assert done.returncode == 0, done.stdout + done.stderr


async def test_C50_auditors_see_entries_that_name_nobody(tmp_path):
    async with a_log(tmp_path) as log:
        receipts = [await log.append(draft(CHILD, actors=("person:330106-edu/17",))) for _ in range(5)]
    seen = b"".join(receipt.leaf for receipt in receipts)
    assert CHILD not in seen and CHILD.hex().encode() not in seen and b"330106-edu" not in seen and b"case-" not in seen
    tags = [tag for receipt in receipts for tag in json.loads(receipt.leaf)["tags"]]
    assert len(tags) == len(set(tags))


def test_C56_an_identity_number_with_one_changed_digit_names_nobody():
    good = "11010519491231002X"
    identify("cn-rid", good)
    for place in range(17):
        other = good[:place] + str((int(good[place]) + 1) % 10) + good[place + 1 :]
        with pytest.raises(BadRequest, match="identifier_invalid"):
            identify("cn-rid", other)
