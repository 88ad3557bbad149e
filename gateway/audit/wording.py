"""What a draft says, as the parts of its skeleton and its detail that its place in the log does not change.

They are made when an entry is asked for, so that a batch, which keeps everybody else waiting at the head's lock, only puts in
times, numbers, tags and commitments.

Rules kept here: the parts put together are canonical JSON, byte for byte (held by a test against the encoder); words of a
skeleton are `[A-Za-z0-9_.:-]` and need no escaping; a draft that could not be written is refused here, before it joins a batch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gateway.domain.base64url import encode as b64
from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.errors import ProgrammingError

OWN_NUMBER = "child"
_WORD = re.compile(r"[A-Za-z0-9_.:\-]{0,80}\Z")
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Wording(NamedTuple):
    """A draft's parts; a tuple, because one is made for every entry. They stand in the order of their members' names, as canonical JSON wants it.

    facets: words of the leaf for searching: kind|exchange|door|purpose|outcome|from|to|code. Of the skeleton: `opening` up to
    the commitment, `middle` up to the manifest, `closing` up to the time, `ending` after the tags. Of the detail: `first` up
    to the entry's id, `facts` after it, `numbered` (name and its quoted form) in order, `last`.
    """

    facets: str
    opening: str
    middle: str
    closing: str
    ending: str
    manifest_root: bytes
    first: bytes
    facts: bytes
    numbered: tuple[tuple[str, bytes], ...]
    last: bytes

    def __repr__(self) -> str:
        return f"Wording({self.facets!r})"


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a skeleton, which many drafts share."""

    facets: str
    code: str
    door: str
    middle: str
    closing: str
    ending: str


def word(draft: EntryDraft, public: Mapping[str, int] | None = None) -> Wording:
    """The parts of a draft. public: `epoch` and `covers` of an index entry.

    Raises `ProgrammingError`: a word that is none, a detail that is not restricted JSON.
    """
    words = _words(
        draft.kind,
        draft.exchange,
        draft.door or "",
        draft.purpose,
        draft.outcome,
        draft.requester or "",
        draft.provider or "",
        draft.code,
        draft.policy_version,
    )
    numbers = public or {}
    opening = _digest("answer", draft.answer_digest) + ('"assisted":true,' if draft.assisted else "") + words.code
    closing = words.closing + _digest("request", draft.request_digest) + ('"sighted":true,' if draft.sighted else "")
    try:
        facts = canonical({**draft.detail})
        quoted, numbered = _actors(draft.actors, len(draft.children) == 1 and not draft.protective)
        first = f'{{"actors":[{quoted}],{_digest("answer_salt", draft.answer_salt)}'
        if draft.children:
            first += '"children":["' + '","'.join([child.hex() for child in draft.children]) + '"],'
        return Wording(
            words.facets,
            "{" + opening + _count("covers", numbers),
            words.door + _count("epoch", numbers) + words.middle,
            closing,
            words.ending,
            draft.manifest_root,
            f'{first}"entry":"'.encode(),
            b'","facts":' + facts + b',"numbers":{',
            numbered,
            f'}},"request_salt":"{b64(draft.request_salt)}"}}'.encode() if draft.request_salt else b"}}",
        )
    except (ValueError, TypeError):
        raise ProgrammingError("a detail holds restricted JSON only") from None


@lru_cache(maxsize=4096)
def _words(
    kind: str,
    exchange: str,
    door: str,
    purpose: str,
    outcome: str,
    requester: str,
    provider: str,
    code: str,
    policy: str,
) -> _Words:
    facets = (kind, exchange, door, purpose, outcome, requester, provider, code)
    if not all(_WORD.match(one) for one in (*facets, policy)):
        raise ProgrammingError("a skeleton holds words only")
    return _Words(
        "|".join(facets),
        _member("code", code),
        _member("door", door),
        _member("exchange", exchange) + _member("from", requester) + _member("kind", kind),
        _member("outcome", outcome) + _member("policy", policy) + _member("purpose", purpose),
        _member("to", provider),
    )


@lru_cache(maxsize=10_000)
def _actors(names: tuple[str, ...], one_child: bool) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """(the actors' names quoted, everybody whose number stands in the detail with the name as a member's)."""
    numbered = {*names, OWN_NUMBER} if one_child else {*names}
    return ",".join([_quoted(name) for name in names]), tuple(
        [(name, f"{_quoted(name)}:".encode()) for name in sorted(numbered)]
    )


def _member(name: str, text: str) -> str:
    return f'"{name}":"{text}",' if text else ""


def _digest(name: str, data: bytes) -> str:
    return f'"{name}":"{b64(data)}",' if data else ""


def _count(name: str, numbers: Mapping[str, int]) -> str:
    return f'"{name}":{numbers[name]},' if name in numbers else ""
