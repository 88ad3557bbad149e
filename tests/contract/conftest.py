"""A whole house behind its doors and two callers; both departmental systems as real processes, and an edge's parts over them."""

import pytest

from adapters.base import exchange_file
from adapters.civil_affairs.register import SqlRegister
from adapters.education.register import RestRegister
from adapters.education.signature import AppKey
from adapters.sandbox import civil_affairs_system, education_system
from adapters.sandbox.cast import cast
from adapters.sandbox.population import build
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from policies.catalogue import load
from tests.contract.api_house import api_house, listen
from tests.contract.orders import CIVIL_AFFAIRS, EDUCATION, Ask, mapping_of

CHILDREN = 1000


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def whole(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture
def walls(whole):
    """The house, settled; a module that needs more of it makes its own."""
    whole.settle()
    return whole


@pytest.fixture
def ca(walls):
    return walls.caller("ca", "M0101", "case_worker")


@pytest.fixture
def sc(walls):
    return walls.caller("sc", "T0417", "school_psychologist")


@pytest.fixture
def operator(monkeypatch):
    """What the operator's log gets."""
    return listen(monkeypatch)


@pytest.fixture(scope="session")
def population():
    return build(CHILDREN)


@pytest.fixture(scope="session")
def players(population):
    return cast(population)


@pytest.fixture(scope="session")
def exchanges(tmp_path_factory):
    """As an edge gets them: exported by the gateway, read from the file."""
    path = tmp_path_factory.mktemp("exchanges") / "exchanges.json"
    exchange_file.write(load().exchanges.values(), path)
    return exchange_file.read(path)


@pytest.fixture(scope="session", params=["postgresql", "sqlite"])
def civil_system(request, tmp_path_factory):
    with civil_affairs_system.start(tmp_path_factory.mktemp("civil"), count=CHILDREN, engine=request.param) as running:
        yield running


@pytest.fixture(scope="session")
def school_system(tmp_path_factory):
    with education_system.start(
        tmp_path_factory.mktemp("school"), app_key="edge", app_secret="a secret of the platform", count=CHILDREN
    ) as running:
        yield running


@pytest.fixture(scope="session")
def ring(tmp_path_factory):
    return KeyRing.open(tmp_path_factory.mktemp("ring"), LocalRootKey.generate())


@pytest.fixture
async def civil(civil_system, exchanges, ring, tmp_path):
    register = SqlRegister(civil_system.address, mapping_of("civil_affairs", exchanges))
    async with Ask.over(register, CIVIL_AFFAIRS, exchanges, ring, tmp_path) as ask:
        yield ask


@pytest.fixture
async def school(school_system, exchanges, ring, tmp_path):
    key = AppKey("edge", b"a secret of the platform")
    register = RestRegister(school_system.address, key, mapping_of("education", exchanges))
    async with Ask.over(register, EDUCATION, exchanges, ring, tmp_path) as ask:
        yield ask
