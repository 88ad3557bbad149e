"""A recording hop in front of a server: keeps every byte that passes, so that a test can search what the gateway received.

Rules kept here: bytes pass unchanged and unparsed; each direction of each connection has a file of its own; loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import signal
from pathlib import Path

from adapters.sandbox.processes import Running, announce, launch

_CHUNK = 65536


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: Path) -> None:
    try:
        with kept.open("ab") as file:
            while data := await reader.read(_CHUNK):
                file.write(data)
                file.flush()
                writer.write(data)
                await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


async def serve(port: int, target: int, directory: Path) -> None:
    """Listen on loopback `port`, forward to loopback `target`, keep both directions under `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    numbers = itertools.count(1)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(numbers)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            _pass_on(reader, inner_writer, directory / f"{number:06d}.in"),
            _pass_on(inner_reader, writer, directory / f"{number:06d}.out"),
        )

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    announce(f"http://127.0.0.1:{port}", directory)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


def start(port: int, target: int, directory: Path) -> Running:
    """Start the hop in its own process."""
    directory.mkdir(parents=True, exist_ok=True)
    arguments = ["--port", str(port), "--target", str(target), "--keep", str(directory)]
    return launch("adapters.sandbox.demo.recorder", arguments, errors=directory.parent / "recorder.err")


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.target, given.keep))


if __name__ == "__main__":
    main()
