"""The report of a run: JSON that is signed with the edge's key, and an HTML page of the same results in two languages.

Rules kept here: the page loads nothing from outside and escapes what it shows; the signature covers the canonical JSON, so that the
page can be thrown away; no value, key or name of a record stands in either.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.contract.checks import Result
from adapters.edge.settings import EdgeSettings
from gateway.domain.canonical import canonical
from keys.signing import SigningKey, VerifyKey

_COLOURS = {"passed": "#1a7f37", "failed": "#b42318", "skipped": "#667085"}
_OUTCOMES = {"passed": "通过 passed", "failed": "未通过 failed", "skipped": "不适用 skipped"}


def document(settings: EdgeSettings, results: Sequence[Result]) -> dict[str, Any]:
    """What is signed. mapping: digest of the mapping file that was checked."""
    counts = Counter(result.outcome for result in results)
    return {
        "version": 1,
        "party": settings.party.text,
        "region": settings.region,
        "source": type(settings.source).__name__.removesuffix("Source").lower(),
        "mapping": hashlib.sha256(settings.mapping.read_bytes()).hexdigest(),
        "made": int(time.time()),
        "passed": counts["passed"],
        "failed": counts["failed"],
        "skipped": counts["skipped"],
        "results": [asdict(result) for result in results],
    }


def signed(report: dict[str, Any], key: SigningKey) -> dict[str, Any]:
    """The report with its signature (Ed25519 over the canonical JSON of `report`) and the public key."""
    signature = base64.urlsafe_b64encode(key.sign(canonical(report))).rstrip(b"=").decode()
    return {"report": report, "key": key.verify_key.jwk(), "signature": signature}


def verify(given: dict[str, Any], key: VerifyKey) -> dict[str, Any]:
    """The report whose signature holds under a key that is known beforehand. Raises what `VerifyKey.verify` raises."""
    text = given["signature"]
    key.verify(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), canonical(given["report"]))
    report: dict[str, Any] = given["report"]
    return report


def page(given: dict[str, Any]) -> str:
    """The HTML page."""
    report = given["report"]
    rows = "".join(
        f"<tr><td><code>{_t(r['name'])}</code></td><td>{_t(r['zh'])}<br><small>{_t(r['en'])}</small></td>"
        f"<td style='color:{_COLOURS[r['outcome']]}'>{_OUTCOMES[r['outcome']]}</td>"
        f"<td>{_t(r['reason'])} <small>{_t(r['detail'])}</small></td></tr>"
        for r in report["results"]
    )
    made = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(report["made"]))
    return (
        "<!DOCTYPE html><html lang='zh-CN'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>润心网关 适配器符合性报告</title><style>body{font:15px/1.6 system-ui,sans-serif;margin:2rem auto;"
        "max-width:70rem;padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #e4e7ec;"
        "padding:.45rem;text-align:left;vertical-align:top}small{color:#667085}</style></head><body>"
        "<h1>适配器符合性报告 <small>Adapter conformance report</small></h1>"
        f"<p>{_t(report['party'])} · {_t(report['region'])} · {_t(report['source'])} · {made}</p>"
        f"<p>通过 passed <b>{report['passed']}</b> · 未通过 failed <b>{report['failed']}</b> · "
        f"不适用 skipped <b>{report['skipped']}</b></p>"
        "<table><thead><tr><th>检查 check</th><th>内容 what</th><th>结果 outcome</th><th>原因 reason</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p><small>映射 mapping sha256 {_t(report['mapping'])}<br>"
        f"签名 Ed25519 {_t(given['signature'])}</small></p></body></html>"
    )


def write(given: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """`report.json` and `report.html` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "report.json", folder / "report.html"
    for path, text in zip(made, (json.dumps(given, ensure_ascii=False, indent=1), page(given)), strict=True):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return made


def _t(text: object) -> str:
    return html.escape(str(text))
