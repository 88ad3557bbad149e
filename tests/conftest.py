"""What every tier shares: asyncio as the only event loop, and no test that talks to anything but loopback."""

import ipaddress
import socket

import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def only_loopback():
    """Sockets connect to loopback or to a path, or the test fails."""
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise AssertionError("a test may only talk to loopback")
        return connect(self, address)

    socket.socket.connect = guarded
    yield
    socket.socket.connect = connect
