"""Compact JWS, read strictly: no other algorithm, header, spelling or JSON gets through."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client.statements import sign
from gateway.identity.remembered import Remembered
from gateway.identity.statements import LONGEST, Unsound, kid_of, verify
from keys.signing import SigningKey

KEY = SigningKey.from_seed(b"s" * 32)
GOOD = sign({"a": 1}, typ="x+jwt", key=KEY)

# RFC 8037, appendix A.4: the example JWS, whose header has no typ and which is therefore not one of ours.
RFC8037 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def refused(text: str) -> None:
    with pytest.raises(Unsound):
        verify(text, typ="x+jwt", key=KEY.verify_key)


def raw(header: str, payload: str, encoding: str = "utf-8") -> str:
    parts = (header.encode(), payload.encode(encoding))
    segments = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    signature = base64.urlsafe_b64encode(KEY.sign(".".join(segments).encode())).rstrip(b"=").decode()
    return ".".join([*segments, signature])


HEADER = json.dumps({"typ": "x+jwt", "alg": "EdDSA", "kid": KEY.thumbprint})


def test_a_good_statement_reads_as_it_was_made() -> None:
    found = verify(GOOD, typ="x+jwt", key=KEY.verify_key)
    assert found.claims == {"a": 1}
    assert found.text == GOOD
    assert kid_of(GOOD, typ="x+jwt") == KEY.thumbprint
    assert verify(raw(HEADER, '{"a": 1}'), typ="x+jwt", key=KEY.verify_key).claims == {"a": 1}


def test_a_statement_of_another_kind_is_not_read() -> None:
    with pytest.raises(Unsound):
        verify(GOOD, typ="y+jwt", key=KEY.verify_key)
    with pytest.raises(Unsound):
        kid_of(GOOD, typ="y+jwt")
    refused(RFC8037)


@pytest.mark.parametrize(
    "payload", ['{"a":1,"a":2}', "[]", "1", "{", '{"a":NaN}', '{"a":Infinity}', "[" * 5000, '"x"', "\ud800"[:0]]
)
def test_a_payload_that_is_no_plain_object_is_not_read(payload: str) -> None:
    refused(raw(HEADER, payload))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_payload_in_another_encoding_than_utf8_is_not_read(encoding: str) -> None:
    refused(raw(HEADER, '{"a":1}', encoding))


def test_another_keys_signature_and_one_of_another_length_are_refused() -> None:
    other = sign({"a": 1}, typ="x+jwt", key=SigningKey.from_seed(b"o" * 32))
    signed, _, signature = GOOD.rpartition(".")
    refused(f"{signed}.{other.rpartition('.')[2]}")
    refused(f"{signed}.{signature[:-4]}")
    refused(f"{signed}.{signature}AAAA")


@pytest.mark.parametrize(
    "header",
    [
        '{"typ":"x+jwt","alg":"EdDSA"}',
        '{"typ":"x+jwt","alg":"none","kid":"k"}',
        '{"typ":"x+jwt","alg":"HS256","kid":"k"}',
        '{"typ":"x+jwt","alg":"ES256","kid":"k"}',
        '{"typ":"x+jwt","alg":"EdDSA","kid":"k","crit":["b64"],"b64":false}',
        '{"typ":"x+jwt","alg":"EdDSA","kid":"k","jku":"https://x.example"}',
        '{"typ":"X+JWT","alg":"EdDSA","kid":"k"}',
        '{"typ":"x+jwt","alg":"EdDSA","kid":"k","kid":"k"}',
        '{"typ":"x+jwt","alg":"none","alg":"EdDSA","kid":"k"}',
        '{"typ":"x+jwt","alg":"EdDSA","kid":1}',
        '{"typ":"x+jwt","alg":["EdDSA"],"kid":"k"}',
        "[]",
        "x",
    ],
)
def test_a_header_of_another_form_is_not_read(header: str) -> None:
    refused(raw(header, '{"a":1}'))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        GOOD + ".",
        GOOD + "=",
        "." + GOOD,
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace(".", ".."),
        "a." * 3,
        "x" * (LONGEST + 1),
    ],
)
def test_another_spelling_is_not_read(text: str) -> None:
    refused(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="utf-8"))
@settings(max_examples=300)
def test_no_character_can_be_changed(place: int, character: str) -> None:
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    if changed != GOOD:
        refused(changed)


@given(st.text())
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    refused(text)
    with pytest.raises(Unsound):
        kid_of(text, typ="x+jwt")


def test_what_is_remembered_ends_and_stays_bounded() -> None:
    memory: Remembered[int] = Remembered(4)
    for number in range(4):
        memory.put(bytes([number]), number, ends=10 + number, now=0)
    assert memory.get(b"\x00", 9) == 0
    assert memory.get(b"\x00", 10) is None
    memory.put(b"a", 1, ends=99, now=9)
    memory.put(b"b", 2, ends=99, now=9)
    assert len(memory) <= 4
    assert memory.get(b"b", 9) == 2
    memory.put(b"c", 3, ends=99, now=50)
    assert memory.get(b"c", 50) == 3
