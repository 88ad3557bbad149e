"""Timestamped cosignatures of witnesses (c2sp.org/tlog-cosignature v1, Ed25519, key type 0x04).

Rules kept here: a cosignature says "at this second this was the newest checkpoint I had seen, and it extends all before";
its time is whole seconds of UTC; the signed message contains the whole checkpoint text.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.proofs.faults import ProofInvalid
from gateway.proofs.notes import COSIGNATURE, Note, Signature, Signer, Verifier, cosigned_message, verify_signature


def cosign(text: str, signer: Signer, seconds: int) -> Signature:
    """A cosignature line over a checkpoint's text; `seconds` since 1970 UTC. The signer must be of kind 0x04."""
    if signer.kind != COSIGNATURE or seconds < 0:
        raise ProofInvalid("note_invalid")
    value = signer.sign(cosigned_message(text, seconds))
    return Signature(signer.name, signer.verifier.key_id, seconds.to_bytes(8, "big") + value)


def cosigned_at(text: str, signature: Signature, verifier: Verifier) -> int:
    """The second at which the witness cosigned, after checking; `ProofInvalid("note_invalid")`."""
    if verifier.kind != COSIGNATURE or (signature.name, signature.key_id) != (verifier.name, verifier.key_id):
        raise ProofInvalid("note_invalid")
    verify_signature(text, signature, verifier)
    return int.from_bytes(signature.value[:8], "big")


def with_signatures(note: Note, added: tuple[Signature, ...]) -> Note:
    """The note with further signature lines; a newer line of the same key takes the older one's place."""
    fresh = {(signature.name, signature.key_id) for signature in added}
    kept = tuple(one for one in note.signatures if (one.name, one.key_id) not in fresh)
    return replace(note, signatures=kept + added)
