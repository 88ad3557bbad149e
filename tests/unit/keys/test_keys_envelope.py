"""Sealing: what arrives, what may be dropped, and everything that is refused."""

import pickle
from dataclasses import replace

import pytest

from gateway.domain.orders import PlainValue, SealedValue, SealInfo
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Department, Transform
from gateway.errors import BadRequest, GatewayFault, ProgrammingError
from keys.envelope import SUITES, SealingPair, drop, key_id, open_line, seal_line, sealing_key, verify_plain
from keys.sealing_keys import PUBLIC_BYTES
from keys.signing import SigningKey

SCHOOL = Party("12330106MB0000001A", Department.EDUCATION)
HOSPITAL = Party("12330106MB0000002B", Department.HEALTH)
SEALED, PLAIN = Obligation(Transform.CLEAR, sealed=True), Obligation(Transform.MASK, "name.surname")
VALUES = {
    "grade": "七年级",
    "note": "需要随访" * 40,
    "count": 3,
    "boarding": True,
    "codes": ["A", "B"],
    "surname": "王*",
}
GRANTS = {name: PLAIN if name == "surname" else SEALED for name in VALUES}


@pytest.fixture(params=sorted(SUITES), scope="module")
def pair(request):
    return SealingPair.generate(request.param)


@pytest.fixture(scope="module")
def signer():
    return SigningKey.generate()


def info_for(pair, *, request="q-1", line=1):
    return SealInfo(request, line, "X05", SCHOOL, HOSPITAL, pair.kid)


def make(pair, signer, values=VALUES, grants=GRANTS, *, info=None):
    info = info or info_for(pair)
    return seal_line(
        values,
        grants=grants,
        info=info,
        recipient=pair.sealing_key(HOSPITAL),
        signer=signer,
        number=info.line,
        subject=None,
        references={"case": "case-abc"},
        region="330106",
    )


def refused(line, pair, signer, *, part, expected=None):
    with pytest.raises(BadRequest) as refusal:
        open_line(line, pair=pair, sender_key=signer.verify_key, expected=expected or info_for(pair))
    assert (refusal.value.code, refusal.value.facts["part"]) == ("seal_invalid", part)


def test_what_was_sealed_arrives(pair, signer):
    line = make(pair, signer)
    assert open_line(line, pair=pair, sender_key=signer.verify_key, expected=info_for(pair)) == VALUES
    assert isinstance(line.values["surname"], PlainValue)
    assert isinstance(line.values["note"], SealedValue)


def test_the_gateway_sees_no_sealed_value_and_only_a_rough_length(pair, signer):
    line = make(pair, signer)
    assert "随访" not in repr(line)
    for name, cell in line.values.items():
        if isinstance(cell, SealedValue):
            assert (len(cell.ciphertext) - 16) % 64 == 0, name
            assert "随访".encode() not in cell.ciphertext
    assert len(line.values["grade"].ciphertext) == len(line.values["boarding"].ciphertext)


def test_values_at_every_border_of_a_block_arrive(pair, signer):
    for length in (0, 1, 60, 61, 62, 63, 64, 125, 126):
        line = make(pair, signer, {"note": "x" * length}, {"note": SEALED})
        values = open_line(line, pair=pair, sender_key=signer.verify_key, expected=info_for(pair))
        assert values == {"note": "x" * length}


def test_dropping_fields_is_allowed_down_to_none(pair, signer):
    line = make(pair, signer)
    for gone in ({"note"}, {"surname", "grade"}, set(VALUES)):
        lesser = drop(line, frozenset(gone))
        values = open_line(lesser, pair=pair, sender_key=signer.verify_key, expected=info_for(pair))
        assert values == {name: value for name, value in VALUES.items() if name not in gone}
        verify_plain(lesser, signer.verify_key, expected=info_for(pair))


def test_subject_references_and_region_may_be_translated_on_the_way(pair, signer):
    line = replace(make(pair, signer), subject="heo1…", references={"case": "case-other"}, region=None)
    assert open_line(line, pair=pair, sender_key=signer.verify_key, expected=info_for(pair)) == VALUES


def test_two_fields_exchanged_are_refused(pair, signer):
    line = make(pair, signer)
    exchanged = {**line.values, "grade": line.values["note"], "note": line.values["grade"]}
    refused(replace(line, values=exchanged), pair, signer, part="digest")
    sealing = line.sealing
    digests = {**sealing.digests, "grade": sealing.digests["note"], "note": sealing.digests["grade"]}
    refused(replace(line, values=exchanged, sealing=replace(sealing, digests=digests)), pair, signer, part="signature")


def test_a_field_of_another_record_is_refused(pair, signer):
    line, other = make(pair, signer), make(pair, signer, {**VALUES, "grade": "八年级", "surname": "李*"})
    for name in ("grade", "surname"):
        refused(replace(line, values={**line.values, name: other.values[name]}), pair, signer, part="digest")


def test_a_record_in_another_request_line_or_place_is_refused(pair, signer):
    line = make(pair, signer)
    known = info_for(pair)
    for expected in (
        replace(known, request="q-2"),
        replace(known, line=2),
        replace(known, exchange="X06"),
        replace(known, sender=HOSPITAL),
        replace(known, recipient=SCHOOL),
        replace(known, recipient_kid="0" * 16),
    ):
        refused(line, pair, signer, part="info", expected=expected)
        moved = replace(line, number=expected.line, sealing=replace(line.sealing, info=expected))
        refused(
            moved,
            pair,
            signer,
            part="signature" if expected.recipient_kid == pair.kid else "signature",
            expected=expected,
        )
    refused(replace(line, number=2), pair, signer, part="info")


def test_the_gateway_cannot_forge_a_field_sealed_or_not(pair, signer):
    line = make(pair, signer)
    plain = line.values["surname"]
    forgeries = {
        "surname": [
            PlainValue("李*", plain.salt),
            PlainValue(plain.value, bytes(16)),
            PlainValue(plain.value, plain.salt[:8]),
            SealedValue(plain.salt + b'"x"'),
        ],
        "grade": [PlainValue("八年级", bytes(16)), SealedValue(bytes(80)), SealedValue(b"")],
        "invented": [PlainValue("x", bytes(16)), SealedValue(bytes(80))],
    }
    for name, cells in forgeries.items():
        for cell in cells:
            refused(replace(line, values={**line.values, name: cell}), pair, signer, part="digest")
            with pytest.raises(BadRequest, match="seal_invalid"):
                verify_plain(replace(line, values={**line.values, name: cell}), signer.verify_key)


def test_the_gateway_cannot_sign_in_the_senders_place(pair, signer):
    gateway = SigningKey.generate()
    forged = make(pair, gateway)
    refused(forged, pair, signer, part="signature")
    claimed = replace(forged, sealing=replace(forged.sealing, sender_kid=signer.thumbprint))
    refused(claimed, pair, signer, part="signature")


def test_a_sealed_field_shown_as_a_plain_one_is_refused(pair, signer):
    line = make(pair, signer)
    ciphertext = line.values["grade"].ciphertext
    shown = PlainValue(ciphertext[16:].decode("latin-1"), ciphertext[:16])
    refused(replace(line, values={**line.values, "grade": shown}), pair, signer, part="digest")


@pytest.mark.parametrize("place", [0, 20, -1])
def test_every_changed_or_cut_byte_is_refused(pair, signer, place):
    line = make(pair, signer)

    def flip(data):
        changed = bytearray(data)
        changed[place] ^= 1
        return bytes(changed)

    sealing = line.sealing
    for change in (flip, lambda data: data[:-1], lambda _data: b""):
        refused(
            replace(line, values={**line.values, "note": SealedValue(change(line.values["note"].ciphertext))}),
            pair,
            signer,
            part="digest",
        )
        refused(
            replace(line, sealing=replace(sealing, encapsulation=change(sealing.encapsulation))),
            pair,
            signer,
            part="signature",
        )
        refused(
            replace(line, sealing=replace(sealing, signature=change(sealing.signature))), pair, signer, part="signature"
        )
        digests = {**sealing.digests, "note": change(sealing.digests["note"])}
        refused(replace(line, sealing=replace(sealing, digests=digests)), pair, signer, part="signature")
    refused(replace(line, sealing=None), pair, signer, part="missing")
    refused(replace(line, sealing=replace(sealing, suite="rot13")), pair, signer, part="info")
    fewer = {name: digest for name, digest in sealing.digests.items() if name != "note"}
    refused(replace(line, sealing=replace(sealing, digests=fewer)), pair, signer, part="signature")


def test_another_recipient_cannot_open_it(pair, signer):
    line = make(pair, signer)
    other = SealingPair.generate(pair.suite)
    refused(line, other, signer, part="info")
    other.kid = pair.kid  # even one who claims the key's name
    refused(line, other, signer, part="encapsulation")


def test_a_sender_that_seals_garbage_is_refused_without_a_value_in_the_error(pair, signer, monkeypatch):
    monkeypatch.setattr(
        "keys.envelope.canonical",
        lambda value: (
            b"not json"
            if value == "needle"
            else __import__("gateway.domain.canonical", fromlist=["canonical"]).canonical(value)
        ),
    )
    line = make(pair, signer, {"note": "needle"}, {"note": SEALED})
    monkeypatch.undo()
    refused(line, pair, signer, part="ciphertext")


def test_a_record_without_sealed_fields_has_no_encapsulation_and_is_signed_alike(pair, signer):
    line = make(pair, signer, {"answer": "Y"}, {"answer": Obligation(Transform.ANSWER_ONLY)})
    assert line.sealing.encapsulation == b""
    assert open_line(line, pair=pair, sender_key=signer.verify_key, expected=info_for(pair)) == {"answer": "Y"}
    refused(replace(line, values={"answer": PlainValue("N", line.values["answer"].salt)}), pair, signer, part="digest")


def test_no_value_leaves_without_an_obligation(pair, signer):
    for grants in ({}, {"note": Obligation(Transform.SUPPRESS)}):
        with pytest.raises(ProgrammingError):
            make(pair, signer, {"note": "x"}, grants)
    with pytest.raises(ProgrammingError):
        make(pair, signer, info=replace(info_for(pair), recipient_kid="0" * 16))


def test_a_pair_comes_back_from_its_file(pair, tmp_path, signer):
    path = tmp_path / "sealing.json"
    pair.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = SealingPair.load(path)
    assert (again.kid, again.public_key) == (pair.kid, pair.public_key)
    assert open_line(make(pair, signer), pair=again, sender_key=signer.verify_key, expected=info_for(pair)) == VALUES
    with pytest.raises(FileExistsError):
        pair.save(path)
    path.chmod(0o644)
    with pytest.raises(GatewayFault, match="key_file_mode"):
        SealingPair.load(path)
    path.chmod(0o600)
    for bad in ("{}", '{"suite":"rot13","secret":"AAAA"}', f'{{"suite":"{pair.suite}","secret":"AAAA"}}', "x"):
        path.write_text(bad)
        with pytest.raises(GatewayFault, match="key_unreadable"):
            SealingPair.load(path)


def test_a_pair_shows_itself_nowhere(pair):
    assert repr(pair) == f"SealingPair({pair.suite}, {pair.kid})"
    with pytest.raises(TypeError):
        pickle.dumps(pair)


def test_public_sealing_keys_are_checked_and_named_by_suite_and_bytes(pair):
    assert sealing_key(HOSPITAL, pair.suite, pair.public_key) == pair.sealing_key(HOSPITAL)
    assert len(pair.public_key) == PUBLIC_BYTES[pair.suite]
    assert key_id("x25519", pair.public_key) != key_id("xwing", pair.public_key)
    for suite, key in ((pair.suite, pair.public_key[:-1]), ("rot13", pair.public_key), (pair.suite, b"")):
        with pytest.raises(BadRequest, match="sealing_key_invalid"):
            sealing_key(HOSPITAL, suite, key)


def test_a_recipient_key_of_small_order_is_refused(signer):
    for point in (
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ):
        key = sealing_key(HOSPITAL, "x25519", point)
        info = SealInfo("q-1", 1, "X05", SCHOOL, HOSPITAL, key.kid)
        with pytest.raises(BadRequest, match="sealing_key_invalid"):
            seal_line(
                VALUES,
                grants=GRANTS,
                info=info,
                recipient=key,
                signer=signer,
                number=1,
                subject=None,
                references={},
                region=None,
            )
