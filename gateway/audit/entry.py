"""An entry's bytes: the skeleton that the Merkle leaf holds, and the detail that is sealed beside it.

Rules kept here: the skeleton is canonical JSON with a closed list of keys; no id, no running number, nothing that two
entries of one child or one actor would share stands in it. Tags are sorted and padded with random ones to a power of two of
at least four, so that neither their order nor, below that, their number tells whose they are. Everything else is detail.
"""

from __future__ import annotations

import hmac
import json
import os
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from gateway.domain.canonical import canonical, parse_canonical
from gateway.domain.entries import EntryDraft
from gateway.errors import BadRequest, ProgrammingError
from gateway.proofs.merkle import leaf_hash, node_hash, root_of
from gateway.proofs.tiles import LONGEST_ENTRY

VERSION = 1
TAG_BYTES = 16
SALT_BYTES = 32
_FEWEST_TAGS = 4
_MOST_INLINE_TAGS = 64
_WORD = re.compile(r"[A-Za-z0-9_.:\-]{0,80}\Z")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# `canonical` without its walk over the value: what comes here was walked when the draft was handed in.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
_COMMITMENT = b"runxin/audit/detail/v1\x00"
_WORD_KEYS = ("kind", "exchange", "door", "purpose", "from", "to", "outcome", "code", "policy")
_DIGEST_KEYS = ("request", "answer", "manifest", "detail")
SKELETON_KEYS = frozenset({*_WORD_KEYS, *_DIGEST_KEYS, "v", "t", "tags", "sighted", "assisted", "epoch", "covers"})


@dataclass(frozen=True, slots=True)
class Tagging:
    """The tags of one entry, ready for the skeleton. lines: the manifest's sorted tags where there are too many."""

    shown: tuple[bytes, ...]
    own: tuple[bytes, ...] = field(repr=False)
    lines: tuple[bytes, ...] = field(default=(), repr=False)

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


def write_skeleton(
    draft: EntryDraft, *, time_us: int, tagging: Tagging, commitment: bytes, public: Mapping[str, int] | None = None
) -> bytes:
    """The canonical bytes of the leaf.

    public: `epoch` and `covers` of an index entry. The draft has passed `require_words`.
    """
    words = _words(draft)
    skeleton: dict[str, Any] = {name: str(word) for name, word in words.items() if word}
    skeleton["v"], skeleton["t"] = VERSION, time_us
    manifest = _joined(draft.manifest_root, tagging.manifest_root)
    digests = {
        "request": draft.request_digest,
        "answer": draft.answer_digest,
        "manifest": manifest,
        "detail": commitment,
    }
    skeleton |= {name: b64(digest) for name, digest in digests.items() if digest}
    if tagging.shown:
        skeleton["tags"] = [b64(tag) for tag in tagging.shown]
    if draft.sighted:
        skeleton["sighted"] = True
    if draft.assisted:
        skeleton["assisted"] = True
    skeleton |= public or {}
    leaf = _encode(skeleton)
    if len(leaf) > LONGEST_ENTRY:
        raise ProgrammingError("a skeleton is too long")
    return leaf


def require_words(draft: EntryDraft) -> None:
    """Refuse a draft that could not be written, before it joins a batch: `ProgrammingError`."""
    if not all(_WORD.match(word) for word in _words(draft).values()):
        raise ProgrammingError("a skeleton holds words only")
    try:
        canonical({**draft.detail, "actors": list(draft.actors)})
    except ValueError:
        raise ProgrammingError("a detail holds restricted JSON only") from None


def _words(draft: EntryDraft) -> dict[str, str]:
    return {
        "kind": draft.kind,
        "exchange": draft.exchange,
        "door": draft.door or "",
        "purpose": draft.purpose,
        "from": draft.requester or "",
        "to": draft.provider or "",
        "outcome": draft.outcome,
        "code": draft.code,
        "policy": draft.policy_version,
    }


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


def facets(draft: EntryDraft) -> str:
    """Words of the leaf in a fixed order, for searching: kind|exchange|door|purpose|outcome|from|to|code."""
    return "|".join(
        (
            draft.kind,
            draft.exchange,
            draft.door or "",
            draft.purpose,
            draft.outcome,
            draft.requester or "",
            draft.provider or "",
            draft.code,
        )
    )


def write_detail(draft: EntryDraft, *, entry_id: str, numbers: Mapping[str, int]) -> bytes:
    """What is sealed: a fresh 32-byte salt, then canonical JSON of everything that the skeleton must not hold.

    numbers: the running number that each actor's history gave this entry; a child's own stands under `child`.
    """
    detail: dict[str, Any] = {
        "entry": entry_id,
        "actors": list(draft.actors),
        "numbers": dict(numbers),
        "facts": dict(draft.detail),
    }
    if draft.children:
        detail["children"] = [child.hex() for child in draft.children]
    if draft.request_salt:
        detail["request_salt"] = b64(draft.request_salt)
    if draft.answer_salt:
        detail["answer_salt"] = b64(draft.answer_salt)
    return os.urandom(SALT_BYTES) + _encode(detail)


def commit_detail(salted: bytes) -> bytes:
    """SHA-256 over domain, salt and JSON: binds the detail, and says nothing once salt and detail are destroyed."""
    return sha256(_COMMITMENT + salted).digest()


def read_detail(salted: bytes, skeleton: Mapping[str, Any]) -> dict[str, Any]:
    """The detail behind its salt. Raises `BadRequest("detail_invalid")` if it is not what the skeleton commits to."""
    claimed = skeleton.get("detail")
    if not isinstance(claimed, str) or not hmac.compare_digest(unb64(claimed), commit_detail(salted)):
        raise BadRequest("detail_invalid")
    return dict(parse_canonical(salted[SALT_BYTES:]))


def b64(data: bytes) -> str:
    """base64url without padding."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """The inverse of `b64`; `BadRequest("entry_invalid")`."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadRequest("entry_invalid") from None
    if b64(data) != text:
        raise BadRequest("entry_invalid")
    return data


def _encode(value: dict[str, Any]) -> bytes:
    return _ENCODER.encode(value).encode("utf-8")


def _joined(stated: bytes, tags: bytes) -> bytes:
    return node_hash(stated, tags) if stated and tags else stated or tags
