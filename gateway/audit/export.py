"""An export: a directory that verifies with nothing but Python's standard library, or with any C2SP verifier.

    checkpoint            the signed head                      vkeys        log key first, then witnesses
    tile/…                every tile of the tree               tile/entries/…   every skeleton
    histories/<n>.json    a history's keys, laid open, with its line in the epoch's index
    details/<index>       opened details: salt and JSON        verify.py, verify.html   the verifiers
    sealed/<index>        the same, sealed to one auditor's key (`unseal` opens them)
    request.json          what was asked, by which entry       policy.txt   the quorum of witnesses (c2sp.org/tlog-policy)
    witnessed             the newest checkpoint with a quorum  proofs/<index>.tlog-proof   of picked entries
    manifest.json         SHA-256 of every other file

Rules kept here: showing a K outside retires it in the same act (the `audit.export` entry), so that what comes later stays
unlinkable to whoever holds the export; details are opened only for the entries that were asked for.
"""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.audit.batch import Asked
from gateway.audit.entry import read_detail, read_skeleton
from gateway.audit.histories import History, actor_holder, child_holder, count_label, head_label
from gateway.audit.log import AuditLog
from gateway.audit.reading import actor_history, child_history, opened_bytes, write_index
from gateway.audit.receipts import make_receipt
from gateway.audit.tree import read_tiles
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.orders import SealingKey
from gateway.errors import BadRequest, GatewayFault, ProgrammingError
from gateway.proofs import verify as standalone
from gateway.proofs.checkpoints import read_checkpoint
from gateway.proofs.merkle import inclusion_spans, leaf_hash, span_hash
from gateway.proofs.notes import Verifier
from gateway.proofs.tiles import WIDTH, decode_bundle, encode_bundle, tile_at, tiles_of
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.audit_retention import minimum_index
from gateway.store.database import Reading
from keys.sealed_bytes import open_bytes, seal_bytes
from keys.sealing_keys import SealingPair

_LINE = 64


@dataclass(frozen=True, slots=True)
class Export:
    """What to show. children: gateway pseudonyms; actors: names; details: whether their details are opened too.

    first, last: a half-open range of entries, where no history is laid open; all hashes are in every export. picked: entries
    whose tlog-proof goes along. policy: the text of the witnesses' policy. reader: the auditor to whose key the details are sealed;
    without one they stand open in the export.
    """

    children: Sequence[bytes] = ()
    actors: Sequence[str] = ()
    details: bool = False
    first: int = 0
    last: int | None = None
    picked: Sequence[int] = ()
    policy: str = ""
    reader: SealingKey | None = None

    @property
    def kinds(self) -> list[str]:
        """Which completeness the verifier will find: of a range, of a child's history, of an actor's."""
        return ["range", *(["child"] if self.children else []), *(["actor"] if self.actors else [])]


async def export(log: AuditLog, directory: Path, wanted: Export, entry: EntryDraft) -> Receipt:
    """Write an export and its `audit.export` entry (`entry`, which says who asked and why). The directory must be empty.

    The index is renewed first, so that it covers the histories shown; the entry retires every K that is shown and is itself the
    last entry of the export. Raises `BadRequest("export_not_empty")`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise BadRequest("export_not_empty")
    holders = [*(child_holder(child) for child in wanted.children), *(actor_holder(name) for name in wanted.actors)]
    if holders and (wanted.first or wanted.last is not None):
        raise ProgrammingError("a history is shown with the whole log")
    if holders:
        await write_index(log)
    receipt = await log.submit(Asked(entry, None, tuple(holders)))
    async with log.database.read() as reading:
        shown = [
            one | {"of": number}
            for number, holder in enumerate(holders)
            for one in await _generations(reading, log, holder)
        ]
        note = await log.checkpoint()
        size = read_checkpoint(note).size
        _write(directory / "checkpoint", note)
        last = size if wanted.last is None else min(wanted.last, size)
        # What was pruned has no bundles any more; whatever is shown of a history stands after it.
        first = min(max(wanted.first, await minimum_index(reading)), last)
        asked = {"entry": receipt.index, "kinds": wanted.kinds, "range": [first, last]}
        _write(directory / "request.json", json.dumps(asked, indent=1, sort_keys=True).encode())
        await _write_tree(reading, directory, size, (first, last))
        for index in sorted({receipt.index, *wanted.picked}):
            proof = (await make_receipt(reading, index)).proof
            _write(directory / "proofs" / f"{index}.tlog-proof", proof.encode())
        witnessed = await store.newest_cosigned(reading)
        if witnessed is not None and wanted.policy:
            _write(directory / "policy.txt", wanted.policy.encode())
            _write(directory / "witnessed", witnessed[1])
        if wanted.details:
            await _write_details(reading, log, directory, wanted)
    for number, history in enumerate(shown):
        _write(directory / "histories" / f"{number}.json", json.dumps(history, indent=1).encode())
    finish(directory, [log.signer.verifier])
    return receipt


async def mirror(log_reading: Reading, directory: Path, verifiers: Sequence[Verifier]) -> int:
    """Write checkpoint, tiles and bundles only, over what is there (a mirror). Returns the size."""
    head = await store.get_head(log_reading)
    if head is None:
        raise GatewayFault("log_head_invalid")
    first = await minimum_index(log_reading)
    await _write_tree(log_reading, directory, head.size, (first, head.size))
    if first:
        _write(directory / "request.json", json.dumps({"kinds": ["range"], "range": [first, head.size]}).encode())
    _write(directory / "checkpoint", head.checkpoint)
    finish(directory, verifiers)
    return head.size


async def _write_tree(reading: Reading, directory: Path, size: int, shown: tuple[int, int]) -> None:
    """All tiles, and the bundles that hold the entries shown."""
    for tile in tiles_of(size):
        start = tile.number * WIDTH
        if tile.level == 0 and start < shown[1] and start + tile.width > shown[0]:
            entries = await store.get_leaves(reading, start, start + tile.width)
            _write(directory / tile.bundle_path, encode_bundle(entries))
        data = await read_tiles(reading, [tile])
        _write(directory / tile.path, data[tile.level, tile.number])


async def _generations(reading: Reading, log: AuditLog, holder: bytes) -> list[dict[str, Any]]:
    """Each ended generation: its K, how many entries it has, and its line in the newest index if it was there."""
    newest = await audit_keys.newest_epoch(reading)
    found: list[dict[str, Any]] = []
    for row in await store.key_generations(reading, holder):
        if row.current:
            continue  # begun by this very export, and not for showing
        history = log.keeper.open(row)
        shown = {"key": history.tag_key.hex(), "generation": row.generation, "count": history.count, "closed": True}
        found.append(shown | (_line_proof(history, newest) if newest else {}))
    return found


def _line_proof(history: History, newest: tuple[int, int, int, bytes]) -> dict[str, Any]:
    epoch, index, _, lines = newest
    rows = [lines[at : at + _LINE] for at in range(0, len(lines), _LINE)]
    head = head_label(history.tag_key, epoch)
    place = next((at for at, row in enumerate(rows) if row[:32] == head), None)
    if place is None:
        return {}  # ended before this index was made
    counts = range(history.count, -1, -1)
    indexed = next(n for n in counts if count_label(history.tag_key, epoch, n) == rows[place][32:])
    leaves = [leaf_hash(row) for row in rows]
    path = [b64encode(span_hash(leaves, span)).decode() for span in inclusion_spans(place, len(rows))]
    return {"epoch": epoch, "index": index, "indexed": indexed, "line": place, "lines": len(rows), "path": path}


async def _write_details(reading: Reading, log: AuditLog, directory: Path, wanted: Export) -> None:
    for child in wanted.children:
        for row in await child_history(reading, log.keeper, child):
            await _write_detail(reading, log, directory, row, child_holder(child), wanted.reader)
    for name in wanted.actors:
        for row in await actor_history(reading, log.keeper, name):
            await _write_detail(reading, log, directory, row, actor_holder(name), wanted.reader)


async def _write_detail(
    reading: Reading, log: AuditLog, directory: Path, row: store.EntryRow, holder: bytes, reader: SealingKey | None
) -> None:
    try:
        salted = await opened_bytes(reading, log.keeper, row, [holder])
    except BadRequest:
        return  # destroyed, or about somebody who is not asked for: the skeleton stands alone
    if reader is None:
        _write(directory / "details" / str(row.index), salted)
    else:
        _write(directory / "sealed" / str(row.index), seal_bytes(reader, salted, _sealed_for(log.origin, row.index)))


def unseal(files: Mapping[str, bytes], pair: SealingPair) -> dict[int, bytes]:
    """The details that an export holds sealed: entry index -> salt and JSON, each found to be what its entry commits to.

    files: of an export that was verified. Raises `BadRequest`: `seal_invalid` (another key), `detail_invalid`.
    """
    head = read_checkpoint(files["checkpoint"])
    found: dict[int, bytes] = {}
    for name in sorted(files):
        if name.startswith("sealed/"):
            index = int(name[7:])
            salted = open_bytes(pair, files[name], _sealed_for(head.origin, index))
            tile = tile_at(0, index // WIDTH, head.size)
            read_detail(salted, read_skeleton(decode_bundle(files[tile.bundle_path])[index % WIDTH]))
            found[index] = salted
    return found


def _sealed_for(origin: str, index: int) -> bytes:
    return f"runxin/audit/export|{origin}|{index}".encode()


def finish(directory: Path, verifiers: Sequence[Verifier]) -> None:
    """Keys, verifiers and, last, the manifest."""
    _write(directory / "vkeys", "".join(f"{verifier.vkey}\n" for verifier in verifiers).encode())
    shutil.copyfile(Path(standalone.__file__), directory / "verify.py")
    shutil.copyfile(Path(standalone.__file__).with_name("verify.html"), directory / "verify.html")
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    digests = {str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest() for path in files}
    _write(directory / "manifest.json", json.dumps(digests, indent=1, sort_keys=True).encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
