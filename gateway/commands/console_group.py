"""`runxin console`: accounts of the human door. Rules kept here: a password is asked for or read from the environment, never given as
an argument; the one-time-code secret is shown once; a subject is asked for where it is not given, and never printed.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Annotated, Any

import typer

from gateway.commands.terminal import Data, echo_json, run, settings_of
from gateway.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Accounts of the console. 控制台账号。")
account_app = typer.Typer(no_args_is_help=True, help="Make accounts. 建立账号。")
app.add_typer(account_app, name="account")
openid_app = typer.Typer(
    no_args_is_help=True,
    help="""Sign-in by the organisation's OpenID Connect provider. 统一身份认证登录。

    The settings name the provider (RUNXIN_OPENID_ISSUER, RUNXIN_OPENID_CLIENT_ID, RUNXIN_OPENID_CLIENT_SECRET). At the provider,
    register <issuer of the gateway>/console/sign-in/openid/back as redirect URI and <issuer of the gateway>/console/sign-in as
    post-logout redirect URI; ask for the code flow with PKCE (S256).

    Nobody gets an account by signing in. First `runxin console account add` makes the account with its role and its person,
    then `bind` says which subject (the `sub` of the provider's ID tokens) signs in to it. Role and department are the
    account's, whatever a token says; the local password goes on working.
    """,
)
app.add_typer(openid_app, name="openid")


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


@openid_app.command("bind")
def bind_subject(
    name: Annotated[str, typer.Argument(help="The account, as `runxin console account add` made it.")],
    subject: Annotated[
        str,
        typer.Option(
            help="The person's `sub` at the provider; without it, it is asked for. Kept as a keyed digest only."
        ),
    ] = "",
    data: Data = None,
) -> None:
    """Let one subject of the provider sign in to an account; an entry in the log. 将账号与统一身份绑定。

    One account has one subject and one subject one account. Example: runxin console openid bind lin
    """
    from gateway.app import console_secret, opened
    from gateway.console.openid import bind

    settings = _with_provider(settings_of(data))
    given = subject or typer.prompt("Subject (sub)", hide_input=True)

    async def work() -> None:
        async with opened(settings) as house:
            secret = console_secret(settings)
            entry = await bind(house, secret, settings.openid_issuer, given, name, by="local command line")
            echo_json({"account": name, "issuer": settings.openid_issuer, "entry": entry})

    run(_refused_as_sentence(work()))


@openid_app.command("unbind")
def unbind_subject(
    name: Annotated[str, typer.Argument(help="The account.")],
    data: Data = None,
) -> None:
    """Undo an account's binding and end its sessions; an entry in the log. 解除账号与统一身份的绑定。

    Needed before another subject can be bound, and when somebody leaves. The local password goes on working: to keep somebody
    out altogether, the security administrator disables the account at the console.
    """
    from gateway.app import opened
    from gateway.console.openid import unbind

    settings = settings_of(data)

    async def work() -> None:
        async with opened(settings) as house:
            echo_json({"account": name, "entry": await unbind(house, name, by="local command line")})

    run(_refused_as_sentence(work()))


@openid_app.command("list")
def list_bindings(data: Data = None) -> None:
    """Every bound account with its provider; no subject is shown, the gateway does not keep it. 列出已绑定账号。"""
    from gateway.app import opened
    from gateway.store.console_bindings import all_bindings

    settings = settings_of(data)

    async def work() -> None:
        async with opened(settings) as house, house.database.read() as reading:
            rows = await all_bindings(reading)
        echo_json([{"account": row.account, "issuer": row.issuer, "bound": row.bound} for row in rows])

    run(work())


@openid_app.command("check")
def check_provider(data: Data = None) -> None:
    """Ask the provider to describe itself, and say whether the gateway can sign people in by it. 检查统一身份认证服务。

    Wanted: the pinned issuer, the code flow, PKCE with S256, https. Exit code 3 where something is missing.
    """
    from gateway.console.openid import client_of, redirect_uri
    from gateway.identity.openid import OpenIdUnsound
    from gateway.identity.openid_provider import OpenIdUnavailable

    settings = _with_provider(settings_of(data))
    client = client_of(settings)
    assert client is not None
    try:
        found = run(client.provider())
    except (OpenIdUnsound, OpenIdUnavailable) as error:
        typer.echo(f"{settings.openid_issuer}: {getattr(error, 'why', 'no answer')}", err=True)
        raise SystemExit(3) from None
    echo_json(
        {
            "issuer": found.issuer,
            "authorization": found.authorization,
            "token": found.token,
            "keys": found.keys,
            "sign_out": found.end_session,
            "register_redirect_uri": redirect_uri(settings),
        }
    )


def _with_provider(settings: Settings) -> Settings:
    if not settings.openid_issuer:
        typer.echo("No provider is named: set RUNXIN_OPENID_ISSUER and RUNXIN_OPENID_CLIENT_ID.", err=True)
        typer.echo("未配置统一身份认证：请设置 RUNXIN_OPENID_ISSUER 和 RUNXIN_OPENID_CLIENT_ID。", err=True)
        raise SystemExit(2)
    return settings


async def _refused_as_sentence(work: Coroutine[Any, Any, None]) -> None:
    from gateway.console.refusals import Refused, own_sentences

    try:
        await work
    except Refused as error:
        sentence = own_sentences()[error.code]
        typer.echo(f"{error.code}: {sentence.en}\n{sentence.zh}", err=True)
        raise SystemExit(3) from None
