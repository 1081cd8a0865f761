"""Pushes of the platform: who is believed, and what never goes off. Controls S12 and S13."""

import time
from typing import Any

import pytest
import xmltodict
from tests.fakes.wechat_push import AES_KEY, Push, WeChatPlatform
from tests.unit.connectors.wechat.conftest import Replicas, changed, post

from connectors.wechat.webhook import MAX_BODY_BYTES
from onebus.connector import WebhookRequest
from onebus.event import MessageReceived
from onebus.ids import parse_account
from onebus.segment import plain_text


async def test_url_verification_echoes(replicas: Replicas) -> None:
    push = replicas.platform.push("")
    query = {**push.query, "echostr": "8839219032"}
    reply = await replicas.connector().webhook(WebhookRequest("GET", query, {}, b""))
    assert (reply.status, reply.body, reply.content_type) == (200, b"8839219032", "text/plain")


async def test_url_verification_is_the_same_in_safe_mode(replicas: Replicas) -> None:
    query = {**replicas.platform.push("").query, "echostr": "1"}
    reply = await replicas.safe_connector().webhook(WebhookRequest("GET", query, {}, b""))
    assert (reply.status, reply.body) == (200, b"1")


async def test_url_verification_refuses_a_wrong_signature(replicas: Replicas) -> None:
    query = {**replicas.platform.push("").query, "echostr": "1", "nonce": "other"}
    reply = await replicas.connector().webhook(WebhookRequest("GET", query, {}, b""))
    assert reply.status == 401


@pytest.mark.parametrize("echo", ["", "x" * 1025])
async def test_url_verification_needs_something_to_echo(replicas: Replicas, echo: str) -> None:
    query = {**replicas.platform.push("").query, "echostr": echo}
    reply = await replicas.connector().webhook(WebhookRequest("GET", query, {}, b""))
    assert reply.status == 400


BAD_QUERIES = {
    "missing": {"signature": None, "msg_signature": None},
    "empty": {"signature": "", "msg_signature": ""},
    "wrong": {"signature": "0" * 40, "msg_signature": "0" * 40},
    "not ascii": {"signature": "é", "msg_signature": "é"},
    "another nonce": {"nonce": "1"},
    "no timestamp": {"timestamp": None},
    "timestamp of text": {"timestamp": "soon"},
}


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
async def test_s12_a_bad_signature_stores_nothing(
    replicas: Replicas, query: dict[str, Any], safe: bool
) -> None:
    connector = replicas.safe_connector() if safe else replicas.connector()
    platform = replicas.safe if safe else replicas.platform
    reply = await post(connector, changed(platform.push(platform.text("x")), **query))
    assert (reply.status, reply.body) == (401, b"not authentic")
    assert replicas.memory.events() == []


@pytest.mark.parametrize("timestamp", ["soon", "", "-5", "1e9", "９" * 10, "9" * 40, "000{:.0f}"])
async def test_s12_a_signed_timestamp_must_be_a_time(replicas: Replicas, timestamp: str) -> None:
    platform, timestamp = replicas.platform, timestamp.format(time.time())
    query = {"timestamp": timestamp, "nonce": "1", "signature": platform.sign(timestamp, "1")}
    reply = await post(replicas.connector(), Push(query, platform.text("x").encode()))
    assert reply.status == 401
    assert replicas.memory.events() == []


@pytest.mark.parametrize("safe", [False, True])
async def test_s12_another_accounts_token_is_refused(replicas: Replicas, safe: bool) -> None:
    other = replicas.connector(
        parse_account("wechat.other"),
        token="another-token",
        encoding_aes_key=AES_KEY if safe else "",
    )
    platform = replicas.safe if safe else replicas.platform
    reply = await post(other, platform.push(platform.text("x")))
    assert reply.status == 401
    assert replicas.memory.events() == []


async def test_s12_another_apps_message_is_refused(replicas: Replicas) -> None:
    other = WeChatPlatform(
        app_id="wxother", aes_key=replicas.safe_connector().config.encoding_aes_key
    )
    reply = await post(replicas.safe_connector(), other.push(other.text("x")))
    assert reply.status == 401
    assert replicas.memory.events() == []


async def test_s12_a_changed_body_is_refused_in_safe_mode(replicas: Replicas) -> None:
    push = replicas.safe.push(replicas.safe.text("x"))
    sealed = xmltodict.parse(push.body)["xml"]["Encrypt"]
    swapped = ("B" if sealed[0] == "A" else "A") + sealed[1:]
    tampered = Push(push.query, push.body.replace(sealed.encode(), swapped.encode()))
    assert (await post(replicas.safe_connector(), tampered)).status == 401
    assert replicas.memory.events() == []


async def test_s12_a_fresh_url_does_not_carry_an_old_sealed_body(replicas: Replicas) -> None:
    old = replicas.safe.push(replicas.safe.text("x"))
    fresh = replicas.safe.push(replicas.safe.text("y"))
    assert (await post(replicas.safe_connector(), Push(fresh.query, old.body))).status == 401
    assert replicas.memory.events() == []


async def test_s12_a_signed_url_carries_one_body_in_plaintext_mode(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.text("x", message=1))
    assert (await post(replicas.connector(), push)).status == 200
    forged = Push(push.query, replicas.platform.text("pay me", message=2).encode())
    assert (await post(replicas.connector(), forged)).status == 401
    assert len(replicas.memory.events()) == 1


async def test_s12_plaintext_is_refused_in_safe_mode(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.text("x"))
    assert (await post(replicas.safe_connector(), push)).status == 401
    assert replicas.memory.events() == []


async def test_compatible_mode_trusts_the_sealed_part_only(replicas: Replicas) -> None:
    push = replicas.safe.push(replicas.safe.text("sealed", message=5))
    sealed = xmltodict.parse(push.body)["xml"]["Encrypt"]
    readable = replicas.safe.text("forged", message=6, Encrypt=sealed).encode()
    assert (await post(replicas.safe_connector(), Push(push.query, readable))).status == 200
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageReceived)
    assert plain_text(event.segments) == "sealed"


async def test_a_sealed_push_without_a_key_says_what_to_do(replicas: Replicas) -> None:
    reply = await post(replicas.connector(), replicas.safe.push(replicas.safe.text("x")))
    assert reply.status == 400
    assert b"set encoding_aes_key" in reply.body


@pytest.mark.parametrize("safe", [False, True])
async def test_s12_a_replay_after_a_second_is_one_event(replicas: Replicas, safe: bool) -> None:
    connector = replicas.safe_connector() if safe else replicas.connector()
    platform = replicas.safe if safe else replicas.platform
    push = platform.push(platform.text("x"))
    first = await post(connector, push)
    replicas.clock = lambda: time.time() + 1
    again = await post(connector, push)
    assert (first.status, again.status) == (200, 200)
    assert len(replicas.memory.events()) == 1


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("later_s", [600, -600])
async def test_s12_a_replay_after_ten_minutes_is_refused(
    replicas: Replicas, safe: bool, later_s: float
) -> None:
    connector = replicas.safe_connector() if safe else replicas.connector()
    platform = replicas.safe if safe else replicas.platform
    push = platform.push(platform.text("x"))
    replicas.clock = lambda: time.time() + later_s
    assert (await post(connector, push)).status == 401
    assert replicas.memory.events() == []


async def test_s12_a_signed_url_is_good_for_one_body_at_every_replica(replicas: Replicas) -> None:
    push = replicas.platform.push(replicas.platform.text("x", message=1))
    spaced = Push(push.query, push.body.replace(b"><", b"> <", 1))
    assert (await post(replicas.connector(), push)).status == 200
    for _ in range(2):
        assert (await post(replicas.connector(), spaced)).status == 401
        assert (await post(replicas.connector(), push)).status == 200
    assert len(replicas.memory.events()) == 1


async def test_s12_no_byte_of_a_sealed_message_can_be_changed(replicas: Replicas) -> None:
    push = replicas.safe.push(replicas.safe.text("x"))
    sealed = xmltodict.parse(push.body)["xml"]["Encrypt"]
    for place in range(0, len(sealed) - 2, 7):
        other = "A" if sealed[place] != "A" else "B"
        changed_ = (sealed[:place] + other + sealed[place + 1 :]).encode()
        body = push.body.replace(sealed.encode(), changed_)
        assert (await post(replicas.safe_connector(), Push(push.query, body))).status == 401
    assert replicas.memory.events() == []
    assert (await post(replicas.safe_connector(), push)).status == 200


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
VALID = (
    "<xml><ToUserName>gh</ToUserName><FromUserName>oUser</FromUserName>"
    "<CreateTime>1700000000</CreateTime><MsgType>text</MsgType><MsgId>1</MsgId>"
    "<Content>{}</Content></xml>"
)
USE = VALID.format("&x;")
BOMBS = {
    "billion laughs": f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}<!ENTITY x "&l9;">]>{USE}',
    "file": f'<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>{USE}',
    "http": '<!DOCTYPE x [<!ENTITY x SYSTEM "{canary}/x">]>' + USE,
    "harmless entity": f'<!DOCTYPE x [<!ENTITY x "y">]>{USE}',
    "parameter": '<!DOCTYPE x [<!ENTITY % x SYSTEM "{canary}/x"> %x;]>' + VALID,
    "external dtd": '<!DOCTYPE x SYSTEM "{canary}/x.dtd">' + VALID,
    "undeclared entity": USE,
    "doctype alone": f"<!DOCTYPE x>{VALID}",
    "unknown encoding": '<?xml version="1.0" encoding="nothing"?>' + VALID,
    "multi-byte encoding": '<?xml version="1.0" encoding="utf-7"?>' + VALID,
    "cut off": "<xml><Content>",
    "empty": "",
    "json": '{"MsgType": "text"}',
    "control character": "<xml>\x00</xml>",
    "no fields": "<xml/>",
    "no user": "<xml><ToUserName>a</ToUserName><FromUserName/><CreateTime>1</CreateTime></xml>",
}


async def test_what_the_bombs_are_made_of_is_a_message(replicas: Replicas) -> None:
    reply = await post(replicas.connector(), replicas.platform.push(VALID))
    assert (reply.status, len(replicas.memory.events())) == (200, 1)


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("xml", BOMBS.values(), ids=BOMBS)
async def test_s13_a_bomb_is_refused_and_fetches_nothing(
    replicas: Replicas, xml: str, safe: bool
) -> None:
    """In safe mode the bomb is inside: its sender knew the key, and it must not go off."""
    canary = replicas.api.base
    connector = replicas.safe_connector() if safe else replicas.connector()
    platform = replicas.safe if safe else replicas.platform
    began = time.process_time()
    reply = await post(connector, platform.push(xml.replace("{canary}", canary)))
    assert reply.status == 400
    assert time.process_time() - began < 1
    assert not replicas.api.calls
    assert replicas.memory.events() == []


@pytest.mark.parametrize("xml", BOMBS.values(), ids=BOMBS)
async def test_s13_a_bomb_around_a_sealed_message_is_refused(replicas: Replicas, xml: str) -> None:
    push = replicas.safe.push(replicas.safe.text("x"))
    bomb = Push(push.query, xml.replace("{canary}", replicas.api.base).encode())
    assert (await post(replicas.safe_connector(), bomb)).status in {400, 401}
    assert not replicas.api.calls
    assert replicas.memory.events() == []


async def test_a_body_beyond_the_cap_is_refused(replicas: Replicas) -> None:
    push = replicas.platform.push(b" " * (MAX_BODY_BYTES + 1))
    assert (await post(replicas.connector(), push)).status == 413


@pytest.mark.parametrize("created", ["soon", "0", "-1", "9" * 30, "9" * 5000])
async def test_a_time_that_is_none_is_refused(replicas: Replicas, created: str) -> None:
    push = replicas.platform.push(replicas.platform.text("x", CreateTime=created))
    assert (await post(replicas.connector(), push)).status == 400
    assert replicas.memory.events() == []


@pytest.mark.parametrize("place", ["nan", "inf", "", "north"])
async def test_a_place_that_is_none_is_kept_as_it_came(replicas: Replicas, place: str) -> None:
    platform = replicas.platform
    xml = platform.xml("location", "oUser", MsgId=1, Location_X=place, Location_Y="1")
    assert (await post(replicas.connector(), platform.push(xml))).status == 200
    (event,) = replicas.memory.events()
    assert isinstance(event, MessageReceived)
    assert event.segments[0].__struct_config__.tag == "unknown"
