"""A gateway in memory, as the SDK sees one: it answers from real keys, seals, proofs and a real tree, over no socket."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.client import Configuration, OfficerKey
from gateway.client.core import Core
from gateway.client.senders import key_commitment
from gateway.client.session import Incoming, Lost, Outgoing, Pause
from gateway.domain.canonical import canonical
from gateway.domain.ids import request_id
from gateway.domain.orders import SealInfo
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Department, Transform
from gateway.proofs.checkpoints import Checkpoint, sign_checkpoint
from gateway.proofs.merkle import inclusion_spans, leaf_hash, root_of, span_hash
from gateway.proofs.notes import Signer
from gateway.proofs.tlogproof import TlogProof
from gateway.release.wire import line_to_wire
from keys.envelope import SealingPair, seal_line
from keys.group import multiply, random_scalar
from keys.signing import SigningKey
from tests.unit.stepping_clock import SteppingClock

ISSUER = "https://gateway.example:8443"
ME = Party("11330106002489017Q", Department.CIVIL_AFFAIRS)
SCHOOL = Party("12330106470101234A", Department.EDUCATION)
ORIGIN = "runxin.example/log"
CLEAR, SEALED = Obligation(Transform.CLEAR), Obligation(Transform.CLEAR, sealed=True)


@dataclass
class InMemoryGateway:
    """`answer` maps a path to what is answered; a test replaces one entry to make the gateway misbehave."""

    log: Signer
    provider: SigningKey
    scalar: bytes = field(default_factory=random_scalar)
    leaves: list[bytes] = field(default_factory=list)
    seen: list[Outgoing] = field(default_factory=list)
    answer: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    tokens: int = 0
    asked: str = ""

    def carry(self, wish: Outgoing) -> Incoming | Lost:
        self.seen.append(wish)
        self.asked = request_id(wish.headers["dpop"])
        if wish.path == "/oauth/token":
            self.tokens += 1
            return incoming({"access_token": f"t.t.{self.tokens}", "token_type": "DPoP", "expires_in": 300})
        made = self.answer[wish.path](json.loads(wish.body) if wish.body else {})
        if isinstance(made, Incoming | Lost):
            return made
        return self.recorded(wish.body, canonical(made))

    def recorded(self, sent: bytes, body: bytes, **leaf: Any) -> Incoming:
        """An answer whose entry stands in the log."""
        salts = (b"r" * 16, b"a" * 16)
        index = self.append(
            {"request": b64(salted(salts[0], sent)), "answer": b64(salted(salts[1], body)), "kind": "query", **leaf}
        )
        headers = {
            "audit-receipt": f"{ORIGIN} {index} {len(self.leaves)}",
            "audit-salt": ".".join(b64(salt) for salt in salts),
        }
        return Incoming(200, headers, body)

    def append(self, skeleton: dict[str, Any]) -> int:
        self.leaves.append(canonical(skeleton))
        self.answer[f"/v1/audit/receipts/{len(self.leaves) - 1}"] = lambda _, at=len(self.leaves) - 1: self.proof(at)
        return len(self.leaves) - 1

    def proof(self, index: int) -> Incoming:
        hashes = [leaf_hash(leaf) for leaf in self.leaves]
        note = sign_checkpoint(Checkpoint(ORIGIN, len(hashes), root_of(hashes)), self.log)
        path = tuple(span_hash(hashes, span) for span in inclusion_spans(index, len(hashes)))
        text = TlogProof(index, path, note).encode()
        return incoming({"index": index, "leaf": base64.b64encode(self.leaves[index]).decode(), "proof": text})

    def announce(self, party: Party, key: SigningKey, **changes: Any) -> None:
        commitment = key_commitment("sender", party, key.thumbprint, key.public)
        index = self.append({"kind": "key.event", "code": "sender_key", "manifest": b64(commitment), **changes})
        self.answer[f"/v1/keys/senders/{key.thumbprint}"] = lambda _: incoming(
            {"party": party.text, "jwk": key.jwk(), "entry": index}
        )

    def paths(self) -> list[str]:
        return [wish.path for wish in self.seen]


@dataclass
class Desk:
    """A configured client's core beside the gateway in memory."""

    gateway: InMemoryGateway
    clock: SteppingClock
    configuration: Configuration
    core: Core
    pauses: list[float] = field(default_factory=list)

    @property
    def pair(self) -> SealingPair:
        return self.configuration.sealing[0]

    def run(self, step: Any) -> Any:
        reply: Any = None
        while True:
            try:
                wish = step.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(wish, Pause):
                self.pauses.append(wish.seconds)
                reply = None
            else:
                reply = self.gateway.carry(wish)

    def rebuilt(self, **changes: Any) -> Desk:
        from dataclasses import replace

        configuration = replace(self.configuration, **changes)
        return Desk(self.gateway, self.clock, configuration, Core(configuration, clock=self.clock))

    def sealed_line(self, values: dict[str, Any], **info: Any) -> dict[str, Any]:
        """A line as the provider's edge would have made it for this client; keywords change what it is bound to."""
        parts: dict[str, Any] = {
            "request": self.gateway.asked,
            "line": 1,
            "exchange": "X02",
            "sender": SCHOOL,
            "recipient": ME,
            "recipient_kid": self.pair.kid,
        }
        line = seal_line(
            values,
            grants={name: SEALED if name.startswith("sealed") else CLEAR for name in values},
            info=SealInfo(**{**parts, **info}),
            recipient=self.pair.sealing_key(ME),
            signer=self.gateway.provider,
            number=1,
            subject=None,
            references={},
            region=None,
        )
        return line_to_wire(line)


@pytest.fixture
def desk() -> Desk:
    log = Signer.from_seed(ORIGIN, b"L" * 32)
    gateway = InMemoryGateway(log=log, provider=SigningKey.generate())
    gateway.append({"kind": "heartbeat"})
    clock = SteppingClock()
    configuration = Configuration(
        gateway=ISSUER,
        client_id="mz-xihu",
        party=ME,
        client_key=SigningKey.generate(),
        officer=OfficerKey("M0001", "children_director", SigningKey.generate()),
        sealing=(SealingPair.generate("x25519"),),
        senders={gateway.provider.thumbprint: (SCHOOL, gateway.provider.verify_key)},
        log_vkey=log.verifier.vkey,
    )
    made = Desk(gateway, clock, configuration, Core(configuration, clock=clock))
    gateway.answer["/v1/query"] = lambda _: query_answer(made)
    gateway.answer["/v1/pseudonyms/evaluate"] = lambda body: incoming(
        {"points": [b64(multiply(gateway.scalar, unb64(point))) for point in body["points"]], "epoch": 1}
    )
    return made


def query_answer(desk: Desk, **changes: Any) -> dict[str, Any]:
    answer = {
        "request": desk.gateway.asked,
        "exchange": "X02",
        "purpose": "P02",
        "provider": SCHOOL.text,
        "policy": "sha256:00",
        "labels": {"exchange": "X02", "purpose": "P02", "until": "2026-12-01T00:00:00Z", "onward": "no"},
        "lines": [desk.sealed_line({"enrolled": "Y", "sealed_grade": "7"})],
        "withheld": {"school_name": "rule_denied"},
    }
    return {**answer, **changes}


def incoming(document: Any, status: int = 200) -> Incoming:
    return Incoming(status, {}, json.dumps(document).encode())


def problem(code: str, status: int) -> Incoming:
    return incoming(
        {"code": code, "status": status, "detail": "en", "detail_zh": "中文", "facts": {"field": "x"}}, status
    )


def salted(salt: bytes, data: bytes) -> bytes:
    return hashlib.sha256(salt + hashlib.sha256(data).digest()).digest()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
