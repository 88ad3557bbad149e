"""The quick check of a skeleton's form accepts nothing that the decoder refuses, and everything that this log writes."""

from __future__ import annotations

import os
import random

from gateway.audit.entry import arrange_tags, read_skeleton, write_skeleton
from gateway.audit.form import time_in
from gateway.audit.wording import word
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest
from tests.unit.audit.audit_world import draft

TIME = 1_790_000_000_123_456


def leaf_of(made: EntryDraft, tags: int = 3, public: dict[str, int] | None = None) -> bytes:
    tagging = arrange_tags([os.urandom(16) for _ in range(tags)])
    return write_skeleton(word(made, public), time_us=TIME, tagging=tagging, commitment=os.urandom(32))


def every_kind_of_leaf() -> list[bytes]:
    plain = {"request_digest": b"", "answer_digest": b"", "policy_version": ""}
    leaves = [leaf_of(draft(kind=kind)) for kind in EntryKind]
    leaves += [leaf_of(draft(outcome=outcome, code="rule_denied", **plain)) for outcome in Outcome]
    leaves += [leaf_of(draft(door=door, sighted=True, assisted=True)) for door in Door]
    leaves += [leaf_of(draft(requester=one, provider=None)) for one in Department]
    leaves += [leaf_of(draft(), tags=count) for count in (0, 1, 5, 33, 64, 65, 300)]
    index = draft(kind=EntryKind.INDEX, manifest_root=os.urandom(32))
    return [
        *leaves,
        leaf_of(index, public={"epoch": 1, "covers": 0}),
        leaf_of(index, public={"epoch": 9, "covers": 77}),
    ]


def test_every_leaf_that_this_log_writes_passes_quickly() -> None:
    assert {time_in(leaf) for leaf in every_kind_of_leaf()} == {TIME}


def decoded(leaf: bytes) -> int | None:
    try:
        return int(read_skeleton(leaf)["t"])
    except BadRequest:
        return None


def test_whatever_passes_quickly_is_read_the_same_by_the_decoder() -> None:
    """Bytes changed, dropped, doubled and swapped at every place: a quick yes is never the decoder's no."""
    draw, passed = random.Random(3), 0
    for leaf in every_kind_of_leaf():
        for place in range(0, len(leaf), 3):
            byte = bytes([draw.choice(b'AQgw_-"{}[],:0129tz\\\x00\xff ')])
            for changed in (
                leaf[:place] + byte + leaf[place + 1 :],
                leaf[:place] + leaf[place + 1 :],
                leaf[:place] + byte + leaf[place:],
            ):
                quick = time_in(changed)
                if quick is not None:
                    passed += 1
                    assert quick == decoded(changed)
    assert passed > 1000


def test_form_that_is_json_and_not_canonical_does_not_pass() -> None:
    leaf = every_kind_of_leaf()[0]
    assert time_in(leaf + b"\n") is None
    assert time_in(leaf.replace(b'"t":', b'"t": ')) is None
    assert time_in(leaf.replace(b'"t":1', b'"t":01')) is None
    assert time_in(leaf.replace(b"%d" % TIME, b"%d" % 2**53)) is None
    assert time_in(leaf.replace(b'"v":1', b'"v":2')) is None
