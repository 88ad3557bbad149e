"""`runxin console`: accounts of the human door. Rules kept here: a password is asked for or read from the environment, never given as
an argument; the one-time-code secret is shown once.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from gateway.commands.terminal import Data, echo_json, run, settings_of

app = typer.Typer(no_args_is_help=True, help="Accounts of the console. 控制台账号。")
account_app = typer.Typer(no_args_is_help=True, help="Make accounts. 建立账号。")
app.add_typer(account_app, name="account")


@account_app.command("add")
def add_account(
    name: Annotated[str, typer.Argument(help="Sign-in name: small letters, digits, dot, hyphen.")],
    role: Annotated[str, typer.Option(help="system_admin, security_admin, audit_admin, auditor or policy_owner.")],
    person: Annotated[
        str, typer.Option(help="<organisation>/<staff number>; one person's roles are kept apart by it.")
    ],
    department: Annotated[str, typer.Option(help="Of an auditor or policy owner.")] = "",
    data: Data = None,
) -> None:
    """Make an account; prints the secret for an authenticator app, once. 建立控制台账号。

    The password comes from RUNXIN_CONSOLE_PASSWORD; without it, it is asked for.
    """
    from gateway.app import console_secret, opened
    from gateway.console.accounts import add
    from gateway.console.roles import Role
    from gateway.domain.vocabulary import Department

    password = os.environ.get("RUNXIN_CONSOLE_PASSWORD") or typer.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    try:
        chosen, place = Role(role), Department(department) if department else None
    except ValueError:
        typer.echo("There is no such role or department.", err=True)
        raise SystemExit(2) from None
    settings = settings_of(data)

    async def work() -> None:
        async with opened(settings) as house:
            made = await add(
                house,
                console_secret(settings),
                name,
                person=person,
                role=chosen,
                department=place,
                password=password,
                by="local command line",
            )
            echo_json({"account": name, "role": role, "entry": made.entry, "authenticator": made.uri})

    run(_refused_as_sentence(work()))


@app.command("demo-accounts")
def demo_accounts(data: Data = None) -> None:
    """Make one account per role for the demo: password only, loopback and demo mode only. 建立演示账号。"""
    from gateway.app import console_secret, opened
    from gateway.console.demo_accounts import make_demo_accounts

    settings = settings_of(data)

    async def work() -> None:
        async with opened(settings) as house:
            made = await make_demo_accounts(house, console_secret(settings), settings)
            rows = [
                {
                    "account": one.account,
                    "role": str(one.role),
                    "department": str(one.department or ""),
                    "password": one.password,
                }
                for one in made
            ]
            echo_json({"address": f"{settings.issuer}/console/", "accounts": rows})

    run(_refused_as_sentence(work()))


async def _refused_as_sentence(work: Coroutine[Any, Any, None]) -> None:
    from gateway.console.refusals import Refused, own_sentences

    try:
        await work
    except Refused as error:
        sentence = own_sentences()[error.code]
        typer.echo(f"{error.code}: {sentence.en}\n{sentence.zh}", err=True)
        raise SystemExit(3) from None
