"""许可: what one decision lets leave, field by field.

Rules kept here: a `Permit` is built by `policies` only; combining obligations only ever protects more; an obligation that
is not understood withholds its field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.basis import Basis
from gateway.domain.vocabulary import Duty, Transform


@dataclass(frozen=True, slots=True)
class Obligation:
    """处理义务: two independent parts. form: the named form of the transform (`name.surname`, `id.last4`,
    `region.county`, `date.month`, `class=left_behind` …), empty where the transform has only one.

    Text form: `transform[:form][+sealed]`, e.g. `mask:phone.middle4`, `answer_only:class=left_behind`, `clear+sealed`.
    """

    transform: Transform
    form: str = ""
    sealed: bool = False

    @property
    def text(self) -> str:
        """The one text form, as it stands in rules, orders and envelopes."""
        return f"{self.transform}" + (f":{self.form}" if self.form else "") + ("+sealed" if self.sealed else "")


class Grants(Mapping[str, Obligation]):
    """Field -> obligation, never changed once made: a key under which whoever works something out of a whole permit can keep it."""

    __slots__ = ("_grants", "_hash")

    def __init__(self, grants: Mapping[str, Obligation]) -> None:
        self._grants = dict(grants)
        self._hash = hash(frozenset(self._grants.items()))

    @classmethod
    def of(cls, grants: Mapping[str, Obligation]) -> Grants:
        """These grants, as they are if nobody can change them any more."""
        return grants if isinstance(grants, Grants) else cls(grants)

    def __getitem__(self, name: str) -> Obligation:
        return self._grants[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._grants)

    def __len__(self) -> int:
        return len(self._grants)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Grants({self._grants})"


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal with the stable code that the problem document shows. `rules`: ids of rows that refused, if any."""

    code: str
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permit:
    """许可. grants: field -> obligation for the fields that may leave. withheld: field -> code for those asked but not.

    rules: field -> ids of the rows that allowed it. regions: permitted region prefixes (digits without trailing zero
    groups; "" means any). policy_version: `sha256:<hex>` of the snapshot that decided. until: when the permit ends.
    """

    basis: Basis
    grants: Mapping[str, Obligation]
    withheld: Mapping[str, str]
    rules: Mapping[str, tuple[str, ...]]
    duties: frozenset[Duty]
    regions: tuple[str, ...]
    policy_version: str
    until: datetime
