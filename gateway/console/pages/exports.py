"""导出包: a copy of the log that verifies offline, made in the background and fetched when it is ready.

Rules kept here: an export is an entry with its reason; showing a child's history retires its key in the same act (`audit/export`);
a pack is fetched by the account that ordered it, or by the audit administrator.
"""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from pathlib import Path

from starlette.responses import FileResponse, Response

from gateway.audit.export import Export, export
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS, Role
from gateway.console.visits import Visit
from gateway.console.works import DONE, Progress
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, EntryKind
from gateway.errors import GatewayFault
from gateway.proofs.tiles import tiles_of
from gateway.store import console as store
from gateway.store.audit import get_head
from gateway.store.console import WorkRow
from keys.text import read


@door("GET", "/exports", roles=INSPECTORS, does="Export packs", menu="audit")
async def exports(visit: Visit) -> Response:
    """The form, and the packs so far."""
    async with visit.house.database.read() as reading:
        rows = await store.works(reading, "export", department=str(visit.department) if visit.department else None)
    works = [(row, visit.console.works.state(row), why_not_fetched(visit, row)) for row in rows]
    part = visit.request.headers.get("hx-request") == "true"
    return visit.page(
        "_exports.html" if part else "exports.html",
        works=works,
        departments=visit.tongue.words("department"),
        sentence_of=lambda code: visit.sentence(GatewayFault(code)),
    )


@door("POST", "/exports", roles=INSPECTORS, does="Make an export pack")
async def export_start(visit: Visit) -> Response:
    """Order a pack: the whole tree, and where a pseudonym is given that child's history laid open."""
    reason = visit.prose("reason")
    children: tuple[bytes, ...] = ()
    text = visit.form.get("pseudonym", "").strip()
    details = visit.chosen("details", ("yes",), empty=True) == "yes"
    if text:
        chosen = visit.department or Department(visit.chosen("department", Department))
        children = (visit.house.ring.translate([read(text, Scope.open(chosen))], GATEWAY_SCOPE)[0].point,)
    draft = visit.draft(
        "export", kind=EntryKind.AUDIT_EXPORT, children=children, detail={"reason": reason, "details": details}
    )
    wanted = Export(children=children, details=details and bool(children))

    async def job(work: str, progress: Progress) -> int:
        folder = _folder(visit, work)
        async with visit.house.database.read() as reading:
            head = await get_head(reading)
        expected = sum(2 if tile.level == 0 else 1 for tile in tiles_of(head.size if head else 0)) + 4
        watcher = asyncio.create_task(_watch(folder, expected, progress))
        try:
            receipt = await export(visit.house.log, folder, wanted, draft)
            await asyncio.to_thread(_pack, folder)
        finally:
            watcher.cancel()
        await progress(expected, expected)
        return receipt.index

    await visit.console.works.begin(visit, "export", job)
    return visit.go("exports")


@door("GET", "/exports/{work}/pack", roles=INSPECTORS, does="Fetch an export pack")
async def export_pack(visit: Visit) -> Response:
    """The finished pack."""
    async with visit.house.database.read() as reading:
        row = await store.find_work(reading, visit.path("work"))
    if row is None or row.kind != "export":
        raise Refused("page_unknown")
    require_fetchable(visit, row)
    await visit.look("pack", index=row.place)
    path = _folder(visit, row.work_id).with_suffix(".zip")
    return FileResponse(path, media_type="application/zip", filename=f"{row.work_id}.auditpack.zip")


def require_fetchable(visit: Visit, row: WorkRow) -> None:
    """Refuse a pack that is not ready or not this visitor's. `Refused` (role_missing, work_unfinished)."""
    if row.account != visit.account.name and visit.account.role is not Role.AUDIT_ADMIN:
        raise Refused("role_missing", roles=str(Role.AUDIT_ADMIN))
    if visit.console.works.state(row) != DONE:
        raise Refused("work_unfinished")


def why_not_fetched(visit: Visit, row: WorkRow) -> str:
    """Why the pack cannot be fetched now, "" where it can."""
    return visit.why_not("export_pack", lambda: require_fetchable(visit, row))


def _folder(visit: Visit, work: str) -> Path:
    return visit.console.settings.data / "exports" / work


def _pack(folder: Path) -> None:
    """Zip in a fixed order with fixed times, then drop the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as pack:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            pack.writestr(entry, path.read_bytes())
    shutil.rmtree(folder)


async def _watch(folder: Path, expected: int, progress: Progress) -> None:
    while True:
        await asyncio.sleep(0.5)
        written = sum(1 for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
        await progress(min(written, expected - 1), expected)
