"""Checks of mapping, secrets, system, register and directory."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from adapters.base import mapping as mappings
from adapters.base.source import Wanted
from adapters.contract.checks import check, every, hold, refused
from adapters.contract.kit import Kit, Skipped
from adapters.edge.sources import FhirSource, RestSource, SftpSource, SoapSource, VendorSource
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from keys import text
from keys.identifiers import identify

_RID = re.compile(r"\d{17}[\dX]|[GJL]\d{17}[\dX]")
_DIAGNOSIS = "diagnosis"


@check("mapping.department", "映射文件属于本部门", "the mapping is this department's")
async def _(kit: Kit) -> None:
    hold(kit.mapping.department is kit.settings.party.department, "another_department")


@check("mapping.serves_something", "至少提供或接收一个共享事项", "something is provided or received")
async def _(kit: Kit) -> None:
    hold(bool(kit.mapping.exchanges or kit.mapping.inbound), "nothing_mapped")


@check("mapping.exchanges_served", "映射的共享事项均已启用", "every mapped exchange is served")
async def _(kit: Kit) -> None:
    names = [n for n in (*kit.mapping.exchanges, *kit.mapping.inbound) if str(kit.exchanges[n].state) != "served"]
    hold(not names, "declared_only", ",".join(sorted(names)))


@check("mapping.required_fields", "必填字段均有映射", "every required field is mapped")
async def _(kit: Kit) -> None:
    for name, mapped in kit.mapping.exchanges.items():
        lacking = [f for f, d in kit.exchanges[name].fields.items() if d.required and f not in mapped.fields]
        hold(not lacking, "required_field_unmapped", f"{name}.{','.join(lacking)}")


@check("mapping.coded_fields", "代码字段经代码表转换或为目录代码", "coded fields give the catalogue's codes")
async def _(kit: Kit) -> None:
    for name, records in kit.shown.items():
        for record in records.values():
            for field, value in record.values.items():
                allowed = kit.exchanges[name].fields[field].values
                given = value if isinstance(value, list) else [value]
                hold(not allowed or all(str(v) in allowed for v in given), "code_outside_catalogue", f"{name}.{field}")


@check("mapping.key_is_no_field", "记录键不作为共享字段", "no record key is shared as a field")
async def _(kit: Kit) -> None:
    for name, mapped in kit.mapping.exchanges.items():
        if kit.exchanges[name].personal:
            taken = [f for f, m in mapped.fields.items() if m.local == mapped.resource.key]
            hold(not taken, "key_shared", f"{name}.{','.join(taken)}")


@check("mapping.number_is_no_field", "证件号码只用于身份类字段", "identity numbers are shared in identity fields only")
async def _(kit: Kit) -> None:
    numbers = {local for _, local in kit.mapping.numbers}
    for name, mapped in kit.mapping.exchanges.items():
        for field, m in mapped.fields.items():
            identity = kit.exchanges[name].fields[field].field_class == "identity"
            hold(identity or m.local not in numbers, "number_shared", f"{name}.{field}")


@check("mapping.no_diagnosis", "群团组织不映射诊断", "a people's organisation maps no diagnosis")
async def _(kit: Kit) -> None:
    if kit.mapping.department not in (Department.YOUTH_LEAGUE, Department.WOMENS_FEDERATION):
        raise Skipped
    for name, mapped in kit.mapping.exchanges.items():
        shared = [f for f in mapped.fields if kit.exchanges[name].fields[f].field_class == _DIAGNOSIS]
        hold(not shared, "diagnosis_mapped", f"{name}.{','.join(shared)}")


@check("mapping.mistakes_refused", "错误的映射拒绝启动", "a mistaken mapping refuses to start")
async def _(kit: Kit) -> None:
    document = {
        "department": str(kit.mapping.department), "charset": "utf-8", "resources": {}, "identity": {}, "codes": {},
        "exchanges": {}, "surprise": 1,
    }  # fmt: skip

    async def start() -> None:
        mappings.parse(document, kit.exchanges)

    await refused(start(), "mapping_invalid")


@check("secrets.modes", "密钥与口令文件仅本人可读", "keys and secrets are readable by their owner only")
async def _(kit: Kit) -> None:
    tls = kit.settings.tls
    secrets = [*_secrets(kit), *([tls.key] if tls is not None else [])]
    hold(not [p for p in secrets if p.exists() and p.stat().st_mode & 0o077], "mode_open")


def _secrets(kit: Kit) -> list[Path]:
    match kit.settings.source:
        case RestSource() as given:
            return [given.app_secret, *([given.screening_secret] if given.screening_secret else [])]
        case FhirSource(_, token) | SoapSource(_, token, _) | VendorSource(_, token, None):
            return [token]
        case VendorSource(_, token, webhook):
            return [token, *([webhook] if webhook else [])]
        case SftpSource() as given:
            return [given.key]
        case _:
            return []


@check("system.answers", "业务系统应答", "the departmental system answers")
async def _(kit: Kit) -> None:
    await kit.register.probe()


@check("system.health", "健康检查如实报告", "the health check tells the truth")
async def _(kit: Kit) -> None:
    hold((await kit.source.health()).ok, "unhealthy")


@check("register.has_people", "名册非空", "the register is not empty")
async def _(kit: Kit) -> None:
    hold(bool(kit.people), "empty_register")


@check("register.keys_unique", "记录键唯一", "record keys are unique")
async def _(kit: Kit) -> None:
    keys = [p.key for p in kit.people]
    hold(len(set(keys)) == len(keys), "key_twice", str(len(keys) - len(set(keys))))


@check("register.order_stable", "两次读取名册顺序一致", "two readings of the register give the same order")
async def _(kit: Kit) -> None:
    again = [person.key async for person in kit.register.people()]
    hold(again == [p.key for p in kit.people], "order_changed")


@check("register.key_is_no_number", "记录键不含证件号码或学籍号", "no record key is an identity or pupil number")
async def _(kit: Kit) -> None:
    hold(not any(_RID.search(p.key) for p in kit.people), "key_is_identifier")


@check("register.kinds_mapped", "证件类型与映射一致", "identifier kinds are those of the mapping")
async def _(kit: Kit) -> None:
    known = {kind for kind, _ in kit.mapping.numbers}
    hold(all(kind in known for p in kit.people for kind, _ in p.numbers), "kind_unmapped")


@check("register.numbers_valid", "至少九成记录有有效证件号码", "nine records in ten have a valid identifier")
async def _(kit: Kit) -> None:
    good = sum(any(_valid(kind, value) for kind, value in p.numbers) for p in kit.people)
    hold(good * 10 >= len(kit.people) * 9, "numbers_invalid", f"{good}/{len(kit.people)}")


def _valid(kind: str, value: str) -> bool:
    try:
        identify(kind, value)
    except BadRequest:
        return False
    return True


@check("register.reads_what_is_wanted", "只返回所要的记录", "only wanted records come back")
async def _(kit: Kit) -> None:
    for name in every(kit):
        key = next(iter(kit.shown[name]))
        wanted = Wanted(name, (key,), frozenset(kit.mapping.exchanges[name].fields))
        hold(set(await kit.register.read(wanted)) <= {key}, "unwanted_record", name)


@check("register.fields_wanted", "只返回所要的字段", "only wanted fields come back")
async def _(kit: Kit) -> None:
    for name in every(kit):
        keys = tuple(list(kit.shown[name])[:20])
        for field in sorted(kit.mapping.exchanges[name].fields):
            found = await kit.register.read(Wanted(name, keys, frozenset({field})))
            hold(all(set(r.values) <= {field} for r in found.values()), "unwanted_field", f"{name}.{field}")


@check("register.no_fields", "不要字段时不返回任何值", "no field wanted, no value given")
async def _(kit: Kit) -> None:
    for name in every(kit):
        keys = tuple(list(kit.shown[name])[:5])
        found = await kit.register.read(Wanted(name, keys, frozenset()))
        hold(not any(r.values for r in found.values()), "unwanted_field", name)


@check("register.absent", "不存在的记录不返回", "a record that does not exist is left out")
async def _(kit: Kit) -> None:
    for name in every(kit):
        found = await kit.register.read(Wanted(name, ("KIT-0000000",), frozenset(kit.mapping.exchanges[name].fields)))
        hold(not found, "invented_record", name)


@check("register.regions", "每条记录有六位以上区划", "every record has a region of six digits or more")
async def _(kit: Kit) -> None:
    for name in every(kit):
        bad = sum(not re.fullmatch(r"[1-9]\d{5,11}", r.region) for r in kit.shown[name].values())
        hold(not bad, "region_invalid", f"{name}: {bad}")


@check(
    "register.birth_only_when_wanted",
    "仅在核对年龄段时读取出生日期",
    "the birth date is read only to hold an age band against it",
)
async def _(kit: Kit) -> None:
    for name in every(kit):
        keys = tuple(list(kit.shown[name])[:5])
        found = await kit.register.read(Wanted(name, keys, frozenset(), birth=False))
        hold(all(r.born is None for r in found.values()), "birth_unasked", name)


@check("register.rereads_alike", "同一记录两次读取一致", "one record reads alike twice")
async def _(kit: Kit) -> None:
    for name in every(kit):
        keys = tuple(list(kit.shown[name])[:20])
        wanted = Wanted(name, keys, frozenset(kit.mapping.exchanges[name].fields))
        one, two = await kit.register.read(wanted), await kit.register.read(wanted)
        hold(
            {k: dict(r.values) for k, r in one.items()} == {k: dict(r.values) for k, r in two.items()},
            "values_changed",
            name,
        )


@check("register.text_composed", "文本为规范组合形式且无控制字符", "text is composed and free of control characters")
async def _(kit: Kit) -> None:
    import unicodedata

    for name in every(kit):
        for record in kit.shown[name].values():
            for field, value in record.values.items():
                for part in value if isinstance(value, list) else [value]:
                    good = not isinstance(part, str) or (
                        unicodedata.is_normalized("NFC", part)
                        and "\ufffd" not in part
                        and not any(ord(c) < 32 and c not in "\t\n" for c in part)
                    )
                    hold(good, "text_damaged", f"{name}.{field}")


@check("directory.enrols", "名册可登记", "the register enrols")
async def _(kit: Kit) -> None:
    hold(kit.directory.size > 0, "nothing_enrolled")


@check("directory.resumes", "再次登记不重复求值", "a second enrolment evaluates nothing")
async def _(kit: Kit) -> None:
    calls = 0

    async def counted(points: object, grant: str | None) -> object:
        nonlocal calls
        calls += 1
        return await kit.evaluate(points, grant)  # type: ignore[arg-type]

    await kit.source.enrol(counted, None)  # type: ignore[arg-type]
    hold(calls == 0, "evaluated_again", str(calls))


@check("directory.agrees", "对照表与名册一致", "the directory agrees with the register")
async def _(kit: Kit) -> None:
    scope = Scope.open(kit.settings.party.department)
    for person in kit.people[:100]:
        first = next(((k, v) for k, v in person.numbers if _valid(k, v)), None)
        held = kit.directory.pseudonym(person.key)
        if first is not None and held is not None:
            hold(text.write(kit.ring.derive(scope, identify(*first))) == held, "directory_differs")


@check("directory.no_conflicts", "一个号码只对应一条记录", "one identifier belongs to one record")
async def _(kit: Kit) -> None:
    numbers = [next((n for n in p.numbers if _valid(*n)), None) for p in kit.people]
    named = [n for n in numbers if n is not None]
    hold(len(set(named)) == len(named), "number_twice", str(len(named) - len(set(named))))


@check("directory.holds_no_identifier", "对照表不含证件号码", "the directory file holds no identifier")
async def _(kit: Kit) -> None:
    (path,) = [row[2] for row in kit.directory._db.execute("PRAGMA database_list") if row[1] == "main"]
    data = b"".join(p.read_bytes() for p in Path(path).parent.glob(Path(path).name + "*"))
    hold(not any(v.encode() in data for p in kit.people[:500] for _, v in p.numbers), "identifier_stored")


@check("directory.private", "对照表仅本人可读", "the directory is readable by its owner only")
async def _(kit: Kit) -> None:
    own = kit.settings.directory
    if not own.exists():
        raise Skipped
    hold(own.stat().st_mode & 0o077 == 0, "mode_open")


@check("directory.of_this_department", "现有对照表属于本部门", "the edge's own directory is this department's")
async def _(kit: Kit) -> None:
    own = kit.settings.directory
    if not own.exists():
        raise Skipped
    with sqlite3.connect(f"file:{own}?mode=ro", uri=True) as db:
        (department,) = db.execute("SELECT value FROM meta WHERE name = 'department'").fetchone()
    hold(department == str(kit.settings.party.department), "another_department")
