"""`runxin policy`: checking, copying and explaining sharing rules; change sets are in `policy_drafts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import policy_drafts
from gateway.commands.terminal import Data, run, settings_of

if TYPE_CHECKING:
    from policies.explain import FieldExplanation

app = typer.Typer(no_args_is_help=True, help="Check, explain and change sharing rules. 检查、解释和变更共享规则。")
policy_drafts.add_to(app)


@app.command("check")
def check_policy(data: Data = None) -> None:
    """Load the policies folder as a first start would; prints the version, or the first thing that is wrong. 检查规则目录。"""
    from policies.book import PolicyBook

    settings = settings_of(data)
    try:
        book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
    served = sum(exchange.state == "served" for exchange in book.catalogue.exchanges.values())
    typer.echo(f"{book.version}\n{len(book.catalogue.exchanges)} exchanges, {served} served")


@app.command("copy")
def copy_policies(folder: Annotated[Path, typer.Argument(help="New folder; point RUNXIN_POLICIES at it.")]) -> None:
    """Copy the shipped model, catalogue, rules and cases, as the beginning of a site's own. 复制随附的规则作为本地起点。"""
    import shutil

    from policies.book import HOME

    if folder.exists():
        typer.echo(f"{folder} exists already.", err=True)
        raise SystemExit(2)
    for part in ("catalogue", "rules", "cases"):
        shutil.copytree(HOME / part, folder / part, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(HOME / "model.conf", folder / "model.conf")
    typer.echo(f"policies -> {folder}")


@app.command("exchanges")
def exchange_file(
    out: Annotated[Path, typer.Argument(help="File for edges (`exchanges` in edge.toml).")], data: Data = None
) -> None:
    """Write the catalogue's exchanges for edges, which have no policy of their own. 为前置机导出事项定义。

    Of the version that decides, where the data folder holds a gateway; else of the policies folder, as a first start would read it.
    """
    from adapters.base.exchange_file import write
    from policies.book import PolicyBook

    settings = settings_of(data)

    async def deciding() -> PolicyBook:
        from gateway.app import opened

        async with opened(settings) as house:
            return house.book

    if (settings.data / "keys").exists():
        book, origin = run(deciding()), "the active version"
    else:
        book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
        origin = "the policies folder, version"
    write(book.catalogue.exchanges.values(), out)
    typer.echo(f"{len(book.catalogue.exchanges)} exchanges of {origin} {book.version} -> {out}")


@app.command("explain")
def explain_request(
    exchange: Annotated[str, typer.Argument(help="X01 …")],
    who: Annotated[str, typer.Argument(help="`<function>@<department>`, e.g. case_worker@education")],
    region: Annotated[str, typer.Option(help="The organisation's region, 6, 9 or 12 digits.")],
    con: Annotated[str, typer.Option(help="statutory, granted, withdrawn, none, emergency or protective.")],
    action: Annotated[str, typer.Option(help="query, submit or receive.")] = "query",
    door: Annotated[str, typer.Option(help="normal, emergency or protective.")] = "normal",
    purpose: Annotated[str, typer.Option(help="P01-P14; otherwise the exchange's own.")] = "",
    to: Annotated[str, typer.Option(help="For submit: the department that would receive.")] = "",
    field: Annotated[list[str] | None, typer.Option(help="A field; otherwise all.")] = None,
    data: Data = None,
) -> None:
    """Say why a made-up request would be allowed or refused, and the smallest lawful change. 解释放行或不放行的原因。"""
    from gateway.app import opened
    from gateway.flows.explain import Supposed, suppose

    asked = Supposed(
        exchange=exchange,
        subject=who,
        action=action,
        door=door,
        purpose=purpose,
        region=region,
        con=con,
        consumer=to,
        fields=tuple(field or ()),
    )

    async def work() -> None:
        async with opened(settings_of(data)) as house:
            answered = suppose(house, asked)
        typer.echo(f"{answered.version}\n{answered.code or 'allowed'}")
        for each in answered.fields:
            name = each.field or "(the whole request)"
            ending = f"{each.obligation} by {', '.join(each.rules)}" if each.allowed else _refused(each)
            typer.echo(f"  {name}: {ending}")

    run(work())


def _refused(each: FieldExplanation) -> str:
    by = f" by {', '.join(each.rules)}" if each.rules else ""
    remedy = each.remedy
    if remedy is None:
        return f"refused, {each.code}{by}"
    change = f"{remedy.column}={remedy.value}" if remedy.value else remedy.column
    owner = f" ({remedy.owner})" if remedy.owner else ""
    return f"refused, {each.code}{by}; smallest change: {change}, by {remedy.who}{owner}"
