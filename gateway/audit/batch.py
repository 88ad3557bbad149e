"""One batch, built: numbers, tags, sealed details, leaves, the extended tree and its signed checkpoint.

Rules kept here: no I/O and no clock; everything is computed from the locked head and the keys read under the same lock, so the
result is right or the transaction fails; entry times rise strictly, whatever the clock does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from gateway.audit.entry import Tagging, arrange_tags, commit_detail, write_detail, write_skeleton
from gateway.audit.histories import (
    KEY_BYTES,
    LOG_HOLDER,
    Escrow,
    History,
    Keeper,
    actor_holder,
    child_holder,
    hint,
    joint_key,
    successor_commitment,
)
from gateway.audit.wording import OWN_NUMBER, Wording, word
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import GatewayFault
from gateway.proofs.checkpoints import Checkpoint, sign_checkpoint
from gateway.proofs.merkle import CompactRange, leaf_hash
from gateway.proofs.notes import Signer
from gateway.store.audit import BatchRows, EntryRow, HeadRow, KeyRow
from keys.aead import AeadKey, aead_seal

PLAIN_DETAIL = b"\x01"
ESCROWED_DETAIL = b"\x02"
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One entry to write. public: `epoch` and `covers` of an index entry. retire: holders whose K was shown outside; they go
    on under a new generation before this entry is written.

    wording: what the draft says, made here, before any lock. holders: whose histories it joins, and whose key seals its
    detail. Raises `ProgrammingError` for a draft that could not be written.
    """

    draft: EntryDraft
    public: Mapping[str, int] | None = None
    retire: tuple[bytes, ...] = ()
    erases: tuple[bytes, ...] = ()
    wording: Wording = field(init=False, repr=False)
    holders: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        draft = self.draft
        object.__setattr__(self, "wording", word(draft, self.public))
        nobody = () if draft.children else (LOG_HOLDER,)
        whose = (*map(child_holder, draft.children), *map(actor_holder, draft.actors), *self.retire, *nobody)
        object.__setattr__(self, "holders", whose)


class Built(NamedTuple):
    """A batch ready to write. receipts: one for each entry that was asked, in order. leaves: hashes of all new leaves."""

    rows: BatchRows
    receipts: tuple[Receipt, ...]
    leaves: tuple[bytes, ...]
    tree: CompactRange


@dataclass(slots=True)
class BatchBuilder:
    """Builds one batch and is thrown away.

    head: the locked head. keys: current key rows of every holder that has one. now_us: microseconds since 1970 UTC. tree:
    the compact range behind the head, where the caller holds it already.
    """

    keeper: Keeper
    signer: Signer
    head: HeadRow
    keys: Sequence[KeyRow]
    now_us: int
    escrow: tuple[Escrow, Escrow] | None = None
    tree: CompactRange | None = None
    _histories: dict[bytes, History] = field(init=False, repr=False)
    _generations: dict[bytes, int] = field(init=False, default_factory=dict, repr=False)
    _touched: dict[tuple[bytes, int], History] = field(init=False, default_factory=dict, repr=False)
    _entries: list[EntryRow] = field(init=False, default_factory=list, repr=False)
    _tags: list[tuple[bytes, int]] = field(init=False, default_factory=list, repr=False)
    _manifests: list[tuple[int, bytes]] = field(init=False, default_factory=list, repr=False)
    _rollups: dict[tuple[int, str], tuple[int, int, int]] = field(init=False, default_factory=dict, repr=False)
    _year: int = field(init=False)
    _time_us: int = field(init=False)

    def __post_init__(self) -> None:
        self._histories = {}
        for row in self.keys:
            try:
                self._histories[row.holder] = self.keeper.open(row)
            except GatewayFault as fault:
                # Destroyed by an erasure that a crash cut short: the holder begins anew. Anything else stops the batch.
                if fault.code != "key_destroyed":
                    raise
                self._generations[row.holder] = row.generation
        # A clock that stepped back does not take the log with it: time goes on one microsecond an entry.
        self._time_us = max(self.now_us, self.head.time_us + 1)
        self._year = datetime.fromtimestamp(self._time_us // 1_000_000, SHANGHAI).year

    def build(self, asked: Sequence[Asked]) -> Built:
        """Number and write everything that was asked, in order."""
        written = [self._write(one) for one in asked]
        leaves = tuple([row.hash for row in self._entries])
        tree = (self.tree or CompactRange.decode(self.head.size, self.head.hashes)).extended(leaves)
        note = sign_checkpoint(Checkpoint(self.signer.name, tree.size, tree.root), self.signer)
        head = HeadRow(tree.size, tree.encode(), self._time_us - 1, note)
        rows = BatchRows(
            head=head,
            before=self.head.size,
            entries=self._entries,
            tags=self._tags,
            keys=[history.sealed_row() for history in self._touched.values()],
            manifests=self._manifests,
            rollups=[(*hour_and_words, *counted) for hour_and_words, counted in self._rollups.items()],
            tiles=(),
        )
        receipts = [
            Receipt(
                origin=self.signer.name,
                index=row.index,
                size=tree.size,
                entry_id=row.entry_id,
                time_us=time_us,
                leaf=row.leaf,
                request_salt=one.draft.request_salt,
                answer_salt=one.draft.answer_salt,
            )
            for one, (row, time_us) in zip(asked, written, strict=True)
        ]
        return Built(rows, tuple(receipts), leaves, tree)

    def _write(self, asked: Asked) -> tuple[EntryRow, int]:
        draft = asked.draft
        for holder in asked.retire:
            if holder in self._histories:
                self._renew(holder, self._histories[holder])
        children = [self._history(child_holder(child)) for child in draft.children]
        actors = {name: self._history(actor_holder(name)) for name in draft.actors}
        numbers: dict[str, int] = {}
        tags: list[bytes] = []
        for child in children:
            if draft.protective:
                tags.append(child.next_second_tag())
            else:
                made, number = child.next_tag()
                tags.append(made)
                if len(children) == 1:
                    numbers[OWN_NUMBER] = number
            self._touch(child)
        for name, actor in actors.items():
            made, numbers[name] = actor.next_tag()
            tags.append(made)
            self._touch(actor)
        return self._put(asked, arrange_tags(tags), children or [self._history(LOG_HOLDER)], numbers)

    def _put(
        self, asked: Asked, tagging: Tagging, sealing: Sequence[History], numbers: Mapping[str, int]
    ) -> tuple[EntryRow, int]:
        draft, time_us = asked.draft, self._time_us
        self._time_us += 1
        index = self.head.size + len(self._entries)
        entry_id = f"{time_us:014x}{os.urandom(9).hex()}"
        salted = write_detail(asked.wording, entry_id=entry_id, numbers=numbers)
        hints, detail = self._seal(salted, entry_id, sealing, protective=draft.protective)
        leaf = write_skeleton(asked.wording, time_us=time_us, tagging=tagging, commitment=commit_detail(salted))
        words = asked.wording.facets
        row = EntryRow(index, entry_id, words, leaf, leaf_hash(leaf), hints, detail)
        self._entries.append(row)
        self._tags += [(tag, index) for tag in tagging.own]
        if tagging.lines:
            self._manifests.append((index, b"".join(tagging.lines)))
        hour_and_words = (time_us // _HOUR_US, words)
        count, first, _ = self._rollups.get(hour_and_words, (0, index, index))
        self._rollups[hour_and_words] = (count + 1, first, index)
        return row, time_us

    def _seal(
        self, salted: bytes, entry_id: str, sealing: Sequence[History], *, protective: bool
    ) -> tuple[bytes, bytes]:
        """(hints, sealed detail). Protective details open only with both departments' halves of a key of their own."""
        binding = entry_id.encode()
        if protective and self.escrow:
            key, half = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)
            other = bytes(left ^ right for left, right in zip(key, half, strict=True))
            first, last = self.escrow[0](half), self.escrow[1](other)
            lengths = len(first).to_bytes(2, "big") + len(last).to_bytes(2, "big")
            return b"", ESCROWED_DETAIL + lengths + first + last + aead_seal(key, salted, binding)
        keys = [history.detail_key for history in sealing]
        cipher = sealing[0].detail if len(sealing) == 1 else AeadKey(joint_key(keys))
        sealed = cipher.seal(salted, binding)
        return b"".join([hint(key, sealed[:12]) for key in keys]), PLAIN_DETAIL + sealed

    def _history(self, holder: bytes) -> History:
        """The holder's current generation; a new year begins a new one, bound to the old by the old one's last entry."""
        history = self._histories.get(holder)
        if history is not None and history.row.year == self._year:
            return history
        return self._renew(holder, history)

    def _renew(self, holder: bytes, history: History | None) -> History:
        last = history.row.generation if history else self._generations.get(holder, 0)
        fresh = self.keeper.create(holder, generation=last + 1, year=self._year)
        self._histories[holder] = fresh
        self._touch(fresh)
        if history is not None:
            self._close(history, fresh)
        return fresh

    def _close(self, old: History, new: History) -> None:
        """Write the last entry of a generation. It ends both sequences and commits to the next K."""
        last, _ = old.next_tag()
        draft = EntryDraft(
            kind=EntryKind.TAG_SUCCESSOR,
            outcome=Outcome.DONE,
            manifest_root=successor_commitment(old.tag_key, new.tag_key),
        )
        self._put(Asked(draft), arrange_tags([last, old.next_second_tag()]), [new], {})
        old.row = old.row._replace(current=False)
        self._touch(old)

    def _touch(self, history: History) -> None:
        self._touched[history.row.holder, history.row.generation] = history
