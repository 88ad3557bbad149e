"""Verify an export of the audit log with Python's standard library and nothing else: `python verify.py <folder or .auditpack> [<log vkey>]`.

This file imports nothing of the gateway. It checks, in this order, and names what is wrong first: 打包 the pack's own bytes; 签名 the log's signature over the root; 哈希 every entry against its tile, every tile
against the tile above and the root; 见证 the witnesses' cosignatures as the policy wants them; 条目 every entry's canonical form
and time; 历史 each history that was laid open: all its entries are there, none is missing, none follows; 明细 each opened detail
against its entry; 文件 the files against manifest.json. Verdicts: 通过 / 不通过 / 无法判断. Exit code 0: nothing failed.
Rules kept here: standard library only; the signature check is RFC 8032 in plain integers, cofactorless, with canonical
encodings required; the key to trust is the one given on the command line, or else the export's own (then it says so).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

WIDTH, HASH = 256, 32
HISTORY = {"key", "generation", "of", "count", "closed", "epoch", "index", "indexed", "line", "lines", "path"}


class Wrong(Exception):  # noqa: N818  (the verdict, not a fault of the program)
    """A check failed; the text names the place."""


_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]


def _add(one: Point, two: Point) -> Point:
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % _P, (one[1] + one[0]) * (two[1] + two[0]) % _P
    c, d = 2 * one[3] * two[3] * _D % _P, 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _decode_point(data: bytes) -> Point:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        raise Wrong("signature: a point is not canonical")
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _I % _P
    if (x * x - square) % _P or (x == 0 and sign):
        raise Wrong("signature: not a point of the curve")
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BASE = _decode_point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def verify_ed25519(public: bytes, signature: bytes, message: bytes) -> None:
    """Raise `Wrong` unless `signature` is `public`'s over `message`."""
    if len(public) != 32 or len(signature) != 64:
        raise Wrong("signature: wrong length")
    key, nonce = _decode_point(public), _decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= _L:
        raise Wrong("signature: scalar out of range")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _multiply(scalar, _BASE), _add(nonce, _multiply(challenge, key))
    if (left[0] * right[2] - right[0] * left[2]) % _P or (left[1] * right[2] - right[1] * left[2]) % _P:
        raise Wrong("signature: does not verify")


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 | entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 | left | right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """Root over leaf hashes (or over subtree roots of one size, the last ones fewer)."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    stack: list[tuple[int, bytes]] = []
    for leaf in hashes:
        size, node = 1, leaf
        while stack and stack[-1][0] == size:
            node, size = node_hash(stack.pop()[1], node), size * 2
        stack.append((size, node))
    node = stack.pop()[1]
    while stack:
        node = node_hash(stack.pop()[1], node)
    return node


def check_path(leaf: bytes, index: int, size: int, *, path: list[bytes], root: bytes, where: str) -> None:
    """RFC 9162 2.1.3.2; `Wrong` unless the leaf stands at `index`."""
    if not 0 <= index < size:
        raise Wrong(f"{where}: index outside the tree")
    node, last, steps = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise Wrong(f"{where}: proof too long")
        if node & 1 or node == last:
            steps = node_hash(step, steps)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            steps = node_hash(steps, step)
        node, last = node >> 1, last >> 1
    if last or not hmac.compare_digest(steps, root):
        raise Wrong(f"{where}: proof does not lead to the root")


def read_vkey(text: str) -> tuple[str, bytes, bytes]:
    """(name, key id, public key) of an Ed25519 vkey."""
    try:
        name, identity, body = text.strip().split("+", 2)
        data = base64.b64decode(body, validate=True)
        key_id = bytes.fromhex(identity)
    except ValueError:
        raise Wrong("vkeys: not a vkey") from None
    if len(data) != 33 or hashlib.sha256(name.encode() + b"\n" + data).digest()[:4] != key_id:
        raise Wrong("vkeys: key id does not fit its key")
    return name, key_id, data[1:]


def check_checkpoint(note: bytes, vkey: str, where: str = "checkpoint") -> tuple[int, bytes]:
    """(size, root) of a checkpoint that the log's key signed."""
    name = read_vkey(vkey)[0]
    try:
        origin, size, root = note.decode("utf-8").split("\n")[:3]
        head = (int(size), base64.b64decode(root, validate=True))
    except ValueError:
        raise Wrong(f"{where}: malformed") from None
    if origin != name or len(head[1]) != HASH or str(head[0]) != size or base64.b64encode(head[1]).decode() != root:
        raise Wrong(f"{where}: malformed, or of another log")
    if not signed_by(note, vkey, where):
        raise Wrong(f"{where}: the log's signature is missing")
    return head


def signed_by(note: bytes, vkey: str, where: str) -> bool:
    """Whether a note carries that key's line; `Wrong` if it does not verify or any line is malformed."""
    name, key_id, public = read_vkey(vkey)
    try:
        text, cut, block = note.decode("utf-8").rpartition("\n\n")
        lines = [line.split(" ") for line in block[:-1].split("\n")]
        bodies = [base64.b64decode(line[2], validate=True) for line in lines]
    except (ValueError, IndexError):
        raise Wrong(f"{where}: malformed signature line") from None
    found, signed = False, (text + "\n").encode()
    for (dash, signer, *rest), body in zip(lines, bodies, strict=True):
        if not cut or not block.endswith("\n") or dash != "—" or rest != [base64.b64encode(body).decode()]:
            raise Wrong(f"{where}: malformed signature line")
        if signer == name and body[:4] == key_id:
            if len(body) == 76:  # a cosignature: eight bytes of time, then the signature over both
                time = int.from_bytes(body[4:12], "big")
                verify_ed25519(public, body[12:], f"cosignature/v1\ntime {time}\n".encode() + signed)
            else:
                verify_ed25519(public, body[4:], signed)
            found = True
    return found


def quorum_reached(policy: str, note: bytes, where: str) -> tuple[bool, int]:
    """(whether the note satisfies a c2sp.org/tlog-policy, how many of its witnesses signed)."""
    reached: dict[str, bool] = {"none": True}
    count, answer = 0, False
    for words in (line.split() for line in policy.split("\n") if line and line[0] != "#"):
        if words[0] == "witness":
            reached[words[1]] = signed_by(note, words[2], where)
            count += reached[words[1]]
        elif words[0] == "group":
            members = [reached[name] for name in words[3:]]
            least = {"any": 1, "all": len(members)}.get(words[2]) or int(words[2])
            reached[words[1]] = sum(members) >= least
        elif words[0] == "quorum":
            answer = reached[words[1]]
    return answer, count


def tile_path(level: str, number: int, width: int) -> str:
    """`tile/<L>/<N>[.p/<W>]`; the level is `entries` for bundles."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + ("" if width == WIDTH else f".p/{width}")


def read_bundle(data: bytes, width: int, where: str) -> list[bytes]:
    """The entries of a bundle."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            break
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data) or len(entries) != width:
        raise Wrong(f"{where}: lengths do not add up")
    return entries


def pack(files: Mapping[str, bytes]) -> bytes:
    """The one zip file of these files: names sorted, stored as they are, no dates. The same files always give the same bytes."""
    body, index = bytearray(), bytearray()
    for name in sorted(files):
        data, path = files[name], name.encode()
        facts = struct.pack("<HHHHHIIIHH", 20, 0x800, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(path), 0)
        index += b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + path
        body += b"PK\3\4" + facts + path + data
    end = struct.pack("<HHHHIIH", 0, 0, len(files), len(files), len(index), len(body), 0)
    return bytes(body + index + b"PK\5\6" + end)


def _members(data: bytes) -> Iterator[tuple[str, int, int]]:
    at = 0
    while data[at : at + 4] == b"PK\3\4" and len(data) >= at + 30:
        length, path = struct.unpack_from("<I4xH", data, at + 18)
        start = at + 30 + path
        yield data[at + 30 : start].decode("utf-8", "replace"), start, start + length
        at = start + length


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a pack; `Wrong` names the file in which its bytes are not those that `pack` writes."""
    files = {name: data[start:end] for name, start, end in _members(data)}
    again = pack(files)
    if again != data:
        place = next((n for n, (one, two) in enumerate(zip(again, data, strict=False)) if one != two), len(again))
        names = [name for name, _, end in _members(again) if place < end]
        raise Wrong(f"byte {place} ({names[0] if names else 'the list of files'}): not as a pack is written")
    return files


class Export:
    """What is under verification: the files of a pack, or a folder."""

    def __init__(self) -> None:
        self.source: Mapping[str, bytes | Path] = {}
        self.place = ""
        self.size = 0
        self.root = b""
        self.range = (0, 0)
        self.leaves: list[bytes] = []
        self.skeletons: dict[int, dict[str, Any]] = {}
        self.tags: dict[str, int] = {}

    def read(self, name: str) -> bytes:
        """A file's bytes; `Wrong` names a missing one."""
        found = self.source.get(name)
        self.place = name
        if found is None:
            raise Wrong(f"{name}: missing")
        return found.read_bytes() if isinstance(found, Path) else found

    def names(self, below: str = "") -> list[str]:
        """The names of all files that begin so."""
        return sorted(name for name in self.source if name.startswith(below))

    def files(self) -> str:
        """文件: every file is the one in manifest.json, and there is no other."""
        manifest = self.read("manifest.json")
        listed = json.loads(manifest)
        if json.dumps(listed, indent=1, sort_keys=True).encode() != manifest:
            raise Wrong("manifest.json: not as an export writes it")
        for name, digest in sorted(listed.items()):
            if hashlib.sha256(self.read(name)).hexdigest() != digest:
                raise Wrong(f"{name}: changed since the export")
        if extra := sorted(set(self.names()) - listed.keys() - {"manifest.json"}):
            raise Wrong(f"{extra[0]}: not part of the export")
        return f"{len(listed)} files"

    def signature(self, vkey: str) -> str:
        """签名: the log's key signed this size and root."""
        self.size, self.root = check_checkpoint(self.read("checkpoint"), vkey)
        asked = json.loads(self.read("request.json")) if "request.json" in self.source else {}
        first, last = self.range = asked.get("range", (0, self.size))
        if not 0 <= first <= last <= self.size:
            raise Wrong("request.json: a range outside the log")
        return f"{self.size} entries, root {self.root.hex()[:16]}…"

    def tree(self) -> str:
        """哈希: entries against tiles, tiles against the tiles above, the top against the signed root."""
        rows, level, count = self._tiles(0, self.size), 0, self.size
        levels = [rows]
        while count >= WIDTH:
            level, count = level + 1, count // WIDTH
            levels.append(self._tiles(level, count))
        self.leaves = rows
        for number in range(self.range[0] // WIDTH, -(-self.range[1] // WIDTH)):
            self._bundle(number, rows[number * WIDTH : (number + 1) * WIDTH], levels)
        for upper in range(1, len(levels)):
            for place, claimed in enumerate(levels[upper]):
                if root_of(levels[upper - 1][place * WIDTH : (place + 1) * WIDTH]) != claimed:
                    where = tile_path(
                        str(upper), place // WIDTH, min(WIDTH, len(levels[upper]) - place // WIDTH * WIDTH)
                    )
                    raise Wrong(f"{where}: hash {place % WIDTH} does not fit below")
        if root_of(rows) != self.root:
            raise Wrong("checkpoint: entries and tiles agree with each other, but not with the signed root")
        return f"{self.size} leaves under the signed root"

    def witnesses(self, vkey: str) -> str:
        """见证: the newest witnessed checkpoint is of this log and has the cosignatures that the policy wants."""
        if "policy.txt" not in self.source or "witnessed" not in self.source:
            return ""
        note = self.read("witnessed")
        size, root = check_checkpoint(note, vkey, "witnessed")
        if size > self.size or root_of(self.leaves[:size]) != root:
            raise Wrong("witnessed: the witnesses saw another log")
        policy, self.place = self.read("policy.txt").decode(), "witnessed or policy.txt"
        enough, count = quorum_reached(policy, note, "witnessed")
        if not enough:
            raise Wrong(f"witnessed: {count} cosignatures are not the quorum")
        return f"{count} witnesses over {size} entries"

    def entries(self) -> str:
        """条目: canonical form, known keys, time that rises."""
        before = 0
        for index, skeleton in self.skeletons.items():
            if skeleton["t"] <= before:
                raise Wrong(f"entry {index}: its time does not rise")
            before = skeleton["t"]
            self.tags |= dict.fromkeys(skeleton.get("tags", ()), index)
        if any(index not in self.skeletons for index in range(*self.range)):
            raise Wrong("entries: the range is not whole")
        return f"{len(self.skeletons)} canonical entries, {self.range[0]} to {self.range[1]} whole"

    def histories(self) -> str:
        """历史: each generation laid open is whole: all its entries are here, its line is in the index, none follows."""
        places = sorted(self.names("histories/"), key=lambda name: int(name[10:-5]))
        shown = [(name[10:], json.loads(self.read(name))) for name in places]
        total = sum(self._history(name, history) for name, history in shown)
        for (_, old), (_, new) in itertools.pairwise(shown):
            if old["closed"] and old["of"] == new["of"]:
                key, following = bytes.fromhex(old["key"]), bytes.fromhex(new["key"])
                last = self.skeletons[self.tags[_tag(key, old["count"])]]
                if last.get("manifest") != _b64(_hmac(key, b"successor" + following)):
                    raise Wrong(f"history of generation {old['generation']}: its successor is not the next one")
        return f"{len(shown)} generations, {total} entries, none missing" if shown else ""

    def details(self) -> str:
        """明细: each opened detail is what its entry commits to."""
        places = self.names("details/")
        for name in places:
            index, salted = int(name[8:]), self.read(name)
            digest = hashlib.sha256(b"runxin/audit/detail/v1\x00" + salted).digest()
            if self.skeletons.get(index, {}).get("detail") != _b64(digest):
                raise Wrong(f"{name}: not what entry {index} commits to")
        return f"{len(places)} opened details" if places else ""

    def _history(self, name: str, history: dict[str, Any]) -> int:
        self.place = f"histories/{name}"
        if history.keys() - HISTORY:
            raise Wrong(f"histories/{name}: a member that no history has")
        key, count = bytes.fromhex(history["key"]), int(history["count"])
        for number in range(1, count + 1):
            if _tag(key, number) not in self.tags:
                raise Wrong(f"histories/{name}: its entry {number} is not in the log")
        if _tag(key, count + 1) in self.tags:
            raise Wrong(f"histories/{name}: its entry {count + 1} is in the log and not in the history")
        if history["closed"] and self.skeletons[self.tags[_tag(key, count)]]["kind"] != "tag.successor":
            raise Wrong(f"histories/{name}: its last entry does not end it")
        if "epoch" in history:
            self._indexed(f"histories/{name}", key, history)
        elif not history["closed"]:
            raise Wrong(f"histories/{name}: neither ended nor counted by an index")
        return count

    def _indexed(self, where: str, key: bytes, history: dict[str, Any]) -> None:
        """The epoch's index, itself an entry, counts this history as it was then."""
        entry = self.skeletons[int(history["index"])]
        if entry["kind"] != "index" or entry.get("epoch") != history["epoch"]:
            raise Wrong(f"{where}: entry {history['index']} is no index of that epoch")
        epoch, count = int(history["epoch"]).to_bytes(8, "big"), int(history["indexed"])
        line = _hmac(key, b"head" + epoch) + _hmac(key, b"count" + epoch + count.to_bytes(8, "big"))
        path = [base64.b64decode(step) for step in history["path"]]
        if [base64.b64encode(step).decode() for step in path] != history["path"]:
            raise Wrong(f"{where}: not in canonical form")
        root = base64.urlsafe_b64decode(entry["manifest"] + "=")
        check_path(leaf_hash(line), history["line"], history["lines"], path=path, root=root, where=where)
        below = sum(1 for number in range(1, history["count"] + 1) if self.tags[_tag(key, number)] < entry["covers"])
        if below != count:
            raise Wrong(f"{where}: the index counts {count} entries, the log has {below}")

    def _tiles(self, level: int, count: int) -> list[bytes]:
        hashes: list[bytes] = []
        for number in range(-(-count // WIDTH)):
            width = min(WIDTH, count - number * WIDTH)
            name = tile_path(str(level), number, width)
            data = self.read(name)
            if len(data) != width * HASH:
                raise Wrong(f"{name}: wrong length")
            hashes += [data[at : at + HASH] for at in range(0, len(data), HASH)]
        return hashes

    def _bundle(self, number: int, tile: list[bytes], levels: list[list[bytes]]) -> None:
        name = tile_path("entries", number, len(tile))
        entries = read_bundle(self.read(name), len(tile), f"{name} (entries from {number * WIDTH})")
        found = [leaf_hash(entry) for entry in entries]
        if found != tile:
            above = levels[1][number] if len(levels) > 1 and number < len(levels[1]) else b""
            if above and root_of(found) == above:
                raise Wrong(f"{tile_path('0', number, len(tile))}: does not fit its entries and the tile above")
            first = next(at for at, (one, two) in enumerate(zip(found, tile, strict=True)) if one != two)
            raise Wrong(f"entry {number * WIDTH + first}: changed")
        for offset, entry in enumerate(entries):
            self.skeletons[number * WIDTH + offset] = _skeleton(entry, number * WIDTH + offset)


def _skeleton(entry: bytes, index: int) -> dict[str, Any]:
    try:
        value = json.loads(entry.decode("utf-8"))
        again = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except ValueError:
        raise Wrong(f"entry {index}: not JSON") from None
    if again.encode() != entry or not isinstance(value, dict) or type(value.get("t")) is not int or value.get("v") != 1:
        raise Wrong(f"entry {index}: not in canonical form")
    return value


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _tag(key: bytes, number: int) -> str:
    return _b64(_hmac(key, b"tag" + number.to_bytes(8, "big"))[:16])


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def verify(source: Path | bytes | Mapping[str, bytes], vkey: str | None = None, *, report: Any = print) -> bool:
    """Run every check over a folder, a pack or a pack's files; report each verdict, stop at the first that fails."""
    export = Export()

    def opened() -> str:
        data = source.read_bytes() if isinstance(source, Path) and source.is_file() else source
        if isinstance(data, Path):
            files = [path for path in data.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
            export.source = {path.relative_to(data).as_posix(): path for path in files}
            return ""
        export.source = unpack(data) if isinstance(data, bytes) else data
        return f"{len(data)} bytes" if isinstance(data, bytes) else ""

    def trusted() -> str:
        return vkey if vkey is not None else export.read("vkeys").decode("utf-8", "replace").split("\n")[0]

    checks: list[tuple[str, Callable[[], str]]] = [
        ("打包 pack", opened),
        ("签名 signature", lambda: export.signature(trusted())),
        ("哈希 hashes", export.tree),
        ("见证 witnesses", lambda: export.witnesses(trusted())),
        ("条目 entries", export.entries),
        ("历史 histories", export.histories),
        ("明细 details", export.details),
        ("文件 files", export.files),
    ]
    for name, check in checks:
        try:
            found = check()
        except (Wrong, ValueError, LookupError, TypeError) as error:
            place = "" if export.place in str(error) else f" ({export.place})"
            report(f"不通过 FAILED   {name}: {error if isinstance(error, Wrong) else 'malformed'}{place}")
            return False
        report(f"通过 passed     {name}: {found}" if found else f"无法判断 no material   {name}")
    if vkey is None:
        report("注意 note: checked with the key inside the export; compare it with the one in the sharing agreement")
    return True


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python verify.py <folder or .auditpack> [<log vkey>]")
    sys.exit(0 if verify(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None) else 1)
