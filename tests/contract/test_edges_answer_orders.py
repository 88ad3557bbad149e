"""Both edges over their real systems: what an order gets, and what it does not."""

import json

import pytest

from adapters.base.source import Inbound, InboundLine
from gateway.errors import BadRequest, Denied, NotAuthenticated, ProviderFault
from tests.contract.orders import CIVIL_AFFAIRS, EDUCATION, X01, X02

pytestmark = pytest.mark.anyio


async def test_every_identified_child_is_enrolled_once_and_a_second_run_evaluates_nothing(school, population):
    first = await school.enrol()
    known = [c for c in population.children if c.known_to_education]
    assert first.seen == len(known)
    assert first.enrolled + first.unidentified == first.seen
    assert first.unidentified == sum(
        1 for c in known if c.number in population.miscopied or (c.issued and not c.known_to_civil_affairs)
    )
    asked = []

    async def evaluate(points, grant):
        asked.append(points)
        return await school.evaluate(points, grant)

    second = await school.source.enrol(evaluate, None)
    assert (second.enrolled, second.kept, asked) == (0, first.enrolled, [])


async def test_education_answers_the_ordered_fields_of_a_pupil(school, players):
    await school.enrol()
    release = await school.asked("X02", "P14", [players.pupil], X02)
    values = school.opened(release)
    pupil = players.pupil
    assert set(values) == set(X02)
    assert values["enrolled"] == "Y"
    assert values["school_org_code"] == pupil.school.code
    assert values["stage"] == {"2": "primary", "3": "junior"}[pupil.stage]
    assert values["as_of"] == pupil.updated.isoformat()
    assert release.lines[0].region == "330106"
    assert release.missing == ()


async def test_civil_affairs_answers_the_ordered_fields_of_a_child(civil, players):
    await civil.enrol()
    release = await civil.asked("X01", "P06", [players.pupil, players.left], X01)
    assert civil.opened(release, 1)["in_programme"] == "Y"
    assert civil.opened(release, 2)["in_programme"] == "N"


async def test_only_the_class_that_is_ordered_is_answered(civil, population):
    await civil.enrol()
    children = [
        next(c for c in population.children if c.status_class == code and c.identifier and c.county == "330106")
        for code in ("31", "20")
    ]
    grants = {"in_programme": "answer_only", "status_class": "answer_only:class=left_behind"}
    release = await civil.asked("X01", "P06", children, grants)
    assert civil.opened(release, 1)["status_class"] == "left_behind"
    assert "status_class" not in civil.opened(release, 2)


async def test_absent_unknown_and_outside_the_region_look_alike(school, players):
    await school.enrol()
    nobody = "edo1" + "1" + "q" * 58
    release = await school.asked("X02", "P14", [players.outside, nobody], X02)
    assert (release.lines, release.missing) == ((), (1, 2))
    release = await school.asked("X02", "P14", [players.pupil], X02, regions=())
    assert (release.lines, release.missing) == ((), (1,))


async def test_a_sealed_field_is_ciphertext_and_opens_for_the_recipient(school, players):
    await school.enrol()
    release = await school.asked("X02", "P14", [players.pupil], {**X02, "grade": "clear+sealed"})
    assert hasattr(release.lines[0].values["grade"], "ciphertext")
    assert school.opened(release)["grade"] == f"{(int(players.pupil.stage) - 2) * 6 + int(players.pupil.grade[1]):02d}"


async def test_a_contradicted_age_band_refuses_the_order(school, civil, players):
    await school.enrol()
    await civil.enrol()
    for edge, args in ((school, ("X02", "P14", [players.pupil], X02)), (civil, ("X01", "P06", [players.pupil], X01))):
        with pytest.raises(Denied, match="age_band_contradicted"):
            await edge.asked(*args, band="14-15")
        assert (await edge.asked(*args, band="8-13")).missing == ()


async def test_a_record_outside_the_region_contradicts_no_band(school, players):
    await school.enrol()
    wrong = "0-7" if players.outside.age(__import__("datetime").date.today()) > 9 else "16-17"
    assert (await school.asked("X02", "P14", [players.outside], X02, band=wrong)).missing == (1,)


async def test_a_forged_altered_or_stale_order_is_refused(school, players):
    order = school.order("X02", "P14", [players.pupil], X02)
    body, signature = school.signed(order)
    for forged in ("", "AAAA", signature[:-4] + "AAAA", "é"):
        with pytest.raises(NotAuthenticated, match="order_unsigned"):
            await school.door.answer(body, forged)
    with pytest.raises(NotAuthenticated, match="order_unsigned"):
        await school.door.answer(body.replace(b'"3301"', b'"3302"'), signature)
    for life in (-120, 4000):
        with pytest.raises(Denied, match="order_stale"):
            await school.asked("X02", "P14", [players.pupil], X02, life=life)


async def test_an_order_for_somebody_else_or_of_something_else_is_refused(school, players):
    for expected, args, kwargs in (
        ("order_misdirected", ("X02", "P14", [players.pupil], X02), {"provider": CIVIL_AFFAIRS}),
        ("order_unserved", ("X01", "P06", [players.pupil], X01), {}),
        ("order_unserved", ("X02", "P06", [players.pupil], X02), {}),
        ("order_unserved", ("X02", "P14", [players.pupil], {**X02, "home_address": "clear"}), {}),
        ("order_unserved", ("X02", "P14", [players.pupil], {}), {}),
    ):
        with pytest.raises(Denied, match=expected):
            await school.asked(*args, **kwargs)


async def test_only_mapped_columns_of_the_ordered_fields_are_read(school, school_system, civil, civil_system, players):
    await school.enrol()
    await school.asked("X02", "P14", [players.pupil], {"grade": "clear"})
    line = json.loads(school_system.request_log.read_text().splitlines()[-1])
    assert line["asked"] == {"keys": [players.pupil.school_key], "fields": ["xsbh", "xxqh", "nj"]}
    if civil_system.address.startswith("postgresql"):
        await civil.enrol()
        await civil.asked("X01", "P06", [players.pupil], {"in_programme": "answer_only"})
        statements = civil_system.request_log.read_text().splitlines()
        selects = [s for s in statements if "SELECT" in s and "v_et_gx" in s]
        assert selects, statements[-12:]
        last = selects[-1]
        columns = last.partition("SELECT")[2].partition("FROM")[0]
        assert [c.strip().partition(".")[2] for c in columns.split(",")] == [
            '"档案编号"',
            '"现居住地区划"',
            '"在册状态"',
        ]


async def test_a_value_with_sql_in_it_is_only_a_value(civil, players):
    await civil.enrol()
    hostile = "MZ'; DROP TABLE jh_sjx; --"
    record = await civil.source.local_values("X01", (hostile, players.pupil.civil_key))
    assert list(record) == [players.pupil.civil_key]
    message = _message(hostile, {"risk_band": "warning", "school_contact": "x'); DELETE FROM jh_sjx; --"})
    assert (await civil.source.receive(message)).status == "stored"


def _message(record, values, exchange="X05", delivery="d-1"):
    return Inbound(delivery, exchange, "P01", EDUCATION, {}, (InboundLine(1, "cao1x", record, {}, values),))


async def test_a_message_is_stored_once_under_local_names(civil, civil_system, players):
    import sqlalchemy as sa

    message = _message(players.pupil.civil_key, {"risk_band": "crisis", "urgency": "immediate"}, delivery="d-twice")
    for _ in range(2):
        assert (await civil.source.receive(message)).status == "stored"
    engine = sa.create_engine(civil_system.address.replace("+aiosqlite", ""))
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT dah, nr FROM jh_sjx WHERE xxbh = 'd-twice:1'")).all()
    engine.dispose()
    assert [(dah, json.loads(nr)) for dah, nr in rows] == [
        (players.pupil.civil_key, {"风险等级": "3", "紧急程度": "2"})
    ]


async def test_a_field_that_the_recipient_does_not_map_is_rejected(civil, players):
    acknowledgement = await civil.source.receive(_message(players.pupil.civil_key, {"home_address": "…"}))
    assert (acknowledgement.status, acknowledgement.code) == ("rejected", "field_unmapped")
    acknowledgement = await civil.source.receive(_message(players.pupil.civil_key, {}, exchange="X13"))
    assert (acknowledgement.status, acknowledgement.code) == ("rejected", "order_unserved")


async def test_education_receives_a_slice_of_the_care_register(school, school_system, players):
    line = InboundLine(
        1,
        "edo1x",
        players.pupil.school_key,
        {"register_id": "r-1", "plan_id": "p-1"},
        {"entry_reasons": ["hardship"], "status": "active"},
    )
    message = Inbound("d-13", "X13", "P04", CIVIL_AFFAIRS, {}, (line,))
    assert (await school.source.receive(message)).status == "stored"
    said = json.loads(school_system.request_log.read_text().splitlines()[-1])["asked"]
    assert said["student"] == players.pupil.school_key
    assert said["content"] == {"tzbh": "r-1", "fabh": "p-1", "jryy": ["SHKN"], "tzzt": "active"}


async def test_a_wrong_app_secret_is_a_refusal_by_the_provider(school_system, exchanges):
    from adapters.education.register import RestRegister
    from adapters.education.signature import AppKey
    from tests.contract.orders import mapping_of

    register = RestRegister(school_system.address, AppKey("edge", b"another"), mapping_of("education", exchanges))
    with pytest.raises(ProviderFault, match="provider_refused"):
        await register.probe()
    await register.close()


async def test_an_order_that_is_no_order_is_refused(school):
    body = b'{"request":"r"}'
    import base64

    signature = base64.urlsafe_b64encode(school.gateway.sign(body)).rstrip(b"=").decode()
    with pytest.raises(BadRequest, match="wire_invalid"):
        await school.door.answer(body, signature)


async def test_a_message_about_a_child_without_a_file_is_stored_with_its_pseudonym(civil, civil_system):
    import sqlalchemy as sa

    message = _message(None, {"risk_band": "crisis"}, delivery="d-nobody")
    assert (await civil.source.receive(message)).status == "stored"
    engine = sa.create_engine(civil_system.address.replace("+aiosqlite", ""))
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT dah, jm FROM jh_sjx WHERE xxbh = 'd-nobody:1'")).all()
    engine.dispose()
    assert rows == [(None, "cao1x")]


async def test_the_edges_own_account_reads_no_table_behind_the_views(civil_system, exchanges):
    import dataclasses

    from adapters.base.source import Wanted
    from adapters.civil_affairs.register import SqlRegister
    from tests.contract.orders import mapping_of

    if not civil_system.address.startswith("postgresql"):
        pytest.skip("SQLite has no accounts")
    right = mapping_of("civil_affairs", exchanges)
    behind = dataclasses.replace(right.exchanges["X01"].resource, name="et_jbxx", key="dah", region="xzqh")
    wrong = {**right.exchanges, "X01": dataclasses.replace(right.exchanges["X01"], resource=behind)}
    register = SqlRegister(civil_system.address, dataclasses.replace(right, exchanges=wrong))
    with pytest.raises(ProviderFault, match="provider_refused"):
        await register.read(Wanted("X01", ("MZ1",), frozenset()))
    await register.close()
