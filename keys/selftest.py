"""Known-answer tests of every primitive that the house uses, run at every start.

Rules kept here: an answer that is not the published one refuses the start; each test runs our own code over the library, so
a wrong build, a wrong version and a wrong use are all found; the answers are published ones (`known_answers.json`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import rbcl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from shamir_mnemonic import combine_mnemonics

from gateway.errors import BadRequest, GatewayError, GatewayFault
from keys.group import hash_to_group, invert, multiply, require_point
from keys.identifiers import identify
from keys.sealing_keys import SUITES, SealingPair
from keys.signing import SigningKey, VerifyKey, thumbprint
from keys.text import bech32m_decode, bech32m_encode

_ANSWERS = Path(__file__).with_name("known_answers.json")
_Answer = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """One primitive: what it is, who computes it, whose published answer it was held against, and whether it agreed."""

    primitive: str
    provider: str
    source: str
    ok: bool


def run() -> tuple[Check, ...]:
    """All checks. Raises `GatewayFault("selftest_failed", primitive=…)` at the first that disagrees."""
    checks = report()
    for check in checks:
        if not check.ok:
            raise GatewayFault("selftest_failed", primitive=check.primitive)
    return checks


def report() -> tuple[Check, ...]:
    """All checks with their results, for `GET /v1/crypto/suites`. About 50 ms, most of it Argon2id and SLIP-39."""
    answers = _answers()
    return tuple(
        Check(primitive=name, provider=provider, source=str(answers[key]["source"]), ok=_agrees(test, answers[key]))
        for name, key, provider, test in _tests()
    )


def _agrees(test: Callable[[_Answer], bool], answer: _Answer) -> bool:
    try:
        return test(answer)
    except (GatewayError, ValueError, KeyError, RuntimeError, InvalidTag):
        return False


def _tests() -> tuple[tuple[str, str, str, Callable[[_Answer], bool]], ...]:
    sodium = f"rbcl {version('rbcl')} (libsodium)"
    openssl = f"cryptography {version('cryptography')} ({backend.openssl_version_text()})"
    python = "runxin"
    return (
        ("ristretto255", "group", sodium, _group),
        ("bech32m", "text", python, _text),
        ("gb11643", "identifiers", python, _identifiers),
        ("ed25519", "ed25519", openssl, _ed25519),
        ("rfc7638", "thumbprint", openssl, _thumbprint),
        ("sha256", "sha256", "hashlib", _sha256),
        ("hmac-sha256", "hmac", "hmac", _hmac),
        ("hkdf-sha256", "hkdf", openssl, _hkdf),
        ("aes-256-gcm", "aes256gcm", openssl, _gcm),
        ("argon2id", "argon2id", openssl, _argon2id),
        ("hpke-x25519", "x25519", openssl, lambda answer: _hpke("x25519", answer)),
        ("hpke-xwing", "xwing", openssl, lambda answer: _hpke("xwing", answer)),
        ("slip39", "slip39", f"shamir-mnemonic {version('shamir-mnemonic')}", _slip39),
    )


def _group(answer: _Answer) -> bool:
    key, blind, five = (_hex(answer, name) for name in ("key", "blind", "times_five"))
    point = hash_to_group(_hex(answer, "input"))
    blinded = multiply(blind, point)
    evaluated = multiply(key, blinded)
    return (
        rbcl.crypto_scalarmult_ristretto255_base((5).to_bytes(32, "little")) == five
        and blinded == _hex(answer, "blinded")
        and evaluated == _hex(answer, "evaluated")
        and multiply(invert(blind), evaluated) == multiply(key, point)
        and all(_refuses(bad) for bad in (_hex(answer, "refused"), bytes(32), five[:31] + bytes([five[31] | 0x80])))
    )


def _refuses(point: bytes) -> bool:
    refusals = 0
    for use in (require_point, lambda bad: multiply((1).to_bytes(32, "little"), bad)):
        try:
            use(point)
        except BadRequest:
            refusals += 1
    return refusals == 2


def _text(answer: _Answer) -> bool:
    return bech32m_encode(*bech32m_decode(answer["text"])) == answer["text"]


def _identifiers(answer: _Answer) -> bool:
    return identify("cn-rid", answer["number"].lower()).canonical == b"cn-rid:" + answer["number"].encode("ascii")


def _ed25519(answer: _Answer) -> bool:
    key, message = SigningKey.from_seed(_hex(answer, "seed")), _hex(answer, "message")
    signature = key.sign(message)
    VerifyKey(_hex(answer, "public")).verify(signature, message)
    return key.public == _hex(answer, "public") and signature == _hex(answer, "signature")


def _thumbprint(answer: _Answer) -> bool:
    return thumbprint(_hex(answer, "public")) == answer["thumbprint"]


def _sha256(answer: _Answer) -> bool:
    return hashlib.sha256(_hex(answer, "message")).digest() == _hex(answer, "digest")


def _hmac(answer: _Answer) -> bool:
    return hmac.digest(_hex(answer, "key"), _hex(answer, "message"), "sha256") == _hex(answer, "digest")


def _hkdf(answer: _Answer) -> bool:
    expanded = HKDFExpand(SHA256(), 42, _hex(answer, "info")).derive(_hex(answer, "prk"))
    return expanded == _hex(answer, "okm")


def _gcm(answer: _Answer) -> bool:
    key, nonce, plaintext, ciphertext = (_hex(answer, name) for name in ("key", "nonce", "plaintext", "ciphertext"))
    cipher = AESGCM(key)
    return cipher.encrypt(nonce, plaintext, b"") == ciphertext and cipher.decrypt(nonce, ciphertext, b"") == plaintext


def _argon2id(answer: _Answer) -> bool:
    kdf = Argon2id(
        salt=b"\x02" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\x04" * 12, secret=b"\x03" * 8
    )
    return kdf.derive(b"\x01" * 32) == _hex(answer, "tag")


def _hpke(suite: str, answer: _Answer) -> bool:
    """A ciphertext that we make ourselves out of the published shared secret must open with the published private key."""
    pair = SealingPair.from_secret(suite, _hex(answer, "secret"))
    info, plaintext = b"known answer", b"\x00" * 32
    key, nonce = key_schedule(int(answer["kem_id"]), 2, 32, _hex(answer, "shared_secret"), info)
    sealed = _hex(answer, "encapsulation") + AESGCM(key).encrypt(nonce, plaintext, b"")
    return pair.public_key == _hex(answer, "public") and SUITES[suite].decrypt(sealed, pair.private, info) == plaintext


def _slip39(answer: Mapping[str, object]) -> bool:
    shares, passphrase = answer["shares"], answer["passphrase"]
    if not isinstance(shares, list) or not isinstance(passphrase, str):
        return False
    recovered: bytes = combine_mnemonics(shares, passphrase.encode("ascii"))
    return recovered.hex() == answer["secret"]


def key_schedule(kem_id: int, aead_id: int, key_bytes: int, shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of HPKE base mode with HKDF-SHA256 (RFC 9180 section 5.1), independently of the library."""
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem_id, 1, aead_id))

    def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")

    def expand(prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return HKDFExpand(SHA256(), length, labelled).derive(prk)

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared_secret, b"secret", b"")
    return expand(secret, b"key", context, key_bytes), expand(secret, b"base_nonce", context, 12)


@cache
def _answers() -> dict[str, _Answer]:
    answers: dict[str, _Answer] = json.loads(_ANSWERS.read_text("utf-8"))
    return answers


def _hex(answer: _Answer, name: str) -> bytes:
    return bytes.fromhex(answer[name])
