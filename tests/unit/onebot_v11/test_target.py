"""Which bots an account is pushed to, and what each of them gets."""

import pytest

from frontends.onebot_v11.config import Config
from frontends.onebot_v11.endpoint import HttpEndpoint, WsEndpoint, address_problem
from frontends.onebot_v11.frame import frame_of, wanted
from frontends.onebot_v11.target import Target, targets
from onebus.ids import parse_account

ACCOUNT = parse_account("sandbox.demo")


def found(**settings: object) -> list[Target]:
    return targets(ACCOUNT, Config(**settings))  # type: ignore[arg-type]


def pairs(**settings: object) -> list[tuple[str, str]]:
    return [(target.role, target.url) for target in found(**settings)]


def test_nothing_is_switched_on_by_itself() -> None:
    assert pairs(ws_reverse_url="ws://a") == []


def test_one_address_alone_gets_one_connection() -> None:
    assert pairs(use_ws_reverse=True, ws_reverse_url="ws://a") == [("Universal", "ws://a")]


@pytest.mark.proves(64, 65)
@pytest.mark.parametrize(
    ("api_url", "event_url", "expected"),
    [
        ("ws://b", "ws://c", [("API", "ws://b"), ("Event", "ws://c")]),
        ("", "ws://c", [("API", "ws://a"), ("Event", "ws://c")]),
        ("ws://b", "", [("API", "ws://b"), ("Event", "ws://a")]),
    ],
)
def test_an_address_of_its_own_means_two_connections(
    api_url: str, event_url: str, expected: list[tuple[str, str]]
) -> None:
    """communication/ws-reverse.md: an empty `api_url` or `event_url` means `url`."""
    settings = {"ws_reverse_api_url": api_url, "ws_reverse_event_url": event_url}
    assert pairs(use_ws_reverse=True, ws_reverse_url="ws://a", **settings) == expected


def test_lists_stand_beside_it() -> None:
    split = WsEndpoint(url="ws://b", use_universal=False)
    assert pairs(ws_reverse=("ws://a", split), http_reverse=("http://c",)) == [
        ("Universal", "ws://a"),
        ("API", "ws://b"),
        ("Event", "ws://b"),
        ("Post", "http://c"),
    ]


def test_the_same_connection_is_made_once() -> None:
    assert len(found(use_ws_reverse=True, ws_reverse_url="ws://a", ws_reverse=("ws://a",))) == 1


def test_an_entry_without_settings_has_those_of_the_account() -> None:
    account = {"access_token": "t", "secret": "s", "post_timeout": 7, "enable_heartbeat": True}
    socket, post = found(ws_reverse=("ws://a",), http_reverse=("http://b",), **account)
    assert (socket.access_token, socket.config.enable_heartbeat) == ("t", True)
    assert (post.access_token, post.secret, post.timeout_ms) == ("", "s", 7)


def test_an_entry_goes_over_the_account() -> None:
    entry = WsEndpoint(
        url="ws://a",
        access_token="",
        message_format="array",
        events=("message",),
        enable_heartbeat=False,
        heartbeat_interval=9,
        reconnect_interval=8,
        async_as_ok=True,
    )
    account = Config(access_token="t", enable_heartbeat=True, ws_reverse=(entry,))
    (target,) = targets(ACCOUNT, account)
    own = target.config
    assert (target.access_token, target.events) == ("", ("message",))
    assert target.reconnect_interval_ms == 8
    assert (own.post_message_format, own.async_as_ok) == ("array", True)
    assert (own.enable_heartbeat, own.heartbeat_interval) == (False, 9)
    assert own.quick_operation_at_sender_default is account.quick_operation_at_sender_default


def test_an_entry_may_take_away_the_secret_and_the_timeout() -> None:
    entry = HttpEndpoint(url="http://a", secret="", timeout=0, access_token="mine")
    (target,) = found(http_reverse=(entry,), secret="s", post_timeout=7, access_token="t")
    assert (target.secret, target.timeout_ms, target.access_token) == ("", 0, "mine")


def test_a_name_shows_no_query_and_a_key_tells_targets_apart() -> None:
    one, two = found(ws_reverse=("ws://a:1/x?access_token=t", "ws://a:1/x"))
    assert one.name == two.name == "ws://a:1/x"
    assert one.key != two.key
    other = targets(parse_account("sandbox.other"), Config(ws_reverse=("ws://a:1/x",)))[0]
    assert other.key != two.key
    assert one.key.startswith("target.")


@pytest.mark.parametrize(
    "url", ["", "a:1", "http://a", "ws://", "ws:///x", "ws://a:0", "ws://a:99999", "ws://[::1"]
)
def test_what_is_no_address(url: str) -> None:
    assert "expected ws://" in address_problem(url, ("ws", "wss"))


def test_an_address_holds_no_credentials() -> None:
    assert "access_token" in address_problem("wss://name:pass@a/", ("ws", "wss"))
    assert address_problem("wss://[::1]:8080/onebot/v11/ws?x=1", ("ws", "wss")) == ""


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), True),
        (("notice",), True),
        (("notice.group_increase",), True),
        (("notice.group_increase.approve",), True),
        (("message", "notice.group_increase"), True),
        (("notice.group_in",), False),
        (("notice.group_increase.invite",), False),
        (("message", "request"), False),
    ],
)
def test_a_filter_is_the_beginning_of_a_name(events: tuple[str, ...], expected: bool) -> None:
    assert wanted("notice.group_increase.approve", events) is expected


def test_what_a_frame_says_of_its_event() -> None:
    fields = {
        "time": 1,
        "self_id": 10,
        "post_type": "message",
        "message_type": "group",
        "sub_type": "normal",
        "group_id": 5,
        "user_id": 6,
    }
    frame = frame_of(fields, 4097)
    assert (frame.name, frame.chat) == ("message.group.normal", "group_id=5")
    assert (frame.self_id, frame.sequence) == (10, 4097)
    recall = {"self_id": 10, "post_type": "notice", "notice_type": "friend_recall", "user_id": 6}
    frame = frame_of(recall, 1)
    assert (frame.name, frame.chat) == ("notice.friend_recall", "user_id=6")
