"""What each service may do at NATS: one user a service, with the subjects that its code uses.

Pure: from the name of a service and the prefix of an installation. A stream is made and changed by
`setup` alone. A connector writes and reads what is its own platform's; readers are bound by their
filter, which is part of the subject that makes them (`onebus.reader`). Frontends read every event
and write none. Each receives below an inbox of its own (`subjects.inbox_prefix`).

What a client names as the reply subject of a request is checked by nobody, and NATS publishes its
answer there: to the subject of an event, or to one that deletes a stream. So each service also has
an account of its own. It reaches the account that keeps everything, and connectors, only by what it
imports, and answers go to who asked, whatever reply subject that was (docs/adr/0024).
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from onebus import setup, subjects
from onebus.errors import Misconfigured
from onebus.problem import did_you_mean
from onebus.subjects import escape

SETUP = "setup"
OPERATOR = "operator"
CONNECTOR = "connector-"
FRONTEND = "frontend-"
TARGETS = ("ws-reverse", "http-post")
"""Transports that go to bots, and claim each."""
FRONTENDS = ("http", "ws", *TARGETS)
ANSWERS = "_R_.>"
"""What NATS puts in the place of an asker's inbox, for who answers in another account."""
KEEPER = "keeper"
_KEEPER = (
    "  # Where a service asks for something of JetStream that it may not: nobody is there.",
    '  nowhere { exports: [{ service: "nowhere.>" }] }',
    "  # Keeps all streams. Services reach what they import of it, and nothing else.",
    f"  {KEEPER} {{",
    "    jetstream: enabled",
)


class Permissions(Struct, frozen=True):
    """The subjects of one user. Of those that it publishes to, `keeper` are taken by the account
    that keeps everything, `actions` by connectors, `own` by its own kind.
    """

    keeper: tuple[str, ...]
    subscribe: tuple[str, ...]
    actions: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def publish(self) -> tuple[str, ...]:
        """All subjects that it publishes to."""
        return (*self.keeper, *self.actions, *self.own)


def services(platforms: Iterable[str]) -> tuple[str, ...]:
    """The services of an installation with these platforms: the names of their users."""
    frontends = (FRONTEND + transport for transport in FRONTENDS)
    return (SETUP, *frontends, *map(connector, platforms), OPERATOR)


def connector(platform: str) -> str:
    """The service that runs a platform's connector."""
    return CONNECTOR + escape(platform)


def is_service(name: str) -> bool:
    """Whether a service can be called like this."""
    try:
        permissions(name, "onebus")
    except Misconfigured:
        return False
    return True


def permissions(service: str, prefix: str) -> Permissions:
    """What a service's user may do. Raises Misconfigured for a name that no service has."""
    inbox = f"{subjects.inbox_prefix(service)}.>"
    if service == SETUP:
        return Permissions(tuple(_setup(prefix)), (inbox,))
    if service == OPERATOR:
        dead = _followed(f"{prefix}_dead", f"{prefix}.{subjects.DEAD}")
        return Permissions(tuple(dead), (inbox,))
    transport = service.removeprefix(FRONTEND)
    if transport in FRONTENDS and service != transport:
        return Permissions(_frontend(transport, prefix), (inbox,), (f"{prefix}.actions.>",))
    token = service.removeprefix(CONNECTOR)
    if token == service or not subjects.is_escaped(token):
        hint = did_you_mean(service, services(()))
        raise Misconfigured(f"no service {service!r}; {hint}, or connector-PLATFORM")
    actions, passive = _actions_of(service, prefix), f"{prefix}.passive.{token}.>"
    # One replica gives another what goes into the response of a webhook.
    own = (passive, inbox, ANSWERS)
    return Permissions(_connector(token, prefix), (actions, passive, inbox), own=own)


def password_variable(service: str) -> str:
    """The variable of the server's configuration that stands for a service's password."""
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in service)
    return f"PASSWORD_{name.upper()}"


def accounts(names: Sequence[str], prefix: str) -> str:
    """The `accounts` of nats-server's configuration; passwords are variables: `$PASSWORD_…`."""
    allowed = {name: permissions(name, prefix) for name in names}
    apart = {name: one for name, one in allowed.items() if name != SETUP}
    taken = sorted({subject for one in apart.values() for subject in one.keeper})
    inboxes = sorted(f"{subjects.inbox_prefix(name)}.>" for name in apart)
    exported = [f'{{ service: "{subject}" }}' for subject in taken]
    exported += [f'{{ stream: "{subject}" }}' for subject in inboxes]
    users = [_user(name, one) for name, one in allowed.items() if name == SETUP]
    keeper = [*_block("users", users), *_block("exports", exported)]
    rest = (line for name in apart for line in _account(name, apart, prefix))
    lines = [*_KEEPER, *keeper, "  }", *rest]
    return "\n".join(["accounts {", *lines, "}", ""])


def _account(name: str, all_of: Mapping[str, Permissions], prefix: str) -> Iterable[str]:
    """A service's account: what it offers to others, and what it sees of them."""
    mine = all_of[name]
    inbox = f"{subjects.inbox_prefix(name)}.>"
    offered: list[str] = []
    if name.startswith(CONNECTOR):
        offered = [f'{{ service: "{_actions_of(name, prefix)}" }}']
    seen = ['{ service: { account: nowhere, subject: "nowhere.>" }, to: "$JS.API.>" }']
    seen += [_import("service", KEEPER, subject) for subject in mine.keeper]
    seen += [
        _import("service", other, _actions_of(other, prefix))
        for other in all_of
        if mine.actions and other.startswith(CONNECTOR)
    ]
    seen.append(_import("stream", KEEPER, inbox))
    yield f'  "{name}" {{'
    yield from _block("users", [_user(name, mine)])
    yield from _block("exports", offered)
    yield from _block("imports", seen)
    yield "  }"


def _actions_of(service: str, prefix: str) -> str:
    return f"{prefix}.actions.{service.removeprefix(CONNECTOR)}.>"


def _import(kind: str, account: str, subject: str) -> str:
    return f'{{ {kind}: {{ account: "{account}", subject: "{subject}" }} }}'


def _user(name: str, allowed: Permissions) -> str:
    password = f"${password_variable(name)}"
    lines = [
        f'{{ user: "{name}", password: {password}, permissions: {{',
        *_allow("publish", allowed.publish),
        *_allow("subscribe", allowed.subscribe),
        "      } }",
    ]
    return "\n".join(lines)


def _allow(what: str, allowed: Sequence[str]) -> list[str]:
    return [
        f"        {what}: {{ allow: [",
        *(f'          "{one}"' for one in allowed),
        "        ] }",
    ]


def _block(key: str, entries: Sequence[str]) -> list[str]:
    return [f"    {key}: [", *(f"      {entry}" for entry in entries), "    ]"] if entries else []


def _setup(prefix: str) -> Iterable[str]:
    """It looks at, makes and changes our streams; it removes none, and reads and writes nothing."""
    for stream in setup.streams(prefix):
        for operation in ("INFO", "CREATE", "UPDATE"):
            yield f"$JS.API.STREAM.{operation}.{stream}"


def _connector(token: str, prefix: str) -> tuple[str, ...]:
    """One platform's: its events, accounts, claims and tokens, and nothing of another's."""
    events, deferred = f"{prefix}.events.*.{token}.>", f"{prefix}.deferred.{token}.>"
    allowed = [events, deferred]
    allowed += _last(f"{prefix}_events", events)
    allowed += _followed(f"{prefix}_events", events)
    allowed += _followed(f"{prefix}_deferred", deferred)
    for name in ("accounts", "sessions", "tokens", "idempotency"):
        allowed += _kept(prefix, name, f"{token}.>")
    for name in ("claims", "cursors"):
        allowed += _kept(prefix, name, f"account.{token}.>")
    allowed += _followed_keys(prefix, "claims", f"account.{token}.>")
    allowed += _media(prefix, f"{token}.>")
    if token in setup.PRIVATE:
        allowed += [*_kept(prefix, token, ">"), *_followed_keys(prefix, token, ">")]
    # How full the log is, and who else lives.
    allowed += _info(f"{prefix}_events", f"KV_{prefix}_sessions")
    return (*allowed, "$JS.API.INFO")


def _frontend(transport: str, prefix: str) -> tuple[str, ...]:
    """Every event, to read; actions for every account; numbers; its own bots' claims."""
    events, stream = f"{prefix}.{subjects.EVENTS}", f"{prefix}_events"
    allowed = [f"{prefix}.{subjects.DEFERRED}"]
    allowed += [f"$JS.API.DIRECT.GET.{stream}", *_last(stream, events)]
    allowed.append(f"$JS.API.STREAM.MSG.GET.{stream}")
    # Several accounts are read by one consumer, whose filters are not in the subject.
    allowed += [f"$JS.API.CONSUMER.CREATE.{stream}.>", *_reading(stream)]
    allowed += _last(f"KV_{prefix}_accounts", f"$KV.{prefix}_accounts.>")
    allowed += _followed_keys(prefix, "accounts", ">")
    allowed += _kept(prefix, "ids", ">")
    allowed += _media(prefix, ">")
    allowed += _info(stream, f"KV_{prefix}_sessions")
    if transport in TARGETS:
        allowed += _targets(prefix)
    if transport == "http-post":
        allowed += _kept(prefix, "idempotency", "quick.target.>")
    return tuple(allowed)


def _targets(prefix: str) -> Iterable[str]:
    """Bots that we go to: who serves them, how far they are, what they were not given."""
    yield f"{prefix}.{subjects.DEAD}"
    yield from _kept(prefix, "sessions", "frontend.>")
    yield from _kept(prefix, "cursors", "target.>")
    yield from _kept(prefix, "claims", "target.>")
    yield from _followed_keys(prefix, "claims", "target.>")


def _media(prefix: str, owner: str) -> Iterable[str]:
    """Files: everybody's names, which are random, and the chunks of these owners."""
    stream, below = f"OBJ_{prefix}_media", f"$O.{prefix}_media"
    chunks = f"{below}.C.{owner}"
    yield from (chunks, f"{below}.M.*", *_last(stream, f"{below}.M.*"))
    yield from (
        f"$JS.API.CONSUMER.CREATE.{stream}.*.{chunks}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        f"$JS.API.CONSUMER.DELETE.{stream}.*",
    )


def _kept(prefix: str, bucket: str, keys: str) -> Iterable[str]:
    """Keys of a bucket, to write and to read one at a time."""
    subject = f"$KV.{prefix}_{bucket}.{keys}"
    yield subject
    yield from _last(f"KV_{prefix}_{bucket}", subject)


def _followed_keys(prefix: str, bucket: str, keys: str) -> Iterable[str]:
    return _followed(f"KV_{prefix}_{bucket}", f"$KV.{prefix}_{bucket}.{keys}")


def _last(stream: str, subject: str) -> Iterable[str]:
    """The last entry of each of these subjects."""
    yield f"$JS.API.DIRECT.GET.{stream}.{subject}"


def _followed(stream: str, subject: str) -> Iterable[str]:
    """All entries of these subjects, by a reader with one filter below them."""
    yield f"$JS.API.CONSUMER.CREATE.{stream}.*.{subject}"
    yield from _reading(stream)


def _reading(stream: str) -> Iterable[str]:
    """What a reader says once it is made."""
    yield f"$JS.API.CONSUMER.DELETE.{stream}.*"
    yield f"$JS.FC.{stream}.>"


def _info(*streams: str) -> Iterable[str]:
    return (f"$JS.API.STREAM.INFO.{stream}" for stream in streams)
