"""Reduce a record at its source: record ∩ exchange ∩ grants, each field in the form that its obligation orders.

Runs in the department's edge and in the sender's SDK, before sealing (PIPL 6; requirements C20, C08, C27).

Rules kept here: what the order does not name is dropped and counted; an obligation that is not understood withholds its
field; nothing is repaired by guessing; the names of dropped fields are for the provider's own administrator only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.domain.exchanges import Exchange
from gateway.domain.exchanges import Field as CatalogueField
from gateway.domain.orders import FieldValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import AgeBand
from gateway.errors import BadRequest
from gateway.release import floor
from gateway.release.detectors import find_in
from gateway.release.form import Apply, ApplyAll, NotInForm, Surroundings
from gateway.release.forms import form_of_field

# So many records at a time: one odd value sends its kind of field the slow way in these records only.
_TOGETHER = 64
_LONG_AGO = date(1, 1, 1)
# Base64 of JPEG, PNG, GIF, PDF, and data URLs: an image in a text field is an image.
_IMAGE_STARTS = ("/9j/", "iVBORw0KGgo", "R0lGOD", "JVBERi0", "data:")


@dataclass(frozen=True, slots=True)
class Reduced:
    """What may be sealed and sent.

    values: field -> value in its ordered form. references: those of `values` that are record ids, in the source's own form:
    they travel in `Line.references`, outside the seal. sealable: the rest. surplus: how many fields of the record the order did not name. surplus_names: these names, for the
    provider's own administrator only. withheld: granted and present, but not given -> code.
    """

    values: Mapping[str, FieldValue] = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    surplus: int
    surplus_names: tuple[str, ...] = field(repr=False)
    withheld: Mapping[str, str]

    @property
    def sealable(self) -> Mapping[str, FieldValue]:
        """The values that go through `keys.envelope.seal_line`: all but the record ids."""
        return {name: value for name, value in self.values.items() if name not in self.references}


class _Step(NamedTuple):
    """One field's way into its form. reference: it is a record id. scan: its form is wide, so the detectors read the result.

    apply_all: for a column of the field's values; None where each is looked at by itself.
    """

    name: str
    apply: Apply
    apply_all: ApplyAll | None
    reference: bool
    scan: bool

    def column(self, values: Sequence[FieldValue]) -> Sequence[FieldValue] | None:
        """The values in their form; None where each must be looked at by itself, because one is absent or odd."""
        if self.apply_all is None:
            return None
        try:
            return self.apply_all(values)
        except (TypeError, AttributeError):
            return None


class Reducer:
    """One order's reduction, prepared once for many records.

    medical: whether the source is a medical institution (diagnosis fields, 精神卫生法 29). age_band: as asserted, for
    instruments with an age limit. today: the day on which ages are told; without it no age band is given.
    """

    def __init__(
        self,
        exchange: Exchange,
        grants: Mapping[str, Obligation],
        *,
        medical: bool = False,
        age_band: AgeBand | None = None,
        today: date | None = None,
        school_types: Mapping[str, str] | None = None,
    ) -> None:
        self._granted = frozenset(grants)
        self._refused = _refused(exchange, medical=medical)
        self._adult_instruments = () if age_band is AgeBand.A16_17 else _instruments(exchange)
        self._surroundings = Surroundings(today=today or _LONG_AGO, school_types=school_types or {})
        self._closed: dict[str, str] = {}
        self._steps: list[_Step] = []
        for name, obligation in grants.items():
            self._prepare(exchange, name, obligation)
        self._pick = _picker([step.name for step in self._steps])

    def _prepare(self, exchange: Exchange, name: str, obligation: Obligation) -> None:
        defined = exchange.fields.get(name)
        if defined is None:
            self._closed[name] = "field_unknown"
            return
        code = floor.shortfall(exchange, defined, obligation)
        form = form_of_field(defined, obligation)
        if code or form is None:
            self._closed[name] = code or "obligation_unknown"
            return
        reference = defined.type == "record_id"
        scan = form.scan and (not obligation.sealed or reference) and _scanned(exchange, defined)
        apply_all = None if reference or scan else form.apply_all
        self._steps.append(_Step(name, form.apply, apply_all, reference, scan))

    def reduce(self, values: Mapping[str, FieldValue], *, shift: bytes | None = None) -> Reduced:
        """Reduce one record. shift: 32 keyed bytes of this child and purpose (`shift.shift_value`) where dates shift.

        Raises `BadRequest`: `image_refused`, `scale_items_refused`, `diagnosis_not_medical`, `instrument_age` (fact: field).
        """
        (unordered,) = self._surplus([values])
        return self._finish(values, shift, unordered, {}, self._steps)

    def reduce_all(
        self, records: Sequence[Mapping[str, FieldValue]], shifts: Sequence[bytes | None] | None = None
    ) -> list[Reduced]:
        """Reduce many records, in their order, quicker than one after the other. shifts: one per record.

        Raises as `reduce` does, for the first record that it meets.
        """
        moved = shifts if shifts is not None else [None] * len(records)
        reduced: list[Reduced] = []
        for start in range(0, len(records), _TOGETHER):
            end = start + _TOGETHER
            reduced += self._reduce_together(records[start:end], moved[start:end])
        return reduced

    def _reduce_together(
        self, records: Sequence[Mapping[str, FieldValue]], shifts: Sequence[bytes | None]
    ) -> list[Reduced]:
        """Column by column where that goes; the fields where it does not, record by record."""
        surplus = self._surplus(records)
        cells = [*chain.from_iterable(map(self._pick, records))]
        columns: dict[str, Sequence[FieldValue]] = {}
        alone: list[_Step] = []
        for place, step in enumerate(self._steps):
            forms = step.column(cells[place :: len(self._steps)])
            if forms is None:
                alone.append(step)
            else:
                columns[step.name] = forms
        rows = zip(*columns.values(), strict=True) if columns else [()] * len(records)
        return [
            self._finish(values, shift, unordered, dict(zip(columns, row)), alone)  # noqa: B905 - `strict` doubles the cost
            for values, shift, unordered, row in zip(records, shifts, surplus, rows, strict=True)
        ]

    def _finish(
        self,
        values: Mapping[str, FieldValue],
        shift: bytes | None,
        unordered: tuple[str, ...],
        given: dict[str, FieldValue],
        steps: Sequence[_Step],
    ) -> Reduced:
        """One record: `given` as it is, and the fields of `steps` each by itself."""
        surroundings = self._surroundings
        if shift is not None and steps:
            surroundings = Surroundings(surroundings.today, shift, surroundings.school_types)
        references: dict[str, str] = {}
        withheld: dict[str, str] = {}
        for name, apply, _, reference, scan in steps:
            value = values.get(name)
            if value is None:
                continue
            try:
                form = apply(value, surroundings)
            except (NotInForm, TypeError, OverflowError):
                withheld[name] = _why(value, name)
                continue
            if scan and find_in(form):
                withheld[name] = "identifier_found"
                continue
            if reference:
                references[name] = str(form)
            given[name] = form
        if self._closed:
            withheld.update({name: code for name, code in self._closed.items() if values.get(name) is not None})
        return Reduced(given, references, len(unordered), unordered, withheld)

    def _surplus(self, records: Sequence[Mapping[str, FieldValue]]) -> list[tuple[str, ...]]:
        """Per record the fields that nobody ordered, sorted. Raises `BadRequest` for what may not be in a record at all."""
        found: list[tuple[str, ...]] = []
        last: tuple[str, ...] | None = None
        unordered: tuple[str, ...] = ()
        for values in records:
            if self._refused or self._adult_instruments:
                self._refuse(values)
            names = tuple(values)
            # Records of one register have the same fields in the same order.
            if names != last:
                last, unordered = names, tuple(sorted(set(names) - self._granted))
                items = floor.ITEM_NAMES.intersection(unordered)
                if items:
                    raise BadRequest("scale_items_refused", field=min(items))
            found.append(unordered)
        return found

    def _refuse(self, values: Mapping[str, FieldValue]) -> None:
        for name in values.keys() & self._refused.keys():
            if values[name] is not None:
                raise BadRequest(self._refused[name], field=name)
        for name in self._adult_instruments:
            if values.get(name) == "scl90":
                raise BadRequest("instrument_age", field=name)


def reduce(
    values: Mapping[str, FieldValue],
    *,
    exchange: Exchange,
    grants: Mapping[str, Obligation],
    medical: bool = False,
    age_band: AgeBand | None = None,
    today: date | None = None,
    shift: bytes | None = None,
    school_types: Mapping[str, str] | None = None,
) -> Reduced:
    """Reduce one record; for many records under one order use `Reducer`. Raises as `Reducer.reduce` does."""
    reducer = Reducer(exchange, grants, medical=medical, age_band=age_band, today=today, school_types=school_types)
    return reducer.reduce(values, shift=shift)


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, FieldValue]], tuple[Any, ...]]:
    """What gives the named fields of a record in their order, None for an absent one."""
    pick = itemgetter(*names) if len(names) > 1 else None

    def picked(values: Mapping[str, FieldValue]) -> tuple[Any, ...]:
        try:
            return pick(values) if pick else tuple(map(values.get, names))
        except KeyError:
            return tuple(map(values.get, names))

    return picked


def _refused(exchange: Exchange, *, medical: bool) -> dict[str, str]:
    refused: dict[str, str] = {}
    for name, defined in exchange.fields.items():
        kind = defined.type.partition(":")[0]
        if kind in floor.IMAGE_TYPES or kind in floor.BIOMETRIC_TYPES:
            refused[name] = "image_refused"
        elif kind in floor.ITEM_TYPES or name in floor.ITEM_NAMES:
            refused[name] = "scale_items_refused"
        elif floor.is_diagnosis_field(defined) and not medical:
            refused[name] = "diagnosis_not_medical"
    return refused


def _instruments(exchange: Exchange) -> tuple[str, ...]:
    return tuple(name for name, defined in exchange.fields.items() if defined.type == "code:instrument")


def _scanned(exchange: Exchange, defined: CatalogueField) -> bool:
    # A directory of organisations publishes telephone numbers; nobody's own number stands there.
    return exchange.personal or defined.type != "phone"


def _why(value: object, name: str) -> str:
    image = isinstance(value, bytes | bytearray | memoryview) or (
        isinstance(value, str) and value.startswith(_IMAGE_STARTS)
    )
    if image:
        raise BadRequest("image_refused", field=name)
    return "value_invalid"
