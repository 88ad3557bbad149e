"""Reduce a record at its source: record ∩ exchange ∩ grants, each field in the form that its obligation orders.

Runs in the department's edge and in the sender's SDK, before sealing (PIPL 6; requirements C20, C08, C27).

Rules kept here: what the order does not name is dropped and counted; an obligation that is not understood withholds its
field; nothing is repaired by guessing; the names of dropped fields are for the provider's own administrator only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from gateway.domain.exchanges import Exchange
from gateway.domain.exchanges import Field as CatalogueField
from gateway.domain.orders import FieldValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import AgeBand
from gateway.errors import BadRequest
from gateway.release import floor
from gateway.release.detectors import find_in
from gateway.release.form import Apply, NotInForm, Surroundings
from gateway.release.forms import form_of_field

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


@dataclass(frozen=True, slots=True)
class _Careful:
    """What is done with a form that is wide, or that is a record id."""

    reference: bool
    scan: bool


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
        self._steps: list[tuple[str, Apply, _Careful | None]] = []
        self._closed: dict[str, str] = {}
        for name, obligation in grants.items():
            self._prepare(exchange, name, obligation)

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
        scan = form.scan and (not obligation.sealed or defined.type == "record_id") and _scanned(exchange, defined)
        reference = defined.type == "record_id"
        self._steps.append((name, form.apply, _Careful(reference, scan) if reference or scan else None))

    def reduce(self, values: Mapping[str, FieldValue], *, shift: bytes | None = None) -> Reduced:
        """Reduce one record. shift: 32 keyed bytes of this child and purpose (`shift.shift_value`) where dates shift.

        Raises `BadRequest`: `image_refused`, `scale_items_refused`, `diagnosis_not_medical`, `instrument_age` (fact: field).
        """
        if self._refused or self._adult_instruments:
            self._refuse(values)
        surplus = sorted(values.keys() - self._granted)
        for name in surplus:
            if name in floor.ITEM_NAMES:
                raise BadRequest("scale_items_refused", field=name)
        surroundings = self._surroundings
        if shift is not None:
            surroundings = Surroundings(surroundings.today, shift, surroundings.school_types)
        given: dict[str, FieldValue] = {}
        references: dict[str, str] = {}
        withheld: dict[str, str] = {}
        for name, apply, careful in self._steps:
            value = values.get(name)
            if value is None:
                continue
            try:
                form = apply(value, surroundings)
            except (NotInForm, TypeError, OverflowError):
                withheld[name] = _why(value, name)
                continue
            if careful is not None:
                if careful.scan and find_in(form):
                    withheld[name] = "identifier_found"
                    continue
                if careful.reference:
                    references[name] = str(form)
            given[name] = form
        if self._closed:
            withheld.update({name: code for name, code in self._closed.items() if values.get(name) is not None})
        return Reduced(given, references, len(surplus), tuple(surplus), withheld)

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
