"""What no permit lets out, kind of field by kind of field."""

import pytest

from gateway.domain.vocabulary import Profile
from gateway.errors import ProviderFault
from gateway.release.floor import is_birth_date_field, is_diagnosis_field, shortfall
from gateway.release.labels import de_identification_level
from gateway.release.obligation_text import parse, write
from gateway.release.reidentification import GRANTS, require_form
from gateway.release.shift import shift_value
from tests.unit.release import release_world as world

D0, D1, NOBODY = (
    world.exchange([], profile=profile, personal=personal)
    for profile, personal in ((Profile.D0, True), (Profile.D1, True), (Profile.NONE, False))
)


def short(exchange, name, kind, text, cls="answer"):
    return shortfall(exchange, world.field(name, kind, cls=cls), parse(text))


@pytest.mark.parametrize(
    "kind",
    ["image", "images", "photo", "picture", "video", "audio", "scan", "signature_image"]
    + ["biometric", "biometrics", "face", "fingerprint", "iris", "voice"]
    + ["scale_items", "item_answers", "image:jpeg"],
)
def test_images_biometrics_and_item_answers_never_cross(kind):
    for exchange in (D0, D1, NOBODY):
        assert short(exchange, "x", kind, "clear+sealed") == "type_refused"


@pytest.mark.parametrize("name", ["items", "scale_items", "item_answers", "answers", "item_scores", "raw_items"])
def test_item_answers_are_known_by_their_names_too(name):
    assert short(D0, name, "integer", "clear+sealed") == "type_refused"


@pytest.mark.parametrize("kind", ["name", "phone", "id_number", "address"])
def test_what_identifies_a_person_crosses_unsealed_nowhere(kind):
    assert short(D0, "x", kind, "clear") == "identity_not_sealed"
    assert short(D1, "x", kind, "clear") == "identity_not_sealed"
    assert short(D0, "x", kind, "clear+sealed") == ""
    assert short(NOBODY, "x", kind, "clear") == ""
    assert short(D1, "x", kind, "mask:name.surname") == ""


@pytest.mark.parametrize("kind", ["name", "phone", "id_number", "address"])
def test_a_release_that_identifies_is_of_level_one(kind):
    exchange = world.exchange([world.field("x", kind), world.field("n", "integer")], profile=Profile.D3)
    assert de_identification_level(exchange, world.grants(x="clear+sealed", n="clear")) == "1"
    assert de_identification_level(exchange, world.grants(x="mask:id.last4", n="clear")) == "3"
    assert de_identification_level(exchange, world.grants(gone="clear")) == "3"
    assert de_identification_level(exchange) == "3"


def test_an_identity_number_in_clear_needs_full_identity():
    assert short(D1, "x", "id_number", "clear+sealed") == "profile_forbids"
    assert short(D1, "x", "id_number", "mask:id.last4") == ""
    assert short(D1, "x", "phone", "clear+sealed") == ""


@pytest.mark.parametrize(
    ("name", "kind", "cls", "is_one"),
    [
        ("dob", "date", "answer", True),
        ("child_birth_date", "date", "answer", True),
        ("birthday", "instant", "answer", True),
        ("born_at", "instant", "answer", True),
        ("birthdate", "date", "answer", True),
        ("as_of", "date", "identity", True),
        ("as_of", "date", "class:birth_date", True),
        ("birthplace", "date", "answer", False),
        ("stillborn", "date", "answer", False),
        ("dob", "integer", "identity", False),
        ("as_of", "date", "answer", False),
    ],
)
def test_a_birth_date_is_known_by_class_or_name(name, kind, cls, is_one):
    assert is_birth_date_field(world.field(name, kind, cls=cls)) is is_one
    told = short(D1, name, kind, "generalise:date.month", cls)
    assert told == ("profile_forbids" if is_one else "")
    for form in ("generalise:date.year", "generalise:date.age_band"):
        assert short(D1, name, kind, form, cls) == ""
    assert short(D0, name, kind, "clear+sealed", cls) == ""


@pytest.mark.parametrize("kind", ["code:icd10", "codes:icd10", "code:icd11", "codes:icd11"])
def test_a_diagnosis_is_known_by_its_codes(kind):
    assert is_diagnosis_field(world.field("x", kind))


def test_a_diagnosis_is_known_by_its_class():
    assert is_diagnosis_field(world.field("x", "yes_no", cls="class:diagnosis"))
    assert not is_diagnosis_field(world.field("x", "code:grade"))


def test_prose_crosses_sealed_under_full_identity_or_where_nobody_is_concerned():
    assert short(D0, "x", "text", "clear+sealed") == ""
    assert short(NOBODY, "x", "text", "clear+sealed") == ""
    for exchange, text in ((D0, "clear"), (NOBODY, "clear"), (D1, "clear+sealed")):
        assert short(exchange, "x", "text", text) == "text_not_sealed"


def test_what_is_suppressed_is_suppressed_whatever_it_is():
    assert short(D0, "x", "text", "suppress") == "suppressed"
    assert short(D0, "x", "integer", "suppress+sealed") == "suppressed"


# --- one line of a re-identification -----------------------------------------------------------------------------------------

VALUES = {"identifier_kind": "cn-rid", "identifier": "11010519491231002X"}
LINE = world.line(VALUES, GRANTS)


def refused(line, subject=world.NAME):
    with pytest.raises(ProviderFault) as fault:
        require_form(line, subject=subject, edge="edge")
    assert (fault.value.code, fault.value.facts) == ("form_violation", {"edge": "edge"})
    return True


def test_a_source_s_answer_holds_two_sealed_fields_about_the_child_asked_for_and_nothing_else():
    require_form(LINE, subject=world.NAME, edge="edge")
    assert set(GRANTS) == {"identifier_kind", "identifier"}
    assert refused(LINE, subject="somebody else")
    assert refused(world.line(VALUES, GRANTS, number=2, bound=world.info(2)))
    assert refused(world.line({"identifier": "x"}, GRANTS))
    assert refused(world.line({**VALUES, "name": "x"}, {**GRANTS, "name": GRANTS["identifier"]}))
    assert refused(world.line(VALUES, GRANTS, references={"case_id": "c-1"}))
    open_ = {**GRANTS, "identifier_kind": parse("clear")}
    assert refused(world.line(VALUES, open_))


# --- small things that others build on ---------------------------------------------------------------------------------------


def test_the_shift_is_hmac_over_lengths_and_texts():
    import hashlib
    import hmac

    key = bytes(range(16))
    message = b"runxin date shift v1" + (2).to_bytes(4, "big") + b"ab" + b"P01"
    assert shift_value(key, child="ab", purpose="P01") == hmac.new(key, message, hashlib.sha256).digest()
    with pytest.raises(ValueError, match="^shift key too short$"):
        shift_value(bytes(15), child="a", purpose="P01")


def test_an_unknown_transform_keeps_whether_it_was_sealed():
    assert parse("scramble").text == "suppress:unknown"
    assert parse("scramble+sealed").text == "suppress:unknown+sealed"


def test_an_obligation_that_no_text_can_carry_is_not_written():
    from gateway.domain.permits import Obligation
    from gateway.domain.vocabulary import Transform
    from gateway.errors import BadRequest

    with pytest.raises(BadRequest) as error:
        write(Obligation(Transform.MASK, "Name"))
    assert error.value.code == "obligation_invalid"
    assert write(Obligation(Transform.MASK, "a" + "b" * 63)) == "mask:a" + "b" * 63
    with pytest.raises(BadRequest):
        write(Obligation(Transform.MASK, "a" + "b" * 64))
