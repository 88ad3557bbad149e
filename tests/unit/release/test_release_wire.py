"""The codecs take the documented JSON and nothing else."""

import copy
import json

import pytest

from gateway.domain.canonical import canonical
from gateway.domain.orders import Acknowledgement, Order, OrderLine, Release, SealedValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import AgeBand, Transform
from gateway.errors import BadRequest
from gateway.release import obligation_text, wire
from gateway.release.wire_reading import MAX_LINES, read_json
from keys.envelope import verify_plain
from keys.signing import VerifyKey
from tests.unit.release import release_world as world

EX = world.exchange(
    [world.field("grade", "code:grade"), world.field("note", "code:urgency"), world.field("case_id", "record_id")]
)
GRANTS = world.grants(grade="clear", note="clear+sealed", case_id="clear")
LINE = world.line({"grade": "07", "note": "soon"}, GRANTS, references={"case_id": "case-1"})
ORDER = Order(
    request="rq-1",
    exchange="X99",
    purpose="P01",
    provider=world.PROVIDER,
    recipient=world.RECIPIENT,
    recipient_key=world.KEY,
    lines=(OrderLine(1, "edo1abc"), OrderLine(2, None)),
    grants={**GRANTS, "name": Obligation(Transform.MASK, "name.surname", sealed=True)},
    regions=("3301", ""),
    age_band=AgeBand.A8_13,
    request_digest="0" * 64,
    expires_at=1_795_000_000,
)
RELEASE = Release("rq-1", "X99", world.PROVIDER, (LINE,), (2,), surplus=3)
ENVELOPE = world.envelope(LINE)
ACK = Acknowledgement("dl-1", "rejected", "field_unmapped")
DOCUMENTS = [
    (ORDER, wire.order_from_wire),
    (RELEASE, wire.release_from_wire),
    (ENVELOPE, wire.envelope_from_wire),
    (LINE, wire.line_from_wire),
    (LINE.sealing, wire.sealing_from_wire),
    (LINE.sealing.info, wire.seal_info_from_wire),
    (world.KEY, wire.sealing_key_from_wire),
    (ACK, wire.acknowledgement_from_wire),
]
IDS = [type(value).__name__ for value, _ in DOCUMENTS]


@pytest.mark.parametrize(("value", "read"), DOCUMENTS, ids=IDS)
def test_every_value_survives_the_wire_as_canonical_json(value, read):
    body = canonical(wire.to_wire(value))
    assert read(read_json(body)) == value


@pytest.mark.parametrize(("value", "read"), DOCUMENTS, ids=IDS)
def test_an_unknown_member_is_refused_at_every_depth(value, read):
    document = wire.to_wire(value)
    for path in paths(document):
        spoiled = copy.deepcopy(document)
        at(spoiled, path)["Surprise"] = 1
        with pytest.raises(BadRequest) as refused:
            read(spoiled)
        assert refused.value.code == "wire_invalid"


@pytest.mark.parametrize(("value", "read"), DOCUMENTS, ids=IDS)
@pytest.mark.parametrize(
    "wrong", [None, 1.5, -1, True, "", "\x00", "\ud800", [], {}, [[]], "x" * 20_000, 2**60], ids=repr
)
def test_a_member_of_a_wrong_kind_is_refused_or_read_as_documented_and_never_crashes(value, read, wrong):
    document = wire.to_wire(value)
    for path in paths(document):
        for member in at(document, path):
            spoiled = copy.deepcopy(document)
            at(spoiled, path)[member] = wrong
            try:
                again = wire.to_wire(read(spoiled))
            except BadRequest as refused:
                assert refused.code == "wire_invalid"
                assert "x" * 100 not in str(refused.facts)
            else:
                assert again == spoiled, (path, member)


@pytest.mark.parametrize(("value", "read"), DOCUMENTS, ids=IDS)
def test_no_required_member_may_be_absent(value, read):
    document = wire.to_wire(value)
    optional = {"subject", "region", "seal", "age_band", "code"}
    for path in paths(document):
        if path and path[-1] in ("references", "fields", "grants", "digests"):
            continue
        for member in at(document, path).keys() - optional:
            spoiled = copy.deepcopy(document)
            del at(spoiled, path)[member]
            with pytest.raises(BadRequest):
                read(spoiled)


def test_a_signature_still_verifies_after_the_wire():
    again = wire.line_from_wire(json.loads(json.dumps(wire.line_to_wire(LINE))))
    verify_plain(again, VerifyKey(world.SIGNER.public), expected=world.info())


def test_bytes_have_one_spelling():
    document = wire.value_to_wire(SealedValue(b"\xff\xee"))
    assert document == {"c": "_-4"}
    for other in ("_-4=", "_-5", "/+4", "_-4\n", "_-"):
        with pytest.raises(BadRequest):
            wire.value_from_wire({"c": other})


def test_a_body_with_a_key_twice_is_refused():
    with pytest.raises(BadRequest):
        read_json(b'{"a":1,"a":2}')


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"", b"\xff", b'{"a":NaN}', b'{"a":1.0}', b"[" * 100_000, b'{"a":' * 5000]
)
def test_a_body_that_is_no_plain_object_is_refused(body):
    with pytest.raises(BadRequest):
        read_json(body)


def test_a_body_over_its_limit_is_refused_before_it_is_parsed():
    with pytest.raises(BadRequest):
        read_json(b'{"a":"' + b"x" * 100 + b'"}', limit=100)


def test_more_lines_than_the_limit_are_refused():
    document = wire.order_to_wire(ORDER)
    document["lines"] = [{"line": n + 1} for n in range(MAX_LINES + 1)]
    with pytest.raises(BadRequest):
        wire.order_from_wire(document)
    document["lines"].pop()
    assert len(wire.order_from_wire(document).lines) == MAX_LINES


def test_a_line_number_stands_once_in_a_release():
    document = wire.release_to_wire(RELEASE)
    document["missing"] = [1]
    with pytest.raises(BadRequest):
        wire.release_from_wire(document)


def test_a_seal_of_another_line_is_refused():
    document = wire.line_to_wire(LINE)
    document["line"] = 2
    with pytest.raises(BadRequest):
        wire.line_from_wire(document)


@pytest.mark.parametrize(
    "text",
    [
        "clear",
        "clear+sealed",
        "mask:phone.middle4",
        "answer_only:class=left_behind",
        "generalise:date.shift=30+sealed",
        "suppress",
    ],
)
def test_an_obligation_reads_back_as_it_was_written(text):
    assert obligation_text.write(obligation_text.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clear:",
        "clear+",
        "clear+sealed+sealed",
        "Clear",
        "clear sealed",
        "mask:Name",
        "mask:a b",
        ":x",
        "clear\n",
        "mask:名",
    ],
)
def test_an_obligation_that_breaks_the_grammar_is_refused(text):
    with pytest.raises(BadRequest) as refused:
        obligation_text.parse(text)
    assert refused.value.code == "obligation_invalid"


def test_an_unknown_transform_withholds():
    assert obligation_text.parse("scramble:name+sealed").transform is Transform.SUPPRESS


def paths(document, here=()):
    if isinstance(document, dict):
        yield here
        for member, value in document.items():
            yield from paths(value, (*here, member))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from paths(value, (*here, index))


def at(document, path):
    for step in path:
        document = document[step]
    return document


FLAT = [
    (
        ORDER,
        wire.order_from_wire,
        "request exchange purpose provider recipient lines grants regions request_digest expires_at",
    ),
    (RELEASE, wire.release_from_wire, "request exchange provider lines missing"),
    (ENVELOPE, wire.envelope_from_wire, "permit exchange sender recipient lines"),
    (LINE, wire.line_from_wire, "line subject region references fields"),
    (LINE.sealing.info, wire.seal_info_from_wire, "request line exchange sender recipient recipient_kid"),
    (LINE.sealing, wire.sealing_from_wire, "suite enc digests signature sender_kid"),
    (world.KEY, wire.sealing_key_from_wire, "party suite kid key"),
    (ACK, wire.acknowledgement_from_wire, "delivery status code"),
]


@pytest.mark.parametrize(
    ("value", "read", "member"),
    [(value, read, member) for value, read, members in FLAT for member in members.split()],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_refusal_names_the_member_that_is_wrong(value, read, member):
    with pytest.raises(BadRequest) as refused:
        read({**wire.to_wire(value), member: 1.5})
    assert refused.value.facts == {"member": member}
