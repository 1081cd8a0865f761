"""What the server's configuration says: as a whole, and for any prefix and any platform."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from frontends.onebot_v11.roles import transports
from onebus import event as ev
from onebus import installed, subjects
from onebus.errors import Misconfigured
from onebus.event import User, private_chat
from onebus.host import claim_key
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.permissions import (
    FRONTENDS,
    OPERATOR,
    Permissions,
    accounts,
    connector,
    password_variable,
    permissions,
    services,
)
from onebus.setup import BUCKETS, PRIVATE

GOLDEN = Path(__file__).parents[1] / "golden/bus/accounts.conf"
PREFIXES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
PLATFORMS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
FIXED = frozenset({"frontend", "target", "account", "quick", "sandbox"})


def test_the_block_as_it_is_printed() -> None:
    """After a change on purpose: `onebus bus setup --auth … > tests/golden/bus/accounts.conf`."""
    names = ("setup", "frontend-ws", "frontend-http-post", "connector-sandbox", OPERATOR)
    assert accounts(names, "onebus") == GOLDEN.read_text()


def test_every_transport_and_platform_that_is_installed_is_a_service() -> None:
    assert set(transports()) == set(FRONTENDS)
    names = services(installed.platforms())
    assert len(names) == len(set(names)) == len(FRONTENDS) + len(installed.platforms()) + 2
    assert {*map(connector, installed.platforms())} < set(names)
    assert BUCKETS.keys() >= PRIVATE
    assert set(installed.platforms()) >= PRIVATE


@pytest.mark.parametrize(
    "name", ["", "frontend", "frontend-", "frontend-telnet", "http", "connector-", "connector-a.b"]
)
def test_what_is_no_service_is_said(name: str) -> None:
    with pytest.raises(Misconfigured, match="no service"):
        permissions(name, "onebus")


@given(PREFIXES, PLATFORMS, PLATFORMS)
@example("onebus", "a.b", "a>b")
@example("x", "*", ">")
@example("onebus", "a\r\nb", '"')
@example("onebus", "wechat", "wechat2")
def test_two_platforms_have_nothing_in_common(prefix: str, one: str, other: str) -> None:
    """But what is the same for all: how full the log is, who lives, their readers' ends."""
    if one == other or {one, other} & FIXED:
        return
    ours, theirs = (permissions(connector(name), prefix) for name in (one, other))
    shared = re.compile(
        r"\$JS\.FC\.[^.]+\.>|\$JS\.API\.CONSUMER\.(DELETE|MSG\.NEXT)\.[^.]+\.\*|_R_\.>"
        r"|\$JS\.API\.INFO|\$JS\.API\.STREAM\.INFO\.[^.]+|\$O\.[^.]+\.M\.\*"
        r"|\$JS\.API\.DIRECT\.GET\.OBJ_[^.]+\.\$O\.[^.]+\.M\.\*"
    )
    for subject, another in itertools.product(ours.publish, theirs.publish):
        assert not meet(subject, another) or (subject == another and shared.fullmatch(subject))
    for subject, another in itertools.product(ours.subscribe, theirs.subscribe):
        assert not meet(subject, another)


@given(PREFIXES, PLATFORMS, st.text(max_size=30), st.text(min_size=1, max_size=30))
@example("onebus", "a.b", ">", "*")
def test_a_connector_may_use_the_subjects_of_its_accounts(
    prefix: str, platform: str, name: str, message: str
) -> None:
    account = Account(Platform(platform), AccountId(name))
    chat, user = private_chat(UserId(name)), User(UserId(name), name)
    allowed = permissions(connector(platform), prefix)
    received = ev.MessageReceived(
        account=account, time_ms=1, chat=chat, message=MessageId(message), sender=user, segments=()
    )
    changed = ev.AccountChanged(account=account, time_ms=1, id=message, online=True)
    events = [f"{prefix}.{subjects.of_event(event)}" for event in (received, changed)]
    claim = f"$KV.{prefix}_claims.{claim_key(account)}"
    for subject in (*events, f"{prefix}.{subjects.owner(account)}", claim):
        assert any(covers(pattern, subject) for pattern in allowed.publish)
    for subject in (subjects.actions(account), subjects.passive(account, chat)):
        assert any(covers(pattern, f"{prefix}.{subject}") for pattern in allowed.subscribe)
    reader = f"$JS.API.CONSUMER.CREATE.{prefix}_events.n.{prefix}.{subjects.events_of(account)}"
    assert any(covers(pattern, reader) for pattern in allowed.publish)
    ours = (
        f"$JS.API.CONSUMER.CREATE.{prefix}_events.n.{prefix}.{subjects.contents_of(account, chat)}"
    )
    assert any(covers(pattern, ours) for pattern in allowed.publish)


@given(PREFIXES, st.lists(PLATFORMS, max_size=4, unique=True))
def test_a_service_reaches_each_thing_by_one_way(prefix: str, platforms: list[str]) -> None:
    """A request that two imports of an account match is made twice."""
    for name in services(platforms):
        allowed = permissions(name, prefix)
        assert len(set(allowed.publish)) == len(allowed.publish)
        pairs = itertools.combinations(allowed.keeper, 2)
        assert [pair for pair in pairs if meet(*pair)] == []


@given(PREFIXES, st.lists(PLATFORMS, max_size=4, unique=True))
@example("onebus", ["a.b", '"}', "a\nb", "$PASSWORD"])
def test_nothing_odd_gets_into_the_file(prefix: str, platforms: list[str]) -> None:
    names = services(platforms)
    text = accounts(names, prefix)
    for name in names:
        variable = password_variable(name)
        assert re.fullmatch("PASSWORD_[A-Z0-9_]+", variable)
        assert f"password: ${variable}," in text
    quoted = re.findall(r'"([^"]*)"', text)
    assert all(re.fullmatch(r"[$A-Za-z0-9_.*>=-]+", one) for one in quoted)
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")


def test_a_frontend_that_serves_writes_less_than_one_that_goes_to_bots() -> None:
    http, ws, reverse, post = (permissions(f"frontend-{name}", "onebus") for name in FRONTENDS)
    assert http.publish == ws.publish
    served = {"$KV.onebus_ids", "$O.onebus_media", "onebus.deferred", "onebus.actions"}
    assert written(http) == served
    assert written(reverse) - written(http) == {
        *("$KV.onebus_sessions", "$KV.onebus_claims", "$KV.onebus_cursors"),
        "onebus.dead",
    }
    assert written(post) - written(reverse) == {"$KV.onebus_idempotency"}


def written(allowed: Permissions) -> set[str]:
    """The heads of what it writes."""
    own = (subject for subject in allowed.publish if not subject.startswith("$JS."))
    return {".".join(subject.split(".")[:2]) for subject in own}


def meet(one: str, other: str) -> bool:
    """Whether there is a subject that both patterns fit."""
    for ours, theirs in itertools.zip_longest(one.split("."), other.split(".")):
        if ">" in (ours, theirs):
            return ours is not None and theirs is not None
        if ours is None or theirs is None or (ours != theirs and "*" not in (ours, theirs)):
            return False
    return True


def covers(pattern: str, subject: str) -> bool:
    """Whether a pattern takes a subject, whose own wildcards are tokens like others."""
    wanted, found = pattern.split("."), subject.split(".")
    for number, token in enumerate(wanted):
        if token == ">":
            return len(found) > number
        if number >= len(found) or token not in ("*", found[number]):
            return False
    return len(found) == len(wanted)
