"""The floor under every permit: what a profile never lets out, whatever a rule grants.

Profiles (requirements 4.1): D0 full identity, D1 masked identifiers, D2 coarsened, D3 k-anonymous, D4 aggregate, Q answers.

Rules kept here: below D0 no identity number in clear and no birth date finer than a year, so that no release joins a birth date
with a county; prose crosses only sealed and only under D0 (or where nobody is concerned); what identifies a person never
crosses unsealed; images, biometrics and item answers never cross. Both `reduce` and `check` ask the same function.
"""

from __future__ import annotations

import re

from gateway.domain.exchanges import Exchange, Field
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Profile, Transform

IMAGE_TYPES = frozenset({"image", "images", "photo", "picture", "video", "audio", "scan", "signature_image"})
BIOMETRIC_TYPES = frozenset({"biometric", "biometrics", "face", "fingerprint", "iris", "voice"})
ITEM_TYPES = frozenset({"scale_items", "item_answers"})
ITEM_NAMES = frozenset({"items", "scale_items", "item_answers", "answers", "item_scores", "raw_items"})

_IDENTIFYING = frozenset({"name", "phone", "id_number", "address"})
_BIRTH_NAME = re.compile(r"(?:^|_)(?:birth|birthday|birthdate|dob|born)(?:_|$)")
_BIRTH_FORMS = frozenset({"date.year", "date.age_band"})


def is_birth_date_field(field: Field) -> bool:
    """A date of the identity class, or a date or moment whose name says birth."""
    if field.type not in ("date", "instant"):
        return False
    return _class(field) in ("identity", "birth_date") or _BIRTH_NAME.search(field.name) is not None


def is_diagnosis_field(field: Field) -> bool:
    """A field of the diagnosis class, or of an ICD code's type."""
    return _class(field) == "diagnosis" or field.type in ("code:icd10", "codes:icd10", "code:icd11", "codes:icd11")


def shortfall(exchange: Exchange, field: Field, obligation: Obligation) -> str:
    """Why `field` may not leave under `obligation` in this exchange; empty where nothing stands against it.

    Codes: `type_refused`, `text_not_sealed`, `identity_not_sealed`, `profile_forbids`, `suppressed`.
    """
    kind = field.type.partition(":")[0]
    if kind in IMAGE_TYPES or kind in BIOMETRIC_TYPES or kind in ITEM_TYPES or field.name in ITEM_NAMES:
        return "type_refused"
    if obligation.transform is Transform.SUPPRESS:
        return "suppressed"
    if kind == "text":
        full = exchange.profile is Profile.D0 or not exchange.personal
        return "" if obligation.sealed and full else "text_not_sealed"
    clear = obligation.transform is Transform.CLEAR
    if clear and not obligation.sealed and kind in _IDENTIFYING and exchange.personal:
        return "identity_not_sealed"
    if exchange.profile is Profile.D0 or exchange.profile is Profile.NONE:
        return ""
    if kind == "id_number" and clear:
        return "profile_forbids"
    if is_birth_date_field(field) and obligation.form not in _BIRTH_FORMS:
        return "profile_forbids"
    return ""


def _class(field: Field) -> str:
    return field.field_class.rpartition(":")[2]
