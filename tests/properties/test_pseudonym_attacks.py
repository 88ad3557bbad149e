"""Attacks on the naming of children, each run against the house and against a house with the flaw planted.

The flaw: the key of a holder's door is also the key of the holder's closed scopes. Every attack must find nobody in the sound
house and everybody in the weak one, so an attack that could find nobody anywhere proves nothing here.

The attackers are departments that collude. They hold the pseudonyms that they lawfully received (closed scopes), they know
identifiers of their own, and they use their own doors as they please, with any point.
"""

import random

import pytest
import rbcl

from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, ProgrammingError
from keys.blind import blind
from keys.group import multiply, random_scalar, require_point
from keys.identifiers import Identifier
from keys.providers import LocalRootKey
from keys.ring import KeyRing, add_key
from keys.ring_file import KeyState, Slot, Use
from keys.rotation import begin, prepare
from keys.text import bech32m_decode, read, write

CHILDREN = [Identifier("issued", f"issued:ca-{number:016x}".encode()) for number in range(60)]
HEALTH, LEAGUE = Scope.open(Department.HEALTH), Scope.open(Department.YOUTH_LEAGUE)
HEALTH_X07 = Scope.closed(Department.HEALTH, "X07")
LEAGUE_X13, LEAGUE_X14 = Scope.closed(Department.YOUTH_LEAGUE, "X13"), Scope.closed(Department.YOUTH_LEAGUE, "X14")


def sound_house(directory):
    return KeyRing.open(directory, LocalRootKey.generate())


def weak_house(directory):
    """The planted flaw: closed scopes keyed with their holder's door key."""
    ring = KeyRing.open(directory, LocalRootKey.generate())
    for opened, closed in ((HEALTH, HEALTH_X07), (LEAGUE, LEAGUE_X13), (LEAGUE, LEAGUE_X14)):
        ring.current_epoch(opened)
        key = ring._open(Slot(opened.name, 1, Use.PSEUDONYM))

        def plant(rows, root, closed=closed, key=key):
            add_key(rows, root, Slot(closed.name, 0, Use.REFERENCE), KeyState.ENABLED, key)
            add_key(rows, root, Slot(closed.name, 1, Use.PSEUDONYM), KeyState.PRIMARY, key)
            return 1

        ring.change(plant)
    return ring


@pytest.fixture(scope="module", params=["sound", "weak"])
def house(request, tmp_path_factory):
    """The ring and how many children an attack should find in it."""
    build, found = {"sound": (sound_house, 0), "weak": (weak_house, len(CHILDREN))}[request.param]
    return build(tmp_path_factory.mktemp(request.param)), found


def received(ring, scope, seed):
    """The points that the holder of `scope` has lawfully received, in an order that tells nothing."""
    child = [ring.derive(GATEWAY_SCOPE, identifier) for identifier in CHILDREN]
    points = [pseudonym.point for pseudonym in ring.translate(child, scope)]
    random.Random(seed).shuffle(points)
    return points


def matches(left, right):
    return len(set(left) & set(right))


def difference(left, right):
    return rbcl.crypto_core_ristretto255_sub(left, right)


def test_two_doors_of_two_departments_do_not_commute_their_closed_pseudonyms(house):
    ring, found = house
    theirs = ring.evaluate(HEALTH, received(ring, LEAGUE_X13, 1))
    ours = ring.evaluate(LEAGUE, received(ring, HEALTH_X07, 2))
    assert matches(theirs, ours) == found


def test_one_door_does_not_join_two_scopes_of_its_department(house):
    ring, found = house
    own = [ring.derive(LEAGUE, identifier).point for identifier in CHILDREN]
    through_the_door = ring.evaluate(LEAGUE, own)
    assert matches(through_the_door, ring.evaluate(LEAGUE, received(ring, LEAGUE_X13, 3))) == found
    assert (
        matches(
            ring.evaluate(LEAGUE, received(ring, LEAGUE_X13, 4)), ring.evaluate(LEAGUE, received(ring, LEAGUE_X14, 5))
        )
        == found
    )


def test_both_doors_in_either_order_do_not_join_two_closed_scopes(house):
    ring, found = house
    one = ring.evaluate(HEALTH, ring.evaluate(LEAGUE, received(ring, LEAGUE_X13, 6)))
    other = ring.evaluate(LEAGUE, ring.evaluate(HEALTH, received(ring, LEAGUE_X14, 7)))
    assert matches(one, other) == found


def test_guessing_at_the_assisted_door_finds_no_closed_pseudonym(house):
    ring, found = house
    guesses = [ring.derive(LEAGUE, identifier).point for identifier in CHILDREN]
    assert matches(guesses, received(ring, LEAGUE_X13, 8)) == found


def test_guessing_blindly_and_unblinding_finds_no_closed_pseudonym(house):
    ring, found = house
    guesses = [blind(identifier) for identifier in CHILDREN]
    answers = ring.evaluate(LEAGUE, [guess.point for guess in guesses])
    named = [multiply(guess.unblinder, answer) for guess, answer in zip(guesses, answers, strict=True)]
    assert matches(named, received(ring, LEAGUE_X14, 9)) == found


def converted(ring, scope, points):
    """What its holder gets back who hands these points in as names of `scope` while it rotates; any point is multiplied."""
    if len(ring.accepted_epochs(scope)) == 1:
        prepare(ring, scope)
        begin(ring, scope)
    return [named.point for named in ring.convert([Pseudonym(scope, 1, point) for point in points], 2)]


def test_converting_one_scopes_names_as_anothers_joins_nobody(house):
    """The text of a closed name does not tell its exchange, so a holder may hand it in under any of its own."""
    ring, found = house
    foreign = converted(ring, LEAGUE_X14, received(ring, LEAGUE_X13, 30))
    assert matches(foreign, converted(ring, LEAGUE_X14, received(ring, LEAGUE_X14, 31))) == found


def test_conversions_and_doors_together_join_nobody(house):
    ring, found = house
    ours = ring.evaluate(
        LEAGUE, converted(ring, LEAGUE_X13, converted(ring, LEAGUE_X14, received(ring, LEAGUE_X13, 32)))
    )
    theirs = ring.evaluate(
        LEAGUE, converted(ring, LEAGUE_X13, converted(ring, LEAGUE_X14, received(ring, LEAGUE_X14, 33)))
    )
    assert matches(ours, theirs) == found


def test_equal_pseudonyms_never_meet(house):
    ring, found = house
    x13, x14 = received(ring, LEAGUE_X13, 10), received(ring, LEAGUE_X14, 11)
    opened = [ring.derive(LEAGUE, identifier).point for identifier in CHILDREN]
    assert matches(x13, x14) == found
    assert matches(x13, opened) == found


@pytest.mark.parametrize("part", [slice(0, 8), slice(44, 52)], ids=["prefix", "suffix"])
def test_parts_of_texts_never_meet(house, part):
    ring, found = house

    def parts(scope, seed):
        texts = [write(Pseudonym(scope, 1, point)) for point in received(ring, scope, seed)]
        return [tuple(bech32m_decode(text)[1][part]) for text in texts]

    assert matches(parts(LEAGUE_X13, 12), parts(LEAGUE_X14, 13)) == found


def test_differences_of_children_join_no_two_departments(house):
    """H(a) - H(b) is a point like any other: the doors are asked about differences instead of children."""
    ring, found = house
    child = [ring.derive(GATEWAY_SCOPE, identifier) for identifier in CHILDREN]
    league = [pseudonym.point for pseudonym in ring.translate(child, LEAGUE_X13)]
    health = [pseudonym.point for pseudonym in ring.translate(child, HEALTH_X07)]
    steps = [(place, (place + 1) % len(CHILDREN)) for place in range(len(CHILDREN))]
    one = ring.evaluate(HEALTH, [difference(league[a], league[b]) for a, b in steps])
    other = ring.evaluate(LEAGUE, [difference(health[a], health[b]) for a, b in steps])
    assert matches(one, other) == found


def test_differences_within_a_scope_join_no_other_scope(house):
    ring, found = house
    child = [ring.derive(GATEWAY_SCOPE, identifier) for identifier in CHILDREN]
    by_scope = [[pseudonym.point for pseudonym in ring.translate(child, scope)] for scope in (LEAGUE_X13, LEAGUE_X14)]
    first, second = (
        [difference(points[place], points[place - 1]) for place in range(len(points))] for points in by_scope
    )
    assert matches(first, second) == found


def test_a_pseudonym_replayed_under_another_exchange_names_nobody(house):
    """The text does not carry the exchange, so the gateway reads the replay; it must not arrive at a child."""
    ring, found = house
    known = {ring.derive(GATEWAY_SCOPE, identifier).point for identifier in CHILDREN}
    texts = [write(Pseudonym(LEAGUE_X13, 1, point)) for point in received(ring, LEAGUE_X13, 14)]
    replayed = ring.translate([read(text, LEAGUE_X14) for text in texts], GATEWAY_SCOPE)
    assert len({pseudonym.point for pseudonym in replayed} & known) == found


def test_a_closed_pseudonym_replayed_as_an_open_one_names_nobody(house):
    ring, found = house
    known = {ring.derive(GATEWAY_SCOPE, identifier).point for identifier in CHILDREN}
    points = received(ring, LEAGUE_X13, 15)
    forged = [read(write(Pseudonym(LEAGUE, 1, point)), LEAGUE) for point in points]
    assert len({pseudonym.point for pseudonym in ring.translate(forged, GATEWAY_SCOPE)} & known) == found
    with pytest.raises(BadRequest, match="pseudonym_scope"):
        read(write(Pseudonym(LEAGUE_X13, 1, points[0])), LEAGUE)


def test_points_recorded_at_one_door_are_worth_nothing_at_another(house):
    """Somebody recorded another department's blinded questions and answers, and asks them again at its own door."""
    ring, found = house
    questions = [blind(identifier) for identifier in CHILDREN]
    answers = ring.evaluate(HEALTH, [question.point for question in questions])
    closed = received(ring, LEAGUE_X13, 16)
    again = ring.evaluate(LEAGUE, [question.point for question in questions])
    assert matches(again, closed) == 0
    assert matches(ring.evaluate(LEAGUE, answers), ring.evaluate(HEALTH, closed)) == 0
    # With the blinding factors stolen as well it is the guessing above, and only the flaw makes it worth something.
    stolen = [multiply(question.unblinder, answer) for question, answer in zip(questions, again, strict=True)]
    assert matches(stolen, closed) == found


def unchecked_door(key, points):
    """The planted weak door: libsodium's own multiplication and nothing else."""
    return [rbcl.crypto_scalarmult_ristretto255(key, point) for point in points]


def test_a_childs_twin_encoding_is_refused_at_every_door(tmp_path):
    """Setting the unused highest bit gives a second encoding of the same child, which quotas and directories would miss."""
    ring = sound_house(tmp_path)
    points = [ring.derive(LEAGUE, identifier).point for identifier in CHILDREN]
    twins = [point[:31] + bytes([point[31] | 0x80]) for point in points]
    found = 0
    for twin in twins:
        for use in (
            lambda twin: ring.evaluate(LEAGUE, [twin]),
            lambda twin: ring.translate([Pseudonym(LEAGUE, 1, twin)], GATEWAY_SCOPE),
            lambda twin: ring.convert([Pseudonym(LEAGUE, 1, twin)], 1),
            lambda twin: read(write(Pseudonym(LEAGUE, 1, twin)), LEAGUE),
            require_point,
        ):
            try:
                use(twin)
            except BadRequest:
                continue
            found += 1
    assert found == 0
    key = random_scalar()
    assert matches(unchecked_door(key, twins), unchecked_door(key, points)) == len(CHILDREN)


# The eight torsion points of edwards25519 and their non-canonical spellings: harmless keys elsewhere have died of these.
SMALL_ORDER = [
    bytes.fromhex(low) + bytes([high | sign])
    for low, high in (
        ("00" * 31, 0x00),
        ("01" + "00" * 30, 0x00),
        ("ec" + "ff" * 30, 0x7F),
        ("ed" + "ff" * 30, 0x7F),
        ("ee" + "ff" * 30, 0x7F),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc", 0x05),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03", 0x7A),
    )
    for sign in (0x00, 0x80)
]


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_small_order_and_non_canonical_points_learn_nothing_of_a_key(tmp_path, point):
    ring = sound_house(tmp_path)
    child = ring.derive(LEAGUE, CHILDREN[0])
    for use in (
        lambda: ring.evaluate(LEAGUE, [point]),
        lambda: ring.evaluate(LEAGUE, [child.point, point]),
        lambda: ring.translate([Pseudonym(LEAGUE, 1, point)], GATEWAY_SCOPE),
        lambda: read(write(Pseudonym(LEAGUE, 1, point)), LEAGUE),
    ):
        with pytest.raises(BadRequest):
            use()


def test_no_door_opens_a_closed_scope_for_anybody(tmp_path):
    ring = sound_house(tmp_path)
    for scope in (LEAGUE_X13, LEAGUE_X14, HEALTH_X07, GATEWAY_SCOPE):
        with pytest.raises(ProgrammingError):
            ring.evaluate(scope, [blind(CHILDREN[0]).point])
