"""Checks of orders: what is answered, in which form, what is refused, what injection does, what load does."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

from adapters.base.source import Inbound, InboundLine, Wanted
from adapters.contract.checks import check, every, hold, refused
from adapters.contract.kit import Kit, Skipped
from gateway.domain.orders import SealedValue
from gateway.domain.vocabulary import AgeBand
from gateway.errors import GatewayError, ProviderFault
from keys.signing import SigningKey

NOBODY = "1" + "q" * 58
INJECTIONS = {
    "sql": "' OR '1'='1",
    "sql_comment": "x'; DROP TABLE students; --",
    "fhir_search": "p1,p2&_elements=name",
    "fhir_modifier": "p1|http://x",
    "json": '{"$ne": null}',
    "xml": "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>&x;",
    "formula": '=HYPERLINK("http://x")',
    "path": "../../etc/passwd",
    "wide": "𠮷𠮷",
    "long": "x" * 5000,
}


async def _answered(
    kit: Kit, name: str, grants: dict[str, str] | None = None, most: int = 20
) -> tuple[dict[int, dict[str, object]], bytes]:
    subjects = kit.subjects(name, most)
    release, data = await kit.asked(kit.order(name, subjects, grants))
    return {line.number: dict(kit.opened(release, line.number)) for line in release.lines}, data


def _ordered(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, list) else value


def _values(name: str, kit: Kit) -> dict[str, str]:
    grants = kit.grants(name)
    return {field: text for field, text in grants.items() if text != "pseudonymise"}


@check("orders.answered", "取数单得到答复", "an order is answered")
async def _(kit: Kit) -> None:
    for name in every(kit):
        lines, _ = await _answered(kit, name)
        hold(bool(lines), "nothing_answered", name)


@check("orders.fields_ordered", "只释放所令字段", "only ordered fields leave")
async def _(kit: Kit) -> None:
    for name in every(kit):
        for field in sorted(_values(name, kit)):
            lines, _ = await _answered(kit, name, {field: "clear+sealed"}, 3)
            hold(all(set(values) <= {field} for values in lines.values()), "surplus_field", f"{name}.{field}")


@check("orders.required_present", "必填字段有值", "required fields have values")
async def _(kit: Kit) -> None:
    for name in every(kit):
        required = {f for f, d in kit.exchanges[name].fields.items() if d.required and d.type != "record_id"}
        lines, _ = await _answered(kit, name)
        full = sum(required <= set(values) for values in lines.values())
        hold(full > 0, "required_missing", name)


@check("orders.values_as_read", "封装未改变取值", "sealing changes no value")
async def _(kit: Kit) -> None:
    for name in every(kit):
        subjects = kit.subjects(name, 5)
        release, _ = await kit.asked(kit.order(name, subjects, _values(name, kit)))
        for line in release.lines:
            key = kit.directory.record(subjects[line.number - 1])
            read = {f: v for f, v in kit.shown[name][str(key)].values.items() if f in _values(name, kit)}
            # A list of codes is a set: the reducer gives it in its own order.
            got = {f: _ordered(v) for f, v in kit.opened(release, line.number).items()}
            hold(got == {f: _ordered(v) for f, v in read.items()}, "value_changed", name)


@check("orders.sealed", "密封字段不见明文", "a sealed field shows no plain text")
async def _(kit: Kit) -> None:
    for name in every(kit):
        release, _ = await kit.asked(kit.order(name, kit.subjects(name, 20), _values(name, kit)))
        for line in release.lines:
            plain = [field for field, value in line.values.items() if not isinstance(value, SealedValue)]
            hold(not plain, "plain_text", f"{name}.{','.join(plain)}")


@check("orders.suppressed", "抑制字段不释放", "a suppressed field does not leave")
async def _(kit: Kit) -> None:
    for name in every(kit):
        first = min(_values(name, kit))
        lines, _ = await _answered(kit, name, {first: "suppress"}, 3)
        hold(not any(values for values in lines.values()), "suppressed_left", f"{name}.{first}")


@check("orders.no_local_names", "答复不含本地字段名", "an answer names no local field")
async def _(kit: Kit) -> None:
    for name in every(kit):
        _, data = await _answered(kit, name)
        mapped = kit.mapping.exchanges[name]
        known = set(kit.exchanges[name].fields) | {"region", "status", "references", "line", "subject"}
        names = {m.local for m in mapped.fields.values()} | {mapped.resource.key}
        said = data.decode()
        hold(not [n for n in names - known if len(n) > 3 and f'"{n}"' in said], "local_name_left", name)


@check("orders.no_record_keys", "答复不含记录键与证件号码", "an answer holds no record key and no identity number")
async def _(kit: Kit) -> None:
    for name in every(kit):
        _, data = await _answered(kit, name)
        said = data.decode()
        secrets = [k for k in kit.shown[name] if len(k) > 5] + [v for p in kit.people[:500] for _, v in p.numbers]
        hold(not any(secret in said for secret in secrets), "key_left", name)


@check("orders.absent_missing", "名册没有的儿童答“缺”", "a child whom nobody knows is missing")
async def _(kit: Kit) -> None:
    for name in every(kit):
        release, _ = await kit.asked(kit.order(name, [NOBODY]))
        hold(release.missing == (1,) and not release.lines, "absent_answered", name)


@check("orders.outside_region", "许可区划之外答“缺”", "a record outside the permitted region is missing")
async def _(kit: Kit) -> None:
    for name in every(kit):
        release, _ = await kit.asked(kit.order(name, kit.subjects(name, 5), regions=("99",)))
        hold(not release.lines, "region_ignored", name)


@check("orders.no_region", "未许可任何区划则不答", "no permitted region, no answer")
async def _(kit: Kit) -> None:
    for name in every(kit):
        release, _ = await kit.asked(kit.order(name, kit.subjects(name, 3), regions=()))
        hold(not release.lines, "region_ignored", name)


@check("orders.absent_looks_alike", "不存在与区划外形式相同", "absent and outside look alike")
async def _(kit: Kit) -> None:
    name = every(kit)[0]
    absent, _ = await kit.asked(kit.order(name, [NOBODY]))
    outside, _ = await kit.asked(kit.order(name, kit.subjects(name, 1), regions=("99",)))
    hold(
        (absent.missing, absent.lines, absent.surplus) == (outside.missing, outside.lines, outside.surplus),
        "distinguishable",
    )


@check("orders.age_band", "年龄段不符则拒绝", "a contradicted age band is refused")
async def _(kit: Kit) -> None:
    for name in every(kit):
        born = [(k, r.born) for k, r in kit.shown[name].items() if r.born is not None]
        if not born:
            raise Skipped
        key, day = born[0]
        years = time.localtime().tm_year - day.year
        wrong = AgeBand.A16_17 if years < 14 else AgeBand.A0_7
        subject = kit.directory.pseudonym(key)
        await refused(kit.asked(kit.order(name, [str(subject)], band=wrong)), "age_band_contradicted")


@check("orders.batch", "一次取 200 条", "two hundred records in one order")
async def _(kit: Kit) -> None:
    for name in every(kit):
        subjects = kit.subjects(name)
        release, _ = await kit.asked(kit.order(name, subjects))
        hold(len(release.lines) + len(release.missing) == len(subjects), "lines_lost", name)
        hold(len(release.lines) * 10 >= len(subjects) * 9, "lines_missing", name)


@check("orders.same_child_twice", "同一儿童两行均答复", "one child on two lines is answered twice")
async def _(kit: Kit) -> None:
    name = every(kit)[0]
    (subject,) = kit.subjects(name, 1)
    release, _ = await kit.asked(kit.order(name, [subject, subject]))
    hold(len(release.lines) == 2, "line_lost")


@check("orders.side_by_side", "并发取数互不串行", "orders side by side do not mix")
async def _(kit: Kit) -> None:
    name = every(kit)[0]
    subjects = kit.subjects(name, 10)
    answers = await asyncio.gather(*(kit.asked(kit.order(name, [s])) for s in subjects))
    got = [line.subject for release, _ in answers for line in release.lines]
    hold(got == subjects[: len(got)] and len(got) == len(subjects), "answers_mixed")


# --- refusals ---------------------------------------------------------------------------------------------------------------


def _plain(kit: Kit) -> tuple[str, list[str]]:
    name = every(kit)[0]
    return name, kit.subjects(name, 1)


@check("refusals.unsigned", "无签名拒绝", "an unsigned order is refused")
async def _(kit: Kit) -> None:
    body, _ = kit.signed(kit.order(*_plain(kit)))
    await refused(kit.door.answer(body, ""), "order_unsigned")


@check("refusals.other_key", "他人签名拒绝", "an order signed by another key is refused")
async def _(kit: Kit) -> None:
    await refused(kit.door.answer(*kit.signed(kit.order(*_plain(kit)), SigningKey.generate())), "order_unsigned")


@check("refusals.altered", "改动一个字节拒绝", "an altered order is refused")
async def _(kit: Kit) -> None:
    body, signature = kit.signed(kit.order(*_plain(kit)))
    await refused(kit.door.answer(body.replace(b"kit-", b"kiT-"), signature), "order_unsigned")


@check("refusals.stale", "过期取数单拒绝", "an order past its time is refused")
async def _(kit: Kit) -> None:
    await refused(kit.asked(kit.order(*_plain(kit), life=-600)), "order_stale")


@check("refusals.long_life", "时限过长拒绝", "an order with too long a life is refused")
async def _(kit: Kit) -> None:
    await refused(kit.asked(kit.order(*_plain(kit), life=86_400)), "order_stale")


@check("refusals.replay", "重放拒绝", "a replayed order is refused")
async def _(kit: Kit) -> None:
    signed = kit.signed(kit.order(*_plain(kit)))
    await kit.door.answer(*signed)
    await refused(kit.door.answer(*signed), "order_replayed")


@check("refusals.misdirected", "发给他人的取数单拒绝", "an order for somebody else is refused")
async def _(kit: Kit) -> None:
    order = kit.order(*_plain(kit))
    other = replace(order.provider, organisation="11330106MB0000001H")
    await refused(kit.asked(replace(order, provider=other)), "order_misdirected")


@check("refusals.unserved_exchange", "未提供的共享事项拒绝", "an exchange that is not provided is refused")
async def _(kit: Kit) -> None:
    order = kit.order(*_plain(kit))
    other = next(n for n in sorted(kit.exchanges) if n not in kit.mapping.exchanges)
    await refused(kit.asked(replace(order, exchange=other)), "order_unserved")


@check("refusals.unserved_field", "目录外字段拒绝", "a field outside the catalogue is refused")
async def _(kit: Kit) -> None:
    order = kit.order(*_plain(kit))
    grants = {**order.grants, "surprise": next(iter(order.grants.values()))}
    await refused(kit.asked(replace(order, grants=grants)), "order_unserved", "wire_invalid")


@check("refusals.other_purpose", "用途不符拒绝", "another purpose is refused")
async def _(kit: Kit) -> None:
    await refused(kit.asked(replace(kit.order(*_plain(kit)), purpose="P99")), "order_unserved")


@check("refusals.other_recipient", "接收部门不符拒绝", "a recipient who may not receive is refused")
async def _(kit: Kit) -> None:
    order = kit.order(*_plain(kit))
    wrong = replace(order.recipient, organisation="11330106MB0000002D")
    await refused(kit.asked(replace(order, recipient=wrong)), "order_unserved")


@check("refusals.malformed", "畸形内容拒绝", "a malformed order is refused")
async def _(kit: Kit) -> None:
    for body in (b"", b"[]", b"{}", b'{"a":1,"a":2}', b"\xff\xfe", b"[" * 5000, b'{"request":"\x00"}'):
        await refused(kit.door.answer(body, _signature(kit, body)), "wire_invalid")


@check("refusals.too_large", "过大取数单拒绝", "an order that is too large is refused")
async def _(kit: Kit) -> None:
    body = b" " * (600 * 1024)
    await refused(kit.door.answer(body, _signature(kit, body)), "order_too_large")


def _signature(kit: Kit, body: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(kit.gateway.sign(body)).rstrip(b"=").decode()


@check("refusals.unmapped_message", "未映射的投递拒收", "a message of an unmapped exchange is rejected")
async def _(kit: Kit) -> None:
    other = next(n for n in sorted(kit.exchanges) if n not in kit.mapping.inbound)
    line = InboundLine(1, None, None, {}, {})
    said = await kit.source.receive(Inbound("kit-1", other, "P01", kit.settings.party, {}, (line,)))
    hold(said.status == "rejected", "not_rejected")


@check("refusals.unmapped_field", "含未映射字段的投递拒收", "a message with an unmapped field is rejected")
async def _(kit: Kit) -> None:
    if not kit.mapping.inbound:
        raise Skipped
    name = min(kit.mapping.inbound)
    line = InboundLine(1, None, None, {}, {"surprise": "x"})
    said = await kit.source.receive(Inbound("kit-2", name, "P01", kit.settings.party, {}, (line,)))
    hold((said.status, said.code) == ("rejected", "field_unmapped"), "not_rejected", name)


@check("refusals.say_nothing", "拒绝不回显请求", "a refusal echoes nothing")
async def _(kit: Kit) -> None:
    name, subjects = _plain(kit)
    try:
        await kit.asked(kit.order(name, subjects, life=-600))
    except GatewayError as error:
        hold(subjects[0] not in json.dumps(error.facts) + str(error) + repr(error), "echoed")


# --- injection and load -------------------------------------------------------------------------------------------------------


def _injection(label: str, text: str) -> None:
    @check(
        f"injection.{label}",
        f"注入字符串（{label}）当作普通值",
        f"an injected string ({label}) is a value like any other",
    )
    async def _(kit: Kit) -> None:
        for name in every(kit):
            key = next(iter(kit.shown[name]))
            wanted = Wanted(name, (text,), frozenset(kit.mapping.exchanges[name].fields))
            try:
                hold(not await kit.register.read(wanted), "injected_record", name)
            except ProviderFault as fault:
                hold(fault.code in ("provider_refused", "provider_garbage"), "wrong_code", fault.code)
            still = await kit.register.read(replace(wanted, keys=(key,)))
            hold(set(still) == {key}, "system_damaged", name)


for _label, _text in INJECTIONS.items():
    _injection(_label, _text)


@check("injection.nul", "含 NUL 的键不致故障", "a key with NUL does no harm")
async def _(kit: Kit) -> None:
    for name in every(kit):
        wanted = Wanted(name, ("K\x00IT",), frozenset(kit.mapping.exchanges[name].fields))
        try:
            hold(not await kit.register.read(wanted), "injected_record", name)
        except ProviderFault as fault:
            codes = ("provider_refused", "provider_garbage", "provider_unavailable")
            hold(fault.code in codes, "wrong_code", fault.code)
        hold((await kit.source.health()).ok, "system_damaged", name)


@check("load.single", "单条取数的中位时间不超过一秒", "the median of single reads is at most a second")
async def _(kit: Kit) -> None:
    name = every(kit)[0]
    took = []
    for subject in kit.subjects(name, 9):
        started = time.perf_counter()
        await kit.asked(kit.order(name, [subject]))
        took.append(time.perf_counter() - started)
    hold(sorted(took)[len(took) // 2] <= 1.0, "too_slow", f"{sorted(took)[len(took) // 2]:.2f} s")


@check("load.time_limit", "整批取数在时限内", "a batch keeps within the time limit")
async def _(kit: Kit) -> None:
    name = every(kit)[0]
    started = time.perf_counter()
    await kit.asked(kit.order(name, kit.subjects(name)))
    hold(time.perf_counter() - started <= kit.settings.limits.seconds, "too_slow")


@check("describe.catalogue_names", "自述只含目录名称", "the description names the catalogue only")
async def _(kit: Kit) -> None:
    said = kit.source.describe()
    known = all(set(fields) <= set(kit.exchanges[name].fields) for name, fields in said.provides.items())
    hold(known and set(said.receives) <= set(kit.exchanges), "local_name_told")
