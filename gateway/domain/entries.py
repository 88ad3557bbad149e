"""审计条目、回执: what a step says about itself before anything leaves.

Rules kept here: the skeleton (what the Merkle leaf holds) has no id that links a child, an actor or two entries; every such
id goes into `detail`, which is encrypted per child. Salts are drawn where the draft is built, so a digest can be opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome

DetailValue = str | int | bool | list[str] | dict[str, str] | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry before it has its place in the log.

    children: gateway pseudonym points (32 bytes) whose history it joins, in order; actors: names such as
    `person:<org>/<id>` or `client:<id>` whose history it joins. protective: True puts the children's tags on the second
    sequence. request_salt / answer_salt: 16 bytes; digests are SHA-256(salt | SHA-256(bytes)).
    fields: names of released fields (detail, not skeleton).
    """

    kind: EntryKind
    outcome: Outcome
    code: str = ""
    exchange: str = ""
    door: Door | None = None
    purpose: str = ""
    requester: Department | None = None
    provider: Department | None = None
    policy_version: str = ""
    sighted: bool = False
    assisted: bool = False
    children: tuple[bytes, ...] = field(default=(), repr=False)
    actors: tuple[str, ...] = ()
    protective: bool = False
    request_digest: bytes = field(default=b"", repr=False)
    request_salt: bytes = field(default=b"", repr=False)
    answer_digest: bytes = field(default=b"", repr=False)
    answer_salt: bytes = field(default=b"", repr=False)
    manifest_root: bytes = field(default=b"", repr=False)
    detail: Mapping[str, DetailValue] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """回执: the portable proof of one entry. `proof`: a c2sp.org/tlog-proof@v1 text, made on demand (empty in what append
    returns). state: logged or witnessed. The salts open the digests in the leaf and stand here and in the detail only.

    leaf: the entry's canonical bytes. entry_id: random id by which the requester may ask again.
    """

    origin: str
    index: int
    size: int
    entry_id: str
    time_us: int
    leaf: bytes = field(repr=False)
    request_salt: bytes = field(default=b"", repr=False)
    answer_salt: bytes = field(default=b"", repr=False)
    proof: str = field(default="", repr=False)
    state: str = "logged"

    @property
    def header(self) -> str:
        """The `Audit-Receipt` header: `<origin> <index> <size>`."""
        return f"{self.origin} {self.index} {self.size}"
