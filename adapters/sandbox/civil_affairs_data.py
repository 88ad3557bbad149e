"""Civil affairs' tables and views, and the rows of one population in them.

Rules kept here: local names are pinyin in tables and Chinese in views, as found in the field, and leave the department nowhere;
the front-end machine's own account (`qianzhi`) reads two views, writes one table, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from adapters.sandbox.population import Population

SCHEMA = (
    """CREATE TABLE et_jbxx (dah text PRIMARY KEY, xm text, xb text, mz text, csrq date, zjhm text, lsbh text, xzqh text,
       dz text, lb text, zt text, gxrq date)""",
    "CREATE TABLE et_jhr (dah text, xh integer, xm text, gx text, dh text, zjhm text, PRIMARY KEY (dah, xh))",
    "CREATE TABLE tz_zdga (tzbh text PRIMARY KEY, dah text, jrlx text, zrbm text, fabh text, zt text, xcrq date)",
    "CREATE TABLE jh_sjx (xxbh text PRIMARY KEY, sx text, dah text, jm text, nr text, jssj text)",
    """CREATE VIEW v_et_gx AS SELECT j.dah AS "档案编号", j.xm AS "姓名", j.xb AS "性别", j.mz AS "民族", j.csrq AS "出生日期",
       j.zjhm AS "身份证号", j.lsbh AS "临时编号", j.xzqh AS "现居住地区划", j.dz AS "现居住地址", j.lb AS "保障类别",
       j.zt AS "在册状态", j.gxrq AS "更新日期", g.xm AS "监护人姓名", g.gx AS "监护人关系", g.dh AS "监护人电话"
       FROM et_jbxx j LEFT JOIN et_jhr g ON g.dah = j.dah AND g.xh = 1""",
    """CREATE VIEW v_tz_gx AS SELECT t.dah AS "档案编号", t.tzbh AS "台账编号", t.jrlx AS "进入类型", t.zrbm AS "责任部门",
       t.fabh AS "方案编号", t.zt AS "台账状态", t.xcrq AS "下次行动日期", j.xzqh AS "现居住地区划", j.csrq AS "出生日期"
       FROM tz_zdga t JOIN et_jbxx j ON j.dah = t.dah""",
    "CREATE INDEX i_tz_dah ON tz_zdga (dah)",
)

COLUMNS = {
    "et_jbxx": ("dah", "xm", "xb", "mz", "csrq", "zjhm", "lsbh", "xzqh", "dz", "lb", "zt", "gxrq"),
    "et_jhr": ("dah", "xh", "xm", "gx", "dh", "zjhm"),
    "tz_zdga": ("tzbh", "dah", "jrlx", "zrbm", "fabh", "zt", "xcrq"),
}

ACCOUNT = (
    "CREATE ROLE qianzhi LOGIN",
    "GRANT SELECT ON v_et_gx, v_tz_gx TO qianzhi",
    "GRANT SELECT, INSERT ON jh_sjx TO qianzhi",
)

Row = tuple[str | int | date | None, ...]


def rows(population: Population) -> Iterator[tuple[str, Row]]:
    """(table, row) for every child that civil affairs keeps a file on."""
    for c in population.children:
        if not c.known_to_civil_affairs:
            continue
        yield (
            "et_jbxx",
            (
                c.civil_key, c.name, c.sex, c.ethnic, c.born, c.identifier, c.issued, c.region, c.address,
                c.status_class, "1" if c.in_programme else "0", c.updated,
            ),
        )  # fmt: skip
        for n, g in enumerate(c.guardians, start=1):
            yield "et_jhr", (c.civil_key, n, g.name, g.relation, g.phone, g.identifier)
        if c.care is not None:
            k = c.care
            yield (
                "tz_zdga",
                (k.register_id, c.civil_key, ",".join(k.reasons), k.responsible, k.plan_id, k.status, k.next_action),
            )
