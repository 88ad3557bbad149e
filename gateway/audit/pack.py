"""An `.auditpack`: an export as one deterministic zip file that opens, and verifies, on a machine with nothing installed.

Beside what `gateway/audit/export.py` writes it holds a page to read first, what was destroyed and by which entry, which clause
of which law each part answers, and for a year's package (X33) the year in numbers.

Rules kept here: the same files give the same bytes, so a changed byte anywhere is found; nothing in it names a child; figures
come from the log's own roll-ups and carry the range of entries that they count.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gateway.audit.entry import read_skeleton
from gateway.audit.export import Export, export, finish
from gateway.audit.log import AuditLog
from gateway.audit.reading import Question, open_detail, page
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft, Receipt
from gateway.errors import BadRequest
from gateway.proofs.verify import pack as zipped
from gateway.store import audit as store
from gateway.store.database import Reading

READ_FIRST = "00-先读我.html"
_CLAUSES = (
    ("条款 clause", "要求 demand", "材料 material"),
    ("网保条例36", "查阅须审批并记录 every access approved and recorded", "tile/entries; histories; details"),
    ("网保条例37", "每年合规审计 yearly audit", "yearly.json"),
    ("PIPL 47", "期满或撤回即删除 deletion", "destroyed.json"),
    ("PIPL 54", "定期合规审计 regular audit", "verify.py; verify.html"),
    ("PIPL 55-56", "影响评估及处理情况记录 assessment and records, 3 years", "tile/entries"),
    ("网数条例12", "向他人提供的记录保存三年 records of provision, 3 years", "tile/entries; checkpoint"),
    ("网安法23(三)", "网络日志不少于六个月 logs, 6 months", "tile; checkpoint"),
    ("GB/T 22239-2019 8.1.4.3", "审计记录受保护并备份 protected and backed up", "witnessed; policy.txt"),
)
_PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>先读我 · read me first</title>
<body style="font:16px/1.7 sans-serif;max-width:46em;margin:3em auto;padding:0 1em">
<h1>审计包 · audit pack</h1>
<p>日志 <code>{origin}</code>，共 {size} 条；本包含第 {first} 至 {last} 条（不含末条）。由条目 {entry} 记录本次导出。</p>
<p>核验：双击 <b>verify.html</b> 并选中本 .auditpack 文件；或运行 <code>python verify.py 文件 [日志公钥]</code>。无需安装任何软件。</p>
<p>日志公钥应与共享协议上印的一致。三种结论：通过、不通过（指出位置）、无法判断（缺少材料）。</p>
<p>Entries {first} to {last} of a log of {size}. To verify, open <b>verify.html</b> and choose this pack, or run
<code>python verify.py PACK [log key]</code>. Compare the key with the one printed in the sharing agreement.</p></body></html>
"""


async def write_pack(
    log: AuditLog, target: Path, wanted: Export, entry: EntryDraft, *, more: Mapping[str, bytes] | None = None
) -> Receipt:
    """Write a pack and its `audit.export` entry. more: further files by name. Raises as `export`; `FileExistsError`."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pack-") as name, target.open("xb") as file:
        folder = Path(name) / "pack"
        receipt = await export(log, folder, wanted, entry)
        asked = json.loads((folder / "request.json").read_bytes())
        async with log.database.read() as reading:
            destroyed = await _destroyed(reading, log)
        size = (folder / "checkpoint").read_text("utf-8").split("\n")[1]
        first, last = asked["range"]
        words = {"origin": log.origin, "size": size, "first": first, "last": last, "entry": receipt.index}
        files = {
            READ_FIRST: _PAGE.format(**words).encode(),
            "destroyed.json": json.dumps(destroyed, indent=1, sort_keys=True).encode(),
            "clause-map.csv": _clauses(),
            **(more or {}),
        }
        for path, data in files.items():
            (folder / path).write_bytes(data)
        finish(folder, [log.signer.verifier])
        paths = [path for path in folder.rglob("*") if path.is_file()]
        file.write(zipped({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}))
    return receipt


async def write_year(log: AuditLog, target: Path, year: int, entry: EntryDraft, *, policy: str = "") -> Receipt:
    """X33: the pack of a year (Asia/Shanghai) with the year in numbers. Raises `BadRequest("entry_unknown")` for an empty one."""
    begin, end = (int(datetime(one, 1, 1, tzinfo=SHANGHAI).timestamp()) for one in (year, year + 1))
    async with log.database.read() as reading:
        head = await store.get_head(reading)
        size = head.size if head else 0
        first = await store.first_at(reading, begin * 1_000_000, size)
        last = await store.first_at(reading, end * 1_000_000, size)
        if first == last:
            raise BadRequest("entry_unknown")
        figures = await _figures(reading, first, last)
    figures |= {"year": year, "entries": last - first, "range": [first, last]}
    more = {"yearly.json": json.dumps(figures, indent=1, sort_keys=True, ensure_ascii=False).encode()}
    return await write_pack(log, target, Export(first=first, last=last, policy=policy), entry, more=more)


async def _figures(reading: Reading, first: int, last: int) -> dict[str, object]:
    """Counted from the entries themselves: the auditor counts them again from the same bundles."""
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("kind", "exchange", "door", "purpose", "outcome", "code", "policy", "from", "to")
    }
    for start in range(first, last, 4096):
        for leaf in await store.get_leaves(reading, start, min(start + 4096, last)):
            skeleton = read_skeleton(leaf)
            for name, counter in counts.items():
                if name in skeleton:
                    counter[skeleton[name]] += 1
    return {name: dict(counter) for name, counter in counts.items()}


async def _destroyed(reading: Reading, log: AuditLog) -> list[dict[str, object]]:
    """The certificates of destruction: entry, and what it says about the keys that went. They name nobody."""
    found: list[dict[str, object]] = []
    question = Question(kind="erasure", limit=1000)
    while shown := await page(reading, question):
        for one in shown:
            (row,) = await store.get_entries(reading, one.index, one.index + 1)
            try:
                detail = await open_detail(reading, log.keeper, row)
                certificate = detail["facts"].get("certificate", {})
            except BadRequest:
                certificate = {}
            found.append({"entry": one.index, "certificate": certificate})
        question = replace(question, after=shown[-1].index)
    return found[::-1]


def _clauses() -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_CLAUSES)
    return "\ufeff".encode() + text.getvalue().encode()
