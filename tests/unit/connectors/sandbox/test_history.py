"""What a bot reads and changes of messages that were written."""

import pytest

from connectors.sandbox import Connector
from onebus import action as act
from onebus import event as ev
from onebus import segment as seg
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import group_chat, private_chat
from onebus.ids import ChatId, MessageId, UserId

from .calls import chat_now, happen, listed, say
from .conftest import Client, Sandbox

LOBBY = group_chat(ChatId("lobby"), "lobby")
ALICE, BOT = UserId("alice"), UserId("demo")
PRIVATE = private_chat(ALICE)


async def test_the_bot_changes_what_it_wrote(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    sent = await connector.send_message(act.SendMessage(PRIVATE, (seg.Text("helo"),)))
    for text in ("hello", "hi"):
        edit = act.EditMessage(PRIVATE, sent.message, (seg.Text(text),))
        await connector.edit_message(edit)
    edited = sandbox.memory.events()[-1]
    assert isinstance(edited, ev.MessageEdited)
    assert (edited.message, edited.editor.id) == (sent.message, BOT)
    found = await connector.get_message(act.GetMessage(PRIVATE, sent.message))
    assert (found.sender.id, found.segments) == (BOT, (seg.Text("hi"),))
    (shown,) = await listed(client, user="alice")
    assert (shown["message"][0]["data"]["text"], shown["edited"]) == ("hi", True)


async def test_what_the_bot_cannot_change(connector: Connector, client: Client) -> None:
    message = MessageId(await say(client, "alice", "mine"))
    text = (seg.Text("yours"),)
    with pytest.raises(Forbidden):
        await connector.edit_message(act.EditMessage(PRIVATE, message, text))
    with pytest.raises(NotFound):
        await connector.edit_message(act.EditMessage(LOBBY, message, text))
    with pytest.raises(BadParams):
        await connector.edit_message(act.EditMessage(PRIVATE, message, ()))
    sent = await connector.send_message(act.SendMessage(PRIVATE, text))
    await connector.recall_message(act.RecallMessage(PRIVATE, sent.message))
    with pytest.raises(NotFound):
        await connector.edit_message(act.EditMessage(PRIVATE, sent.message, text))


async def test_reading_backwards(connector: Connector, client: Client) -> None:
    ids = [MessageId(await say(client, "alice", str(number))) for number in range(5)]
    await say(client, "alice", "elsewhere", group="lobby")
    await happen(client, "message_recalled", user="alice", message_id=ids[1])
    edit = {"user": "alice", "message_id": ids[2], "message": "two"}
    await happen(client, "message_edited", **edit)

    async def read(before: MessageId | None, limit: int) -> list[seg.Segment]:
        found = await connector.get_history(act.GetHistory(PRIVATE, before, limit))
        return [message.segments[0] for message in found]

    assert await read(None, 2) == [seg.Text("3"), seg.Text("4")]
    assert await read(ids[4], 20) == [seg.Text("0"), seg.Text("two"), seg.Text("3")]
    assert await read(ids[0], 20) == []
    with pytest.raises(NotFound):
        await read(MessageId("m0"), 20)
    for limit in (0, 1001):
        with pytest.raises(BadParams):
            await read(None, limit)


async def test_one_message_of_another_chat(connector: Connector, client: Client) -> None:
    message = MessageId(await say(client, "alice", "hi"))
    found = await connector.get_message(act.GetMessage(PRIVATE, message))
    assert (found.message, found.time_ms // 1000) == (message, 1_767_225_600)
    with pytest.raises(NotFound):
        await connector.get_message(act.GetMessage(LOBBY, message))


NODES = (seg.Node(user=ALICE, name="Alice", time_s=5, content=(seg.Text("first"),)),)


async def test_a_forward_is_opened_by_its_id(
    sandbox: Sandbox, connector: Connector, client: Client
) -> None:
    segments = (seg.Text("look: "), seg.Forward(nodes=NODES))
    await connector.send_message(act.SendMessage(LOBBY, segments))
    sent = sandbox.memory.events()[-1]
    assert isinstance(sent, ev.MessageSent)
    forward = sent.segments[1]
    assert isinstance(forward, seg.Forward)
    assert await connector.get_forward(act.GetForward(forward.id)) == NODES
    again = (seg.Forward(forward.id),)
    await connector.send_message(act.SendMessage(PRIVATE, again))
    (shown,) = await listed(client, user="alice")
    assert shown["message"][0]["data"]["nodes"][0]["name"] == "Alice"
    await connector.recall_message(act.RecallMessage(LOBBY, sent.message))
    for name in (forward.id, forward.id.replace(".1.", ".0."), "nonsense"):
        with pytest.raises(NotFound):
            await connector.get_forward(act.GetForward(name))
    with pytest.raises(NotFound):
        await connector.send_message(act.SendMessage(PRIVATE, again))


async def test_a_person_forwards(sandbox: Sandbox, connector: Connector, client: Client) -> None:
    nodes = [{"user": "eve", "message": "first"}]
    await say(client, "alice", [{"type": "forward", "data": {"nodes": nodes}}])
    (event,) = sandbox.memory.events()
    assert isinstance(event, ev.MessageReceived)
    (forward,) = event.segments
    assert isinstance(forward, seg.Forward)
    (node,) = await connector.get_forward(act.GetForward(forward.id))
    assert (node.user, node.content) == ("eve", (seg.Text("first"),))


async def test_the_bot_reacts(sandbox: Sandbox, connector: Connector, client: Client) -> None:
    message = MessageId(await say(client, "alice", "funny", group="lobby"))
    for added, seen in ((True, {"👍": ["demo"]}), (False, {})):
        await connector.react(act.React(LOBBY, message, "👍", added))
        event = sandbox.memory.events()[-1]
        assert isinstance(event, ev.ReactionChanged)
        assert (event.message, event.user, event.emoji, event.added) == (message, BOT, "👍", added)
        assert (await listed(client, group="lobby"))[-1]["reactions"] == seen
    with pytest.raises(NotFound):
        await connector.react(act.React(PRIVATE, message, "👍"))
    with pytest.raises(BadParams):
        await connector.react(act.React(LOBBY, message, ""))


async def test_the_bot_marks_a_chat_read(connector: Connector, client: Client) -> None:
    await connector.mark_read(act.MarkRead(PRIVATE))
    first, second = [MessageId(await say(client, "alice", text)) for text in ("a", "b")]
    for upto, read in ((first, first), (None, second)):
        await connector.mark_read(act.MarkRead(PRIVATE, upto))
        assert (await chat_now(client))["read"] == read
    with pytest.raises(NotFound):
        await connector.mark_read(act.MarkRead(PRIVATE, MessageId("m0")))
