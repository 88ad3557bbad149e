"""The directory: private file, one department, resumable enrolment through the blind door."""

import stat

import pytest

from adapters.base.source import LocalPerson
from adapters.directory import BATCH, Directory
from adapters.sandbox.population import build
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from gateway.errors import GatewayFault
from keys import text
from keys.identifiers import identify
from keys.providers import LocalRootKey
from keys.ring import KeyRing

pytestmark = pytest.mark.anyio
SCOPE = Scope.open(Department.EDUCATION)
CHILDREN = [c for c in build(1300).children if c.identifier][: BATCH * 2 + 40]


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return KeyRing.open(tmp_path_factory.mktemp("ring"), LocalRootKey.generate())


@pytest.fixture
def directory(tmp_path):
    directory = Directory(tmp_path / "directory.sqlite", Department.EDUCATION)
    yield directory
    directory.close()


async def people(children=CHILDREN, wrong=()):
    for c in children:
        yield LocalPerson(c.school_key, (("cn-rid", "wrong" if c.number in wrong else c.identifier),))


def door(ring, calls, fail_after=None):
    async def evaluate(points, grant):
        if fail_after is not None and len(calls) >= fail_after:
            raise ConnectionError
        calls.append((len(points), grant))
        return ring.evaluate(SCOPE, points), ring.current_epoch(SCOPE)

    return evaluate


async def test_a_pseudonym_leads_to_the_record_and_back(directory, ring):
    calls, told = [], []
    done = await directory.enrol(people(), door(ring, calls), "grant-1", told.append)
    assert (done.enrolled, done.epoch) == (len(CHILDREN), 1)
    assert calls == [(BATCH, "grant-1"), (BATCH, "grant-1"), (40, "grant-1")]
    assert [t.enrolled for t in told] == [BATCH, BATCH * 2, BATCH * 2 + 40]
    child = CHILDREN[7]
    named = text.write(ring.derive(SCOPE, identify("cn-rid", child.identifier)))
    assert directory.record(named) == child.school_key
    assert directory.pseudonym(child.school_key) == named
    assert directory.record("edo1nobody") is None
    assert (directory.size, directory.epoch) == (len(CHILDREN), 1)


async def test_an_interrupted_enrolment_goes_on_where_it_was(directory, ring):
    calls = []
    with pytest.raises(ConnectionError):
        await directory.enrol(people(), door(ring, calls, fail_after=1), None)
    assert directory.size == BATCH
    done = await directory.enrol(people(), door(ring, calls), None)
    assert (done.kept, done.enrolled) == (BATCH, BATCH + 40)


async def test_a_changed_identifier_replaces_the_pseudonym(directory, ring):
    first = CHILDREN[:3]
    await directory.enrol(people(first), door(ring, []), None)
    before = directory.pseudonym(first[0].school_key)

    async def moved():
        yield LocalPerson(first[0].school_key, (("cn-rid", CHILDREN[10].identifier),))

    done = await directory.enrol(moved(), door(ring, []), None)
    assert done.enrolled == 1
    assert directory.pseudonym(first[0].school_key) != before
    assert directory.record(before) is None


async def test_two_records_with_one_identifier_are_a_conflict_and_the_first_stays(directory, ring):
    a, b = CHILDREN[:2]

    async def twice():
        yield LocalPerson(a.school_key, (("cn-rid", a.identifier),))
        yield LocalPerson(b.school_key, (("cn-rid", a.identifier),))

    done = await directory.enrol(twice(), door(ring, []), None)
    assert (done.enrolled, done.conflicts) == (1, 1)
    assert directory.pseudonym(b.school_key) is None


async def test_an_invalid_identifier_is_counted_and_never_sent(directory, ring):
    calls = []
    wrong = {CHILDREN[0].number}
    done = await directory.enrol(people(CHILDREN[:5], wrong), door(ring, calls), None)
    assert (done.unidentified, done.enrolled, calls) == (1, 4, [(4, None)])


async def test_the_file_is_private_and_holds_no_identifier(directory, ring, tmp_path):
    await directory.enrol(people(), door(ring, []), None)
    path = tmp_path / "directory.sqlite"
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        held = file.read_bytes()
        assert not any(c.identifier.encode() in held for c in CHILDREN)
    assert CHILDREN[0].school_key.encode() in path.read_bytes() + (tmp_path / "directory.sqlite-wal").read_bytes()


def test_another_departments_directory_and_a_damaged_one_refuse_to_open(directory, tmp_path):
    with pytest.raises(GatewayFault, match="directory_invalid"):
        Directory(tmp_path / "directory.sqlite", Department.HEALTH)
    (tmp_path / "broken.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(GatewayFault, match="directory_invalid"):
        Directory(tmp_path / "broken.sqlite", Department.EDUCATION)
