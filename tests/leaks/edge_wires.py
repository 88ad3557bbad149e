"""What crosses the wires between five edges and the gateway, held member by member against what was ordered or permitted.

Rules kept here: every request of an edge and every answer of one is read from the recorded bytes; a member, field or header that is not
on a list is surplus, as is anything on a path that nobody foresaw; a field is allowed only where this order or this send permit
grants it for this line; findings name members, never values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.recorded import Call, calls

EDGES = ("ca", "ed", "he", "yl", "wf")

RELEASE = {"request", "exchange", "provider", "lines", "missing", "surplus", "sighted"}
ENVELOPE = {"exchange", "lines", "permit", "recipient", "sender"}
LINE = {"line", "subject", "region", "fields", "references", "seal"}
SEAL = {"digests", "enc", "exchange", "line", "recipient", "recipient_kid", "request", "sender", "sender_kid"}
SEAL |= {"signature", "suite"}
FIELD = ({"c"}, {"s", "v"})
"""A field is sealed, or a salted value that stands open because a rule reads it."""
ASKING = {
    "/v1/pseudonyms/evaluate": {"points", "grant"},
    "/v1/pseudonyms/convert": {"pseudonyms", "epoch", "finished"},
    "/v1/inbox/take": {"limit", "wait"},
    "/v1/inbox/acknowledge": {"delivery", "status", "code"},
    "/v1/send-permits": {"door", "exchange", "lines", "purpose", "recipient", "reason", "case"},
    "/v1/deliveries": {"envelope"},
}
"""What an edge may say, by path."""
HEADERS = {
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type", "user-agent", "authorization", "dpop",
    "officer-assertion", "idempotency-key", "traceparent", "date", "server", "content-digest",
}  # fmt: skip
TOKEN = {"grant_type", "client_assertion_type", "client_assertion", "scope"}


def surplus(demo: Path) -> list[str]:
    """Everything on those wires that nobody ordered or permitted, in words. Empty where there is nothing."""
    found = [
        what for name in EDGES for call in calls(demo / "capture" / f"edge-{name}") for what in _answered(name, call)
    ]
    recorded = calls(demo / "capture" / "gateway", demo / "site.toml")
    granted = {call.said["permit"]: call.said["lines"] for call in recorded if call.said.get("permit")}
    for call in recorded:
        name, _, role = call.client.rpartition("-")
        # A request for a token bears no proof that would say whose it is; its members are few, so all are read.
        if role == "edge" or call.path == "/oauth/token":
            found += [f"{name or 'somebody'} {call.path}: {what}" for what in _asked(call, granted)]
    return found


def spoke(demo: Path) -> tuple[set[str], int, int]:
    """(bodies whose edge asked the gateway anything, lines that edges released, lines that edges handed in)."""
    recorded = [c for c in calls(demo / "capture" / "gateway", demo / "site.toml") if c.client.endswith("-edge")]
    handed = sum(
        len(c.asked["envelope"]["lines"]) for c in recorded if (c.method, c.path) == ("POST", "/v1/deliveries")
    )
    released = sum(len(c.said.get("lines", ())) for name in EDGES for c in calls(demo / "capture" / f"edge-{name}"))
    return {call.client.removesuffix("-edge") for call in recorded}, released, handed


def held_back(demo: Path) -> dict[str, int]:
    """Body -> how many columns its edge says that it got unasked and dropped."""
    return {name: sum(c.said.get("surplus", 0) for c in calls(demo / "capture" / f"edge-{name}")) for name in EDGES}


def _answered(name: str, call: Call) -> Iterator[str]:
    """Surplus in what an edge answers to an order."""
    where = f"{name} {call.path}"
    if (call.method, call.path) not in (("POST", "/v1/orders"), ("GET", "/health"), ("GET", "/describe")):
        yield f"{where}: a path of its own"
        return
    yield from (f"{where}: header {header}" for header in call.answered.keys() - HEADERS)
    if call.path != "/v1/orders" or call.status != 200:
        return
    said = _json(call.answer)
    if said is None:
        yield f"{where}: an answer that is no JSON object"
        return
    yield from (f"{where}: member {member}" for member in said.keys() - RELEASE)
    for line in said["lines"]:
        yield from (f"{where}: {what}" for what in _line(line, set(call.asked["grants"])))
    numbers = {line["line"] for line in call.asked["lines"]}
    answered = {line["line"] for line in said["lines"]}
    yield from (f"{where}: line {number} that nobody ordered" for number in answered - numbers)


def _asked(call: Call, granted: Mapping[str, Any]) -> Iterator[str]:
    """Surplus in what an edge asks or hands in."""
    yield from (f"header {header}" for header in call.headers.keys() - HEADERS)
    if call.path == "/oauth/token":
        pairs = call.body.decode("ascii", "replace").split("&")
        yield from (f"member {member}" for member in {pair.partition("=")[0] for pair in pairs} - TOKEN)
        return
    if call.method == "GET":
        if call.body or "?" in call.path:
            yield "a read that says something"
        return
    if call.path not in ASKING:
        yield "a path of its own"
        return
    asked = _json(call.body)
    if asked is None:
        yield "a request that is no JSON object"
        return
    yield from (f"member {member}" for member in asked.keys() - ASKING[call.path])
    if call.path == "/v1/send-permits":
        yield from (f"line member {m}" for line in asked["lines"] for m in line.keys() - {"line", "subject"})
        yield from (
            f"subject member {m}" for line in asked["lines"] for m in line.get("subject", {}).keys() - {"pseudonym"}
        )
    if call.path == "/v1/deliveries":
        envelope = asked["envelope"]
        yield from (f"member {member}" for member in envelope.keys() - ENVELOPE)
        lines = granted.get(envelope["permit"], {})
        for line in envelope["lines"]:
            yield from _line(line, set(lines.get(str(line["line"]), {}).get("grants", ())))


def _line(line: Mapping[str, Any], granted: set[str]) -> Iterator[str]:
    """Surplus in one line: of a release against the order's grants, of an envelope against the send permit's."""
    yield from (f"line member {member}" for member in line.keys() - LINE)
    seal = line.get("seal") or {}
    yield from (f"seal member {member}" for member in seal.keys() - SEAL)
    carried = {*line.get("fields", {}), *line.get("references", {}), *seal.get("digests", {})}
    yield from (f"field {name}" for name in sorted(carried - granted))
    for name, value in line.get("fields", {}).items():
        if not isinstance(value, dict) or set(value) not in FIELD:
            yield f"form of field {name}"
    undigested = set(line.get("fields", {})) - set(seal.get("digests", {}))
    yield from (f"field {name} without a digest" for name in sorted(undigested))


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(body)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def rewritten(path: Path, place: int, change: Callable[[Any], None]) -> None:
    """Change the JSON body of one recorded HTTP message in its file, length and all. place: which message."""
    data, at = path.read_bytes(), 0
    for number in range(place + 1):
        end = data.index(b"\r\n\r\n", at)
        head = data[at:end].decode("latin-1").split("\r\n")
        stated = next((line for line in head if line.lower().startswith("content-length:")), "content-length: 0")
        size = int(stated.partition(":")[2])
        if number == place:
            body = json.loads(data[end + 4 : end + 4 + size])
            change(body)
            new = json.dumps(body, ensure_ascii=False).encode()
            head[head.index(stated)] = f"content-length: {len(new)}"
            path.write_bytes(
                data[:at] + "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + new + data[end + 4 + size :]
            )
            return
        at = end + 4 + size
