"""The list of metrics: names, labels, and that nobody else's words become one."""

import re

import pytest

from frontends.onebot_v11 import suffix
from frontends.onebot_v11.config import Config
from frontends.onebot_v11.target import targets
from onebus import metrics
from onebus.ids import parse_account

LABELS = {
    "account": "the configuration",
    "target": "the configuration",
    "transport": "a fixed list",
    "action": "a fixed list",
    "retcode": "a fixed list",
    "queue": "a fixed list",
    "stream": "a fixed list",
    "alarm": "a fixed list",
}
"""Every label, and where its values come from: add one only with an answer."""


@pytest.mark.parametrize("definition", metrics.DEFINED, ids=lambda definition: definition.name)
def test_names_and_labels_are_as_prometheus_has_them(definition: metrics.Definition) -> None:
    assert re.fullmatch(r"onebus_[a-z_]+", definition.name)
    assert definition.name.endswith("_total") == (definition.kind == "counter")
    assert set(definition.labels) <= LABELS.keys()
    assert definition.meaning


def test_every_definition_is_exported() -> None:
    text = metrics.page().decode()
    for definition in metrics.DEFINED:
        assert f"# TYPE {definition.name} {definition.kind}\n" in text
    assert "_created" not in text


def test_a_made_up_action_is_no_label() -> None:
    assert suffix.known_name("send_msg_async") == "send_msg"
    assert suffix.known_name("send_msg") == "send_msg"
    assert suffix.known_name("made_up{}\n") == ""


def test_the_query_of_an_address_is_no_label() -> None:
    account = parse_account("sandbox.demo")
    url = "ws://bot.test:8080/ws?access_token=canary"
    (target,) = targets(account, Config(ws_reverse=(url,)))
    assert target.way == ("sandbox.demo", "ws-reverse", "ws://bot.test:8080/ws")


def test_latency_is_of_the_first_time_only() -> None:
    way = metrics.Way("sandbox.latency", "latency-test")

    def value(name: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"onebus_{name}", labels) or 0.0

    metrics.sent(way, 1)
    metrics.sent(way, 1, again=True)
    named = way._asdict()
    assert value("events_sent_total", **named) == 2
    assert value("events_redelivered_total", **named) == 1
    assert value("event_latency_seconds_count", transport="latency-test") == 1


def test_what_another_process_serves_has_no_gauges() -> None:
    way = metrics.Way("sandbox.gone", "ws-reverse", "ws://gone.test/")
    metrics.lag(way, 5, 1.5)
    assert b"ws://gone.test/" in metrics.page()
    metrics.forget_target(way)
    metrics.forget_target(way)
    assert b"ws://gone.test/" not in metrics.page()
