"""`runxin report`: what a department publishes without a name: tables of counts, the activity form, and needs.

Rules kept here: works on the department's own machine and opens no store; only what the catalogue declares; a period is published once
and its file never written again; what is refused leaves no file behind.
"""

from __future__ import annotations

import csv
import secrets
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.terminal import echo_json
from gateway.errors import BadRequest

if TYPE_CHECKING:
    from gateway.domain.exchanges import TableOfCounts
    from keys.signing import VerifyKey

app = typer.Typer(
    no_args_is_help=True,
    help="Publish without a name: tables of counts (X04, X28), the activity form (X26), needs (X15). 统计表、活动情况表与需求发布。\n\n"
    "Counts below the declared threshold are shown as <5 and protected by cells left out (x), so that no total gives them away. "
    "The files of one region form a chain that anybody with the unit's public key can check.",
)
Kept = Annotated[
    Path, typer.Option("--kept", help="Folder of the region's published periods; made if it is not there.")
]
Exchange = Annotated[str, typer.Option("--exchange", help="Exchange whose table the catalogue declares, e.g. X04.")]
UnitKey = Annotated[
    str, typer.Option("--unit-key", help="The unit's public key, as `runxin keys new signing` prints it.")
]
Key = Annotated[Path, typer.Option("--key", help="The unit's private key.")]
_FILE: dict[str, Any] = {"exists": True, "dir_okay": False, "readable": True}
MOST = 4 * 1024 * 1024


@app.command("publish")
def publish_table(
    counts: Annotated[Path, typer.Argument(help="CSV: first column `row`, then the declared ones.", **_FILE)],
    exchange: Exchange,
    region: Annotated[str, typer.Option(help="Six digits (GB/T 2260).")],
    period: Annotated[str, typer.Option(help="YYYY-MM, YYYY-Qn or YYYY; always the same for one table.")],
    unit: Annotated[str, typer.Option(help="The publishing unit's name.")],
    kept: Kept,
    key: Key,
) -> None:
    """Publish one period of a declared table: small counts protected, signed, kept for ever. 发布一期统计表。"""
    from gateway.release import publication
    from gateway.release.aggregate import publish
    from keys.signing import SigningKey

    table, signer = _declared(exchange), SigningKey.load(key)
    documents = _documents(kept)
    before = publication.chained(documents, table, signer.verify_key)
    if before and before[-1].region != region:
        raise BadRequest("publication_chain", period=before[-1].published.period)
    named = publication.period_named(period)
    made = publish(table, named, _counts(counts), kept={one.published.period: one.published for one in before})
    if before and not publication.follows(named, before[-1].published.period):
        raise BadRequest("publication_chain", period=named)
    link = publication.digest(documents[-1]) if documents else ""
    document = publication.write(publication.Publication(table, region, unit, link, made), signer)
    kept.mkdir(parents=True, exist_ok=True)
    _write_new(kept / f"{named}.json", document)
    hidden = sum(text.startswith("<") for text in made.cells.values())
    echo_json(
        {
            "published": str(kept / f"{named}.json"),
            "small": hidden,
            "left_out": sum(text == "x" for text in made.cells.values()),
            "withheld": list(made.withheld),
        }
    )


@app.command("check")
def check_published(
    kept: Annotated[
        Path, typer.Argument(help="Folder of one region's published periods.", exists=True, file_okay=False)
    ],
    exchange: Exchange,
    unit_key: UnitKey,
) -> None:
    """Check every period: signature, form, protected cells, sums, and that none is changed or missing. 核验已发布各期。"""
    from gateway.release import publication

    found = publication.chained(_documents(kept), _declared(exchange), _public(unit_key))
    periods = [one.published.period for one in found]
    echo_json(
        {"periods": periods, "region": found[0].region if found else "", "verdict": "通过" if found else "无法判断"}
    )


@app.command("show")
def show_published(
    document: Annotated[Path, typer.Argument(help="One published period.", **_FILE)],
    exchange: Exchange,
    unit_key: UnitKey,
) -> None:
    """Print one published period as CSV, totals included. 以 CSV 输出一期统计表。"""
    from gateway.release import publication

    table = _declared(exchange)
    made = publication.read(_read(document), table, _public(unit_key)).published
    out = StringIO()
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerow(["row", *table.columns, "total"])
    for row, total in made.row_totals.items():
        sheet.writerow([row, *(made.cells[row, column] for column in table.columns), total])
    sheet.writerow(["total", *(made.column_totals[column] for column in table.columns), made.total])
    typer.echo(out.getvalue(), nl=False)


@app.command("form")
def fill_form(
    figures: Annotated[Path, typer.Argument(help="CSV: place and the form's seven figures, money in 元.", **_FILE)],
    out: Annotated[Path, typer.Argument(help="New .xlsx file.")],
    unit: Annotated[str, typer.Option(help="填表单位.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="截止时间.")],
    key: Key,
) -> None:
    """Fill the statistics form of the theme activity (X26) with totals and the unit's signature. 填报活动情况统计表。"""
    from gateway.release.activity_form import Activity, ActivityForm, write_form
    from keys.signing import SigningKey

    header, *lines = _lines(figures)
    if header != list(Activity.__slots__):
        raise BadRequest("form_columns", wanted=",".join(Activity.__slots__))
    rows = tuple(Activity(line[0], *(_whole(cell, "form_invalid") for cell in line[1:])) for line in lines)
    form = ActivityForm(unit, date(until.year, until.month, until.day), rows)
    _write_new(out, write_form(form, signer=SigningKey.load(key)))
    echo_json({"form": str(out), "places": len(rows)})


@app.command("read-form")
def check_form(
    form: Annotated[Path, typer.Argument(help="The filled .xlsx file.", **_FILE)],
    unit_key: UnitKey,
) -> None:
    """Check a filled form's columns, totals and signature, and print its figures as CSV. 核验并读取活动情况统计表。"""
    from dataclasses import astuple

    from gateway.release.activity_form import Activity, read_form

    out = StringIO()
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerow(Activity.__slots__)
    sheet.writerows(astuple(row) for row in read_form(_read(form), unit_key=_public(unit_key)).rows)
    typer.echo(out.getvalue(), nl=False)


@app.command("needs")
def publish_needs(
    needs: Annotated[Path, typer.Argument(help="CSV: the fields that X15 makes coarser, and need_type.", **_FILE)],
    out: Annotated[Path, typer.Argument(help="New CSV to publish.")],
    links: Annotated[Path, typer.Option(help="New CSV that stays here: which posting is which line.")],
    *,
    outside: Annotated[
        bool, typer.Option(help="For organisations outside the five departments: k is 20, not 5.")
    ] = False,
) -> None:
    """Publish needs without a name: made coarser until nobody stands out (k-anonymity, l-diversity). 发布去标识的关爱需求。

    Refused whole where even the coarsest table would show somebody. The order of the postings tells nothing.
    """
    from gateway.release.kanonymity import K_INSIDE, K_OUTSIDE, anonymise, hierarchies
    from policies.catalogue import load

    declared = load().exchanges["X15"].generalisation
    assert declared is not None, "the catalogue's X15 declares how it is made coarser"
    header, *lines = _lines(needs)
    fields = [*declared.groups, *declared.digits]
    if sorted(header) != sorted([*fields, declared.sensitive]):
        raise BadRequest("table_undeclared")
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    made = anonymise(
        rows,
        hierarchies=hierarchies(declared, rows),
        sensitive=declared.sensitive,
        k=K_OUTSIDE if outside else K_INSIDE,
    )
    # Random names in their order: neither order nor name tells which line of the input a posting is.
    named = sorted((f"need-{secrets.token_hex(8)}", number) for number in range(len(made)))
    columns = [declared.sensitive, *fields]
    _write_new(links, _csv(["need_id", "line"], [[name, number + 2] for name, number in named]))
    _write_new(out, _csv(["need_id", *columns], [[name, *(made[n][c] for c in columns)] for name, n in named]))
    echo_json({"published": str(out), "postings": len(made), "kept_here": str(links)})


# --- files ---------------------------------------------------------------------------------------------------------------


def _declared(exchange: str) -> TableOfCounts:
    from policies.catalogue import load

    found = load().exchanges.get(exchange)
    if found is None or found.table is None:
        raise BadRequest("table_undeclared")
    return found.table


def _documents(kept: Path) -> list[bytes]:
    """The published periods by name, which is their order in time."""
    return [_read(path) for path in sorted(kept.glob("*.json"))] if kept.is_dir() else []


def _counts(path: Path) -> dict[tuple[str, str], int]:
    header, *lines = _lines(path)
    if header[:1] != ["row"] or len({line[0] for line in lines}) != len(lines) or len(set(header)) != len(header):
        raise BadRequest("table_undeclared")
    return {
        (line[0], column): _whole(cell, "table_undeclared")
        for line in lines
        for column, cell in zip(header[1:], line[1:], strict=True)
    }


def _lines(path: Path) -> list[list[str]]:
    """The lines of a CSV file in UTF-8, each as long as the first. Raises `BadRequest("table_undeclared")`."""
    try:
        lines = list(csv.reader(StringIO(_read(path).decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise BadRequest("table_undeclared") from None
    if not lines or any(len(line) != len(lines[0]) for line in lines):
        raise BadRequest("table_undeclared")
    return lines


def _whole(text: str, code: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadRequest(code)
    return int(text)


def _csv(header: list[str], rows: list[list[object]]) -> bytes:
    out = StringIO()
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerows([header, *rows])
    return out.getvalue().encode("utf-8")


def _public(text: str) -> VerifyKey:
    from keys.signing import VerifyKey

    return VerifyKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": text})


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise BadRequest("table_undeclared")
    return data


def _write_new(path: Path, data: bytes) -> None:
    """A new file, whole and durable or not there."""
    from keys import durable

    try:
        durable.create(path, data)
    except FileExistsError:
        typer.echo(f"{path} exists; what was published is never written again. 文件已存在，不得改写。", err=True)
        raise SystemExit(2) from None
