"""Connections to an edge, over real sockets on this machine."""

import asyncio
import contextlib
import ssl

import pytest

from adapters.lanes import CONNECTIONS_AT_MOST, AnswerPacked, AnswerTooLong, Lanes

pytestmark = pytest.mark.anyio
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
TLS = ssl.create_default_context()


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    """Both loops: the gateway runs on uvloop."""
    return "asyncio", {"use_uvloop": request.param}


class Peer:
    """An edge's end of the wire: reads whole requests, answers by script, counts connections and what came at once."""

    def __init__(self, *answers):
        self.answers, self.opened, self.requests, self.writers = list(answers), 0, [], []
        self.told = asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self.opened += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while first := await reader.read(65_536):
                self.requests.append(first)
                writer.write(self.answers.pop(0) if self.answers else ANSWER)


async def order(lanes, body=b"{}"):
    """Status and body of one exchange."""
    answer = await lanes.post(b"s", body, at_most=8_000_000)
    return answer.status, answer.body


async def settled():
    """Let everything that has arrived be read."""
    for _ in range(50):
        await asyncio.sleep(0.002)


async def test_one_connection_carries_order_after_order_and_each_leaves_in_one_piece():
    async with Peer() as peer:
        lanes = Lanes(peer.url, TLS)
        assert [await order(lanes, b'{"n":1}') for _ in range(3)] == [(200, b"{}")] * 3
        assert peer.opened == 1
        assert [request.endswith(b'\r\n\r\n{"n":1}') for request in peer.requests] == [True] * 3
        assert peer.requests[0].startswith(b"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:")
        lanes.close()


async def test_orders_at_the_same_time_have_a_connection_each():
    async with Peer() as peer:
        lanes = Lanes(peer.url, TLS)
        assert await asyncio.gather(order(lanes), order(lanes)) == [(200, b"{}")] * 2
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


async def test_a_connection_that_the_edge_closed_is_not_used_again():
    async with Peer() as peer:
        lanes = Lanes(peer.url, TLS)
        await order(lanes)
        peer.writers[0].close()
        await settled()
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


async def test_what_the_edge_says_unasked_is_no_answer_to_the_next_order():
    planted = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nplanted"
    async with Peer() as peer:
        lanes = Lanes(peer.url, TLS)
        await order(lanes)
        peer.writers[0].write(planted)
        await settled()
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"no HTTP at all\r\n\r\n",
        ANSWER[:-1],
        b"HTTP/1.1 200 OK\r\n\r\n{}",  # it does not say how long it is, so nobody could tell a part from the whole
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_an_answer_cut_short_or_not_http_ends_its_connection(answer):
    class Abrupt(Peer):
        async def _serve(self, reader, writer):
            self.opened += 1
            await reader.read(65_536)
            writer.write(answer)
            writer.close()

    async with Abrupt() as peer:
        lanes = Lanes(peer.url, TLS)
        with pytest.raises(ConnectionError):
            await order(lanes)
        with pytest.raises(ConnectionError):
            await order(lanes)
        assert peer.opened == 2


async def test_an_exchange_that_was_given_up_ends_its_connection():
    async with Peer(b"", ANSWER) as peer:
        lanes = Lanes(peer.url, TLS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await order(lanes)
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


async def test_an_answer_larger_than_what_is_held_arrives_whole():
    body = bytes(range(256)) * 16_384
    async with Peer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body) as peer:
        lanes = Lanes(peer.url, TLS)
        assert await order(lanes) == (200, body)
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 1


async def test_an_answer_longer_than_its_reader_takes_is_not_read_on():
    body = b"x" * 9_000_000
    async with Peer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body) as peer:
        lanes = Lanes(peer.url, TLS)
        with pytest.raises(AnswerTooLong):
            await order(lanes)
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


@pytest.mark.parametrize(
    "packed",
    [
        b"Content-Encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n\x1f\x8b\r\n0\r\n\r\n",
    ],
)
async def test_a_packed_answer_is_refused_and_ends_its_connection(packed):
    async with Peer(b"HTTP/1.1 200 OK\r\n" + packed) as peer:
        lanes = Lanes(peer.url, TLS)
        with pytest.raises(AnswerPacked):
            await order(lanes)
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


async def test_a_head_without_end_is_cut_off():
    async with Peer(b"HTTP/1.1 200 OK\r\n" + b"x-more: 1\r\n" * 1_000_000) as peer:
        lanes = Lanes(peer.url, TLS)
        with pytest.raises(AnswerTooLong):
            await order(lanes)
        assert await order(lanes) == (200, b"{}")
        assert peer.opened == 2


async def test_an_answer_in_chunks_and_pieces_is_read_whole():
    class Dripping(Peer):
        async def _serve(self, reader, writer):
            self.opened += 1
            while await reader.read(65_536):
                for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n":
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0)

    async with Dripping() as peer:
        lanes = Lanes(peer.url, TLS)
        assert [await order(lanes) for _ in range(2)] == [(200, b"{}")] * 2
        assert peer.opened == 1


@pytest.mark.parametrize("after", [b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nplanted", b"HTTP/1.1 20"])
async def test_what_follows_an_answer_at_once_is_never_read_as_one(after):
    async with Peer(ANSWER + after) as peer:
        lanes = Lanes(peer.url, TLS)
        assert [await order(lanes) for _ in range(2)] == [(200, b"{}")] * 2
        assert peer.opened == 2


async def test_what_is_said_before_the_answer_is_passed_over():
    async with Peer(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n" + ANSWER) as peer:
        lanes = Lanes(peer.url, TLS)
        assert await order(lanes) == (200, b"{}")


async def test_an_edge_that_says_it_closes_is_met_anew():
    async with Peer(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}") as peer:
        lanes = Lanes(peer.url, TLS)
        assert [await order(lanes) for _ in range(2)] == [(200, b"{}")] * 2
        assert peer.opened == 2


@pytest.mark.parametrize(
    "url", ["", "edge.test", "ftp://edge.test", "http://", "http://[::1", "http://学校.test", "http://a.test/b c"]
)
async def test_a_url_that_is_none_is_an_edge_that_cannot_be_reached(url):
    lanes = Lanes(url, TLS)
    with pytest.raises(OSError, match="no|not"):
        _ = lanes.orders


async def test_nobody_listening_is_an_error_and_keeps_no_seat():
    async with Peer() as peer:
        lanes = Lanes(peer.url, TLS)
    for _ in range(CONNECTIONS_AT_MOST + 1):
        with pytest.raises(OSError):  # noqa: PT011
            await order(lanes)
