"""The text form against BIP 350, and the fast checksum against the standard's own."""

import json
from base64 import b32encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import base32
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from keys.group import hash_to_group
from keys.text import bech32m_decode, bech32m_encode, prefix, read, write

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bech32m.json").read_text("utf-8"))
EDUCATION = Scope.open(Department.EDUCATION)
CLOSED = Scope.closed(Department.YOUTH_LEAGUE, "X13")
BODY = Scope.closed("charity-7", "X21")


@pytest.mark.parametrize("text", VECTORS["valid"])
def test_valid_strings_of_bip_350_decode_and_encode_again(text):
    human, symbols = bech32m_decode(text)
    assert bech32m_encode(human, symbols) == text.lower()


@pytest.mark.parametrize("text", [*VECTORS["invalid"], "A1lqfn3a"])
def test_invalid_strings_of_bip_350_are_refused(text):
    with pytest.raises(BadRequest, match="pseudonym_invalid"):
        bech32m_decode(text)


@given(
    seed=st.binary(max_size=16),
    epoch=st.integers(1, 999_999),
    scope=st.sampled_from([EDUCATION, CLOSED, BODY, GATEWAY_SCOPE]),
)
def test_a_pseudonym_reads_back_and_its_checksum_is_the_standards(seed, epoch, scope):
    pseudonym = Pseudonym(scope, epoch, hash_to_group(seed))
    text = write(pseudonym)
    assert read(text, scope) == pseudonym
    human, symbols = bech32m_decode(text)
    assert human == f"{prefix(scope)}{epoch}"
    assert bech32m_encode(human, symbols) == text


@given(place=st.integers(0, 61), character=st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1ob"))
def test_one_wrong_character_is_always_found(place, character):
    text = write(Pseudonym(EDUCATION, 1, hash_to_group(b"child")))
    wrong = text[:place] + character + text[place + 1 :]
    if wrong != text:
        with pytest.raises(BadRequest):
            read(wrong, EDUCATION)


def test_prefixes_name_holder_and_kind():
    assert [prefix(scope) for scope in (EDUCATION, CLOSED, BODY, GATEWAY_SCOPE)] == ["edo", "ylc", "xbc", "gwc"]


def test_a_pseudonym_of_another_scope_is_refused():
    text = write(Pseudonym(EDUCATION, 1, hash_to_group(b"child")))
    for scope in (
        CLOSED,
        BODY,
        GATEWAY_SCOPE,
        Scope.open(Department.HEALTH),
        Scope.closed(Department.EDUCATION, "X01"),
    ):
        with pytest.raises(BadRequest) as refusal:
            read(text, scope)
        assert refusal.value.code == "pseudonym_scope"


def test_points_that_are_no_pseudonyms_are_refused_though_the_checksum_is_right():
    generator = hash_to_group(b"child")
    for point in (bytes(32), b"\xff" * 32, generator[:31] + bytes([generator[31] | 0x80])):
        with pytest.raises(BadRequest) as refusal:
            read(write(Pseudonym(EDUCATION, 1, point)), EDUCATION)
        assert refusal.value.code == "pseudonym_invalid"


def test_one_pseudonym_has_one_text():
    text = write(Pseudonym(EDUCATION, 7, hash_to_group(b"child")))
    human, symbols = bech32m_decode(text)
    filled = bech32m_encode(human, [*symbols[:-1], symbols[-1] | 1])
    zeroed = bech32m_encode("edo07", symbols)
    for other in (
        text.upper(),
        f" {text}",
        f"{text}\n",
        filled,
        zeroed,
        bech32m_encode("edo", symbols),
        text[:-1],
        "",
        "1",
        "ｅ" + text[1:],
    ):
        with pytest.raises(BadRequest, match="pseudonym_invalid"):
            read(other, EDUCATION)


def test_no_point_stands_in_a_repr():
    pseudonym = Pseudonym(EDUCATION, 1, hash_to_group(b"child"))
    assert pseudonym.point.hex() not in repr(pseudonym)
    assert repr(pseudonym.point) not in repr(pseudonym)


@given(data=st.binary(max_size=40))
def test_base32_is_the_standards_in_lower_case_without_padding(data):
    assert base32.encode(data) == b32encode(data).decode().rstrip("=").lower()
