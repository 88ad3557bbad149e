"""Obligations in rules: their text, and how several of them become one (处理义务).

A rule's `obl` column is `transform[:form][+sealed]` followed by duties, e.g. `clear+sealed;review`, or `none` on a deny row.

Rules kept here: one more allow row never reveals more of a field that was visible, in whatever order the rows stand; an unknown
or incomparable obligation becomes `suppress`, which withholds the field; duties only unite.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Duty, Transform

NONE = "none"
WITHHOLD = Obligation(Transform.SUPPRESS, "", sealed=True)

# Forms of a transform from finer to coarser; forms of different lines, or of `answer_only`, do not compare.
_CHAINS: dict[Transform, tuple[tuple[str, ...], ...]] = {
    Transform.CLEAR: (("",),),
    Transform.GENERALISE: (
        ("date.month", "date.year"),
        ("region.township", "region.county", "region.city", "region.province"),
    ),
    Transform.PSEUDONYMISE: (("",),),
    Transform.MASK: (("name.surname",), ("id.last4",), ("phone.middle4",), ("address.township",)),
    Transform.ANSWER_ONLY: (("",),),
    Transform.SUPPRESS: (("",),),
}
ANSWER_CLASS = "class="

# Which field types a form can be applied to; a form of a type that is not listed here is refused at write.
_TYPES: dict[tuple[Transform, str], frozenset[str]] = {
    (Transform.GENERALISE, "date"): frozenset({"date", "instant"}),
    (Transform.GENERALISE, "region"): frozenset({"region"}),
    (Transform.MASK, "name"): frozenset({"name"}),
    (Transform.MASK, "id"): frozenset({"id_number"}),
    (Transform.MASK, "phone"): frozenset({"phone"}),
    (Transform.MASK, "address"): frozenset({"address"}),
    (Transform.PSEUDONYMISE, ""): frozenset({"record_id"}),
    (Transform.ANSWER_ONLY, ""): frozenset({"yes_no"}),
    (Transform.ANSWER_ONLY, ANSWER_CLASS): frozenset({"code", "codes", "band"}),
}


class ObligationError(ValueError):
    """The text is no obligation of this house. The message never repeats the text."""


@dataclass(frozen=True, slots=True)
class RowObligation:
    """What one allow row orders: an obligation on the field, and duties."""

    obligation: Obligation
    duties: frozenset[Duty] = frozenset()


@lru_cache(maxsize=4_096)
def parse(text: str) -> RowObligation:
    """The obligation behind an `obl` text. Raises `ObligationError`."""
    body, *duties = text.split(";")
    transform_text, plus, seal = body.partition("+")
    name, colon, form = transform_text.partition(":")
    if (plus and seal != "sealed") or (colon and not form):
        raise ObligationError("an obligation reads transform[:form][+sealed]")
    try:
        transform = Transform(name)
        united = frozenset(Duty(duty) for duty in duties)
    except ValueError:
        raise ObligationError("the transform or a duty is not known") from None
    if not _form_known(transform, form):
        raise ObligationError("the form is not known for this transform")
    return RowObligation(Obligation(transform, form, sealed=bool(plus)), united)


def write(row: RowObligation) -> str:
    """The one text of a row's obligation; duties in the order of the alphabet."""
    return ";".join((row.obligation.text, *sorted(duty.value for duty in row.duties)))


@lru_cache(maxsize=4_096)
def united(texts: tuple[str, ...]) -> Obligation:
    """What rows with these `obl` texts give together, their duties aside. The same few rows decide again and again. Raises
    `ObligationError`.
    """
    return combine(parse(text).obligation for text in texts)


def combine(obligations: Iterable[Obligation]) -> Obligation:
    """Several obligations as one: the most protective transform in its coarsest form, sealed if any is.

    Two forms of one transform that do not compare give `suppress`, whatever else stands beside them. No obligation at all
    gives `suppress` too: nothing is released without one.
    """
    forms: dict[Transform, set[str]] = {}
    sealed = False
    for obligation in obligations:
        forms.setdefault(obligation.transform, set()).add(obligation.form)
        sealed = sealed or obligation.sealed
    if not forms:
        return WITHHOLD
    coarsest = {transform: _coarsest(transform, each) for transform, each in forms.items()}
    strictest = max(forms, key=lambda transform: transform.rank)
    form = coarsest[strictest]
    if form is None or None in coarsest.values():
        return Obligation(Transform.SUPPRESS, "", sealed=sealed)
    return Obligation(strictest, form, sealed=sealed)


def applies_to(obligation: Obligation, field_type: str) -> bool:
    """Whether a field of this type can bear the obligation (`clear` and `suppress` suit every type)."""
    if obligation.transform in (Transform.CLEAR, Transform.SUPPRESS):
        return True
    family = ANSWER_CLASS if obligation.form.startswith(ANSWER_CLASS) else obligation.form.partition(".")[0]
    return field_type.partition(":")[0] in _TYPES.get((obligation.transform, family), frozenset())


def _form_known(transform: Transform, form: str) -> bool:
    if transform is Transform.ANSWER_ONLY and form.startswith(ANSWER_CLASS):
        return form.removeprefix(ANSWER_CLASS).replace("_", "").isalnum()
    return any(form in chain for chain in _CHAINS[transform])


def _coarsest(transform: Transform, forms: set[str]) -> str | None:
    """The coarsest of several forms of one transform, None where two of them do not compare."""
    if len(forms) == 1:
        return next(iter(forms))
    for chain in _CHAINS[transform]:
        if forms <= set(chain):
            return max(forms, key=chain.index)
    return None
