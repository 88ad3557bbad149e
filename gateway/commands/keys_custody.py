"""`runxin keys rotate|root|ceremony|recover`: keys over their life. Rules kept here: each step is an entry before it happens; a share
goes into a file of its own and never to the screen; nothing is believed to be recoverable that was not recovered once.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands.terminal import Data, echo_json, run, settings_of
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import BadRequest
from gateway.settings import Settings
from keys.ceremony import THRESHOLD, recover
from keys.providers import LocalRootKey, RootKey, create_root_file
from keys.root_change import ROOT, change_root_file, prove, rewrap
from keys.rotation import Step
from keys.solitude import present

BY = "local command line"
NEW_PASSPHRASE, NEW_KEY = "RUNXIN_NEW_ROOT_PASSPHRASE", "RUNXIN_NEW_ROOT_KEY"
"""Environment variables for a change of root that nobody sits beside; otherwise it is asked for."""


def add_to(group: typer.Typer) -> None:
    """Add these commands to `runxin keys`."""
    group.command("rotate")(rotate)
    group.command("root")(new_root)
    group.command("ceremony")(hold_ceremony)
    group.command("recover")(recover_root)


def rotate(
    scope: Annotated[str, typer.Argument(help="open:<department>, closed:<department>:<exchange> or gateway")],
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the next epoch's key.")] = False,
    begin: Annotated[bool, typer.Option("--begin", help="Understand both epochs; holders and edges convert.")] = False,
    advance: Annotated[bool, typer.Option("--advance", help="Name children in the new epoch.")] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Understand the new epoch only.")] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Destroy the old key and the root.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Advance although an edge has not followed.")] = False,
    data: Data = None,
) -> None:
    """One step of a rotation; without a step, where it stands. 轮换某范围的密钥，每次一步。

    All but the last work beside a running gateway. `--destroy` wants it stopped: every key that is left is wrapped again under a
    fresh root with a new passphrase, which is asked for, so that no copy from before opens. In the gateway's own scope `--advance`
    wants it stopped too: it renames every row in one transaction.
    """
    from gateway.app import opened
    from gateway.domain.subjects import GATEWAY_SCOPE
    from gateway.flows.rotation import followers, scope_named, take_step
    from keys.rotation import due

    chosen = [step for step, wanted in zip(Step, (prepare, begin, advance, retire, destroy), strict=True) if wanted]
    if len(chosen) > 1:
        typer.echo("One step at a time.", err=True)
        raise SystemExit(2)
    settings = settings_of(data)
    fresh = _fresh_root(settings) if chosen == [Step.DESTROY] else None
    own = scope == GATEWAY_SCOPE.name
    if fresh is not None or (own and chosen == [Step.ADVANCE]):
        _require_alone(settings)

    async def work() -> None:
        async with opened(settings) as house:
            named = GATEWAY_SCOPE if own else scope_named(house, scope)
            if chosen:
                by = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, detail={"by": BY})
                stepped = await take_step(house, named, chosen[0], by=by, anyway=anyway)
                typer.echo(f"{stepped.step}: {named.name} epoch {stepped.epoch} (entry {stepped.receipt.index})")
            async with house.database.read() as reading:
                told = await followers(house, named, reading)
            echo_json(
                {
                    "scope": named.name,
                    "current": house.ring.current_epoch(named),
                    "accepted": list(house.ring.accepted_epochs(named)),
                    "due": {str(step): epoch for step, epoch in due(house.ring, named).items()},
                    "followed": told,
                }
            )

    _run_keeping_root(settings, work())
    if fresh is not None:
        _change_root(settings, fresh)


def new_root(data: Data = None) -> None:
    """Wrap every key under a fresh root with a new passphrase; the gateway has to be stopped. 更换根密钥。

    For after an erasure or a leaver: copies of key files from before open with nothing that is left. Hold a new ceremony afterwards
    and have the old shares destroyed.
    """
    settings = settings_of(data)
    fresh = _fresh_root(settings)
    _require_alone(settings)
    _enter(settings, "root_changed")
    _change_root(settings, fresh)


def hold_ceremony(
    out: Annotated[Path, typer.Argument(help="New folder for five files, one share each.")], data: Data = None
) -> None:
    """Split the root key: five shares, one per department, three of which recover it (SLIP-39). 根密钥分持：五部门各一份，三份可恢复。

    Recovery is rehearsed at once with every three of the five, against every key there is. Hand the files over separately, write the
    fingerprint into the sharing agreement, then delete the folder.
    """
    from gateway.app import open_root

    settings = settings_of(data)
    if out.exists():
        typer.echo(f"{out} exists; choose a new folder.", err=True)
        raise SystemExit(2)
    with _kept_root(settings):
        root = open_root(settings)
    if not isinstance(root, LocalRootKey):
        raise BadRequest("root_key_invalid")
    ceremony = root.split()
    rehearsed, keys = 0, 0
    for three in itertools.combinations(Department, THRESHOLD):
        recovered = recover([ceremony.shares[department] for department in three], ceremony.fingerprint)
        keys = prove(settings.data / "keys", LocalRootKey(recovered))
        rehearsed += 1
    _enter(settings, "ceremony", fingerprint=ceremony.fingerprint)
    out.mkdir(mode=0o700, parents=True)
    for department, words in ceremony.shares.items():
        path = out / f"{department}.share"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(words + "\n")
    typer.echo(f"fingerprint {ceremony.fingerprint}")
    typer.echo(f"rehearsed: {rehearsed} of 10 threes each opened all {keys} keys")
    typer.echo(f"shares: {out}/<department>.share")


def recover_root(
    shares: Annotated[list[Path], typer.Argument(help="Three share files.")],
    fingerprint: Annotated[str, typer.Option(help="As written down at the ceremony.")],
    data: Data = None,
) -> None:
    """Recover a lost root file from three shares; it must open every key before it is written. 用三份份额恢复根密钥。

    The new file is sealed under RUNXIN_ROOT_PASSPHRASE; without it, the passphrase is asked for.
    """
    settings = settings_of(data)
    folder = settings.data / "keys"
    if (folder / ROOT).exists():
        typer.echo(f"{folder / ROOT} exists; a root is never overwritten.", err=True)
        raise SystemExit(2)
    root = recover([path.read_text("ascii") for path in shares], fingerprint)
    keys = prove(folder, LocalRootKey(root))
    passphrase = settings.root_passphrase.get_secret_value() or _asked("Passphrase of the root key")
    create_root_file(folder / ROOT, passphrase, root=root)
    typer.echo(f"recovered: opens all {keys} keys")


# --- the root's places ----------------------------------------------------------------------------------------------------


def _fresh_root(settings: Settings) -> str:
    """The new passphrase (`file`) or the new key's text (`env`)."""
    if settings.root_key_source == "env":
        return os.environ.pop(NEW_KEY, "") or _asked("New root key (base64 of 32 random bytes)")
    return os.environ.pop(NEW_PASSPHRASE, "") or _asked("New passphrase of the root key")


def _asked(what: str) -> str:
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=True))


def _require_alone(settings: Settings) -> None:
    with present(settings.data / "keys", alone=True):
        pass


def _change_root(settings: Settings, fresh: str) -> None:
    folder = settings.data / "keys"
    if settings.root_key_source == "env":
        old, new = _environment_root(os.environ.get("RUNXIN_ROOT_KEY", "")), _environment_root(fresh)
        with present(folder, alone=True):
            rewrap(folder, old, new)
    else:
        change_root_file(folder, settings.root_passphrase.get_secret_value(), fresh)
    typer.echo("root: changed; destroy the old passphrase and the old shares, then `runxin keys ceremony`")


def _environment_root(text: str) -> RootKey:
    from keys.providers import open_root_environment

    return open_root_environment("KEY", {"KEY": text})


def _enter(settings: Settings, code: str, **detail: str) -> None:
    from gateway.app import opened

    async def work() -> None:
        async with opened(settings) as house:
            draft = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, code=code, detail={"by": BY, **detail})
            receipt = await house.log.append(draft)
            typer.echo(f"{code} (entry {receipt.index})")

    _run_keeping_root(settings, work())


def _run_keeping_root(settings: Settings, work: Coroutine[Any, Any, None]) -> None:
    with _kept_root(settings):
        run(work)


@contextmanager
def _kept_root(settings: Settings) -> Iterator[None]:
    """Opening the premises takes the root out of the environment; a command that opens them twice puts it back in between."""
    text = os.environ.get("RUNXIN_ROOT_KEY") if settings.root_key_source == "env" else None
    try:
        yield
    finally:
        if text is not None:
            os.environ["RUNXIN_ROOT_KEY"] = text
