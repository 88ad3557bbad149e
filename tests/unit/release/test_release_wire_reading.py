"""Each reader of a wire's value takes what its bounds allow, to the last character, and names the member that breaks them."""

import re

import pytest

from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from gateway.release import wire_reading as read

ORGANISATION = "11330106MB0000011X"
LETTERS = re.compile(r"[a-z]{2}")


def integer(value):
    return read.whole(value, "m", low=-2, high=7)


def short(value):
    return read.text(value, "m", limit=3)


def letters(value):
    return read.matched(value, LETTERS, "m")


def texts(value):
    return read.listing(value, "m", short, limit=2)


def fields(value):
    return read.by_field(value, "m", short, limit=2)


def members(value):
    return read.members(value, frozenset({"a", "b"}), frozenset({"c"}))


def of_bytes(low, high):
    return lambda value: read.binary(value, "m", low=low, high=high)


def named(pattern):
    return lambda value: read.matched(value, pattern, "m")


TAKEN = [
    (short, ["a", "abc", "欧阳·", " "]),
    (lambda value: read.text(value, "m"), ["x" * 256]),
    (letters, ["ab"]),
    (integer, [-2, 0, 7]),
    (lambda value: read.flag(value, "m"), [True, False]),
    (members, [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}]),
    (fields, [{}, {"a": "x"}, {"a": "x", "b" + "0" * 47: "y"}]),
    (read.field_value, [True, 7, 2**53 - 1, 1 - 2**53, "", "a\n\tb", "x" * 8192, [], ["x" * 128] * 64]),
    (named(read.FIELD_NAME), ["a", "a_1"]),
    (named(read.TOKEN), ["A", "a._:/-9", "x" * 128]),
    (named(read.HEX_DIGEST), ["0a" * 32]),
    (named(read.REGION), ["330106", "330106001", "330106001002"]),
    (named(read.REGION_PREFIX), ["", "33", "330106001002"]),
]
REFUSED = [
    (short, ["", "abcd", "a\x00", "a\n", "a\x7f", "\ud800", 1, None, ["a"]], "m"),
    (lambda value: read.text(value, "m"), ["x" * 257], "m"),
    (letters, ["a", "abc", "ab\n", "AB", 1, None], "m"),
    (integer, [-3, 8, True, False, 1.0, "1", None], "m"),
    (lambda value: read.flag(value, "m"), [0, 1, "true", None], "m"),
    (members, [[], None, "ab"], "object"),
    (members, [{}, {"a": 1}, {"a": 1, "c": 3}, {"a": 1, "b": 2, "d": 4}, {"a": 1, "b": 2, "c": 3, "d": 4}], "members"),
    (texts, [["a", "b", "c"], {"a": 1}, "ab", None, ["a", 1], ["abcd"]], "m"),
    (fields, [{"a": "x", "b": "y", "c": "z"}, [], None, {"A": "x"}, {"b" + "0" * 48: "x"}, {"": "x"}, {"a": 1}], "m"),
    (read.field_value, [None, 1.5, {}, 2**53, -(2**53), "x" * 8193, "a\x00", "a\x0b", "\ud800"], "value"),
    (read.field_value, [["x"] * 65, ["x" * 129], [""], [1], [["x"]], ["a\nb"]], "value"),
    (
        of_bytes(1, 3),
        ["", "A", "AAAAA", "AAAAAA", "AB", "AAB", "AA==", "AA\n", "A+A", "A/A", "é" * 2, b"AA", None],
        "m",
    ),
    (of_bytes(2, 3), ["AA"], "m"),
    (named(read.FIELD_NAME), ["", "_a", "A", "1a", "a" * 49], "m"),
    (named(read.TOKEN), ["", "-a", "x" * 129, "a b"], "m"),
    (named(read.HEX_DIGEST), ["0A" * 32, "0a" * 31, "0a" * 33], "m"),
    (named(read.REGION), ["33010", "3301060", "330106001002003", "٣٣٠١٠٦"], "m"),
    (named(read.REGION_PREFIX), ["3301060010020", "x"], "m"),
]


@pytest.mark.parametrize(("reader", "value"), [(reader, value) for reader, values in TAKEN for value in values])
def test_a_value_within_its_bounds_is_taken_as_it_is(reader, value):
    assert reader(value) == value
    assert type(reader(value)) is type(value)


@pytest.mark.parametrize(
    ("reader", "value", "member"), [(reader, value, member) for reader, values, member in REFUSED for value in values]
)
def test_a_value_beyond_its_bounds_is_refused_by_the_name_of_its_member_only(reader, value, member):
    with pytest.raises(BadRequest) as refused:
        reader(value)
    assert (refused.value.code, refused.value.facts) == ("wire_invalid", {"member": member})


def test_a_list_is_read_item_by_item_up_to_its_limit():
    assert read.listing(["a", "b"], "m", str.upper, limit=2) == ("A", "B")
    assert read.listing([], "m", str.upper, limit=0) == ()
    assert read.by_field({"a": "x", "b": "y"}, "m", str.upper, limit=2) == {"a": "X", "b": "Y"}
    assert len(read.by_field(dict.fromkeys((f"f{n}" for n in range(96)), "x"), "m", str)) == 96
    with pytest.raises(BadRequest):
        read.by_field(dict.fromkeys((f"f{n}" for n in range(97)), "x"), "m", str)


@pytest.mark.parametrize("size", range(1, 9))
def test_bytes_of_every_length_come_back_from_their_one_text(size):
    for data in (bytes(size), b"\xff" * size, b"\xfb\xef\xbe\x3e"[:size] * 2):
        text = read.unpadded(data)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
        assert read.binary(text, "m", low=len(data), high=len(data)) == data
        with pytest.raises(BadRequest):
            read.binary(text, "m", low=1, high=len(data) - 1)
        with pytest.raises(BadRequest):
            read.binary(text, "m", low=len(data) + 1, high=99)
    # The bits of the last character that carry no data are zero, or one value would have many texts.
    last = {1: "AQgw", 2: "AEIMQUYcgkosw048"}.get(size % 3, "")
    text = "A" * len(read.unpadded(bytes(size)))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in alphabet:
        spelt = text[:-1] + letter
        if not last or letter in last:
            assert read.unpadded(read.binary(spelt, "m", high=size)) == spelt
        else:
            with pytest.raises(BadRequest):
                read.binary(spelt, "m", high=size)


def test_a_single_byte_is_enough_where_nothing_else_is_said():
    assert read.binary("AA", "m", high=1) == b"\0"


def test_a_party_is_an_organisation_acting_for_a_department():
    assert read.party(f"{ORGANISATION}/health", "m") == Party(ORGANISATION, Department.HEALTH)
    wrong = (
        ORGANISATION, f"{ORGANISATION}/", f"{ORGANISATION}/police", "/health", f"{ORGANISATION[:-1]}/health",
        f"{ORGANISATION}1/health", f"{ORGANISATION[:-1]}I/health", f"{ORGANISATION} /health", 1, None,
    )  # fmt: skip
    for value in wrong:
        with pytest.raises(BadRequest) as refused:
            read.party(value, "m")
        assert refused.value.facts == {"member": "m"}


def test_a_body_is_one_plain_object_without_any_key_twice():
    assert read.read_json('{"a":[1,"二",true,{"b":-2}]}'.encode()) == {"a": [1, "二", True, {"b": -2}]}
    body = b'{"a":"' + b"x" * 92 + b'"}'
    assert read.read_json(body, limit=100) == {"a": "x" * 92}
    wrong = (
        b"", b"[]", b"1", b"null", b'{"a":1.0}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1,"a":1}', b'{"b":{"a":1,"a":2}}',
        b'{"a":1}x', b"\xef\xbb\xbf{}", '{"a":"é"}'.encode("latin-1"), b'{"a":' * 100_000,
    )  # fmt: skip
    for given in (*wrong, body + b" "):
        with pytest.raises(BadRequest) as refused:
            read.read_json(given, limit=100 if given not in wrong else read.MAX_BODY)
        assert (refused.value.code, refused.value.facts) == ("wire_invalid", {"member": "body"})
        assert refused.value.__cause__ is None


def test_the_bounds_are_those_of_the_wire_format():
    """Both sides of a wire may be of different releases, so that none of these changes by the way."""
    assert (read.MAX_BODY, read.MAX_LINES, read.MAX_FIELDS) == (8_388_608, 1000, 96)
    assert (read.MAX_TEXT, read.MAX_ITEMS, read.MAX_ITEM, read.MAX_INTEGER) == (8192, 64, 128, 9_007_199_254_740_991)
    assert (read.MAX_CIPHERTEXT, read.MAX_ENCAPSULATION) == (65_536, 4096)
