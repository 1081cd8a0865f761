"""What nats-py lacks beneath a connection: TLS without a way around it, servers in turn, …"""

import random
import ssl
from typing import Any
from urllib.parse import ParseResult

import nats.errors
from nats.aio.client import Client, Server

from onebus.client import BusClient
from onebus.errors import Misconfigured
from onebus.settings import TlsSettings


def tls_context(files: TlsSettings) -> ssl.SSLContext:
    """Whom we trust, and who we are; without a `ca` the system's. Raises Misconfigured."""
    try:
        made = ssl.create_default_context(cafile=files.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise _wrong("ca", files.ca, error) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert:
        try:
            made.load_cert_chain(files.cert, files.key or None)
        except (OSError, ssl.SSLError) as error:
            raise _wrong("cert", f"{files.cert} with {files.key or 'itself'}", error) from error
    return made


class TlsClient(BusClient):
    """A client that says nothing of itself before the connection is encrypted.

    nats-py goes on in plaintext, password and all, when a server at `tls://` offers no TLS: who
    stands between needs only to leave a word out of the greeting.
    """

    def _connect_command(self) -> bytes:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and writer.get_extra_info("ssl_object") is None:
            raise nats.errors.Error("the server offers no TLS, and bus.url or bus.tls asks for it")
        return bytes(super()._connect_command())


class Servers:
    """Which server a client goes to next: not to the one that it has just lost, if it can help it.

    A machine that is gone answers nothing, so that each try at it takes all of its time. And it may
    be in the pool twice: by its name, and by the address that its neighbours tell of it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._addresses: dict[str, str] = {}
        self._last = ""

    def reached(self) -> None:
        """Note where the new connection leads to; the next one is made when this is lost."""
        writer = getattr(self._client._transport, "_io_writer", None)  # noqa: SLF001
        peer = writer.get_extra_info("peername") if writer else None
        if peer and self._client.connected_url:
            self._last = f"{peer[0]} {peer[1]}"
            self._addresses[_place(self._client.connected_url)] = self._last

    def next(self, pool: list[Server], _: dict[str, Any]) -> tuple[Server | None, float]:
        """The server tried least, after a delay that keeps a crowd of clients apart."""
        delay_s = random.uniform(0.1, 0.8)  # noqa: S311
        return min(pool, key=self._worth, default=None), delay_s

    def _worth(self, server: Server) -> tuple[int, float]:
        """The lost one counts as tried once more; among equals clients spread by chance."""
        place = _place(server.uri)
        lost = self._addresses.get(place, place) == self._last
        return server.reconnects + lost, random.random()  # noqa: S311


def _place(url: ParseResult) -> str:
    return f"{url.hostname} {url.port}"


def header_bytes(headers: dict[str, str] | None) -> int:
    """How many bytes headers take; the server counts them as part of the message."""
    if not headers:
        return 0
    lines = sum(len(key) + len(value.encode()) + len(": \r\n") for key, value in headers.items())
    return len("NATS/1.0\r\n") + lines + len("\r\n")


def _wrong(key: str, files: str, error: OSError) -> Misconfigured:
    why = error.strerror or str(error)
    return Misconfigured(f"bus.tls.{key}: {files} cannot be used: {why}; give PEM files")
