"""Signed notes against vectors that others published."""

from __future__ import annotations

import pytest

from gateway.proofs.checkpoints import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from gateway.proofs.cosignature import cosign, cosigned_at, with_signatures
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import leaf_hash, root_of
from gateway.proofs.notes import COSIGNATURE, Signer, parse_note, parse_vkey, verify_note
from gateway.proofs.tiles import Tile, decode_bundle, encode_bundle, tiles_of
from gateway.proofs.verify import Wrong, verify_ed25519

# golang.org/x/mod/sumdb/note, package example (BSD-3-Clause): the key and the note that it verifies.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# c2sp.org/signed-note, section "Verifier keys".
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

# RFC 6962 test leaves and roots as published with the Certificate Transparency reference code.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_note_of_the_go_package_verifies() -> None:
    note, signed = verify_note(NOTE, [parse_vkey(PETER)])
    assert note.encode() == NOTE
    assert [verifier.name for verifier in signed] == ["PeterNeumann"]


def test_vkeys_of_others_are_read_and_written_back() -> None:
    for text in (PETER, FOO):
        assert parse_vkey(text).vkey == text


@pytest.mark.parametrize(
    "text", ["", "a+b", FOO.replace("530d903a", "530d903b"), FOO.replace("example", "exanple"), FOO[:-4], "x y" + FOO]
)
def test_wrong_vkey_is_refused(text: str) -> None:
    with pytest.raises(ProofInvalid, match="vkey_invalid"):
        parse_vkey(text)


def test_one_changed_byte_of_a_note_is_refused() -> None:
    for place in range(len(NOTE)):
        with pytest.raises(ProofInvalid):
            verify_note(NOTE[:place] + bytes([NOTE[place] ^ 1]) + NOTE[place + 1 :], [parse_vkey(PETER)])


def test_note_that_no_known_key_signed_is_refused() -> None:
    with pytest.raises(ProofInvalid, match="note_unsigned"):
        verify_note(NOTE, [parse_vkey(FOO)])


def test_trees_have_the_published_roots() -> None:
    for size, root in ROOTS.items():
        assert root_of([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == root


def test_checkpoint_with_witnesses_reaches_its_quorum_only_with_enough_of_them() -> None:
    log = Signer.from_seed("log.example/a", b"\x01" * 32)
    witnesses = [Signer.from_seed(f"w{number}.example", bytes([number]) * 32, COSIGNATURE) for number in range(2, 5)]
    checkpoint = Checkpoint(log.name, 7, b"\x05" * 32)
    note = parse_note(sign_checkpoint(checkpoint, log))
    signed = with_signatures(note, tuple(cosign(note.text, witness, 1_800_000_000) for witness in witnesses[:2]))
    verifiers = [witness.verifier for witness in witnesses]
    assert verify_checkpoint(signed.encode(), log.verifier, verifiers, 2) == checkpoint
    assert cosigned_at(note.text, signed.signatures[1], verifiers[0]) == 1_800_000_000
    with pytest.raises(ProofInvalid, match="note_unsigned"):
        verify_checkpoint(signed.encode(), log.verifier, verifiers, 3)
    with pytest.raises(ProofInvalid, match="checkpoint_invalid"):
        verify_checkpoint(sign_checkpoint(Checkpoint("other.example", 7, b"\x05" * 32), log), log.verifier)


@pytest.mark.parametrize("text", ["", "a\n", "a\n1\n", "a\n01\nAAAA\n", "a\n1\nAAAA\n", "a b\n0\n" + "A" * 43 + "=\n"])
def test_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ProofInvalid, match="checkpoint_invalid"):
        parse_checkpoint(text)


def test_tile_paths_are_those_of_the_specification() -> None:
    assert Tile(0, 1_234_067).path == "tile/0/x001/x234/067"
    assert Tile(0, 1_234_067).bundle_path == "tile/entries/x001/x234/067"
    assert Tile(1, 1, 17).path == "tile/1/001.p/17"
    # c2sp.org/tlog-tiles: a tree of 70,000.
    places = tiles_of(70_000)
    assert sum(1 for tile in places if tile.level == 0) == 274
    assert places[273:] == [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_bundle_is_read_back_and_a_torn_one_is_refused() -> None:
    entries = [b"", b"a" * 300, b"b" * 65_535]
    assert decode_bundle(encode_bundle(entries)) == entries
    with pytest.raises(ProofInvalid):
        decode_bundle(encode_bundle(entries)[:-1])
    with pytest.raises(ProofInvalid):
        encode_bundle([b"c" * 65_536])


# RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC8032)
def test_stand_alone_signature_check_agrees_with_rfc_8032(public: str, message: str, signature: str) -> None:
    key, text, value = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    verify_ed25519(key, value, text)
    for broken in (value[:5] + bytes([value[5] ^ 1]) + value[6:], value[:40] + bytes([value[40] ^ 1]) + value[41:]):
        with pytest.raises(Wrong):
            verify_ed25519(key, broken, text)
    with pytest.raises(Wrong):
        verify_ed25519(key, value, text + b"x")
    order = 2**252 + 27742317777372353535851937790883648493
    shifted = (int.from_bytes(value[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(Wrong, match="range"):
        verify_ed25519(key, value[:32] + shifted, text)
