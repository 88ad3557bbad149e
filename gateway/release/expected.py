"""What a permit makes the gateway expect of each line of a release, and whether the lines hold it.

All lines are held against it at once, fields of one form together; only where that fails are they read one by one, to say
which field it was.

Rules kept here: the quick way refuses whatever the exact way refuses, and what the quick way doubts is refused even where
the exact way finds nothing; a finding is a field's name, never a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from gateway.domain.exchanges import Exchange
from gateway.domain.orders import FieldValue, Line, PlainValue, SealedValue
from gateway.domain.permits import Grants, Obligation
from gateway.release.detectors import find_in
from gateway.release.floor import is_diagnosis_field, shortfall
from gateway.release.form import Form
from gateway.release.forms import form_of_field

Cells = tuple[SealedValue | PlainValue, ...]
_value = attrgetter("value")


class FormBroken(Exception):  # noqa: N818 - internal signal; the functions of `check` say whose fault it is
    """One field or member is not as ordered. Holds its name and nothing else."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Expected(NamedTuple):
    """What one grant demands. scan: whether the detectors must read the value as well."""

    form: Form
    sealed: bool
    reference: bool
    scan: bool

    def met_by(self, value: FieldValue) -> bool:
        """Whether a value that may be read is in its form and hides no identifier."""
        return self.form.recognises(value) and not (self.scan and find_in(value))


class Expectations(dict[str, Expected]):
    """Field -> what is expected of it; a field that nothing can be expected of is absent, and so refused."""

    def require(self, lines: Sequence[Line]) -> None:
        """Every line's fields granted, in form, sealed as ordered, with a digest each. Raises `FormBroken`."""
        if self.hold(lines):
            return
        for line in lines:
            self.require_line(line)
        raise FormBroken("line")

    def require_line(self, line: Line) -> None:
        """One line, field by field. Raises `FormBroken` with the first field that is not as expected, or `seal`."""
        if line.sealing is None or not line.values.keys() <= line.sealing.digests.keys():
            raise FormBroken("seal")
        for name, given in line.values.items():
            wanted = self.get(name)
            if wanted is None or wanted.reference:
                raise FormBroken(name)
            if isinstance(given, PlainValue):
                if wanted.sealed or not wanted.met_by(given.value):
                    raise FormBroken(name)
            elif not wanted.sealed:
                raise FormBroken(name)
        unknown = line.sealing.digests.keys() - self.keys()
        if unknown:
            raise FormBroken(min(unknown))
        self._require_references(line)

    def hold(self, lines: Iterable[Line]) -> bool:
        """Whether `require_line` passes every line, asked of all at once."""
        alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Cells]] = {}
        last: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        rows: list[Cells] = []
        for line in lines:
            if line.sealing is None:
                return False
            if line.references:
                self._require_references(line)
            names = (tuple(line.values), tuple(line.sealing.digests))
            if names != last:
                last, rows = names, alike.setdefault(names, [])
            rows.append(tuple(line.values.values()))
        try:
            return all(self._rows_hold(names, digests, rows) for (names, digests), rows in alike.items())
        except (AttributeError, TypeError):
            # A sealed cell has no value to read, and some values are of no type that a form could know.
            return False

    def _rows_hold(self, names: tuple[str, ...], digests: tuple[str, ...], rows: list[Cells]) -> bool:
        stated = set(digests)
        if not stated.issuperset(names) or not self.keys() >= stated:
            return False
        plain: list[int] = []
        sealed: list[int] = []
        for place, name in enumerate(names):
            if self[name].reference:
                return False
            (sealed if self[name].sealed else plain).append(place)
        if sealed and set(map(type, _cells(rows, sealed))) != {SealedValue}:
            return False
        values: list[FieldValue] = [*map(_value, _cells(rows, plain))]
        for column, place in enumerate(plain):
            form, _, _, scan = self[names[place]]
            of_field = values[column :: len(plain)]
            if not form.recognises_all(of_field) or (scan and any(map(find_in, of_field))):
                return False
        return True

    def _require_references(self, line: Line) -> None:
        for name, record in line.references.items():
            wanted = self.get(name)
            if wanted is None or not wanted.reference or not wanted.form.recognises(record) or find_in(record):
                raise FormBroken(name)


def expectations(
    exchange: Exchange,
    grants: Mapping[str, Obligation],
    *,
    medical: bool,
    gates: frozenset[str] | None = None,
) -> Expectations:
    """What each grant demands; fields that cannot be demanded are absent. medical: whether a diagnosis may be stated.

    gates: given for deliveries, where all else is sealed. What is returned is shared, and nobody changes it.
    """
    return _expectations(exchange, Grants.of(grants), medical, gates)


@lru_cache(maxsize=1_024)
def _expectations(exchange: Exchange, grants: Grants, medical: bool, gates: frozenset[str] | None) -> Expectations:
    expected = Expectations()
    for name, obligation in grants.items():
        defined = exchange.fields.get(name)
        form = form_of_field(defined, obligation) if defined else None
        if defined is None or form is None or shortfall(exchange, defined, obligation):
            continue
        if is_diagnosis_field(defined) and not medical:
            continue
        sealed = obligation.sealed if gates is None else name not in gates
        scan = form.scan and (exchange.personal or defined.type != "phone")
        expected[name] = Expected(form, sealed, defined.type == "record_id", scan)
    return expected


def _cells(rows: list[Cells], places: list[int]) -> Iterable[Any]:
    """The cells of all rows at some places, one row after the other."""
    if not places or len(places) == len(rows[0]):
        return chain.from_iterable(rows if places else ())
    # `itemgetter` of one place gives the cell itself; of a slice, a row of one.
    pick = itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))
    return chain.from_iterable(map(pick, rows))
