"""Referral, receipt, discharge, follow-up, hand-over and clue: what the three younger systems were asked and told, against log and truth."""

from datetime import timedelta
from hashlib import sha256

import pytest

from adapters.sandbox import circles
from tests.spec import rederived_care_systems as care
from tests.spec.rederivation import medical_words
from tests.spec.rederived_envelopes import Handed, Opened
from tests.spec.rederived_systems import Asked

pytestmark = pytest.mark.timeout(900)

CALLERS = {"1": "self", "2": "parent", "9": "other"}
HARMS = ("physical", "neglect", "emotional", "bullying")
DANGERS = ("low", "medium", "high", "immediate")


def the(derived, exchange):
    """The one envelope of an exchange, and its one line."""
    (handed,) = (one for one in derived.handed.values() if one.exchange == exchange)
    (line,) = handed.lines
    return handed, line


def text(value):
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


# --- what the systems were asked -------------------------------------------------------------------------------------------


def test_hospital_was_read_for_one_patient_and_never_for_a_diagnosis_a_drug_or_a_ward(derived):
    patient = circles.patient_key(derived.truth.roles.pupil)
    whom = (patient,)
    assert list(derived.hospital.asked) == [
        Asked((), frozenset(care.PATIENT_IDENTITY)),
        Asked(whom, frozenset(care.PATIENT_FRAME)),
        Asked(whom, frozenset(column for column in care.REFERRAL_FRAME)),
        Asked(whom, frozenset(care.PATIENT_FRAME)),
        Asked(whom, frozenset(column for column in care.STAY_FRAME if column.startswith("Encounter."))),
        Asked(whom, frozenset(column for column in care.STAY_FRAME if column.startswith("Observation."))),
    ]
    assert derived.hospital.other == ("Task in full",)  # the story's own look into the hospital in step i


def test_hotline_was_read_once_for_the_client_whom_its_vendor_named_twice_and_sent_once(derived):
    client = circles.client_key(derived.truth.roles.pupil)
    columns = frozenset(care.HAND_OVER_COLUMNS.values()) | care.CLIENT_FRAME
    assert list(derived.league.asked) == [
        Asked((), frozenset(care.CLIENT_IDENTITY)),
        Asked((client,), columns),
        Asked(("S3301060", "S3301062"), frozenset(care.SERVICE_COLUMNS)),
    ]
    assert derived.league.other == ()
    assert len([one for one in derived.handed.values() if one.exchange == "X18"]) == 1


def test_federation_gave_its_nightly_file_and_nothing_else(derived):
    (file,) = {name for asked in derived.federation.asked for name in asked.keys if name.endswith(".csv")}
    assert file == f"12338_{derived.truth.population.on:%Y%m%d}_01.csv"
    assert {name for asked in derived.federation.asked for name in asked.keys} == {file, f"{file}.ok"}
    assert derived.federation.other == ()


# --- what left them, and what the recipients hold ---------------------------------------------------------------------------


def test_receipt_says_what_the_hospital_booked_and_no_word_of_illness(derived):
    handed, line = the(derived, "X09")
    booked = derived.truth.population.on + timedelta(days=25)
    assert dict(line.values) == {
        "status": "booked",
        "appointment_time": f"{booked}T01:30:00Z",
        "next_review_date": str(booked + timedelta(days=28)),
        "support_advice": ["regular_contact"],
    }
    assert (handed.sender, handed.taker, medical_words(handed)) == ("he", "sc", [])


def test_discharge_says_where_the_child_returns_to_and_no_word_of_illness(derived):
    handed, line = the(derived, "X10")
    end = derived.truth.population.on + timedelta(days=26)
    assert dict(line.values) == {
        "return_to": "school",
        "return_date": str(end),
        "support_level": "2",
        "medication_reminder": "Y",
        "emergency_contact": "0571-88881234",
        "first_follow_up_due": str(end + timedelta(days=14)),
    }
    assert (handed.sender, handed.taker, medical_words(handed)) == ("he", "ca", [])


@pytest.mark.parametrize(
    "words", [("status", care.MEDICAL_WORDS[-3]), ("advice", care.MEDICAL_WORDS[-1]), ("diagnosis_code", "F32.1")]
)
def test_a_medical_word_in_an_opened_line_is_found(words):
    line = Opened(1, None, {}, {words[0]: [words[1]]})
    assert medical_words(Handed("dl-1", "X09", "sp-1", "he", "sc", 1, (line,)))


def test_hand_over_is_the_hotlines_own_record_of_the_client(derived):
    handed, line = the(derived, "X18")
    child = derived.truth.child("he", line.subject)
    assert child == derived.truth.roles.pupil
    assert dict(line.values) == {
        "anonymous": "N",
        "caller_type": CALLERS[("1", "2", "9")[child.number % 3]],
        "region": child.county,
        "issue_codes": (["emotion", "study"], ["family"], ["emotion", "peers"], ["bullying"])[child.number % 4],
        "risk_band": ("attention", "warning", "attention")[child.number % 3],
    }
    assert set(line.references) == {"case_id", "callback"}
    assert not set(line.references.values()) & {f"QN{child.number:07d}", f"HB{child.number:07d}"}


def test_clue_is_last_nights_row_and_its_reporter_stays_behind(derived):
    handed, line = the(derived, "X19")
    child = derived.truth.child("ca", line.subject)
    assert child == derived.truth.roles.pupil
    assert dict(line.values) == {
        "child_name": child.name,
        "location": child.address,
        "harm_type": HARMS[child.number % 4],
        "danger_level": DANGERS[child.number % 4],
        "reported_at": f"{derived.truth.population.on}T13:15:00Z",
    }
    reporter = {child.guardians[0].name, child.guardians[0].phone, f"XS{child.number:07d}"}
    assert not reporter & {text(value) for value in line.row.values()}


def test_no_record_id_of_one_case_is_the_same_for_two_recipients(derived):
    seen = [value for one in derived.handed.values() for line in one.lines for value in line.references.values()]
    assert len(seen) == len(set(seen)) > 30


# --- what the systems took in ------------------------------------------------------------------------------------------------


def test_hospital_took_in_exactly_what_was_sealed_for_it(derived):
    expected = [handed for handed in derived.handed.values() if handed.taker == "he"]
    expected.sort(key=lambda handed: handed.entry)
    assert [handed.exchange for handed in expected] == [told.exchange for told in derived.hospital.told]
    for told, handed in zip(derived.hospital.told, expected, strict=True):
        (line,) = handed.lines
        message = f"{handed.delivery}:{line.number}"
        # A follow-up's number follows from its message; a referral's request names it.
        assert told.message == (f"o{sha256(message.encode()).hexdigest()[:32]}" if told.exchange == "X12" else message)
        assert told.record == circles.patient_key(derived.truth.child("he", line.subject))
        content = {care.HOSPITAL_MESSAGES[told.exchange][local]: value for local, value in told.content.items()}
        values = {name: text(value) for name, value in {**line.values, **line.references}.items()}
        assert content == {name: value for name, value in values.items() if name not in care.PATIENT_FIELDS}
    assert [state for _, state in derived.hospital.tasks] == ["requested", "requested"]


def test_federation_took_in_exactly_what_was_sealed_for_it(derived):
    expected = {}
    for handed in derived.handed.values():
        if handed.taker == "wf":
            expected |= {f"{handed.delivery}:{line.number}": (handed.exchange, line) for line in handed.lines}
    assert sorted(told.message for told in derived.federation.told) == sorted(expected)
    for told in derived.federation.told:
        exchange, line = expected[told.message]
        assert (told.exchange, told.record, told.alias) == (exchange, "", line.subject or "")
        names = care.TICKET if exchange == "X23" else care.SERVICE
        content = {names[local]: value for local, value in told.content.items() if value}
        if "topic_codes" in content:
            content["topic_codes"] = ",".join(care.TOPICS[topic] for topic in content["topic_codes"].split(","))
        assert content == {name: text(value) for name, value in {**line.values, **line.references}.items()}


def test_hotline_took_in_nothing_because_its_envelopes_are_opened_by_another_client(derived):
    assert derived.league.told == ()
    assert {handed.exchange for handed in derived.handed.values() if handed.taker == "yl"} == {"X13"}
