"""What holds for every child, every scope and every epoch, and for every record that is sealed."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.orders import PlainValue, SealedValue, SealInfo
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department, Transform
from gateway.errors import BadRequest
from keys.blind import blind, unblind
from keys.envelope import SealingPair, drop, open_line, seal_line, verify_plain
from keys.identifiers import Identifier, check_character, identify
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.rotation import advance, begin, prepare
from keys.signing import SigningKey
from keys.text import read, write

OPEN = [Scope.open(department) for department in Department]
CLOSED = [Scope.closed(department, exchange) for department in Department for exchange in ("X13", "X14")]
BODY = Scope.closed("charity-7", "X21")

identifiers = st.binary(min_size=1, max_size=24).map(lambda value: Identifier("issued", b"issued:" + value))
open_scopes = st.sampled_from(OPEN)
all_scopes = st.sampled_from([*OPEN, *CLOSED, BODY, GATEWAY_SCOPE])


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return KeyRing.open(tmp_path_factory.mktemp("ring"), LocalRootKey.generate())


@pytest.fixture(scope="module")
def rotating(tmp_path_factory):
    """A ring whose open scopes are all in the middle of a rotation, epochs 1 and 2 understood."""
    ring = KeyRing.open(tmp_path_factory.mktemp("rotating"), LocalRootKey.generate())
    for scope in [*OPEN, GATEWAY_SCOPE]:
        prepare(ring, scope)
        begin(ring, scope)
    return ring


@given(identifier=identifiers, source=open_scopes, target=all_scopes)
def test_there_and_back_is_the_identity(ring, identifier, source, target):
    own = ring.derive(source, identifier)
    if target.holder == source.holder:
        target = GATEWAY_SCOPE
    [there] = ring.translate([own], target)
    assert ring.translate([there], source) == [own]


@given(identifier=identifiers, source=open_scopes, target=open_scopes)
def test_translating_a_name_is_naming_in_the_target(ring, identifier, source, target):
    own = ring.derive(source, identifier)
    [through] = ring.translate(ring.translate([own], GATEWAY_SCOPE), target)
    assert through == ring.derive(target, identifier)


@given(identifier=identifiers, first=all_scopes, second=all_scopes)
def test_the_way_between_scopes_does_not_matter(ring, identifier, first, second):
    child = ring.derive(GATEWAY_SCOPE, identifier)
    [direct] = ring.translate([child], second)
    [step] = ring.translate([child], first)
    if first.holder != second.holder:
        assert ring.translate([step], second) == [direct]


@given(identifier=identifiers, scope=open_scopes)
def test_epochs_convert_to_what_they_would_have_named(rotating, identifier, scope):
    old = rotating.derive(scope, identifier)
    blinded = blind(identifier)
    [answer] = rotating.evaluate(scope, [blinded.point], epoch=2)
    new = Pseudonym(scope, 2, unblind(answer, blinded.unblinder))
    assert rotating.convert([old], 2) == [new]
    assert rotating.convert([new], 1) == [old]
    assert rotating.translate([old, new], GATEWAY_SCOPE) == [rotating.derive(GATEWAY_SCOPE, identifier)] * 2


def test_after_the_change_of_epoch_names_are_those_of_the_new_key(rotating):
    identifier = Identifier("issued", b"issued:turning")
    scope = OPEN[0]
    [expected] = rotating.convert([rotating.derive(scope, identifier)], 2)
    advance(rotating, scope)
    assert rotating.derive(scope, identifier) == expected


@given(identifier=identifiers, scope=open_scopes)
def test_the_blind_door_names_like_the_assisted_one_and_sees_another_point_each_time(ring, identifier, scope):
    first, second = blind(identifier), blind(identifier)
    answers = ring.evaluate(scope, [first.point, second.point])
    assert first.point != second.point
    assert answers[0] != answers[1]
    points = {unblind(answer, sent.unblinder) for answer, sent in zip(answers, (first, second), strict=True)}
    assert points == {ring.derive(scope, identifier).point}


@given(identifier=identifiers, scope=all_scopes)
def test_every_pseudonym_reads_back_from_its_text(ring, identifier, scope):
    [pseudonym] = ring.translate([ring.derive(GATEWAY_SCOPE, identifier)], scope)
    assert read(write(pseudonym), scope) == pseudonym


@given(point=st.binary(min_size=32, max_size=32), scope=open_scopes)
def test_arbitrary_bytes_are_refused_or_canonical(ring, point, scope):
    try:
        [answer] = ring.evaluate(scope, [point])
    except BadRequest as refusal:
        assert refusal.code == "point_invalid"
    else:
        assert not point[31] & 0x80
        assert read(write(Pseudonym(scope, 1, answer)), scope).point == answer


@given(
    region=st.sampled_from(["110105", "330106", "440524", "650102"]),
    year=st.integers(1900, 1999),
    month=st.integers(1, 12),
    day=st.integers(1, 28),
    number=st.integers(0, 999),
)
def test_both_generations_of_a_number_name_the_same_child(region, year, month, day, number):
    old = f"{region}{year % 100:02}{month:02}{day:02}{number:03}"
    body = f"{region}19{year % 100:02}{month:02}{day:02}{number:03}"
    assert identify("cn-rid", old) == identify("cn-rid", body + check_character(body))


SCHOOL = Party("12330106MB0000001A", Department.EDUCATION)
HOSPITAL = Party("12330106MB0000002B", Department.HEALTH)
names = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
values = st.one_of(texts, st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.lists(texts, max_size=4))
records = st.dictionaries(names, st.tuples(values, st.booleans()), min_size=2, max_size=12)
PAIRS = {suite: SealingPair.generate(suite) for suite in ("x25519", "xwing")}
SIGNER = SigningKey.generate()


def sealed(record, pair, request="q-1", line=1):
    return seal_line(
        {name: value for name, (value, _) in record.items()},
        grants={name: Obligation(Transform.CLEAR, sealed=secret) for name, (_, secret) in record.items()},
        info=SealInfo(request, line, "X05", SCHOOL, HOSPITAL, pair.kid),
        recipient=pair.sealing_key(HOSPITAL),
        signer=SIGNER,
        number=line,
        subject=None,
        references={},
        region=None,
    )


def opened(line, pair, request="q-1", number=1):
    expected = SealInfo(request, number, "X05", SCHOOL, HOSPITAL, pair.kid)
    return open_line(line, pair=pair, sender_key=SIGNER.verify_key, expected=expected)


@given(record=records, suite=st.sampled_from(sorted(PAIRS)), data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_record_arrives_whole_or_with_fields_dropped(record, suite, data):
    pair = PAIRS[suite]
    line = sealed(record, pair)
    gone = data.draw(st.sets(st.sampled_from(sorted(record))))
    verify_plain(drop(line, frozenset(gone)), SIGNER.verify_key)
    assert opened(line, pair) == {name: value for name, (value, _) in record.items()}
    assert opened(drop(line, frozenset(gone)), pair) == {
        name: value for name, (value, _) in record.items() if name not in gone
    }


@given(record=records, suite=st.sampled_from(sorted(PAIRS)), seed=st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_changing_swapping_replaying_cutting_and_forging_are_all_refused(record, suite, seed):
    """Whoever carries the record may drop fields; everything else that the carrier does to it is found."""
    pair, chance = PAIRS[suite], random.Random(seed)
    line, twin = sealed(record, pair), sealed(record, pair)
    first, second = chance.sample(sorted(record), 2)
    cell = line.values[first]
    attempts = [
        # swapped within the record, and with a record of the very same content
        replace(line, values={**line.values, first: line.values[second], second: line.values[first]}),
        replace(line, values={**line.values, first: twin.values[first]}),
        # forged
        replace(line, values={**line.values, first: PlainValue("forged", bytes(16))}),
        replace(line, values={**line.values, first: SealedValue(chance.randbytes(80))}),
        replace(line, values={**line.values, "forged_field": cell}),
        # the frame of another record
        replace(line, sealing=twin.sealing),
        replace(line, sealing=replace(line.sealing, encapsulation=twin.sealing.encapsulation + b"\0")),
        replace(line, sealing=replace(line.sealing, signature=twin.sealing.signature)),
    ]
    if isinstance(cell, SealedValue):
        place = chance.randrange(len(cell.ciphertext))
        flipped = bytearray(cell.ciphertext)
        flipped[place] ^= 1 << chance.randrange(8)
        cut = cell.ciphertext[: chance.randrange(len(cell.ciphertext))]
        attempts += [
            replace(line, values={**line.values, first: SealedValue(bytes(changed))}) for changed in (flipped, cut)
        ]
    else:
        attempts.append(replace(line, values={**line.values, first: PlainValue(cell.value, cell.salt[:15])}))
    for attempt in attempts:
        with pytest.raises(BadRequest, match="seal_invalid"):
            opened(attempt, pair)
    for replay in ({"request": "q-2"}, {"number": 2}):
        with pytest.raises(BadRequest, match="seal_invalid"):
            opened(line, pair, **replay)
