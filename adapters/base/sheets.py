"""Rows of a sheet as text by column heading: CSV in the department's character set, or an Excel workbook.

Rules kept here: sizes are bounded before anything is unpacked (a workbook is a zip file); a heading that is missing or stands twice is
refused; every cell is text, dates and numbers in one plain form, and what begins like a formula is text as well; a byte that the
character set does not have is refused, never replaced.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from python_calamine import CalamineWorkbook

from gateway.errors import ProviderFault

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """file: bytes of the file. unpacked: bytes of a workbook unpacked. ratio: unpacked to packed, beyond which it is a bomb. rows, cell:
    of a sheet, characters of one cell.
    """

    file: int = 256 * 1024 * 1024
    unpacked: int = 512 * 1024 * 1024
    ratio: int = 120
    rows: int = 1_000_000
    cell: int = 32_767


BOUNDS = Bounds()


def rows(path: Path, charset: str, wanted: Mapping[str, str], bounds: Bounds = BOUNDS) -> Iterator[Row]:
    """Rows of a file by its ending (`.csv`, `.xlsx`). wanted: heading -> column; other headings are not read.

    Raises `ProviderFault`: `provider_too_much`, `provider_garbage`.
    """
    if path.stat().st_size > bounds.file:
        raise ProviderFault("provider_too_much")
    match path.suffix.lower():
        case ".csv":
            cells = _csv(path, charset)
        case ".xlsx":
            _require_no_bomb(path, bounds)
            cells = _workbook(path)
        case _:
            raise ProviderFault("provider_garbage")
    yield from _named(cells, wanted, bounds)


def _named(cells: Iterator[Sequence[Any]], wanted: Mapping[str, str], bounds: Bounds) -> Iterator[Row]:
    places: dict[int, str] | None = None
    count = 0
    for line in cells:
        if places is None:
            if any(_text(cell, bounds) for cell in line):
                places = _places(line, wanted, bounds)
            continue
        if len(line) < max(places) + 1:
            raise ProviderFault("provider_garbage")
        row = {column: _text(line[place], bounds) for place, column in places.items()}
        if any(row.values()):
            count += 1
            if count > bounds.rows:
                raise ProviderFault("provider_too_much")
            yield row
    if places is None:
        raise ProviderFault("provider_garbage")


def _places(line: Sequence[Any], wanted: Mapping[str, str], bounds: Bounds) -> dict[int, str]:
    headings = [_text(cell, bounds).lstrip("*").strip() for cell in line]
    if any(headings.count(heading) != 1 for heading in wanted):
        raise ProviderFault("provider_garbage")
    return {headings.index(heading): column for heading, column in wanted.items()}


def _csv(path: Path, charset: str) -> Iterator[Sequence[str]]:
    encoding = "utf-8-sig" if charset == "utf-8" else charset
    try:
        with path.open(encoding=encoding, errors="strict", newline="") as file:
            yield from csv.reader(file, strict=True)
    except (UnicodeDecodeError, csv.Error, OSError):
        raise ProviderFault("provider_garbage") from None


def _workbook(path: Path) -> Iterator[Sequence[Any]]:
    """The first sheet's cells; calamine reads stored values and evaluates nothing."""
    try:
        workbook = CalamineWorkbook.from_path(str(path))
        sheet = workbook.get_sheet_by_index(0)
    except Exception:
        # The library has a dozen errors of its own for a broken file; all mean the same to us.
        raise ProviderFault("provider_garbage") from None
    yield from sheet.iter_rows()


def _require_no_bomb(path: Path, bounds: Bounds) -> None:
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > bounds.unpacked or len(entries) > 1000:
                raise ProviderFault("provider_too_much")
            for entry in entries:
                if entry.file_size > 1024 * 1024 and entry.file_size > bounds.ratio * max(entry.compress_size, 1):
                    raise ProviderFault("provider_too_much")
            _require_true_sizes(packed, entries, bounds)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        raise ProviderFault("provider_garbage") from None


def _require_true_sizes(packed: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], bounds: Bounds) -> None:
    """Unpack once, a piece at a time, counting: a header may lie about the size."""
    total = 0
    for entry in entries:
        with packed.open(entry) as file:
            first = True
            while piece := file.read(io.DEFAULT_BUFFER_SIZE * 16):
                if first and entry.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in piece[:4096]:
                    raise ProviderFault("provider_garbage")
                first = False
                total += len(piece)
                if total > bounds.unpacked:
                    raise ProviderFault("provider_too_much")


def _text(cell: Any, bounds: Bounds) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        cell = int(cell) if cell.is_integer() else cell
    if isinstance(cell, datetime):
        cell = cell.date() if (cell.hour, cell.minute, cell.second) == (0, 0, 0) else cell
    if isinstance(cell, date):
        return cell.isoformat()
    text = str(cell).strip()
    if len(text) > bounds.cell or "\x00" in text:
        raise ProviderFault("provider_garbage")
    return text
