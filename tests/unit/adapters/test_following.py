"""The edge follows a rotation by itself: both names lead to the record while both are understood, none is left behind."""

import asyncio

import pytest

from adapters.base.source import LocalPerson
from adapters.directory import BATCH, Directory
from adapters.edge.following import Follower
from adapters.edge.log import EdgeLog
from adapters.sandbox.population import build
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys import text
from keys.identifiers import identify
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.rotation import advance, begin, prepare, retire

pytestmark = pytest.mark.anyio
SCOPE = Scope.open(Department.EDUCATION)
CHILDREN = [c for c in build(800).children if c.identifier][: BATCH + 20]


class Gateway:
    """The blind door and the conversion over a real ring; what was asked, in order."""

    def __init__(self, ring):
        self.ring, self.asked, self.fail_after = ring, [], None

    async def evaluate(self, points, grant):
        return self.ring.evaluate(SCOPE, points), self.ring.current_epoch(SCOPE)

    async def epochs(self):
        return self.ring.accepted_epochs(SCOPE)

    async def convert(self, pseudonyms, epoch, *, finished):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise GatewayFault("gateway_unreachable")
        self.asked.append((len(pseudonyms), epoch, finished))
        known = [text.read(name, SCOPE) for name in pseudonyms]
        return [text.write(one) for one in self.ring.convert(known, epoch)]


@pytest.fixture
def gateway(tmp_path):
    return Gateway(KeyRing.open(tmp_path / "ring", LocalRootKey.generate()))


@pytest.fixture
async def directory(tmp_path, gateway):
    directory = Directory(tmp_path / "directory.sqlite", Department.EDUCATION)
    await directory.enrol(people(), gateway.evaluate, None)
    yield directory
    directory.close()


async def people(children=CHILDREN):
    for c in children:
        yield LocalPerson(c.school_key, (("cn-rid", c.identifier),))


def name(ring, child, epoch):
    own = ring.derive(GATEWAY_SCOPE, identify("cn-rid", child.identifier))
    [current] = ring.translate([own], SCOPE)
    return text.write(ring.convert([current], epoch)[0])


async def test_without_a_rotation_nothing_is_asked(gateway, directory):
    follower = Follower(gateway, directory)
    assert await follower.once() == 0
    assert gateway.asked == []


async def test_during_the_overlap_both_names_lead_to_the_record_and_the_newer_is_used(gateway, directory):
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    assert await Follower(gateway, directory).once() == len(CHILDREN)
    assert gateway.asked == [(BATCH, 2, False), (20, 2, False), (0, 2, True)]
    for one in (CHILDREN[0], CHILDREN[-1]):
        for epoch in (1, 2):
            assert directory.record(name(gateway.ring, one, epoch)) == one.school_key
        assert directory.pseudonym(one.school_key) == name(gateway.ring, one, 2)
    assert (directory.size, directory.epoch) == (len(CHILDREN), 2)


async def test_a_second_look_asks_nothing_again(gateway, directory):
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    follower = Follower(gateway, directory)
    await follower.once()
    asked = list(gateway.asked)
    assert await follower.once() == 0
    assert gateway.asked == asked


async def test_an_interrupted_follower_goes_on_where_it_was(gateway, directory):
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    gateway.fail_after = 1
    follower = Follower(gateway, directory)
    with pytest.raises(GatewayFault):
        await follower.once()
    assert not any(finished for _, _, finished in gateway.asked)
    gateway.fail_after = None
    assert await follower.once() == 20
    assert gateway.asked[-1] == (0, 2, True)


async def test_a_record_enrolled_during_the_overlap_follows_too(gateway, tmp_path):
    directory = Directory(tmp_path / "late.sqlite", Department.EDUCATION)
    await directory.enrol(people(CHILDREN[:5]), gateway.evaluate, None)
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    follower = Follower(gateway, directory)
    await follower.once()
    await directory.enrol(people(CHILDREN[:8]), gateway.evaluate, None)
    assert await follower.once() == 3
    assert gateway.asked[-1] == (0, 2, True)
    assert directory.behind(2) == []
    directory.close()


async def test_when_the_old_epoch_ends_its_names_are_forgotten_on_disk_too(gateway, directory, tmp_path):
    old = name(gateway.ring, CHILDREN[3], 1)
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    follower = Follower(gateway, directory)
    await follower.once()
    advance(gateway.ring, SCOPE)
    await follower.once()
    assert directory.record(old) == CHILDREN[3].school_key
    retire(gateway.ring, SCOPE)
    await follower.once()
    assert directory.record(old) is None
    assert directory.size == len(CHILDREN)
    files = b"".join(path.read_bytes() for path in tmp_path.glob("directory.sqlite*"))
    assert old.encode() not in files


async def test_an_edge_that_was_away_for_the_whole_overlap_enrols_anew(gateway, directory, tmp_path):
    for step in (prepare, begin, advance, retire):
        step(gateway.ring, SCOPE)
    log = EdgeLog(tmp_path / "edge.jsonl")
    follower = Follower(gateway, directory, log)
    for _ in range(2):
        assert await follower.once() == 0
    log.close()
    assert (tmp_path / "edge.jsonl").read_text().count('"directory_outdated"') == 1
    # Nothing is lost on the gateway's word alone.
    assert directory.size == len(CHILDREN)
    done = await directory.enrol(people(), gateway.evaluate, None)
    assert (done.enrolled, done.epoch) == (len(CHILDREN), 2)
    assert directory.record(name(gateway.ring, CHILDREN[3], 2)) == CHILDREN[3].school_key


async def test_a_name_of_another_department_is_not_taken_in(gateway, directory):
    [before] = directory.behind(2, 1)
    other = text.write(gateway.ring.derive(Scope.open(Department.HEALTH), identify("cn-rid", CHILDREN[0].identifier)))
    with pytest.raises(BadRequest, match="pseudonym_scope"):
        directory.follow([before], [other])
    assert directory.record(before) is not None


async def test_the_loop_outlives_a_gateway_that_is_away(gateway, directory, tmp_path):
    prepare(gateway.ring, SCOPE)
    begin(gateway.ring, SCOPE)
    gateway.fail_after = 0
    log, stop = EdgeLog(tmp_path / "edge.jsonl"), asyncio.Event()
    loop = asyncio.create_task(Follower(gateway, directory, log).run(stop, every=0.01))
    await asyncio.sleep(0.05)
    gateway.fail_after = None
    for _ in range(200):
        if directory.epoch == 2 and gateway.asked and gateway.asked[-1][2]:
            break
        await asyncio.sleep(0.02)
    stop.set()
    await loop
    log.close()
    assert gateway.asked[-1] == (0, 2, True)
    told = (tmp_path / "edge.jsonl").read_text()
    assert '"gateway_unreachable"' in told
    assert '"followed"' in told
