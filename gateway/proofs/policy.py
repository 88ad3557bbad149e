"""Whose signatures a checkpoint needs (c2sp.org/tlog-policy): the log's key, witnesses, groups of them, and the quorum.

Rules kept here: a name stands once and before it is used; a line of another kind is refused, not skipped; whether the quorum
is reached is decided over signatures that were checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.proofs.faults import ProofInvalid
from gateway.proofs.notes import COSIGNATURE, ED25519, Verifier, parse_vkey, verify_note


@dataclass(frozen=True, slots=True)
class WitnessAt:
    """A witness and where it answers; an empty url is never asked."""

    name: str
    verifier: Verifier
    url: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy. groups: name -> (least number of members, members), in the order of the file. quorum: a name or `none`."""

    log: Verifier
    witnesses: tuple[WitnessAt, ...]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str
    text: str

    def reached(self, note: bytes) -> bool:
        """Whether the log and a quorum signed. Raises `ProofInvalid` if a known key's signature is wrong or the log's is missing."""
        _, signed = verify_note(note, (self.log, *(one.verifier for one in self.witnesses)))
        if self.log not in signed:
            raise ProofInvalid("note_unsigned")
        there = {one.name: one.verifier in signed for one in self.witnesses} | {"none": True}
        for name, (least, members) in self.groups.items():
            there[name] = sum(there[member] for member in members) >= least
        return there[self.quorum]


def parse_policy(text: str) -> Policy:
    """Read a policy; `ProofInvalid("vkey_invalid")` on any line that is not understood."""
    log: Verifier | None = None
    witnesses: list[WitnessAt] = []
    groups: dict[str, tuple[int, tuple[str, ...]]] = {}
    quorum = ""
    known = {"none"}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        match words:
            case []:
                continue
            case ["log", vkey, *rest] if log is None and len(rest) < 2:
                log = _key(vkey, ED25519)
                continue
            case ["witness", name, vkey, *rest] if name not in known and len(rest) < 2:
                witnesses.append(WitnessAt(name, _key(vkey, COSIGNATURE), rest[0] if rest else ""))
            case ["group", name, least, *members] if name not in known and members and set(members) <= known - {"none"}:
                groups[name] = (_least(least, len(members)), tuple(members))
            case ["quorum", name] if not quorum and name in known:
                quorum = name
                continue
            case _:
                raise ProofInvalid("vkey_invalid")
        known.add(words[1])
    if log is None or not quorum:
        raise ProofInvalid("vkey_invalid")
    return Policy(log, tuple(witnesses), groups, quorum, text)


def _key(vkey: str, kind: int) -> Verifier:
    verifier = parse_vkey(vkey)
    if verifier.kind != kind:
        raise ProofInvalid("vkey_invalid")
    return verifier


def _least(word: str, members: int) -> int:
    if word in ("any", "all"):
        return 1 if word == "any" else members
    if not word.isascii() or not word.isdigit() or not 1 <= int(word) <= members:
        raise ProofInvalid("vkey_invalid")
    return int(word)
