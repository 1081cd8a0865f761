"""Everything that can happen on the sandbox, and what each framework has to take it for.

In bodies `$x` is the native id of the message said as `x`, and `BOT` the account's own user. In
fields `@x` is the number of a user, `#x` that of a group and `$x` that of a message.
"""

from typing import Any, Literal, NamedTuple

BOT = "BOT"


class Happening(NamedTuple):
    """`name` is the kind as OneBot has it; `koishi` is empty where that adapter passes it over."""

    name: str
    nonebot: str
    koishi: str
    how: Literal["say", "happen", "recall"]
    body: dict[str, Any]
    fields: dict[str, Any]
    said_as: str = ""


DEN = {"group": "den"}
IN_DEN = {"group_id": "#den"}


def _said(name: str, body: dict[str, Any], fields: dict[str, Any], said_as: str = "") -> Happening:
    kind = name.split(".")[1]
    nonebot = f"{kind.capitalize()}MessageEvent"
    fields = {"sub_type": name.split(".")[2], "message_id": f"${said_as}", **fields}
    return Happening(name, nonebot, f"message-created/{kind}", "say", body, fields, said_as)


def _notice(
    name: str, nonebot: str, koishi: str, body: dict[str, Any], fields: dict[str, Any]
) -> Happening:
    if "group" in body:
        fields = IN_DEN | fields
    return Happening(f"notice.{name}", nonebot, koishi, "happen", body, fields)


MESSAGES = (
    _said(
        "message.private.friend",
        {"user": "ann", "message": "hello [x], &amp;"},
        {"user_id": "@ann", "raw_message": "hello &#91;x&#93;, &amp;amp;"},
        "private",
    ),
    _said(
        "message.group.normal",
        {"user": "ann", "message": "hi all", **DEN},
        {"user_id": "@ann", **IN_DEN, "raw_message": "hi all", "anonymous": None},
        "group",
    ),
    _said("message.group.normal", {"user": "bob", "message": "hi", **DEN}, {}, "bob"),
    _said(
        "message.group.normal",
        {"user": "bob", "message": [{"type": "mention", "data": {"user": "all"}}], **DEN},
        {"raw_message": "[CQ:at,qq=all]"},
        "mention",
    ),
    _said(
        "message.group.anonymous",
        {"user": "bob", "message": "guess who", "anonymous": True, **DEN},
        {**IN_DEN, "raw_message": "guess who"},
        "masked",
    ),
    _said(
        "message.group.notice",
        {"user": "bob", "message": "a tip", "notice": True, **DEN},
        {"user_id": "@bob", **IN_DEN},
        "tip",
    ),
    Happening(
        "notice.friend_delete",
        "NoticeEvent",
        "",
        "happen",
        {"type": "friend_removed", "user": "ann"},
        {"user_id": "@ann"},
    ),
    _said("message.private.group", {"user": "ann", "message": "still here"}, {}, "temporary"),
    _said("message.private.friend", {"user": "zoe", "message": "hi"}, {}, "zoe"),
    Happening(
        "notice.friend_delete",
        "NoticeEvent",
        "",
        "happen",
        {"type": "friend_removed", "user": "zoe"},
        {"user_id": "@zoe"},
    ),
    _said("message.private.other", {"user": "zoe", "message": "me again"}, {}, "stranger"),
)

NOTICES = (
    _notice(
        "group_upload",
        "GroupUploadNoticeEvent",
        "",
        {"type": "file_uploaded", "user": "bob", "file": {"name": "a.txt", "size_bytes": 3}, **DEN},
        {"user_id": "@bob"},
    ),
    _notice(
        "group_admin.set",
        "GroupAdminNoticeEvent",
        "guild-member/role",
        {"type": "role_changed", "user": "bob", "role": "admin", **DEN},
        {"user_id": "@bob", "sub_type": "set"},
    ),
    _notice(
        "group_admin.unset",
        "GroupAdminNoticeEvent",
        "guild-member/role",
        {"type": "role_changed", "user": "bob", "role": "member", **DEN},
        {"user_id": "@bob", "sub_type": "unset"},
    ),
    _notice(
        "group_increase.approve",
        "GroupIncreaseNoticeEvent",
        "guild-member-added/passive",
        {"type": "member_joined", "user": "cat", "operator": "ann", **DEN},
        {"user_id": "@cat", "operator_id": "@ann"},
    ),
    _notice(
        "group_decrease.leave",
        "GroupDecreaseNoticeEvent",
        "guild-member-removed/active",
        {"type": "member_left", "user": "cat", **DEN},
        {"user_id": "@cat", "operator_id": "@cat"},
    ),
    _notice(
        "group_increase.invite",
        "GroupIncreaseNoticeEvent",
        "guild-member-added/passive",
        {"type": "member_joined", "user": "cat", "operator": "bob", "how": "invite", **DEN},
        {"user_id": "@cat", "operator_id": "@bob"},
    ),
    _notice(
        "group_decrease.kick",
        "GroupDecreaseNoticeEvent",
        "guild-member-removed/passive",
        {"type": "member_left", "user": "cat", "operator": "ann", **DEN},
        {"user_id": "@cat", "operator_id": "@ann"},
    ),
    _notice(
        "group_decrease.kick_me",
        "GroupDecreaseNoticeEvent",
        "guild-removed/passive",
        {"type": "member_left", "user": BOT, "operator": "ann", **DEN},
        {"user_id": f"@{BOT}", "operator_id": "@ann"},
    ),
    _notice(
        "group_increase.invite",
        "GroupIncreaseNoticeEvent",
        "guild-added/passive",
        {"type": "member_joined", "user": BOT, "operator": "ann", "how": "invite", **DEN},
        {"user_id": f"@{BOT}", "operator_id": "@ann"},
    ),
    _notice(
        "group_ban.ban",
        "GroupBanNoticeEvent",
        "guild-member/ban",
        {"type": "member_muted", "user": "bob", "operator": "ann", "duration_s": 60, **DEN},
        {"user_id": "@bob", "operator_id": "@ann", "duration": 60},
    ),
    _notice(
        "group_ban.lift_ban",
        "GroupBanNoticeEvent",
        "guild-member/ban",
        {"type": "member_muted", "user": "bob", "operator": "ann", "duration_s": 0, **DEN},
        {"user_id": "@bob", "operator_id": "@ann", "duration": 0},
    ),
    _notice(
        "friend_add",
        "FriendAddNoticeEvent",
        "friend-added",
        {"type": "friend_added", "user": "dan"},
        {"user_id": "@dan"},
    ),
    _notice(
        "notify.poke",
        "PokeNotifyEvent",
        "notice/poke",
        {"type": "poked", "user": "ann", "target": "bob", **DEN},
        {"user_id": "@ann", "target_id": "@bob"},
    ),
    _notice(
        "notify.poke",
        "PokeNotifyEvent",
        "notice/poke",
        {"type": "poked", "user": "ann"},
        {"user_id": "@ann", "target_id": f"@{BOT}"},
    ),
    _notice(
        "notify.lucky_king",
        "LuckyKingNotifyEvent",
        "notice/lucky-king",
        {"type": "lucky_king", "user": "ann", "target": "bob", **DEN},
        {"user_id": "@ann", "target_id": "@bob"},
    ),
    *(
        _notice(
            "notify.honor",
            "HonorNotifyEvent",
            "notice/honor",
            {"type": "honor_changed", "user": "ann", "honor": honor, **DEN},
            {"user_id": "@ann", "honor_type": honor},
        )
        for honor in ("talkative", "performer", "emotion")
    ),
    Happening(
        "notice.group_recall",
        "GroupRecallNoticeEvent",
        "message-deleted/group",
        "recall",
        {"user": "ann", "message_id": "$bob", **DEN},
        {"user_id": "@bob", "operator_id": "@ann", "message_id": "$bob", **IN_DEN},
    ),
    Happening(
        "notice.friend_recall",
        "FriendRecallNoticeEvent",
        "message-deleted/private",
        "recall",
        {"user": "ann", "message_id": "$private"},
        {"user_id": "@ann", "message_id": "$private"},
    ),
)

REQUESTS = (
    Happening(
        "request.friend",
        "FriendRequestEvent",
        "friend-request",
        "happen",
        {"type": "friend_requested", "user": "eve", "comment": "{}"},
        {"user_id": "@eve", "comment": "{}"},
    ),
    Happening(
        "request.group.add",
        "GroupRequestEvent",
        "guild-member-request/add",
        "happen",
        {"type": "group_requested", "user": "eve", "kind": "add", "comment": "{}", **DEN},
        {"user_id": "@eve", "comment": "{}", **IN_DEN},
    ),
    Happening(
        "request.group.invite",
        "GroupRequestEvent",
        "guild-request/invite",
        "happen",
        {"type": "group_requested", "user": "eve", "group": "attic", "kind": "invite"},
        {"user_id": "@eve", "comment": "", "group_id": "#attic"},
    ),
)

EXTENSIONS = (
    _notice(
        "group_card",
        "NoticeEvent",
        "guild-member/nickname",
        {"type": "card_changed", "user": "bob", "card": "Bobby", **DEN},
        {"user_id": "@bob", "card_new": "Bobby", "card_old": ""},
    ),
    _notice(
        "notify.title",
        "NotifyEvent",
        "notice/title",
        {"type": "title_changed", "user": "bob", "title": "Sir", **DEN},
        {"user_id": "@bob", "title": "Sir"},
    ),
    _notice(
        "notify.group_name",
        "NotifyEvent",
        "notice/group-name",
        {"type": "group_renamed", "name": "The den", "operator": "ann", **DEN},
        {"user_id": "@ann", "name_new": "The den"},
    ),
    _notice(
        "group_msg_emoji_like",
        "NoticeEvent",
        "",
        {"type": "reaction_changed", "user": "bob", "message_id": "$group", "emoji": "👍", **DEN},
        {"user_id": "@bob", "message_id": "$group", "is_add": True},
    ),
    _notice(
        "essence.add",
        "NoticeEvent",
        "",
        {"type": "message_pinned", "user": "ann", "message_id": "$group", **DEN},
        {"operator_id": "@ann", "message_id": "$group"},
    ),
    _notice(
        "offline_file",
        "NoticeEvent",
        "",
        {"type": "file_uploaded", "user": "ann", "file": {"name": "b.txt"}},
        {"user_id": "@ann"},
    ),
)

HAPPENINGS = (*MESSAGES, *NOTICES, *REQUESTS, *EXTENSIONS)
"""In this order: who is in the group, and what was said, follows from what came before."""
