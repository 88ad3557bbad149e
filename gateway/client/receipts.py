"""回执: what the SDK keeps of every answer, and how it is proved later, offline, against the log's pinned key.

Rules kept here: the log's key comes from the configuration, never from the gateway; a receipt is proved only if the leaf holds
the salted digests of exactly the bytes that were sent and received.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.session import Answered, Session, Step
from gateway.domain.canonical import parse_canonical
from gateway.errors import GatewayError
from gateway.proofs.checkpoints import Checkpoint
from gateway.proofs.notes import parse_vkey
from gateway.proofs.policy import Policy
from gateway.proofs.tlogproof import parse_proof, verify_proof


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """The receipt of one answer, as it came in its headers, with what is needed to prove it.

    index, size: place in the log, and its size when the answer left. request, answer: the salted digests that the leaf
    must hold, 32 bytes each.
    """

    origin: str
    index: int
    size: int
    request: bytes = field(repr=False)
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogProof:
    """What `/v1/audit/receipts/{index}` gives: the leaf's bytes and its tlog-proof."""

    index: int
    leaf: bytes = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry proved to stand in the log. skeleton: what the leaf says. checkpoint: the signed tree head behind it.

    state: `witnessed` if the department's own policy finds a quorum of witnesses under that head, else `logged`.
    """

    index: int
    skeleton: Mapping[str, Any]
    checkpoint: Checkpoint
    state: str = "logged"


def kept_receipt(answered: Answered) -> KeptReceipt:
    """The receipt in the answer's headers. Raises `AnswerRejected("receipt_missing")`: no entry, no data."""
    headers = answered.incoming.headers
    try:
        origin, index, size = headers["audit-receipt"].split(" ")
        request_salt, _, answer_salt = headers["audit-salt"].partition(".")
        return KeptReceipt(
            origin=origin,
            index=int(index),
            size=int(size),
            request=_salted(_bytes(request_salt), answered.sent),
            answer=_salted(_bytes(answer_salt), answered.incoming.body),
        )
    except (KeyError, ValueError, binascii.Error) as error:
        raise AnswerRejected("receipt_missing") from error


def fetch_proof(session: Session, index: int) -> Step[LogProof]:
    """Ask the gateway for the proof of an entry; believing it is `prove`."""
    answered = yield from session.get(f"/v1/audit/receipts/{index}")
    document = answered.document
    leaf, text = document.get("leaf"), document.get("proof")
    if not isinstance(leaf, str) or not isinstance(text, str):
        raise AnswerRejected("answer_malformed")
    return LogProof(index, leaf_bytes(leaf), text)


def prove(proof: LogProof, *, log_vkey: str, policy: Policy | None = None) -> ProvedEntry:
    """Check that the leaf stands in the log of this key at this index. Offline.

    log_vkey: C2SP vkey of the log, pinned by the department. policy: the witnesses that it trusts, and how many it wants.
    Raises `AnswerRejected("receipt_invalid")`.
    """
    try:
        index, checkpoint = verify_proof(proof.text, proof.leaf, parse_vkey(log_vkey))
        skeleton = parse_canonical(proof.leaf)
        witnessed = policy is not None and policy.reached(parse_proof(proof.text).checkpoint)
    except (GatewayError, ValueError) as error:
        raise AnswerRejected("receipt_invalid") from error
    if index != proof.index or not isinstance(skeleton, dict):
        raise AnswerRejected("receipt_invalid")
    return ProvedEntry(index, skeleton, checkpoint, "witnessed" if witnessed else "logged")


def check_receipt(receipt: KeptReceipt, proof: LogProof, *, log_vkey: str, policy: Policy | None = None) -> ProvedEntry:
    """Prove that the log holds exactly this request and this answer. Offline.

    Raises `AnswerRejected("receipt_invalid")`: wrong index, other bytes, another log, or a tree smaller than promised.
    """
    if proof.index != receipt.index:
        raise AnswerRejected("receipt_invalid")
    proved = prove(proof, log_vkey=log_vkey, policy=policy)
    promised = proved.checkpoint.origin == receipt.origin and proved.checkpoint.size >= receipt.size
    digests = [("request", receipt.request), ("answer", receipt.answer)]
    if not promised or not all(_holds(proved.skeleton, name, digest) for name, digest in digests):
        raise AnswerRejected("receipt_invalid")
    return proved


def leaf_bytes(text: str) -> bytes:
    """The leaf behind its JSON form, base64. Raises `AnswerRejected("answer_malformed")`."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise AnswerRejected("answer_malformed") from error


def base64url(data: bytes) -> str:
    """Base64url without padding, as digests stand in a leaf."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _holds(skeleton: Mapping[str, Any], name: str, digest: bytes) -> bool:
    return hmac.compare_digest(str(skeleton.get(name, "")).encode(), base64url(digest).encode())


def _salted(salt: bytes, data: bytes) -> bytes:
    return hashlib.sha256(salt + hashlib.sha256(data).digest()).digest()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
