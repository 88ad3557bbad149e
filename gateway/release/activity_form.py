"""The statistics form of the theme activity (X26) as an XLSX sheet, in the columns of the Fujian notice 闽民童〔2025〕56号.

Rules kept here: columns and their order are the form's own; the totals row is computed when writing and held against the rows when
reading; a cell that is a formula or text where a number belongs is refused; the unit signs what the form says, not the file's bytes,
so that opening and saving it does no harm.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date
from io import BytesIO
from math import isfinite
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font

from gateway.domain.canonical import canonical
from gateway.errors import BadRequest
from gateway.release.wire_reading import binary, unpadded
from keys.signing import SIGNATURE_BYTES, SigningKey, VerifyKey

TITLE = "2025年“润心伴成长 同心护未来” 主题活动情况统计表"
COLUMNS = (
    "序号",
    "地区",
    "举办困境儿童关爱主题活动(场次)",
    "开展困境儿童心理辅导活动(场次)",
    "链接多少家社工机构开展困境儿童关爱帮扶服务",
    "走访慰问困境儿童数量(人次)",
    "当地发放慰问金金额(万元)",
    "帮扶解困境儿童数量(人数)",
    "帮助留守、困境儿童解难事数量(件数)",
)
TOTALS = "合计"
MAX_FILE = 1024 * 1024
MAX_ROWS = 500
_MONEY = 6  # the column counted in 万元; kept in yuan
_MAX_UNPACKED = 16 * 1024 * 1024
_PLACE = re.compile(r"[\u4e00-\u9fff（）()]{2,30}")
_FIRST_ROW = 5


@dataclass(frozen=True, slots=True)
class Activity:
    """One area's figures: sessions, counselling sessions, agencies, visits, relief money in yuan, children, problems."""

    place: str
    sessions: int
    counselling: int
    agencies: int
    visits: int
    relief_yuan: int
    children: int
    problems: int


@dataclass(frozen=True, slots=True)
class ActivityForm:
    """What a form says: who filled it, up to which day, and one row per area."""

    unit: str
    until: date
    rows: tuple[Activity, ...]


def write_form(form: ActivityForm, *, signer: SigningKey) -> bytes:
    """The form as XLSX bytes, with totals and the unit's signature.

    Raises `BadRequest("form_invalid")` for rows that are no counts, a place that is no name, or a place twice.
    """
    _require_sound(form)
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "统计表"
    sheet.append([TITLE])
    sheet.append([f"填表单位（盖章）：{form.unit}"])
    sheet.append([f"截止时间：{form.until.year}年{form.until.month}月{form.until.day}日"])
    sheet.append(list(COLUMNS))
    for number, row in enumerate(form.rows, 1):
        sheet.append([number, row.place, *_shown(astuple(row)[1:])])
    sheet.append([TOTALS, "", *_shown(_totals(form.rows))])
    sheet.append([f"单位签名：{unpadded(signer.sign(_signed(form)))}"])
    for line in (1, 2, 3):
        sheet.merge_cells(start_row=line, start_column=1, end_row=line, end_column=len(COLUMNS))
    sheet["A1"].font, sheet["A1"].alignment = Font(bold=True, size=14), Alignment(horizontal="center")
    for cell in sheet[_FIRST_ROW - 1]:
        cell.alignment = Alignment(wrap_text=True, horizontal="center", vertical="center")
    for letter, width in zip("ABCDEFGHI", (8, 18, 16, 16, 20, 16, 16, 16, 20), strict=True):
        sheet.column_dimensions[letter].width = width
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def read_form(data: bytes, *, unit_key: VerifyKey) -> ActivityForm:
    """What a filled form says, once columns, numbers, totals and the unit's signature hold.

    Raises `BadRequest`: `form_unreadable`, `form_columns`, `form_invalid`, `form_totals` (fact: column), `form_signature`.
    """
    lines = _lines(data)
    if len(lines) < _FIRST_ROW + 1 or lines[0][0] != TITLE or tuple(lines[_FIRST_ROW - 2]) != COLUMNS:
        raise BadRequest("form_columns")
    *body, totals, signature = lines[_FIRST_ROW - 1 :]
    rows = tuple(_row(number, line) for number, line in enumerate(body, 1))
    form = ActivityForm(_after(lines[1][0], "填表单位（盖章）："), _day(_after(lines[2][0], "截止时间：")), rows)
    _require_sound(form)
    if totals[0] != TOTALS:
        raise BadRequest("form_columns")
    for column, (given, wanted) in enumerate(zip(_numbers(totals[2:]), _totals(rows), strict=True), 2):
        if given != wanted:
            raise BadRequest("form_totals", column=column + 1)
    try:
        signed = _after(signature[0], "单位签名：")
        unit_key.verify(binary(signed, "signature", high=SIGNATURE_BYTES), _signed(form))
    except (BadRequest, ValueError):
        raise BadRequest("form_signature") from None
    return form


def _lines(data: bytes) -> list[list[Any]]:
    if len(data) > MAX_FILE:
        raise BadRequest("form_unreadable")
    try:
        # Unpacked size is told by the archive before anything is unpacked.
        small = sum(entry.file_size for entry in zipfile.ZipFile(BytesIO(data)).infolist()) <= _MAX_UNPACKED
        sheet: Any = load_workbook(BytesIO(data)).active if small else None
        sized = small and sheet.max_row <= MAX_ROWS + _FIRST_ROW + 2 and sheet.max_column <= len(COLUMNS)
        lines = [list(line) for line in sheet.iter_rows(max_col=len(COLUMNS), values_only=True)] if sized else []
    except Exception:
        # A workbook from outside can make its reader fail in any way; whichever it is, there is no form in it.
        raise BadRequest("form_unreadable") from None
    if not sized:
        raise BadRequest("form_columns")
    return lines


def _row(number: int, line: Sequence[Any]) -> Activity:
    if line[0] != number or not isinstance(line[1], str):
        raise BadRequest("form_invalid")
    return Activity(line[1], *_numbers(line[2:]))


def _numbers(cells: Sequence[Any]) -> list[int]:
    numbers = []
    for place, cell in enumerate(cells, 2):
        if isinstance(cell, bool) or not isinstance(cell, int | float) or not isfinite(cell):
            raise BadRequest("form_invalid")
        value = round(cell * 10_000) if place == _MONEY else cell
        # 万元 with four decimals is whole yuan; a thousandth of a yuan is what binary fractions may be off.
        if value != int(value) or (place == _MONEY and abs(cell * 10_000 - value) > 0.001):
            raise BadRequest("form_invalid")
        numbers.append(int(value))
    return numbers


def _shown(numbers: Sequence[Any]) -> list[int | float]:
    return [number / 10_000 if place == _MONEY else number for place, number in enumerate(numbers, 2)]


def _totals(rows: Sequence[Activity]) -> list[int]:
    return [sum(column) for column in zip(*(astuple(row)[1:] for row in rows), strict=True)]


def _require_sound(form: ActivityForm) -> None:
    places = [row.place for row in form.rows]
    named = all(_PLACE.fullmatch(place) for place in [*places, form.unit])
    counted = all(type(number) is int and 0 <= number < 10**12 for row in form.rows for number in astuple(row)[1:])
    if not named or not counted or not 0 < len(places) == len(set(places)) <= MAX_ROWS:
        raise BadRequest("form_invalid")


def _signed(form: ActivityForm) -> bytes:
    rows = [list(astuple(row)) for row in form.rows]
    return b"runxin-x26-1\n" + canonical({"unit": form.unit, "until": form.until.isoformat(), "rows": rows})


def _day(text: str) -> date:
    found = re.fullmatch(r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日", text, re.ASCII)
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else date(0, 1, 1)
    except ValueError:
        raise BadRequest("form_invalid") from None


def _after(cell: object, lead: str) -> str:
    if not isinstance(cell, str) or not cell.startswith(lead):
        raise BadRequest("form_columns")
    return cell.removeprefix(lead)
