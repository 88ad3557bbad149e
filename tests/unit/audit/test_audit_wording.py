"""What is put together from parts is canonical JSON, byte for byte, for any draft; and the spelled-out HMAC is HMAC."""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.entry import SALT_BYTES, VERSION, arrange_tags, read_skeleton, write_detail, write_skeleton
from gateway.audit.histories import keyed_hash, tag, tags_until
from gateway.audit.wording import word
from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import ProgrammingError

TIME = 1_790_000_000_123_456
ENTRY = "0" * 32
words = st.from_regex(r"[A-Za-z0-9_.:\-]{0,80}", fullmatch=True)
names = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
members = st.from_regex(r"[a-z0-9_.:/@*-]{1,8}", fullmatch=True)
values = names | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans() | st.lists(names, max_size=3)
digests = st.sampled_from([b"", b"\xfb\xff" * 16, bytes(range(32))])
salts = st.sampled_from([b"", b"\xfb\xff" * 8, bytes(range(16))])
drafts = st.builds(
    EntryDraft,
    kind=st.sampled_from(EntryKind),
    outcome=st.sampled_from(Outcome),
    code=words,
    exchange=words,
    door=st.none() | st.sampled_from(Door),
    purpose=words,
    requester=st.none() | st.sampled_from(Department),
    provider=st.none() | st.sampled_from(Department),
    policy_version=words,
    sighted=st.booleans(),
    assisted=st.booleans(),
    children=st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple),
    actors=st.lists(names, max_size=3).map(tuple),
    protective=st.booleans(),
    request_digest=digests,
    request_salt=salts,
    answer_digest=digests,
    answer_salt=salts,
    manifest_root=digests,
    detail=st.dictionaries(members, values, max_size=4),
)


def text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def skeleton_of(draft: EntryDraft, shown: tuple[bytes, ...], commitment: bytes, public: dict[str, int]) -> bytes:
    """By the general encoder, member for member as docs/audit-format.md tells it."""
    said = {
        "kind": draft.kind,
        "exchange": draft.exchange,
        "door": draft.door,
        "purpose": draft.purpose,
        "from": draft.requester,
        "to": draft.provider,
        "outcome": draft.outcome,
        "code": draft.code,
        "policy": draft.policy_version,
        "sighted": draft.sighted,
        "assisted": draft.assisted,
        "request": text_of(draft.request_digest),
        "answer": text_of(draft.answer_digest),
        "manifest": text_of(draft.manifest_root),
        "detail": text_of(commitment),
        "tags": [text_of(tag) for tag in shown],
    }
    return canonical({name: value for name, value in said.items() if value} | public | {"v": VERSION, "t": TIME})


@given(draft=drafts, tags=st.integers(0, 6), public=st.sampled_from([{}, {"epoch": 0, "covers": 0}, {"covers": 7}]))
def test_skeleton_from_parts_is_what_the_encoder_writes(draft, tags, public) -> None:
    tagging = arrange_tags([os.urandom(16) for _ in range(tags)])
    commitment = os.urandom(32)
    leaf = write_skeleton(word(draft, public), time_us=TIME, tagging=tagging, commitment=commitment)
    assert leaf == skeleton_of(draft, tagging.shown, commitment, public)
    assert read_skeleton(leaf)["t"] == TIME


@given(draft=drafts)
def test_detail_from_parts_is_what_the_encoder_writes(draft) -> None:
    numbers = {name: number for number, name in enumerate(draft.actors, 1)}
    if len(draft.children) == 1 and not draft.protective:
        numbers["child"] = 9
    said = {
        "entry": ENTRY,
        "actors": list(draft.actors),
        "numbers": numbers,
        "facts": dict(draft.detail),
        "children": [child.hex() for child in draft.children],
        "request_salt": text_of(draft.request_salt),
        "answer_salt": text_of(draft.answer_salt),
    }
    always = ("entry", "actors", "numbers", "facts")
    shown = {name: value for name, value in said.items() if value or name in always}
    salted = write_detail(word(draft), entry_id=ENTRY, numbers=numbers)
    # The numbers' names are an actor's own and may be any text; all else is restricted.
    assert salted[SALT_BYTES:] == json.dumps(shown, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "张三"},
        {"code": 'a"b'},
        {"exchange": "x" * 81},
        {"policy_version": "a\n"},
        {"detail": {"weight": 1.5}},
        {"detail": {"nothing": None}},
        {"detail": {"half": "\ud800"}},
        {"actors": ("\ud800",)},
    ],
    ids=repr,
)
def test_draft_that_could_not_be_written_is_refused(wrong) -> None:
    with pytest.raises(ProgrammingError):
        word(EntryDraft(**({"kind": EntryKind.QUERY, "outcome": Outcome.RELEASED} | wrong)))


@given(key=st.binary(max_size=64), message=st.binary(max_size=200))
def test_spelled_out_keyed_hash_is_hmac(key, message) -> None:
    assert keyed_hash(key, message) == hmac.digest(key, message, "sha256")


def test_tags_made_together_are_the_tags_made_one_by_one() -> None:
    key = os.urandom(32)
    assert tags_until(key, 300) == [tag(key, number) for number in range(1, 301)]
    assert tags_until(key, 0) == []
