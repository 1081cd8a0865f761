"""Every action that clients model, in an order in which each of them can succeed on the sandbox.

`@x`, `#x` and `$x` in parameters are as in `happenings`; `%x` is what an earlier call gave as `x`.
The bot owns the group `hall`, in which ann, bob and cat are too, and a plain member of `loft`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

IN_HALL = {"group_id": "#hall"}
BOB = {"group_id": "#hall", "user_id": "@bob"}
NODE = {"type": "node", "data": {"name": "Ann", "uin": "@ann", "content": "made up"}}


class Asked(NamedTuple):
    """An action with its parameters. `gives` names what a later call needs of the answer."""

    action: str
    params: Mapping[str, Any] = MappingProxyType({})
    gives: str = ""


STANDARD = (
    Asked("send_private_msg", {"user_id": "@ann", "message": "one [CQ:face,id=1]"}),
    Asked("send_group_msg", {**IN_HALL, "message": "two"}, "two"),
    Asked("send_msg", {**IN_HALL, "message_type": "group", "message": "three"}),
    Asked("get_msg", {"message_id": "%two"}),
    Asked("delete_msg", {"message_id": "%two"}),
    Asked("get_forward_msg", {"id": "%forward", "message_id": "%forward"}),
    Asked("send_like", {"user_id": "@ann", "times": 2}),
    Asked("set_group_ban", {**BOB, "duration": 60}),
    Asked("set_group_anonymous_ban", {**IN_HALL, "flag": "%mask", "duration": 60}),
    Asked("set_group_whole_ban", {**IN_HALL, "enable": True}),
    Asked("set_group_admin", {**BOB, "enable": True}),
    Asked("set_group_anonymous", {**IN_HALL, "enable": False}),
    Asked("set_group_card", {**BOB, "card": "Bobby"}),
    Asked("set_group_name", {**IN_HALL, "group_name": "The hall"}),
    Asked("set_group_special_title", {**BOB, "special_title": "Sir", "duration": -1}),
    Asked("set_group_kick", {**IN_HALL, "user_id": "@cat", "reject_add_request": True}),
    Asked("set_friend_add_request", {"flag": "%friend", "approve": True, "remark": "pal"}),
    Asked(
        "set_group_add_request",
        {"flag": "%add", "sub_type": "add", "approve": False, "reason": "full"},
    ),
    Asked("get_login_info"),
    Asked("get_stranger_info", {"user_id": "@ann", "no_cache": True}),
    Asked("get_friend_list"),
    Asked("get_group_info", {**IN_HALL, "no_cache": False}),
    Asked("get_group_list", {"no_cache": False}),
    Asked("get_group_member_info", {**BOB, "no_cache": False}),
    Asked("get_group_member_list", IN_HALL),
    Asked("get_group_honor_info", {**IN_HALL, "type": "all"}),
    Asked("get_cookies", {"domain": "example.com"}),
    Asked("get_csrf_token"),
    Asked("get_credentials", {"domain": "example.com"}),
    Asked(
        "get_record",
        {"file": "https://example.com/a.mp3", "out_format": "mp3", "full_path": False},
    ),
    Asked("get_image", {"file": "https://example.com/a.png"}),
    Asked("can_send_image"),
    Asked("can_send_record"),
    Asked("get_status"),
    Asked("get_version_info"),
    Asked("clean_cache"),
    Asked("set_group_leave", {"group_id": "#loft", "is_dismiss": False}),
)
"""The public actions of the standard without `set_restart`, which ends the account's session."""

EXTENDED = (
    Asked("send_group_forward_msg", {**IN_HALL, "messages": [NODE]}),
    Asked("send_private_forward_msg", {"user_id": "@ann", "messages": [NODE]}),
    Asked("send_group_msg", {**IN_HALL, "message": "kept"}, "kept"),
    Asked("mark_msg_as_read", {"message_id": "%kept"}),
    Asked("set_essence_msg", {"message_id": "%kept"}),
    Asked("delete_essence_msg", {"message_id": "%kept"}),
    Asked("get_group_msg_history", {**IN_HALL, "message_seq": "%kept"}),
    Asked("get_friend_msg_history", {"user_id": "@ann", "message_seq": 0, "count": 1}),
    Asked("set_msg_emoji_like", {"message_id": "%kept", "emoji_id": "76", "set": True}),
)
"""What Koishi models besides, as far as it is offered."""
