"""Approvals by security key: the person vouches once, and an assertion over the digest of what is approved is the signature."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.client import statements
from gateway.domain.parties import Party
from gateway.errors import BadRequest, Denied
from gateway.flows.policy_versions import verified
from gateway.identity.approvals import subject_digest, verify_approval
from gateway.identity.security_keys import key_subject, read_vouching, standing_keys, vouch
from gateway.store.registry_changes import disable_person, retire_security_key
from keys.signing import SigningKey
from tests.support.authenticator import PRESENT, Authenticator, base64url
from tests.unit.identity.conftest import EDUCATION, World, person_statement

pytestmark = pytest.mark.anyio
SUBJECT = {"kind": "policy", "change": "pc-a", "revision": 1, "base": "sha256-a", "version": "sha256-b"}
PERSON = f"{EDUCATION.organisation}/T0417"


def subject_of(device: Authenticator, **changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "label": "蓝色",
        "credential": device.credential,
        "key": device.public_key,
        "host": device.host,
        "origin": device.origin,
    }
    return key_subject(**{**parts, **changes})


async def vouched(world: World, device: Authenticator, *, person: str = "T0417", key: SigningKey | None = None) -> str:
    """Enter a security key for a person; its kid."""
    text = statements.security_key_statement(
        person, EDUCATION, key or world.officer_key, subject=subject_of(device), now=world.clock.seconds
    )
    found = read_vouching(text, snapshot=await world.snapshot(), now=world.clock.seconds)
    _, effect = vouch(found, text, by="test", now=world.clock.seconds)
    await world.change(effect)
    return found.kid


def claims_of(
    world: World, subject: dict[str, Any] = SUBJECT, party: Party = EDUCATION, **changes: Any
) -> dict[str, Any]:
    now = world.clock.seconds
    claims = {"iss": "T0417", "org": party.organisation, "dept": str(party.department), "iat": now, "exp": now + 3600}
    return {**claims, "digest": subject_digest(subject), "subject": subject, **changes}


async def refused(world: World, text: str, code: str = "approval_invalid") -> None:
    with pytest.raises(Denied) as caught:
        verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, expected=SUBJECT)
    assert caught.value.code == code


async def test_an_assertion_over_the_digest_of_what_is_approved_is_the_persons_approval(world: World) -> None:
    device = Authenticator()
    text = device.approval(await vouched(world, device), claims_of(world))
    found = verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, expected=SUBJECT)
    assert (found.approver.person_id, found.approver.party) == ("T0417", EDUCATION)
    assert found.digest == subject_digest(SUBJECT)
    assert found.statement == text


async def test_whoever_holds_the_statements_checks_an_approval_without_the_gateway(world: World) -> None:
    device = Authenticator()
    kid = await vouched(world, device)
    text = device.approval(kid, claims_of(world))
    statement = (await world.snapshot()).security_keys[kid].statement

    def decoded(part: str) -> bytes:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))

    world.officer_key.verify_key.verify(decoded(statement.split(".")[2]), statement.rpartition(".")[0].encode())
    cose = decoded(json.loads(decoded(statement.split(".")[1]))["subject"]["key"])
    header, claims, third = text.split(".")
    parts = {name: decoded(part) for name, part in json.loads(decoded(third)).items()}
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(cose[-67:-35], "big"), int.from_bytes(cose[-32:], "big"), ec.SECP256R1()
    )
    signed = parts["authenticatorData"] + hashlib.sha256(parts["clientDataJSON"]).digest()
    point.public_key().verify(parts["signature"], signed, ec.ECDSA(SHA256()))
    challenge = json.loads(parts["clientDataJSON"])["challenge"]
    assert challenge == base64url(hashlib.sha256(f"{header}.{claims}".encode()).digest())
    assert json.loads(decoded(header))["kid"] == kid == base64url(hashlib.sha256(statement.encode()).digest())


async def test_an_assertion_for_another_digest_is_no_approval(world: World) -> None:
    device = Authenticator()
    kid = await vouched(world, device)
    await refused(world, device.approval(kid, claims_of(world), challenge=b"\x01" * 32))
    await refused(world, device.approval(kid, claims_of(world), challenge=bytes.fromhex(subject_digest(SUBJECT))))
    await refused(world, device.approval(kid, claims_of(world, digest="0" * 64)))
    # What was signed cannot be lengthened, renamed or put before another subject.
    good = device.approval(kid, claims_of(world)).split(".")
    for changes in ({"exp": world.clock.seconds + 7200}, {"iss": "T0001"}, {"subject": {**SUBJECT, "change": "pc-b"}}):
        other = base64url(json.dumps(claims_of(world) | changes).encode())
        await refused(world, f"{good[0]}.{other}.{good[2]}")


async def test_an_approval_of_one_draft_is_none_of_another(world: World) -> None:
    device = Authenticator()
    other = {**SUBJECT, "change": "pc-other"}
    await refused(world, device.approval(await vouched(world, device), claims_of(world, other)), "approval_subject")


@pytest.mark.parametrize(
    "said",
    [
        {"origin": "https://gateway.example.evil.example"},
        {"origin": "http://gateway.example"},
        {"host": "evil.example"},
        {"type": "webauthn.create"},
        {"crossOrigin": True},
        {"flags": PRESENT},
        {"flags": 0},
    ],
    ids=str,
)
async def test_an_assertion_for_elsewhere_or_without_its_holder_verified_is_no_approval(
    said: dict[str, Any], world: World
) -> None:
    device = Authenticator()
    await refused(world, device.approval(await vouched(world, device), claims_of(world), **said))


async def test_another_persons_security_key_does_not_sign_for_one(world: World) -> None:
    key, mine, theirs = SigningKey.generate(), Authenticator(), Authenticator()
    await world.enrol(person_statement(world, person_id="T0600", functions=["approver"], person_key=key.verify_key))
    kid = await vouched(world, mine)
    other = await vouched(world, theirs, person="T0600", key=key)
    await refused(world, theirs.approval(kid, claims_of(world)))  # my name, their key
    await refused(world, theirs.approval(other, claims_of(world)))  # their key says that it is me
    await refused(world, mine.approval("A" * 43, claims_of(world)), "approver_unknown")
    text = theirs.approval(other, claims_of(world, iss="T0600"))
    found = verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, expected=SUBJECT)
    assert found.approver.person_id == "T0600"


async def test_a_security_key_signs_only_for_an_approver(world: World) -> None:
    key, device = SigningKey.generate(), Authenticator()
    await world.enrol(
        person_statement(world, person_id="T0600", functions=["children_worker"], person_key=key.verify_key)
    )
    kid = await vouched(world, device, person="T0600", key=key)
    await refused(world, device.approval(kid, claims_of(world, iss="T0600")), "approver_function")


async def test_nobody_vouches_for_another_or_with_a_key_that_is_no_persons(world: World) -> None:
    snapshot, now, subject = await world.snapshot(), world.clock.seconds, subject_of(Authenticator())
    for key in (world.client_key, world.admin_key, SigningKey.generate()):
        text = statements.security_key_statement("T0417", EDUCATION, key, subject=subject, now=now)
        with pytest.raises(Denied, match="approver_unknown"):
            read_vouching(text, snapshot=snapshot, now=now)
    for person, about, lifetime in (
        ("T0001", subject, 3600),
        ("T0417", subject, 366 * 86_400 + 1),
        ("T0417", {**subject, "host": "example"}, 3600),
        ("T0417", {**subject, "key": base64url(b"\xa0")}, 3600),
        ("T0417", {**subject, "kind": "policy"}, 3600),
        ("T0417", {**subject, "more": "x"}, 3600),
    ):
        text = statements.security_key_statement(
            person, EDUCATION, world.officer_key, subject=about, now=now, lifetime=lifetime
        )
        with pytest.raises(BadRequest, match="statement_invalid"):
            read_vouching(text, snapshot=snapshot, now=now)
    approval = statements.approval("T0417", EDUCATION, world.officer_key, subject=subject, now=now)
    with pytest.raises(BadRequest, match="statement_invalid"):
        read_vouching(approval, snapshot=snapshot, now=now)


async def test_a_security_key_goes_when_it_is_retired_when_its_term_ends_and_with_the_persons_own_key(
    world: World,
) -> None:
    lost, kept = Authenticator(), Authenticator()
    kid, other = await vouched(world, lost), await vouched(world, kept)
    assert len(standing_keys(await world.snapshot(), PERSON, world.clock.seconds)) == 2
    await world.change(retire_security_key, lost.credential)
    await refused(world, lost.approval(kid, claims_of(world)), "approver_unknown")
    assert [one.kid for one in standing_keys(await world.snapshot(), PERSON, world.clock.seconds)] == [other]
    text = kept.approval(other, claims_of(world))
    verify_approval(text, snapshot=await world.snapshot(), now=world.clock.seconds, expected=SUBJECT)
    await world.change(disable_person, world.officer_key.thumbprint)
    await refused(world, text, "approver_unknown")
    assert standing_keys(await world.snapshot(), PERSON, world.clock.seconds) == []


async def test_what_was_activated_stays_good_after_security_key_and_person_are_gone(world: World) -> None:
    device = Authenticator()
    kid = await vouched(world, device)
    then, text = world.clock.seconds, device.approval(kid, claims_of(world))
    await world.change(retire_security_key, device.credential)
    await world.change(disable_person, world.officer_key.thumbprint)
    world.clock.step(400 * 86_400)
    await refused(world, text, "approver_unknown")
    snapshot = await world.snapshot()
    (found,) = verified([text], snapshot, SUBJECT, now=then)
    assert found.approver.person_id == "T0417"
    with pytest.raises(Denied, match="approval_subject"):
        verified([text], snapshot, {**SUBJECT, "change": "pc-b"}, now=then)


async def test_an_approval_by_security_key_ends_like_any_other(world: World) -> None:
    device = Authenticator()
    kid = await vouched(world, device)
    too_long = device.approval(kid, claims_of(world, exp=world.clock.seconds + 30 * 86_400 + 1))
    await refused(world, too_long)
    text = device.approval(kid, claims_of(world))
    world.clock.step(3600 + 60)
    await refused(world, text, "approval_expired")


@pytest.mark.parametrize(
    "header",
    [{"alg": "none"}, {"alg": "EdDSA"}, {"typ": "approval+jwt"}, {"crit": ["b64"]}, {"jwk": {}}, {"kid": 7}],
    ids=str,
)
async def test_another_header_is_no_approval(header: dict[str, Any], world: World) -> None:
    device = Authenticator()
    await refused(world, device.approval(await vouched(world, device), claims_of(world), header=header))


async def test_a_row_of_the_store_alone_makes_no_security_key(world: World) -> None:
    """Whoever can write the registry but has no person's key cannot add a security key, nor swap one."""
    device, foreign = Authenticator(), Authenticator()
    kid = await vouched(world, device)
    snapshot = await world.snapshot()
    row = snapshot.security_keys[kid]
    header, claims, signature = row.statement.split(".")
    swapped = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    swapped["subject"] = subject_of(foreign)
    swapped["digest"] = subject_digest(swapped["subject"])
    forged = f"{header}.{base64url(json.dumps(swapped).encode())}.{signature}"
    from dataclasses import replace

    then = replace(snapshot, security_keys={kid: replace(row, statement=forged)})
    with pytest.raises(Denied, match="approver_unknown"):
        verify_approval(foreign.approval(kid, claims_of(world)), snapshot=then, now=world.clock.seconds)
