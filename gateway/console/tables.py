"""Tables as CSV files that a spreadsheet opens in either language and takes for text.

Rules kept here: no cell begins like a formula; UTF-8 with a byte order mark, because spreadsheets guess otherwise.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_answer(name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table as a file called `<name>.csv`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(heads)
    writer.writerows([harmless(str(cell)) for cell in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(b"\xef\xbb\xbf" + text.getvalue().encode(), headers=headers, media_type="text/csv; charset=utf-8")


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
