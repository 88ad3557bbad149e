"""The simulated 12338 vendor (妇女维权热线): an SFTP server with a nightly CSV in GB18030 and its marker.

Rules kept here: it knows nothing of the gateway; it writes the marker last; it admits one key; every file operation is written to its
own log; host key and client key are made at the first start and lie in its directory.

    python -m adapters.sandbox.sftp_system --data DIR --secret-file F [--port 0] [--children N]

DIR: host_key, client_key (+ .pub), files/12338_<date>_01.csv[.ok], files/in (tickets). `deliver()` writes further files.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

import asyncssh

from adapters.sandbox import serving
from adapters.sandbox.circles import family_key, known_to_womens_federation
from adapters.sandbox.population import Child, Population, build
from adapters.sandbox.processes import Running, announce

HEADINGS = (
    "服务编号", "儿童姓名", "儿童证件号", "临时编号", "出生日期", "所属区划", "线索编号", "所在地点", "侵害类型", "危险程度",
    "接报时间", "来电人姓名", "来电人电话", "受理记录",
)  # fmt: skip
HARMS = ("身体暴力", "忽视", "精神暴力", "欺凌")
DANGERS = ("低", "中", "高", "紧急")


def row(c: Child, population: Population) -> tuple[str, ...]:
    """A line of the nightly file. Every fifth family reported a harm; the reporter's name and phone are in it, as in the field."""
    harmed = c.number % 5 == 0 or c.in_programme
    issued = c.issued if c.issued and c.known_to_civil_affairs else ""
    clue = (f"XS{c.number:07d}", c.address, HARMS[c.number % 4], DANGERS[c.number % 4], f"{population.on} 21:15:00")
    return (
        family_key(c), c.name, c.identifier or "", issued or "", f"{c.born:%Y%m%d}", c.region,
        *(clue if harmed else ("", "", "", "", "")),
        c.guardians[0].name, c.guardians[0].phone, '=HYPERLINK("http://example.invalid")',
    )  # fmt: skip


def nightly(children: Iterable[Child], population: Population, charset: str = "gb18030") -> bytes:
    """The file's bytes."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(HEADINGS)
    writer.writerows(row(c, population) for c in children)
    return buffer.getvalue().encode(charset)


def deliver(files: Path, name: str, data: bytes, *, marked: bool = True, cut: int | None = None) -> None:
    """Write a file as the vendor does. cut: only so many bytes of it, as when a transfer is still under way."""
    (files / name).write_bytes(data[:cut])
    if marked:
        said = {"size": len(data), "sha256": sha256(data).hexdigest()}
        (files / f"{name}.ok").write_text(json.dumps(said), "ascii")


class _Server(asyncssh.SSHServer):
    """Public keys only."""

    def password_auth_supported(self) -> bool:
        return False


def _sftp(root: Path, log: TextIO) -> Any:
    class Logged(asyncssh.SFTPServer):
        """Serves the folder, and writes down what was opened, listed and renamed."""

        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(root).encode())

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            _note(log, "open", path)
            return super().open(path, pflags, attrs)

        def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
            _note(log, "rename", newpath)
            return super().posix_rename(oldpath, newpath)

    return Logged


def _note(log: TextIO, what: str, path: bytes) -> None:
    log.write(
        json.dumps({"time": round(time.time(), 3), "path": f"sftp:{what}", "asked": path.decode(), "rows": 1}) + "\n"
    )


def _key(path: Path) -> Any:
    if not path.exists():
        made = asyncssh.generate_private_key("ssh-ed25519")
        path.touch(mode=0o600)
        path.write_bytes(made.export_private_key())
        path.with_name(path.name + ".pub").write_bytes(made.export_public_key())
    return asyncssh.read_private_key(str(path))


async def _serve(data: Path, port: int, population: Population) -> None:
    files = data / "files"
    (files / "in").mkdir(parents=True, exist_ok=True)
    known = [c for c in population.children if known_to_womens_federation(c)]
    deliver(files, f"12338_{population.on:%Y%m%d}_01.csv", nightly(known, population))
    host, _ = _key(data / "host_key"), _key(data / "client_key")
    log_path = data / "requests.jsonl"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with log_path.open("a", encoding="utf-8", buffering=1) as log:
        server = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_factory=_Server,
            server_host_keys=[host],
            authorized_client_keys=str(data / "client_key.pub"),
            sftp_factory=_sftp(files, log),
        )
        announce(f"sftp://runxin@127.0.0.1:{server.get_port()}", log_path)
        await stop.wait()
        server.close()


def start(directory: Path, *, count: int = 2000) -> Running:
    """Start the vendor over a directory of its own; its address is `sftp://user@host:port`. `RuntimeError` if it does not come up."""
    return serving.start("adapters.sandbox.sftp_system", directory, secret="", count=count)


def main() -> None:
    """Write the nightly file, serve."""
    given = serving.parser(__doc__).parse_args()
    asyncio.run(_serve(given.data.resolve(), given.port, build(given.children, given.seed, given.on)))


if __name__ == "__main__":
    main()
