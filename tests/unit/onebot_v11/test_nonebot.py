"""A strict bot framework recognizes what it is sent: a wrong field makes it a bare event there."""

import json
from pathlib import Path
from typing import Any

import pytest
from nonebot.adapters.onebot.v11 import Adapter
from nonebot.adapters.onebot.v11 import event as theirs

from frontends.onebot_v11.cq import parse_cq
from frontends.onebot_v11.event import heartbeat, lifecycle

GOLDENS = Path(__file__).parents[2] / "golden" / "onebot_v11" / "events.json"

MODELS: dict[tuple[str, str], type[theirs.Event]] = {
    ("private", "friend"): theirs.PrivateMessageEvent,
    ("private", "group"): theirs.PrivateMessageEvent,
    ("private", "other"): theirs.PrivateMessageEvent,
    ("group", "normal"): theirs.GroupMessageEvent,
    ("group", "anonymous"): theirs.GroupMessageEvent,
    ("group", "notice"): theirs.GroupMessageEvent,
    ("group_upload", ""): theirs.GroupUploadNoticeEvent,
    ("group_admin", "set"): theirs.GroupAdminNoticeEvent,
    ("group_admin", "unset"): theirs.GroupAdminNoticeEvent,
    ("group_decrease", "leave"): theirs.GroupDecreaseNoticeEvent,
    ("group_decrease", "kick"): theirs.GroupDecreaseNoticeEvent,
    ("group_decrease", "kick_me"): theirs.GroupDecreaseNoticeEvent,
    ("group_increase", "approve"): theirs.GroupIncreaseNoticeEvent,
    ("group_increase", "invite"): theirs.GroupIncreaseNoticeEvent,
    ("group_ban", "ban"): theirs.GroupBanNoticeEvent,
    ("group_ban", "lift_ban"): theirs.GroupBanNoticeEvent,
    ("friend_add", ""): theirs.FriendAddNoticeEvent,
    ("group_recall", ""): theirs.GroupRecallNoticeEvent,
    ("friend_recall", ""): theirs.FriendRecallNoticeEvent,
    ("notify", "poke"): theirs.PokeNotifyEvent,
    ("notify", "lucky_king"): theirs.LuckyKingNotifyEvent,
    ("notify", "honor"): theirs.HonorNotifyEvent,
    ("friend", ""): theirs.FriendRequestEvent,
    ("group", "add"): theirs.GroupRequestEvent,
    ("group", "invite"): theirs.GroupRequestEvent,
}
"""Detail type and sub type → what the framework makes of it; others are of no type of its own."""


def sent_events() -> list[dict[str, Any]]:
    return [case["expect"] for case in json.loads(GOLDENS.read_text()) if case["expect"]]


@pytest.mark.parametrize("event", sent_events(), ids=lambda event: event["post_type"])
@pytest.mark.parametrize("message_format", ["string", "array"])
def test_events_are_recognized(event: dict[str, Any], message_format: str) -> None:
    if message_format == "array" and "message" in event:
        event = event | {"message": parse_cq(event["raw_message"])}
    read = Adapter.json_to_event(event)
    detail = event.get(f"{event['post_type']}_type", "")
    expected = MODELS.get((detail, event.get("sub_type", "")))
    if expected is None:
        bare = theirs.NotifyEvent if detail == "notify" else theirs.NoticeEvent
        assert type(read) is bare
    else:
        assert type(read) is expected


def test_meta_events_are_recognized() -> None:
    opened = Adapter.json_to_event(lifecycle(9, 1, "connect"))
    assert type(opened) is theirs.LifecycleMetaEvent
    status = {"online": True, "good": True}
    beat = Adapter.json_to_event(heartbeat(9, 1, status, 15_000))
    assert isinstance(beat, theirs.HeartbeatMetaEvent)
    assert (beat.status.online, beat.status.good, beat.interval) == (True, True, 15_000)
