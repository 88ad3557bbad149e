"""The one error of this room.

Rules kept here: a verification raises or returns nothing, it never answers with a truth value that can be ignored; no text
holds a value that came from outside.
"""

from __future__ import annotations

from gateway.errors import BadRequest


class ProofInvalid(BadRequest):
    """A proof, note, checkpoint, tile or bundle is malformed or does not verify.

    Codes: `proof_invalid`, `note_invalid`, `note_unsigned`, `checkpoint_invalid`, `tile_invalid`, `vkey_invalid`.
    """
