"""Signing keys: RFC 8032 signatures, RFC 7638 names, files and JWKs that tell nothing they should not."""

import base64
import json
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import BadRequest, GatewayFault
from keys.signing import SigningKey, VerifyKey, public_from_jwk, public_jwk, public_pem, thumbprint

# RFC 8037 appendix A: the key, its thumbprint and nothing of our own.
SEED = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
PUBLIC = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")


def test_the_key_of_rfc_8037_has_its_public_half_and_thumbprint():
    key = SigningKey.from_seed(SEED)
    assert key.public == PUBLIC
    assert key.thumbprint == thumbprint(PUBLIC) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert (
        key.jwk()
        == public_jwk(PUBLIC)
        == {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        }
    )


def test_a_signature_verifies_for_its_message_and_key_only():
    key, other = SigningKey.generate(), SigningKey.generate()
    signature = key.sign(b"message")
    key.verify_key.verify(signature, b"message")
    for verifier, mark, message in (
        (key.verify_key, signature, b"massage"),
        (other.verify_key, signature, b"message"),
        (key.verify_key, signature[:-1], b"message"),
        (key.verify_key, b"", b"message"),
        (key.verify_key, bytes(64), b"message"),
    ):
        with pytest.raises(BadRequest, match="signature_invalid"):
            verifier.verify(mark, message)


def test_a_key_comes_back_from_its_file_and_is_not_overwritten(tmp_path):
    key = SigningKey.generate()
    path = tmp_path / "key.pem"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public == key.public
    with pytest.raises(FileExistsError):
        key.save(path)


def test_a_key_comes_back_from_a_private_jwk(tmp_path):
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": base64.urlsafe_b64encode(SEED).decode().rstrip("="),
        "x": public_jwk(PUBLIC)["x"],
    }
    assert SigningKey.from_jwk(jwk).public == PUBLIC
    (tmp_path / "key.jwk").write_text(json.dumps(jwk))
    assert SigningKey.load(tmp_path / "key.jwk").public == PUBLIC
    for change in ({"d": "AAAA"}, {"d": None}, {"kty": "EC"}, {"crv": "X25519"}, {"x": public_jwk(bytes(32))["x"]}):
        with pytest.raises(GatewayFault, match="key_unreadable"):
            SigningKey.from_jwk({**jwk, **change})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"-----BEGIN PRIVATE KEY-----", b"\xff\xfe"])
def test_an_unreadable_key_file_says_nothing_about_itself(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(GatewayFault, match="key_unreadable") as refusal:
        SigningKey.load(tmp_path / "key")
    assert str(tmp_path) not in repr(refusal.value)
    with pytest.raises(GatewayFault, match="key_unreadable"):
        SigningKey.load(tmp_path / "missing")


def test_a_key_of_another_algorithm_is_refused():
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(GatewayFault, match="key_unreadable"):
        SigningKey.from_pem(pem)


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AAAA"},
        {"kty": "EC"},
        {"crv": "Ed448"},
        {"x": "AAAA"},
        {"x": None},
        {"x": 7},
        {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
        {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"},
    ],
)
def test_a_public_jwk_is_strict_and_a_private_one_is_no_public_one(change):
    with pytest.raises(BadRequest, match="key_invalid"):
        public_from_jwk({**public_jwk(PUBLIC), **change})
    assert public_from_jwk(public_jwk(PUBLIC)) == PUBLIC
    assert VerifyKey.from_jwk(public_jwk(PUBLIC)) == VerifyKey(PUBLIC)


def test_a_private_key_shows_itself_nowhere():
    key = SigningKey.from_seed(SEED)
    assert repr(key) == f"SigningKey({key.thumbprint})"
    assert "d" not in key.jwk()
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert b"PUBLIC KEY" in public_pem(key.public)


@pytest.mark.parametrize(
    "point",
    [
        "01" + "00" * 31,
        "00" * 32,
        "00" * 31 + "80",
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ],
)
def test_a_verifying_key_of_small_order_is_refused(point):
    with pytest.raises(BadRequest, match="key_invalid"):
        VerifyKey(bytes.fromhex(point))
