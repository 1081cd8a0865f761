"""The top of the configuration file: what all roles share."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from onebus.fetch import Policy

DEFAULT_BUS_URL = "nats://127.0.0.1:4222"

_Port = Annotated[int, Meta(ge=0, le=65535)]
_Count = Annotated[int, Meta(gt=0)]
_BUS_SCHEMES = ("nats", "tls", "ws", "wss")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_REPLICAS = (1, 3, 5)
_DURATION = re.compile(r"always|[1-9][0-9]*(ms|s|m)")


class TlsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form, for a NATS that is reached by TLS."""

    ca: Annotated[
        str, Meta(description="CA that signed the server's certificate; empty: the system's")
    ] = ""
    cert: Annotated[str, Meta(description="Our own certificate, if the server asks for one")] = ""
    key: Annotated[str, Meta(description="Its key, where that is in a file of its own")] = ""

    @property
    def given(self) -> bool:
        """Whether any of it is."""
        return bool(self.ca or self.cert)


class BusSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach NATS, and what its log keeps; the environment's NATS_URL goes before `url`."""

    url: Annotated[
        str, Meta(description="nats://host:port, several with commas; empty: `up` starts its own")
    ] = ""
    user: Annotated[str, Meta(description="Name at the server")] = ""
    password: Annotated[str, Meta(description="Password at the server")] = ""
    tls: Annotated[
        TlsSettings, Meta(description="Certificates, for tls:// (`ca`, `cert`, `key`)")
    ] = TlsSettings()
    prefix: Annotated[str, Meta(description="First token of subjects, in names of streams")] = (
        "onebus"
    )
    port: Annotated[_Port, Meta(description="Of the server that `up` starts; 0: any free one")] = 0
    sync_interval: Annotated[
        str, Meta(description="When that server writes to disk: always, or a time such as 10s")
    ] = "always"
    max_age_days: Annotated[float, Meta(gt=0, description="How long the log keeps an event")] = 7
    max_messages: Annotated[_Count, Meta(description="How many events the log keeps")] = 200_000
    max_bytes: Annotated[_Count, Meta(description="How large the log may be")] = 1 << 30
    replicas: Annotated[
        int, Meta(description="On how many nodes of a cluster all is kept: 1, 3 or 5")
    ] = 1


class MediaSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Pictures, sound and files: what is taken from where, and how long it is kept."""

    roots: Annotated[
        tuple[str, ...],
        Meta(description="Folders whose files bots may send by file://; none: no file at all"),
    ] = ()
    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts, addresses and networks that URLs may lead to, besides the public"
            " internet"
        ),
    ] = ()
    max_bytes: Annotated[_Count, Meta(description="How large one file may be")] = 100 << 20
    store_bytes: Annotated[
        _Count, Meta(description="How much is kept; when it is full the oldest goes")
    ] = 1 << 30
    keep_hours: Annotated[
        float, Meta(gt=0, description="How long a file is kept; then it is fetched again")
    ] = 24
    link_hours: Annotated[
        float, Meta(gt=0, description="How long the `url` of a file in an event is good")
    ] = 24

    def problems(self) -> Iterable[tuple[str, str]]:
        """Folders and addresses that cannot be meant."""
        for index, root in enumerate(self.roots):
            if not root.startswith("/") or root.strip("/") == "":
                yield f"media.roots[{index}]", "expected the absolute path of a folder, not of all"
        for index, entry in enumerate(self.allow):
            try:
                Policy([entry])
            except ValueError:
                text = "expected a host's name, an address, or a network such as 10.1.0.0/16"
                yield f"media.allow[{index}]", text


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The top of the file: what all roles share."""

    host: Annotated[str, Meta(description="Address that HTTP and WebSocket listen on")] = (
        "127.0.0.1"
    )
    port: Annotated[_Port, Meta(description="Their port; 0: any free one")] = 6727
    public_url: Annotated[str, Meta(description="Where others reach it, http:// or https://")] = ""
    secret_key: Annotated[str, Meta(description="Signs media URLs; the same for all roles")] = ""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged")
    ] = "info"
    bus: BusSettings = BusSettings()
    media: MediaSettings = MediaSettings()
    data_dir: Annotated[str, Meta(description="Where `up` keeps its data")] = "./data"
    drain_timeout: Annotated[
        float,
        Meta(ge=0, le=3600, description="What is in flight may take so long when it stops, s"),
    ] = 10
    loopback_only: Annotated[
        bool,
        Meta(
            description="The address is a container's own, and only this machine's loopback"
            " reaches it: no token is asked for"
        ),
    ] = False

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach what is served here."""
        return not self.loopback_only and not _is_loopback(self.host)

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:  # noqa: ARG002
        """Values that no type can rule out."""
        if not self.host:
            yield "host", "an empty address means every network; write 0.0.0.0 if that is meant"
        if self.public_url and not _has_scheme(self.public_url, ("http", "https")):
            yield "public_url", "expected http://… or https://…"
        if self.secret_key and len(self.secret_key) < 16:
            yield "secret_key", "shorter than 16 characters; openssl rand -hex 32 makes a good one"
        if not all(_has_scheme(url, _BUS_SCHEMES) for url in bus_urls(self.bus)):
            yield "bus.url", "expected nats://host:port (or tls://, ws://, wss://)"
        if self.bus.tls.key and not self.bus.tls.cert:
            yield "bus.tls.cert", "a key is given, and no certificate to go with it"
        if not _NAME.fullmatch(self.bus.prefix):
            yield "bus.prefix", "expected letters, digits, - and _ only"
        if not _DURATION.fullmatch(self.bus.sync_interval):
            yield "bus.sync_interval", "expected always, or a time such as 500ms, 10s, 2m"
        if self.bus.replicas not in _REPLICAS:
            yield "bus.replicas", "expected 1, 3 or 5"
        yield from self.media.problems()


def bus_urls(bus: BusSettings) -> list[str]:
    """The servers to connect to; the usual local one when none is configured."""
    return [url.strip() for url in bus.url.split(",") if url.strip()] or [DEFAULT_BUS_URL]


def _has_scheme(url: str, schemes: Iterable[str]) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name that is not known to be is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
