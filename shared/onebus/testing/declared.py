"""Contract: what a connector says of itself is so. Part of `onebus.testing.contract`."""

import inspect
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pytest

from onebus import installed, segment
from onebus.action import ACTIONS, SendMessage, action_name, result_type
from onebus.connector import Connector, capabilities
from onebus.errors import BadParams, Forbidden, NotFound, UnsupportedAction
from onebus.event import group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Segment, Text
from onebus.testing.play import Play, Replica, play
from onebus.testing.subject import Golden, Subject

KINDS: dict[str, type[Any]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Segment)}
EXAMPLES: dict[str, Segment] = {
    "text": Text("text"),
    "mention": segment.Mention(UserId("u")),
    "emoji": segment.Emoji("14"),
    "location": segment.Location(52.5, 13.4),
    "contact": segment.Contact("user", UserId("u")),
    "link": segment.Link("https://example.com/", "title"),
    "music": segment.Music("qq", "1"),
    "forward": segment.Forward(nodes=(segment.Node(name="n", content=(Text("inner"),)),)),
    "card": segment.Card("json", "{}"),
    "poke": segment.Poke("1"),
    "dice": segment.Dice(),
    "rps": segment.Rps(),
    "shake": segment.Shake(),
    "anonymous": segment.Anonymous(),
    "unknown": segment.Unknown("sticker", {"id": "1"}),
}


FILES = {
    "image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1",
    "voice": b"#!AMR\n\0",
    "video": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "file": b"PK\3\4",
}
"""Of each kind of file the beginning of one that every platform knows."""


def example(kind: type[Any]) -> Any:
    """An action of this kind with any valid values."""
    values: dict[str, Any] = {
        "chat": private_chat(UserId("u")),
        "segments": (Text("hi"),),
        "message": "m",
        "group": ChatId("g"),
        "user": UserId("u"),
    }
    needed = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            fallback = {str: "x", bool: True, int: 1}.get(field.type, "member")
            needed[field.name] = values.get(field.name, fallback)
    return kind(**needed)


class DeclaredContract:
    """Set `subject` and `platform`; `pages` are the project's, `golden` holds the payloads."""

    subject: ClassVar[type[Subject]]
    platform: ClassVar[str]
    docs: ClassVar[Path] = Path("docs/connectors.md")
    golden: ClassVar[Path] = Path("tests/golden")

    def kind(self) -> type[Connector[Any]]:
        """The connector's class."""
        return installed.connector_class(self.platform)

    def play(self) -> Any:
        """The platform, and an installation of which nothing runs yet."""
        return play(self.kind(), self.subject, self.platform)

    async def test_its_example_configuration_loads(self) -> None:
        """The one of the subject, and the smallest one, without unknown keys."""
        smallest = json.loads(self._file("config").read_text())
        msgspec.convert(smallest, self.kind().Config)
        with pytest.raises(msgspec.ValidationError, match="no_such_key"):
            msgspec.convert(smallest | {"no_such_key": 1}, self.kind().Config)
        async with self.play() as on:
            assert on.replica().connector.kit.account == on.account

    def test_it_explains_itself(self) -> None:
        """Module, class and configuration have docstrings of their own."""
        kind = self.kind()
        assert inspect.getdoc(inspect.getmodule(kind))
        assert inspect.getdoc(kind) != inspect.getdoc(Connector)
        assert inspect.getdoc(kind.Config)

    def test_the_page_of_connectors_has_its_row(self) -> None:
        """With every capability, so that the page cannot promise more or less."""
        rows = self.docs.read_text().splitlines()
        found = [row for row in rows if row.startswith(f"| `{self.platform}` |")]
        assert found, f"{self.docs} has no row for {self.platform}: run `make docs`"
        shown = set(found[0].replace("`", "").replace("|", ",").replace(" ", "").split(","))
        declared = {name.removeprefix("send:") for name in self._plain_capabilities()}
        assert declared <= shown, f"not in {self.docs}: {declared - shown}; run `make docs`"

    def _plain_capabilities(self) -> list[str]:
        """Actions and segments, without the `name:…` of other kinds."""
        named = capabilities(self.kind())
        return [name for name in named if ":" not in name or name.startswith("send:")]

    def test_who_makes_up_event_ids_has_no_webhook(self) -> None:
        """Any replica takes a webhook, and only the owner may append such an event."""
        kind = self.kind()
        assert kind.event_ids == "stable" or kind.webhook is Connector.webhook

    def test_what_it_declares_to_show_are_segments(self) -> None:
        """By the names of the model."""
        assert set(self.kind().sends) <= set(KINDS)

    def test_results_have_the_declared_types(self) -> None:
        """What an action's method is annotated with is what crosses the bus."""
        for kind in ACTIONS:
            name = action_name(kind)
            if name in capabilities(self.kind()):
                hinted = inspect.get_annotations(getattr(self.kind(), name), eval_str=True)
                assert (hinted["return"] or type(None)) == result_type(kind), name

    async def test_what_it_does_not_override_is_refused_by_name(self) -> None:
        """As UnsupportedAction, which says whose fault it is."""
        async with self.play() as on:
            connector = on.replica().connector
            for kind in ACTIONS:
                if action_name(kind) not in capabilities(self.kind()):
                    with pytest.raises(UnsupportedAction, match=self.platform):
                        await getattr(connector, action_name(kind))(example(kind))

    async def test_a_segment_is_shown_refused_or_named_as_degraded(self) -> None:
        """Nothing is dropped silently, and `sends` promises neither too much nor too little."""
        async with self.play() as on:
            replica = await on.started()
            if "send_message" not in capabilities(self.kind()):
                return
            chat = on.subject.chats[0]
            first = await replica.connector.send_message(SendMessage(chat, (Text("first"),)))
            for name in KINDS:
                sample = await _sample(on, replica, name, first.message)
                action = SendMessage(chat, (sample, Text("x")))
                shown = name in self.kind().sends
                try:
                    sent = await replica.connector.send_message(action)
                except (UnsupportedAction, BadParams, Forbidden, NotFound) as error:
                    assert not shown, f"{name} is in `sends`, and refused: {error}"
                    continue
                assert (name not in sent.degraded) == shown, f"{name}: degraded {sent.degraded}"

    async def test_a_chat_of_a_kind_that_it_has_not_is_unsupported(self) -> None:
        """Who has no groups says so."""
        if "get_groups" in capabilities(self.kind()):
            return
        async with self.play() as on:
            replica = await on.started()
            if any(chat.kind == "group" for chat in on.subject.chats):
                return
            with pytest.raises(UnsupportedAction):
                await replica.connector.send_message(
                    SendMessage(group_chat(ChatId("g")), (Text("x"),))
                )

    async def test_payloads_become_what_the_goldens_say(self) -> None:
        """Platform → onebus."""
        async with self.play() as on:
            self._run_goldens(on.subject.decodes(), "decodes")

    async def test_goldens_say_what_the_platform_gets(self) -> None:
        """Onebus → platform."""
        async with self.play() as on:
            self._run_goldens(on.subject.encodes(), "encodes")

    def _run_goldens(self, goldens: dict[str, Golden], what: str) -> None:
        assert goldens, f"the subject's {what}() names no golden file"
        for name, translate in goldens.items():
            cases = json.loads(self._file(name).read_text())
            assert cases, f"{name}.json is empty"
            for number, case in enumerate(cases):
                assert {"source", "given", "expect"} <= set(case), f"{name}.json, case {number}"
                got = msgspec.json.decode(msgspec.json.encode(translate(case["given"])))
                assert got == case["expect"], f"{name}.json, case {number}: {case['source']}"

    def _file(self, name: str) -> Path:
        file = self.golden / self.platform / f"{name}.json"
        assert file.exists(), f"{self.platform} needs {file}"
        return file


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _sample(on: Play, replica: Replica, name: str, message: MessageId) -> Segment:
    """Of files there are some in the media store, as a frontend hands them over."""
    if found := on.subject.samples.get(name):
        return found
    if name in FILES:
        kept = await replica.connector.kit.media.put(_once(FILES[name]))
        made: Segment = KINDS[name](kept.file)
        return made
    return segment.Reply(message) if name == "reply" else EXAMPLES[name]
