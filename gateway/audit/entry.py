"""An entry's bytes: the skeleton that the Merkle leaf holds, and the detail that is sealed beside it.

Rules kept here: the skeleton is canonical JSON with a closed list of keys; no id, no running number, nothing that two
entries of one child or one actor would share stands in it. Tags are sorted and padded with random ones to a power of two of
at least four, so that neither their order nor, below that, their number tells whose they are. Everything else is detail.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from gateway.audit.wording import Wording
from gateway.domain import base64url
from gateway.domain.base64url import encode as b64
from gateway.domain.canonical import parse_canonical
from gateway.errors import BadRequest, ProgrammingError
from gateway.proofs.merkle import leaf_hash, node_hash, root_of
from gateway.proofs.tiles import LONGEST_ENTRY

VERSION = 1
TAG_BYTES = 16
SALT_BYTES = 32
_FEWEST_TAGS = 4
_MOST_INLINE_TAGS = 64
_COMMITMENT = b"runxin/audit/detail/v1\x00"
_WORD_KEYS = ("kind", "exchange", "door", "purpose", "from", "to", "outcome", "code", "policy")
_DIGEST_KEYS = ("request", "answer", "manifest", "detail")
SKELETON_KEYS = frozenset({*_WORD_KEYS, *_DIGEST_KEYS, "v", "t", "tags", "sighted", "assisted", "epoch", "covers"})


class Tagging(NamedTuple):
    """The tags of one entry, ready for the skeleton. lines: the manifest's sorted tags where there are too many."""

    shown: tuple[bytes, ...]
    own: tuple[bytes, ...]
    lines: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Tagging({len(self.shown)} shown)"

    @property
    def manifest_root(self) -> bytes:
        """RFC 6962 root over the manifest's lines, empty where the tags stand in the skeleton."""
        return root_of([leaf_hash(line) for line in self.lines]) if self.lines else b""


def arrange_tags(tags: Sequence[bytes]) -> Tagging:
    """Sort and pad. Up to 64 tags stand in the skeleton; of more, only the root of their manifest does."""
    if len(tags) > _MOST_INLINE_TAGS:
        return Tagging((), tuple(tags), tuple(sorted(tags)))
    width = _FEWEST_TAGS
    while width < len(tags):
        width *= 2
    missing = width - len(tags)
    filler = os.urandom(TAG_BYTES * missing)
    padding = [filler[at : at + TAG_BYTES] for at in range(0, len(filler), TAG_BYTES)]
    return Tagging(tuple(sorted([*tags, *padding])), tuple(tags))


def write_skeleton(wording: Wording, *, time_us: int, tagging: Tagging, commitment: bytes) -> bytes:
    """The canonical bytes of the leaf: the draft's own parts with time, tags and the detail's commitment put in."""
    manifest = _joined(wording.manifest_root, tagging.manifest_root) if tagging.lines else wording.manifest_root
    shown = f'"manifest":"{b64(manifest)}",' if manifest else ""
    tags = f',"tags":["{_tags_text(tagging.shown)}"]' if tagging.shown else ""
    leaf = (
        f'{wording.opening}"detail":"{b64(commitment)}",{wording.middle}{shown}{wording.closing}'
        f'"t":{time_us}{tags},{wording.ending}"v":{VERSION}}}'
    ).encode("ascii")
    if len(leaf) > LONGEST_ENTRY:
        raise ProgrammingError("a skeleton is too long")
    return leaf


def read_skeleton(leaf: bytes) -> dict[str, Any]:
    """The skeleton behind a leaf. Raises `BadRequest("entry_invalid")` if it is not canonical or has a foreign key."""
    try:
        skeleton = parse_canonical(leaf)
    except ValueError:
        raise BadRequest("entry_invalid") from None
    known = isinstance(skeleton, dict) and skeleton.keys() <= SKELETON_KEYS and skeleton.get("v") == VERSION
    if not known or not isinstance(skeleton.get("t"), int):
        raise BadRequest("entry_invalid")
    return dict(skeleton)


def tags_of(skeleton: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The tags that stand in a skeleton."""
    return tuple(unb64(tag) for tag in skeleton.get("tags", ()))


def write_detail(wording: Wording, *, entry_id: str, numbers: Mapping[str, int]) -> bytes:
    """What is sealed: a fresh 32-byte salt, then canonical JSON of everything that the skeleton must not hold.

    numbers: the running number that each actor's history gave this entry; a child's own stands under `child`.
    """
    counts = b",".join([name + b"%d" % numbers[whose] for whose, name in wording.numbered])
    salt = os.urandom(SALT_BYTES)
    return b"".join((salt, wording.first, entry_id.encode("ascii"), wording.facts, counts, wording.last))


def commit_detail(salted: bytes) -> bytes:
    """SHA-256 over domain, salt and JSON: binds the detail, and says nothing once salt and detail are destroyed."""
    return sha256(_COMMITMENT + salted).digest()


def read_detail(salted: bytes, skeleton: Mapping[str, Any]) -> dict[str, Any]:
    """The detail behind its salt. Raises `BadRequest("detail_invalid")` if it is not what the skeleton commits to."""
    claimed = skeleton.get("detail")
    if not isinstance(claimed, str) or not hmac.compare_digest(unb64(claimed), commit_detail(salted)):
        raise BadRequest("detail_invalid")
    return dict(parse_canonical(salted[SALT_BYTES:]))


def unb64(text: str) -> bytes:
    """The inverse of `b64`; `BadRequest("entry_invalid")`."""
    try:
        return base64url.decode(text)
    except ValueError:
        raise BadRequest("entry_invalid") from None


def _tags_text(tags: Sequence[bytes]) -> str:
    """Each tag's text, between quotes and commas."""
    return '","'.join(map(b64, tags))


def _joined(stated: bytes, tags: bytes) -> bytes:
    return node_hash(stated, tags) if stated and tags else stated or tags
