"""Sheets in GB18030 and Excel, dropped into a folder: text stays text, bombs are refused, nothing lands twice or by halves."""

import csv
import io
import zipfile
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from adapters.base import mapping, sheets
from adapters.base.drop import DropRegister, template
from adapters.base.source import Inbound, InboundLine, Wanted
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import GatewayFault, ProviderFault
from policies.catalogue import load

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]
HEADINGS = {"编号": "no", "姓名": "name"}


def written(path, lines, charset="gb18030"):
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(lines)
    path.write_bytes(buffer.getvalue().encode(charset))
    return path


def workbook(path, lines):
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    book.save(path)
    return path


def code(call):
    with pytest.raises(ProviderFault) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize(
    "make", [lambda p, rows: written(p / "a.csv", rows), lambda p, rows: workbook(p / "a.xlsx", rows)]
)
def test_a_sheet_is_read_by_heading_and_surplus_columns_are_not(tmp_path, make):
    path = make(tmp_path, [["*编号", "备注", "姓名"], ["1", "秘密", "𠮷·热合曼"], ["", "", ""], ["2", "秘密", "李"]])
    assert list(sheets.rows(path, "gb18030", HEADINGS)) == [{"no": "1", "name": "𠮷·热合曼"}, {"no": "2", "name": "李"}]


FORMULAS = ["=1+1", '=HYPERLINK("http://x")', "@SUM(A1)", "+cmd", "-2+3", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_in_a_csv_stays_text(tmp_path, formula):
    path = written(tmp_path / "a.csv", [["编号", "姓名"], ["1", formula]])
    assert list(sheets.rows(path, "gb18030", HEADINGS)) == [{"no": "1", "name": formula}]


def test_a_formula_in_a_workbook_is_not_evaluated(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["编号", "姓名"], ["1", "=1+1"]])
    (row,) = sheets.rows(path, "gb18030", HEADINGS)
    assert row["name"] != "2"


def test_numbers_and_dates_have_one_plain_form(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["编号", "姓名"], [20261101.0, datetime(2026, 11, 1)], [True, 1.5]])
    assert list(sheets.rows(path, "utf-8", HEADINGS)) == [
        {"no": "20261101", "name": "2026-11-01"},
        {"no": "1", "name": "1.5"},
    ]


def bomb(path, size=400 * 1024 * 1024):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("xl/worksheets/sheet1.xml", "w") as entry,
    ):
        for _ in range(size // (1 << 20)):
            entry.write(b"A" * (1 << 20))
    return path


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = bomb(tmp_path / "a.xlsx", 64 * 1024 * 1024)
    assert path.stat().st_size < 200_000
    assert code(lambda: list(sheets.rows(path, "utf-8", HEADINGS))) == "provider_too_much"


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path):
    path = bomb(tmp_path / "a.xlsx", 8 * 1024 * 1024)
    data = bytearray(path.read_bytes())
    true = (8 * 1024 * 1024).to_bytes(4, "little")
    assert true in data
    path.write_bytes(bytes(data).replace(true, (1000).to_bytes(4, "little")))
    assert code(lambda: list(sheets.rows(path, "utf-8", HEADINGS))) in ("provider_too_much", "provider_garbage")


def test_a_workbook_with_a_dtd_is_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("xl/workbook.xml", '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    assert code(lambda: list(sheets.rows(path, "utf-8", HEADINGS))) == "provider_garbage"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "编号,姓名\n1,张\n".encode("utf-16")),
        ("a.csv", b"\xb1\xe0\xff,\n"),
        ("a.csv", "编号,编号,姓名\n1,2,3\n".encode("gb18030")),
        ("a.csv", "编号\n1\n".encode("gb18030")),
        ("a.csv", "编号,姓名\n1\n".encode("gb18030")),
        ("a.csv", "编号,姓名\n1,a\x00b\n".encode("gb18030")),
        ("a.csv", b""),
        ("a.xlsx", b"PK\x03\x04 no zip"),
        ("a.xlsx", b"<html/>"),
        ("a.txt", b"x"),
    ],
)
def test_what_is_no_sheet_is_garbage(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    assert code(lambda: list(sheets.rows(path, "gb18030", HEADINGS))) == "provider_garbage"


def test_bounds_hold(tmp_path):
    path = written(tmp_path / "a.csv", [["编号", "姓名"], *([str(n), "张"] for n in range(20))])
    assert code(lambda: list(sheets.rows(path, "gb18030", HEADINGS, sheets.Bounds(rows=10)))) == "provider_too_much"
    assert code(lambda: list(sheets.rows(path, "gb18030", HEADINGS, sheets.Bounds(file=10)))) == "provider_too_much"
    long = written(tmp_path / "b.csv", [["编号", "姓名"], ["1", "张" * 40_000]])
    assert code(lambda: list(sheets.rows(long, "gb18030", HEADINGS))) == "provider_garbage"


# --- a folder as a register --------------------------------------------------------------------------------------------------

FORMS = {
    "civil_affairs": (
        {"档案编号": "MZ1", "现居住地区划": "330106101201", "出生日期": "2015-01-02", "身份证号": "11010519491231002X"},
        "X01",
        {"在册状态": "是", "保障类别": "农村留守儿童", "更新日期": "2026-11-01"},
        {"in_programme": "Y", "status_class": "left_behind", "as_of": "2026-11-01"},
    ),
    "education": (
        {"学生内部编号": "XS1", "学校所在区划": "330106", "出生日期": "20150102", "身份证件号": "11010519491231002X"},
        "X02",
        {
            "学校标识码": "12330106MB0000011X",
            "学段": "小学",
            "年级": "三年级",
            "就读方式": "住校",
            "学籍状态": "在籍在校",
            "更新日期": "20261101",
        },
        {"enrolled": "Y", "stage": "primary", "grade": "03", "boarding": "Y", "status": "enrolled"},
    ),
}


@pytest.fixture(params=sorted(FORMS))
async def dropped(request, tmp_path):
    """A department's folder with its shipped form and mapping."""
    department = request.param
    home = ROOT / "adapters" / department
    form = template(home / "form.toml")
    folder = tmp_path / "drop"
    folder.mkdir()
    noted = []
    register = DropRegister(
        folder,
        form,
        tmp_path / "landed.sqlite",
        mapping.load(home / "form_mapping.toml", load().exchanges),
        noted=lambda *said: noted.append(said),
        now=lambda: __import__("time").time() + 60,
    )
    register.folder, register.form, register.noted, register.department = folder, form, noted, department
    yield register
    await register.close()


def sheet(register, **changes):
    """The form filled in for one child, every heading in it."""
    frame, _, more, _ = FORMS[register.department]
    filled = {**dict.fromkeys(register.form.headings, ""), **frame, **more, **changes}
    return [list(filled), list(filled.values())]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_a_dropped_form_answers_an_order(dropped, kind):
    frame, exchange, _, expected = FORMS[dropped.department]
    lines = sheet(dropped)
    (written if kind == "csv" else workbook)(dropped.folder / f"a.{kind}", lines)
    key = next(iter(frame.values()))
    record = (await dropped.read(Wanted(exchange, (key,), frozenset(expected), birth=True)))[key]
    assert record.values == expected
    assert record.born.isoformat() == "2015-01-02"
    assert [p.numbers[0] async for p in dropped.people()] == [("cn-rid", "11010519491231002X")]


async def test_a_file_lands_once_and_a_bad_one_is_set_aside(dropped):
    written(dropped.folder / "a.csv", sheet(dropped))
    assert await dropped.collect() == 1
    assert await dropped.collect() == 0
    (dropped.folder / "b.csv").write_bytes(b"\xff\xff")
    assert await dropped.collect() == 0
    assert dropped.noted == [("b.csv", "provider_garbage")]
    assert (dropped.folder / "b.csv.refused").exists()
    assert [p.key async for p in dropped.people()] == [next(iter(FORMS[dropped.department][0].values()))]


async def test_a_file_with_one_bad_row_lands_nothing(dropped):
    lines = sheet(dropped)
    written(dropped.folder / "a.csv", [*lines, ["", *lines[1][1:]]])
    assert await dropped.collect() == 0
    assert [p async for p in dropped.people()] == []


async def test_a_message_is_one_file_however_often_it_comes(dropped):
    if dropped.department != "civil_affairs":
        pytest.skip("one department shows it")
    line = InboundLine(1, "cao1x", "MZ1", {"report_id": "r"}, {"child_name": "=1+1", "location": '一"二,三\n四'})
    message = Inbound("d1", "X20", "P07", Party("x", Department.EDUCATION), {}, (line,))
    await dropped.take(message)
    await dropped.take(message)
    (path,) = (dropped.folder / "out").iterdir()
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("gb18030"), newline="")))
    assert "'=1+1" in rows[1] and '一"二,三\n四' in rows[1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_template_without_its_key_refuses_to_start(tmp_path):
    path = tmp_path / "form.toml"
    path.write_text('source = "files"\nkey = "no"\n[headings]\n"姓名" = "name"\n', "utf-8")
    with pytest.raises(GatewayFault) as caught:
        template(path)
    assert caught.value.code == "mapping_invalid"
