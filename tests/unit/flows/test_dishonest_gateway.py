"""A gateway that alters what it passes on, with its own log's entry and receipt for the altered bytes: the SDK refuses.

The alteration happens where the gateway writes its answer, so digest, entry and receipt all fit what leaves.
"""

from dataclasses import replace

import pytest

from gateway.client.errors import AnswerRejected
from gateway.domain.orders import PlainValue, SealedValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.flows import query
from keys.envelope import drop
from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio
ONE, OTHER = child(61), child(63)


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        edge = made.edges["ed"]
        edge.register.rows |= {"S0001": number_of(ONE), "S0003": number_of(OTHER)}
        async with made.client("ed", None) as machine:
            await edge.source.enrol(machine.evaluate, None)
        yield made


@pytest.fixture(params=["plain", "sealed"])
async def asking(world, request, monkeypatch):
    """ask(child, alter): what the SDK makes of an answer in which the gateway has altered the line, given all earlier ones."""
    if request.param == "sealed":
        decide = type(world.house.book).decide

        def sealing(book, basis, **options):
            permit = decide(book, basis, **options)
            return replace(permit, grants=dict.fromkeys(permit.grants, Obligation(Transform.CLEAR, sealed=True)))

        monkeypatch.setattr(type(world.house.book), "decide", sealing)
    honest, told = query.write_answer, []
    cases = {}

    async def ask(who, alter=lambda line, _earlier: line):
        def write(checked, *rest):
            told.append(checked.lines[0])
            return honest(replace(checked, lines=(alter(checked.lines[0], told[:-1]),)), *rest)

        monkeypatch.setattr(query, "write_answer", write)
        async with world.client("ca") as client:
            name = world.named("ca", who)
            if who not in cases:
                cases[who] = await world.approved_case(client, "ca", ["X02"], pseudonym=name)
            return await client.ask("X02", "P14", pseudonym=name, case=cases[who])

    await ask(OTHER)
    await ask(ONE)
    assert isinstance(told[0].values["grade"], SealedValue if request.param == "sealed" else PlainValue)
    return ask


def with_field(line, value, name="grade"):
    return replace(line, values={**line.values, name: value})


def forged(line, _earlier):
    value = line.values["grade"]
    if isinstance(value, PlainValue):
        return with_field(line, replace(value, value="12"))
    return with_field(line, SealedValue(bytes([value.ciphertext[0] ^ 1]) + value.ciphertext[1:]))


def truncated(line, _earlier):
    value = line.values["grade"]
    if isinstance(value, PlainValue):
        return with_field(line, replace(value, salt=value.salt[:-1]))
    return with_field(line, SealedValue(value.ciphertext[:-1]))


def within(line, _earlier):
    return with_field(with_field(line, line.values["stage"]), line.values["grade"], "stage")


ALTERATIONS = {
    "a field of another child's record": lambda line, earlier: with_field(line, earlier[0].values["grade"]),
    "a field of an earlier answer about the same child": lambda line, earlier: with_field(
        line, earlier[1].values["grade"]
    ),
    "two fields exchanged within the record": within,
    "a forged field": forged,
    "a field shown the other way": lambda line, _earlier: (
        with_field(line, PlainValue("12", bytes(16)))
        if isinstance(line.values["grade"], SealedValue)
        else with_field(line, SealedValue(bytes(96)))
    ),
    "a cut field": truncated,
    "a field that nobody signed": lambda line, _earlier: with_field(line, line.values["grade"], "school_name"),
    "the record of another child": lambda line, earlier: replace(earlier[0], subject=line.subject),
    "the record of an earlier request": lambda _line, earlier: earlier[1],
    "another record's signature": lambda line, earlier: replace(
        line, sealing=replace(line.sealing, signature=earlier[1].sealing.signature)
    ),
}


async def test_every_alteration_is_refused_and_a_dropped_field_is_not(asking):
    for name, alter in ALTERATIONS.items():
        try:
            answer = await asking(ONE, alter)
        except AnswerRejected as rejected:
            assert (name, rejected.code) in {(name, "seal_invalid"), (name, "answer_malformed")}
            continue
        pytest.fail(f"{name}: {sorted(answer.values)} was believed")
    answer = await asking(ONE, lambda line, _earlier: drop(line, {"grade"}))
    assert "grade" not in answer.values
    assert answer.values
    assert (await asking(ONE)).values["grade"] == "02"
