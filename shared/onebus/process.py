"""Puts a process together: which roles it has, and what they share.

`up` is every role beside an embedded nats-server; the others are one container each.
"""

import importlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from onebus import __version__, installed
from onebus.api import session
from onebus.bus import Bus, BusOptions
from onebus.capacity import Capacity
from onebus.codec import encode
from onebus.config import Source
from onebus.connector import Connector
from onebus.dead import DeadLetters
from onebus.directory import Directory
from onebus.embedded import EmbeddedNats, data_lock, running_options
from onebus.errors import Misconfigured
from onebus.fetch import Fetcher, Policy
from onebus.frontend import FrontendKit, FrontendMedia
from onebus.health import Health
from onebus.host import ConnectorHost
from onebus.ids import Account, Platform
from onebus.kit import Outside
from onebus.lease import Sessions
from onebus.listener import Listener, ListenOptions
from onebus.logging import keep_secret, keep_secrets_of
from onebus.media import MediaPart
from onebus.secret_key import kept_key
from onebus.service import Handler, Role, run_roles
from onebus.settings import BusSettings, Settings, bus_urls
from onebus.setup import Storage, set_up

logger = logging.getLogger(__name__)

READY_S = 10.0
SETUP_S = 60.0
EXCLUSIVE = "up"
DAY_S = 86_400


class FrontendModule(Protocol):
    """What a package of `frontends` offers: its transports over one shared core."""

    def transports(self) -> tuple[str, ...]:
        """Names as `onebus frontend` takes them."""

    def roles(
        self, kit: FrontendKit, configs: dict[Account, Any], names: Sequence[str]
    ) -> list[Role]:
        """The roles of these transports, and what they share."""

    def addresses(self, config: Any, base_url: str) -> list[tuple[str, str]]:
        """What a bot of an account may connect to: a label and a URL each."""


class _Up(Struct, frozen=True):
    """An `up`: where its data are, for people; what it signs with; `exclusive` as for `Lease`."""

    where: str
    secret_key: str
    exclusive: str = ""


async def up(source: Source, data_dir: Path, say: Callable[[str], None]) -> None:
    """Everything the configuration asks for, in one process."""
    settings = source.settings()
    secret_key = settings.secret_key or kept_key(data_dir)
    keep_secret(secret_key)
    if settings.bus.url:
        here = _Up(f"NATS at {settings.bus.url}", secret_key)
        await _up_with(source, _options(settings.bus), [], say, here)
        return
    bus = settings.bus
    if bus.replicas > 1:
        raise Misconfigured(
            "bus.replicas: the NATS that `onebus up` starts is one node; name your cluster with"
            " bus.url (or NATS_URL)"
        )
    with data_lock(data_dir):
        nats = EmbeddedNats(data_dir, port=bus.port, sync_interval=bus.sync_interval)
        await nats.start()
        try:
            options = nats.options(bus.prefix)
            here = _Up(str(data_dir), secret_key, EXCLUSIVE)
            await _up_with(source, options, [nats], say, here)
        finally:
            await nats.stop()


async def _up_with(
    source: Source,
    options: BusOptions,
    extra: list[Role],
    say: Callable[[str], None],
    here: _Up,
) -> None:
    settings = source.settings()
    async with _shared(options, "onebus up", settings) as (bus, sessions, outside):
        await bus.wait_ready(READY_S)
        await set_up(bus, _storage(settings))
        platforms = tuple(dict.fromkeys(a.platform for a in source.accounts()))
        hosts = _hosts(source, platforms, bus, sessions, outside, here.exclusive)

        def base_url() -> str:
            return _base_url(settings, listener.port)

        media = FrontendMedia(settings.media, here.secret_key, settings.public_url, base_url)
        kit = FrontendKit(bus, Directory(bus, sessions), sessions, here.exclusive, media)
        fronts = _fronts(source, None, kit)
        roles = _watched(bus, [sessions, *hosts, *fronts, *extra, *_capacity(bus, platforms)])
        listener = _listener(settings, roles)

        def announce() -> None:
            say(_banner(source, listener.port, here.where))

        await run_roles(roles, [listener], announce, drain_s=settings.drain_timeout)


async def connectors(source: Source, platforms: Sequence[str]) -> None:
    """The connectors of some platforms, against an external NATS."""
    settings = source.settings()
    for platform in platforms:
        installed.connector_class(platform)
        if not source.accounts([Platform(platform)]):
            raise Misconfigured(
                f"{source.path}: no account of {platform}; add one as {platform}.NAME"
            )
    name = f"connector {' '.join(platforms)}"
    async with _shared(_options(settings.bus), name, settings) as (bus, sessions, outside):
        hosts = _hosts(source, platforms, bus, sessions, outside, "")
        roles = _watched(bus, [sessions, *hosts, *_capacity(bus, platforms)])
        listener = _listener(settings, roles)
        await _serve(settings, roles, listener)


async def frontends(source: Source, names: Sequence[str]) -> None:
    """Some transports of the bot standards, against an external NATS."""
    settings = source.settings()
    name = f"frontend {' '.join(names)}"
    async with _shared(_options(settings.bus), name, settings) as (bus, sessions, _):

        def base_url() -> str:
            alone = settings.exposed or "http" not in names
            return settings.public_url if alone else _base_url(settings, listener.port)

        media = FrontendMedia(settings.media, settings.secret_key, settings.public_url, base_url)
        kit = FrontendKit(bus, Directory(bus, sessions), sessions, media=media)
        fronts = _fronts(source, names, kit)
        if not settings.secret_key:
            logger.warning("secret_key is empty: events and answers have no `url` of a file")
        roles = _watched(bus, [sessions, *fronts])
        listener = _listener(settings, roles)
        await _serve(settings, roles, listener)


async def bus_setup(source: Source, say: Callable[[str], None]) -> None:
    """Make or migrate streams and buckets; waits for a server that is starting."""
    settings = source.settings()
    async with Bus(_options(settings.bus), "onebus bus setup") as bus:
        await bus.wait_ready(SETUP_S)
        for line in await set_up(bus, _storage(settings)):
            say(line)


async def dead_letters(
    source: Source, data_dir: Path, say: Callable[[str], None], *, as_json: bool
) -> None:
    """Show what bots could not be given, oldest first."""
    bus_settings = source.settings().bus
    if bus_settings.url:
        options = _options(bus_settings)
    else:
        options = running_options(data_dir, bus_settings.prefix)
    async with Bus(options, "onebus dead-letters") as bus:
        await bus.wait_ready(READY_S)
        letters = await DeadLetters(bus).all()
    for letter in letters:
        say(encode(letter).decode() if as_json else str(letter))
    if not letters and not as_json:
        say("no dead letters")


@asynccontextmanager
async def _shared(
    options: BusOptions, name: str, settings: Settings
) -> AsyncIterator[tuple[Bus, Sessions, Outside]]:
    keep_secret(options.password)
    keep_secret(settings.secret_key)
    async with (
        Bus(options, name) as bus,
        session() as http,
        Fetcher(Policy(settings.media.allow)) as fetcher,
    ):
        media = MediaPart(fetcher, settings.media.max_bytes)
        yield bus, Sessions(bus), Outside(http, settings.public_url, media)


def _hosts(
    source: Source,
    platforms: Sequence[str],
    bus: Bus,
    sessions: Sessions,
    outside: Outside,
    exclusive: str,
) -> list[ConnectorHost]:
    hosts = []
    for platform in platforms:
        kind = installed.connector_class(platform)
        configs = {a: _config(source, a, kind) for a in source.accounts([Platform(platform)])}
        hosts.append(ConnectorHost(bus, sessions, kind, configs, outside, exclusive=exclusive))
    return hosts


def _config(source: Source, account: Account, kind: type[Connector[Any]]) -> Struct:
    config = source.connector_config(account, kind.Config)
    keep_secrets_of(config)
    return config


def _fronts(source: Source, names: Sequence[str] | None, kit: FrontendKit) -> list[Role]:
    """The roles of every installed standard; all its transports when none are named."""
    known: list[str] = []
    roles: list[Role] = []
    for protocol in installed.protocols():
        module = _frontend(protocol)
        known += module.transports()
        chosen = [n for n in module.transports() if names is None or n in names]
        if chosen:
            roles += module.roles(kit, _protocol_configs(source, protocol), chosen)
    for name in names or ():
        if name not in known:
            raise Misconfigured(f"no frontend {name!r}; there are: {', '.join(known)}")
    return [kit.directory, *roles]


def _protocol_configs(source: Source, protocol: str) -> dict[Account, Any]:
    kind = installed.protocol_config(protocol)
    configs = {a: source.protocol_config(a, protocol, kind) for a in source.accounts()}
    for config in configs.values():
        keep_secrets_of(config)
    return configs


def _frontend(protocol: str) -> FrontendModule:
    module: Any = importlib.import_module(f"frontends.{protocol.replace('.', '_')}.roles")
    return module  # type: ignore[no-any-return]


def _capacity(bus: Bus, platforms: Sequence[str]) -> list[Role]:
    kinds = [installed.connector_class(platform) for platform in platforms]
    horizon_s = max((kind.redelivery_horizon_s for kind in kinds), default=0.0)
    return [Capacity(bus, horizon_s)] if kinds else []


def _watched(bus: Bus, roles: Sequence[Role]) -> list[Role]:
    """The roles and who answers for them; its routes go before those that match any account."""
    return [Health(bus, roles), *roles]


def _listener(settings: Settings, roles: Sequence[Role]) -> Listener:
    options = ListenOptions(
        settings.host, settings.port, local=not settings.exposed, public_url=settings.public_url
    )

    def origins(request: web.Request) -> set[str]:
        return {origin for role in roles for origin in role.origins(request)}

    def direct(path: str) -> Handler | None:
        return next(filter(None, (role.direct(path) for role in roles)), None)

    routes = [route for role in roles for route in role.routes()]
    return Listener(options, routes, origins, direct)


async def _serve(settings: Settings, roles: Sequence[Role], listener: Listener) -> None:
    def announce() -> None:
        logger.info("listening on %s:%d", settings.host, listener.port)

    await run_roles(roles, [listener], announce, drain_s=settings.drain_timeout)


def _options(bus: BusSettings) -> BusOptions:
    return BusOptions(",".join(bus_urls(bus)), bus.user, bus.password, bus.prefix, bus.tls)


def _storage(settings: Settings) -> Storage:
    bus, media = settings.bus, settings.media
    return Storage(
        max_age_s=bus.max_age_days * DAY_S,
        max_messages=bus.max_messages,
        max_bytes=bus.max_bytes,
        replicas=bus.replicas,
        media_max_bytes=media.store_bytes,
        media_max_age_s=media.keep_hours * 3600,
    )


def _base_url(settings: Settings, port: int) -> str:
    """Where bots reach this listener, as far as can be told from here."""
    anywhere = settings.host in ("0.0.0.0", "::", "")  # noqa: S104
    host = "127.0.0.1" if anywhere else settings.host
    return settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _banner(source: Source, port: int, where: str) -> str:
    """What runs, where to look at it, and where it keeps its data."""
    settings = source.settings()
    host = "localhost" if not settings.exposed else settings.host
    base = settings.public_url.rstrip("/") or f"http://{host}:{port}"
    lines = [f"onebus {__version__} is running; Ctrl-C stops it", ""]
    for account in source.accounts():
        url = f"{base}/{account.platform}/{account.account_id}"
        places = [*_places(account, url), *_addresses(source, account, url)]
        lines += [f"  {account}", *(f"    {label:11} {place}" for label, place in places), ""]
    bus = settings.bus
    kept = f"{bus.max_age_days:g} days, {bus.max_messages:,} events or {bus.max_bytes >> 20:,} MiB"
    return "\n".join(
        [*lines, f"  data in {where}", f"  the log keeps {kept}, whichever ends first"]
    )


def _places(account: Account, url: str) -> list[tuple[str, str]]:
    kind = installed.connector_class(account.platform)
    places = [("page", f"{url}{kind.page}")] if kind.page else []
    if kind.webhook is not Connector.webhook:
        places.append(("webhook", f"{url}/webhook"))
    return places


def _addresses(source: Source, account: Account, url: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for protocol in installed.protocols():
        config = source.protocol_config(account, protocol, installed.protocol_config(protocol))
        found += _frontend(protocol).addresses(config, url)
    return found
