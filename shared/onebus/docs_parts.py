"""What the code says about itself, as Markdown: one function per generated part of a page.

Bodies and OneBot events come from samples that go through the code of the services. Nothing here is
text that could fall behind.
"""

import importlib
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from onebus import action as act
from onebus import docs_settings, docs_support, installed, setup, subjects
from onebus import event as ev
from onebus import segment as seg
from onebus.action import Request, Response
from onebus.codec import encode
from onebus.connector import Connector, capabilities
from onebus.directory import AccountRecord
from onebus.docs_table import Row, code, table
from onebus.event import Chat, Event, User, group_chat, private_chat
from onebus.idmap import Native, number_of
from onebus.ids import Account, AccountId, ChatId, MessageId, Platform, UserId
from onebus.segment import Segment

_ACCOUNT = Account(Platform("sandbox"), AccountId("demo"))
_ALICE = User(UserId("alice"), "Alice")
_LOBBY = group_chat(ChatId("lobby"), "Lobby")
_TIME_S = 1_767_225_600
_SESSION = "sandbox.Zx81QYh3VbRk0M6NbqtK2e"
_KNOWN_VALUES: Mapping[Any, Any] = {
    Account: _ACCOUNT,
    Chat: _LOBBY,
    User: _ALICE,
    UserId: _ALICE.id,
    ChatId: _LOBBY.id,
    MessageId: MessageId("m1"),
    bool: True,
    int: 1,
    float: 1.5,
}
_PURPOSES = {
    "events": "the log: every event of every account, in order",
    "deferred": "actions that wait for their turn (`_rate_limited`)",
    "dead": "events that a bot could not be given, with the reason: `onebus dead-letters`",
    "OBJ_media": "pictures, sound and files on their way, in the layout of NATS's object store",
    "KV_accounts": "who each account is, and whether somebody serves it",
    "KV_ids": "user and group numbers → native ids; self ids → accounts",
    "KV_sessions": "one key per running process and platform, renewed every 1.5 s",
    "KV_claims": "which session owns an account, or serves a bot that we go to",
    "KV_cursors": "how far bots that we go to, deferred actions and platforms' feeds have got",
    "KV_tokens": "platforms' access tokens, shared by replicas",
    "KV_idempotency": "what must not be done twice: passive replies, quick operations, keyed calls",
    "KV_sandbox": "users and groups of the sandbox",
}


def _meaning(kind: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _connectors() -> str:
    rows = [_connector_row(name, installed.connector_class(name)) for name in installed.platforms()]
    return table(("platform", "what bots can do", "shown as it is", "paths"), rows)


def _connector_row(platform: str, kind: type[Connector[Any]]) -> Row:
    actions = [name for name in capabilities(kind) if ":" not in name]
    paths = ["webhook"] if kind.webhook is not Connector.webhook else []
    paths += ["pages and REST"] if kind.routes is not Connector.routes else []
    return f"`{platform}`", code(*actions), code(*kind.sends), ", ".join(paths) or "none"


def _streams() -> str:
    configs = setup.wanted("onebus", setup.Storage(), float(setup.EPOCH_S))
    return table(("stream", "subjects", "kept", "what for"), map(_stream_row, configs))


def _stream_row(config: dict[str, Any]) -> Row:
    name = str(config["name"])
    purpose = _PURPOSES[name.replace("_onebus_", "_").removeprefix("onebus_")]
    return f"`{name}`", code(*config["subjects"]), _kept(config), purpose


def _kept(config: dict[str, Any]) -> str:
    seconds = config["max_age"] // 1_000_000_000
    words = f"{seconds // 86_400} days" if seconds > 86_400 else f"{seconds} s"
    if "max_bytes" not in config:
        return words if seconds else "for ever"
    entries = f", {config['max_msgs']:,} entries" if "max_msgs" in config else ""
    return f"{words}{entries} or {config['max_bytes'] >> 20:,} MiB"


def _events() -> str:
    start = f"events.{subjects.shard(_ACCOUNT)}.{subjects.account_key(_ACCOUNT)}."
    rows = [
        (
            f"`{kind.__struct_config__.tag}`",
            _meaning(kind),
            f"`{subjects.of_event(_event(kind)).removeprefix(start)}`",
        )
        for kind in _event_kinds()
    ]
    return table(("type", "meaning", "subject, after the account"), rows)


def _event_kinds() -> tuple[type[Event], ...]:
    return get_args(ev.Event)


def _actions() -> str:
    rows = [
        (f"`{act.action_name(kind)}`", _meaning(kind), code(*kind.__struct_fields__))
        for kind in act.ACTIONS
    ]
    return table(("type", "meaning", "fields"), rows)


def _bodies() -> str:
    return "\n\n".join(
        f"{title}\n\n```\n{where}\n```\n```json\n{_json(body)}\n```"
        for title, where, body in _examples()
    )


def _examples() -> Iterator[tuple[str, str, Any]]:
    key = subjects.account_key(_ACCOUNT)
    message = _event(ev.MessageReceived)
    number = number_of(_ACCOUNT.platform, "user", _ALICE.id)
    record = AccountRecord(
        account=_ACCOUNT,
        self_user=User(UserId("demo"), "Sandbox bot"),
        id_scope=None,
        capabilities=("send_message", "send:text"),
        version="0.1.0",
        session=_SESSION,
        online=True,
    )
    for event in (message, _event(ev.MessageRecalled), _event(ev.FriendAdded)):
        yield _meaning(type(event)), f"onebus.{subjects.of_event(event)}", event
    send = act.SendMessage(private_chat(_ALICE.id), (seg.Text("Hello"),))
    request = Request(account=_ACCOUNT, deadline_ms=_TIME_S * 1000 + 25_000, action=send)
    yield "An action.", f"onebus.{subjects.actions(_ACCOUNT)}", request
    answer = Response(result=msgspec.Raw(encode(act.Sent(MessageId("m2"), 2))))
    yield "Its answer, on the reply subject.", "_INBOX.…", answer
    yield "An account in the directory.", f"$KV.onebus_accounts.{key}", record
    native = Native(_ACCOUNT.platform, "user", _ALICE.id)
    yield "A number's way back.", f"$KV.onebus_ids.user.{number}", native


def _json(value: Any) -> str:
    return msgspec.json.format(encode(value), indent=2).decode()


def _event(kind: type[Event], chat: Chat = _LOBBY) -> Event:
    values = _values(kind)
    numbered = (ev.MessageReceived, ev.MessageSent, ev.MessageBackfilled, ev.MessageRecalled)
    values |= {"time_ms": _TIME_S * 1000, "id": "" if kind in numbered else "e1"}
    if "chat" in values:
        values["chat"] = chat
    return kind(**values)


def _values(kind: type[Struct], *, every: bool = False) -> dict[str, Any]:
    fields = (field for field in structs.fields(kind) if field.required or every)
    return {field.name: _value(field.name, field.type) for field in fields}


def _value(name: str, kind: Any) -> Any:
    if kind in _KNOWN_VALUES:
        return _KNOWN_VALUES[kind]
    origin, arms = get_origin(kind), get_args(kind)
    if origin is tuple:
        return (seg.Text("Hello"),) if seg.Text in get_args(arms[0]) else ()
    if origin in (Union, types.UnionType):
        return _value(name, arms[0])
    if origin is Literal:
        return arms[0]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind(**_values(kind))
    return {} if origin is dict else name


def _onebot(module: str) -> Any:
    return importlib.import_module(f"frontends.onebot_v11.{module}")


def _retcodes() -> str:
    rows = sorted(
        (code, wording, f"`{kind.__name__}`")
        for kind, (code, wording) in _onebot("retcode").RETCODES.items()
    )
    return table(("retcode", "wording", "raised as"), [(f"`{row[0]}`", *row[1:]) for row in rows])


def _onebot_events() -> str:
    rows = [_onebot_event_row(kind) for kind in _event_kinds()]
    return table(("what happened", "what a bot gets", "its fields"), rows)


def _onebot_event_row(kind: type[Event]) -> Row:
    samples = [_event(kind, chat) for chat in (_LOBBY, private_chat(_ALICE.id))]
    shown = [fields for fields in map(_to_onebot, samples) if fields]
    what = f"`{kind.__struct_config__.tag}`"
    if not shown:
        return what, "nothing", ""
    names = dict.fromkeys(_onebot_name(fields) for fields in shown)
    keys = dict.fromkeys(key for fields in shown for key in fields if key not in _ON_EVERY_EVENT)
    return what, code(*names), code(*keys)


_ON_EVERY_EVENT = ("time", "self_id", "post_type", "event_id", "notice_type", "request_type")


def _onebot_name(fields: Mapping[str, Any]) -> str:
    post_type = fields["post_type"]
    kind = post_type.removesuffix("_sent")
    return f"{post_type}.{fields[f'{kind}_type']}"


def _to_onebot(event: Event) -> dict[str, Any] | None:
    events = _onebot("event")
    wanted = events.event_references(event)
    view = _onebot("view").View(1, UserId("demo"), _numbers(wanted), report_self=True)
    fields: dict[str, Any] | None = events.to_onebot_event(event, view, 2)
    return fields


def _numbers(wanted: Struct) -> Any:
    """A number for everything that is asked for."""
    known = (dict.fromkeys(ids, 1) for ids in structs.astuple(wanted))
    return _onebot("references").Numbers(*known)


def _segments() -> str:
    rows = [_segment_row(kind) for kind in get_args(seg.Segment) if kind is not seg.Unknown]
    return table(("segment", "OneBot type", "its data", "meaning"), rows)


def _segment_row(kind: type[Segment]) -> Row:
    shown = [_segment_to_onebot(segment) for segment in _variants(kind)]
    types = dict.fromkeys(fields["type"] for fields in shown)
    data = dict.fromkeys(key for fields in shown for key in fields["data"])
    return f"`{kind.__struct_config__.tag}`", code(*types), code(*data) or "none", _meaning(kind)


def _variants(kind: type[Segment]) -> list[Segment]:
    """A segment with everything that it may carry, once for each of its choices."""
    values = _values(kind, every=True)
    choices = ((field.name, field.type) for field in structs.fields(kind))
    chosen = [
        kind(**values | {name: choice})
        for name, choice_type in choices
        if get_origin(choice_type) is Literal
        for choice in get_args(choice_type)
    ]
    return chosen or [kind(**values)]


def _segment_to_onebot(segment: Segment) -> dict[str, Any]:
    module = _onebot("to_onebot")
    numbers = _numbers(module.segment_references((segment,), _LOBBY))
    shown: dict[str, Any] = module.to_onebot_message((segment,), _LOBBY, numbers).segments[0]
    return shown


def _conformance() -> str:
    """How far the standard holds, page by page of it, and what does not hold as it is written."""
    statements = {item["n"]: item for item in _read("tests/conformance/statements.json")}
    pages: dict[str, Counter[str]] = defaultdict(Counter)
    exceptions = []
    for row in _read("docs/conformance.json"):
        statement = statements[row["n"]]
        pages[statement["source"].partition(":")[0]][row["status"]] += 1
        if row["status"] == "cannot":
            text = statement["text"].replace("](", "]\\(")  # its links lead nowhere from here
            exceptions.append((str(row["n"]), text, row["why"]))
    counts = [(page, str(n["proven"]), str(n["cannot"])) for page, n in pages.items()]
    totals = (str(sum(int(row[i]) for row in counts)) for i in (1, 2))
    held = table(("page of the standard", "proven", "cannot"), [*counts, ("all", *totals)])
    return f"{held}\n\n{table(('number', 'statement', 'why not'), exceptions)}"


def _read(path: str) -> Any:
    return msgspec.json.decode(Path(path).read_bytes())


PARTS: Mapping[str, Callable[[], str]] = {
    **docs_settings.PARTS,
    "connectors": _connectors,
    "streams": _streams,
    "events": _events,
    "actions": _actions,
    "bodies": _bodies,
    "retcodes": _retcodes,
    "metrics": docs_support.metrics,
    "onebot.v11 events": _onebot_events,
    "onebot.v11 segments": _segments,
    "onebot.v11 action support": docs_support.actions,
    "onebot.v11 segment support": docs_support.segments,
    "onebot.v11 conformance": _conformance,
}
"""Every part that a page may have, by the name in its mark."""
