"""Everything that onebus counts and measures of itself, for `/metrics`; this is the only list.

No label comes from a stranger: accounts and addresses are the configuration's, all other values
are fixed lists. An address is given without its query, where a token may stand.
Source: https://prometheus.io/docs/practices/naming/.
"""

import time
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

UNKNOWN = "unknown"
"""Stands for every name that somebody made up."""


class Definition(Struct, frozen=True):
    """One metric as it is documented."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Way(NamedTuple):
    """How events leave: whose, by which transport, and to which address if we go to it."""

    account: str
    transport: str
    target: str = ""


DEFINED: list[Definition] = []


def _note(name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
    full = f"onebus_{name}"
    DEFINED.append(Definition(full, kind, labels, meaning))
    return full


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(_note(name, "counter", labels, meaning), meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(_note(name, "gauge", labels, meaning), meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
    full = _note(name, "histogram", labels, meaning)
    return Histogram(full, meaning, labels, registry=REGISTRY, buckets=buckets)


_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 60, 600)
_ACTION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_LOOP_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 4, 10)

appended = _counter("events_appended_total", "Events that the log has taken, or had", "account")
append_failures = _counter(
    "append_failures_total", "Events that the log did not take: the platform is told so", "account"
)
updates_ignored = _counter(
    "updates_ignored_total", "Updates of kinds that bots never see", "account"
)
appends_in_flight = _gauge("appends_in_flight", "Events that wait for the log's answer")
dropped_entries = _counter(
    "log_entries_dropped_total", "Entries of the log that are not what their subject says"
)

events_sent = _counter("events_sent_total", "Events handed to bots", *Way._fields)
event_latency = _histogram(
    "event_latency_seconds",
    "From an event's place in the log to its bots, once for those that get it at the same moment;"
    " events sent again left out",
    _LATENCY_S,
    "transport",
)
events_skipped = _counter(
    "events_skipped_total", "Events not sent: older than replay_window", *Way._fields
)
events_redelivered = _counter(
    "events_redelivered_total",
    "Events that this process sent again: the bot may have had them, or refused them for a while",
    *Way._fields,
)
dead_letters = _counter(
    "dead_letters_total", "Events given up; `onebus dead-letters` lists them", *Way._fields
)
events_evicted = _counter(
    "events_evicted_total",
    "Entries that the log forgot before a bot could have them, at most; of any account",
    *Way._fields,
)
target_up = _gauge("target_up", "Whether a bot that onebus goes to was reached", *Way._fields)
target_connects = _counter(
    "target_connects_total", "Connections made to a bot by reverse WebSocket", *Way._fields
)
target_lag_events = _gauge(
    "target_lag_events",
    "Entries of the log, of any account, that a bot is behind at most; 0 when none is for it",
    *Way._fields,
)
target_lag_seconds = _gauge(
    "target_lag_seconds", "Age of the oldest event that a bot has not got", *Way._fields
)
sockets = _gauge("sockets", "Open connections of bots that came to us", "transport")
socket_lag_events = _gauge(
    "socket_lag_events_max", "Entries that the slowest of these is behind at most", "transport"
)

actions = _counter("actions_total", "Calls answered", "action", "retcode")
action_seconds = _histogram("action_seconds", "From a call to its answer", _ACTION_S, "action")

queue_waiting = _gauge("queue_waiting", "What waits in the queues of this process", "queue")
nats_connected = _gauge("nats_connected", "Whether NATS is there")
nats_connects = _counter("nats_connects_total", "Connections made to NATS")
stores_refused = _counter(
    "stores_refused_total", "Writes that NATS, which was there, did not take", "stream"
)
loop_lag = _histogram(
    "loop_lag_seconds", "How late a timer of the event loop was, four times a second", _LOOP_S
)
tasks = _gauge("tasks", "Tasks of the event loop")

log_entries = _gauge("log_entries", "Events that the log holds")
log_entries_limit = _gauge("log_entries_limit", "bus.max_messages; 0: none")
log_bytes = _gauge("log_bytes", "Size of the log")
log_bytes_limit = _gauge("log_bytes_limit", "bus.max_bytes; 0: none")
log_span_seconds = _gauge("log_span_seconds", "Age of the oldest event that the log holds")
storage_bytes = _gauge("storage_bytes", "What all streams take on the disk of NATS")
storage_limit_bytes = _gauge(
    "storage_limit_bytes", "What they may take, as far as that is known; 0: not known"
)
capacity_alarm = _gauge("capacity_alarm", "1 while an alarm about room is on", "alarm")


def sent(way: Way, stored_at_ms: int, *, again: bool = False, bots: int = 1) -> None:
    """Count an event that was handed to bots at the same moment; `again`: as it was before."""
    _sent(way).inc(bots)
    if again:
        events_redelivered.labels(*way).inc()
    elif stored_at_ms:
        _latency(way.transport).observe(max(0.0, time.time() - stored_at_ms / 1000))


@cache
def _sent(way: Way) -> Counter:
    """Finding a series by its labels takes longer than counting."""
    return events_sent.labels(*way)


@cache
def _latency(transport: str) -> Histogram:
    return event_latency.labels(transport)


def answered(action: str, retcode: int, seconds: float) -> None:
    """Count a call of an action, and how long it took."""
    _answers(action, retcode).inc()
    _seconds(action).observe(seconds)


# Finding a series by its labels costs several times what counting does; there are few.
@cache
def _answers(action: str, retcode: int) -> Counter:
    return actions.labels(action, retcode)


@cache
def _seconds(action: str) -> Histogram:
    return action_seconds.labels(action)


def lag(way: Way, events: int, seconds: float) -> None:
    """Say how far a bot that we go to is behind."""
    target_lag_events.labels(*way).set(events)
    target_lag_seconds.labels(*way).set(seconds)


def forget_target(way: Way) -> None:
    """Say nothing of a bot that another process serves; what was counted stays."""
    for gauge in (target_up, target_lag_events, target_lag_seconds):
        gauge.remove(*way)


def page() -> bytes:
    """All of it in Prometheus' text format, version 0.0.4."""
    return generate_latest(REGISTRY)
