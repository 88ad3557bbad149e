"""The group against RFC 9496 and RFC 9497, and what it refuses."""

import hashlib
import json
from pathlib import Path

import pytest
import rbcl

from gateway.errors import BadRequest, ProgrammingError
from keys.group import (
    CONTEXT,
    hash_to_group,
    invert,
    multiply,
    multiply_all,
    random_scalar,
    require_point,
    require_scalar,
    scalar_product,
)

VECTORS = Path(__file__).parents[2] / "vectors"
RISTRETTO = json.loads((VECTORS / "ristretto255.json").read_text("utf-8"))
OPRF = json.loads((VECTORS / "oprf_ristretto255.json").read_text("utf-8"))
GENERATOR = bytes.fromhex(RISTRETTO["multiples"][1])
ORDER = 2**252 + 27742317777372353535851937790883648493


def scalar(number: int) -> bytes:
    return number.to_bytes(32, "little")


@pytest.mark.parametrize("factor", range(1, 16))
def test_multiples_of_the_generator_are_those_of_rfc_9496(factor):
    assert multiply(scalar(factor), GENERATOR).hex() == RISTRETTO["multiples"][factor]


@pytest.mark.parametrize(("label", "point"), RISTRETTO["uniform"])
def test_uniform_bytes_map_to_the_elements_of_rfc_9496(label, point):
    assert rbcl.crypto_core_ristretto255_from_hash(hashlib.sha512(label.encode()).digest()).hex() == point


@pytest.mark.parametrize("vector", OPRF["vectors"], ids=lambda vector: vector["input"])
def test_blinding_evaluation_and_output_are_those_of_rfc_9497(vector):
    message, factor = bytes.fromhex(vector["input"]), bytes.fromhex(vector["blind"])
    blinded = multiply(factor, hash_to_group(message))
    assert blinded.hex() == vector["blinded"]
    evaluated = multiply(bytes.fromhex(OPRF["key"]), blinded)
    assert evaluated.hex() == vector["evaluated"]
    point = multiply(invert(factor), evaluated)
    framed = b"".join(len(part).to_bytes(2, "big") + part for part in (message, point)) + b"Finalize"
    assert hashlib.sha512(framed).hexdigest() == vector["output"]
    assert CONTEXT == b"OPRFV1-\x00-ristretto255-SHA512"


def refused_points() -> list[bytes]:
    good = [bytes.fromhex(encoding) for encoding in RISTRETTO["multiples"][1:]]
    high_bit = [point[:31] + bytes([point[31] | 0x80]) for point in good]
    beyond_the_field = [(2**255 - 19 + excess).to_bytes(32, "little") for excess in range(19)]
    identity = [bytes(32)]
    return [bytes.fromhex(text) for text in RISTRETTO["invalid"]] + high_bit + beyond_the_field + identity


@pytest.mark.parametrize("point", refused_points(), ids=lambda point: point.hex()[:8] + point.hex()[-4:])
def test_identity_and_non_canonical_points_are_refused_by_every_function(point):
    for use in (
        require_point,
        lambda bad: multiply(random_scalar(), bad),
        lambda bad: multiply_all(random_scalar(), [GENERATOR, bad]),
    ):
        with pytest.raises(BadRequest) as refusal:
            use(point)
        assert refusal.value.code == "point_invalid"
        assert point.hex() not in repr(refusal.value)


@pytest.mark.parametrize("point", [b"", b"\x01" * 31, GENERATOR + b"\x00", bytearray(GENERATOR), "e2" * 32, None])
def test_what_is_not_32_bytes_is_refused(point):
    for use in (require_point, lambda bad: multiply(random_scalar(), bad)):
        with pytest.raises(BadRequest):
            use(point)


def test_libsodium_overlooks_the_highest_bit_which_is_why_we_check_it():
    """When this fails the library has learnt to refuse it, and our own check may go."""
    twin = GENERATOR[:31] + bytes([GENERATOR[31] | 0x80])
    assert rbcl.crypto_core_ristretto255_is_valid_point(twin)
    assert rbcl.crypto_scalarmult_ristretto255(scalar(2), twin).hex() == RISTRETTO["multiples"][2]


@pytest.mark.parametrize("bad", [scalar(0), scalar(ORDER), scalar(ORDER + 1), b"\xff" * 32, b"\x01", b""])
def test_zero_and_unreduced_scalars_are_refused(bad):
    with pytest.raises(ProgrammingError):
        require_scalar(bad)
    with pytest.raises(ProgrammingError):
        invert(bad)
    with pytest.raises(ProgrammingError):
        scalar_product(scalar(1), bad)


def test_inverse_and_product_undo_a_multiplication():
    left, right, point = random_scalar(), random_scalar(), hash_to_group(b"anybody")
    assert multiply(invert(left), multiply(left, point)) == point
    assert multiply(scalar_product(left, right), point) == multiply(left, multiply(right, point))


def test_a_batch_is_all_or_nothing_and_keeps_its_order():
    points = [hash_to_group(bytes([number])) for number in range(5)]
    factor = random_scalar()
    assert multiply_all(factor, points) == [multiply(factor, point) for point in points]
    assert multiply_all(factor, []) == []
