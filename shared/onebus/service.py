"""One process: its roles, its listener, its connection, and an orderly end.

Also the only place that catches whatever else may be raised, so that a fault of ours is one
logged event and an answer, never a traceback to a peer.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from aiohttp import web

from onebus import descriptors, memory
from onebus.errors import ActionError, InternalError, OnebusError, OutcomeUnknown

logger = logging.getLogger(__name__)

DRAIN_S = 10.0
LAST_S = 1.0
"""What is drained last has at least so long, however long the others took."""
T = TypeVar("T")
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Role:
    """What a process does beside others: a platform's connector, a frontend, a background task."""

    drains_last: ClassVar[bool] = False
    """Whether others need it to finish what they have in flight: it is drained after them."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves on the process's listener."""
        return ()

    def direct(self, path: str) -> Handler | None:  # noqa: ARG002
        """Who answers requests for exactly this path, whatever the routes say; None: they say.

        Asked once: the answer is remembered.
        """
        return None

    def origins(self, request: web.Request) -> Collection[str]:  # noqa: ARG002
        """Origins whose pages may use what the request's path names, beside our own."""
        return ()

    def missing(self) -> Iterable[str]:
        """What it still waits for before it can do its work, in a few words each, for people."""
        return ()

    def observe(self) -> None:
        """Set the gauges of `metrics` that only somebody's look keeps current."""

    async def run(self) -> None:
        """Work until cancelled."""
        await asyncio.Event().wait()

    async def drain(self) -> None:
        """Start nothing new, finish what is in flight, let others take over.

        Cancelled when the time is up: what others wait for is to be said even then, and soon.
        """


class Stage(Protocol):
    """Something that is started before the roles and stopped after them."""

    async def start(self) -> None:
        """Raises Misconfigured."""

    async def pause(self) -> None:
        """Take nothing new: the roles are about to be drained."""

    async def stop(self) -> None:
        """Called once, also when a later stage failed."""


FAULT = "an internal error; the log of the service has the details"


async def guarded(work: Awaitable[T], what: object) -> T:
    """Await something; a fault of ours is logged under `what` and becomes InternalError."""
    try:
        return await work
    except (OnebusError, web.HTTPException):
        raise
    except Exception as error:
        if isinstance(cause := first_error(error), OnebusError):  # a group of tasks wraps it
            raise cause from None
        logger.exception("fault in %s", what)
        raise InternalError(FAULT) from None


def guarded_call(work: Callable[[], T], what: str) -> T:
    """The same for what is not waited for."""
    try:
        return work()
    except OnebusError:
        raise
    except Exception:
        logger.exception("fault in %s", what)
        raise InternalError(FAULT) from None


async def outcome(work: Awaitable[T], what: object) -> T | ActionError:
    """Await an action; its result, or the ActionError that it ended with."""
    try:
        return await guarded(work, what)
    except ActionError as error:
        return error
    except OnebusError as error:
        logger.warning("%s: %s", what, error)
        return OutcomeUnknown(f"it was cut short, and may have been done: {error}")


async def run_roles(
    roles: Sequence[Role],
    stages: Sequence[Stage],
    announce: Callable[[], None],
    *,
    drain_s: float = DRAIN_S,
) -> None:
    """Start the stages, run the roles until SIGINT or SIGTERM, drain, stop the stages.

    A second signal ends the process at once, as if nobody had been listening for it. Raises what a
    stage or a role raises, one error.
    """
    stopping = _stop_on_signals()
    asyncio.get_running_loop().set_exception_handler(_left_over)
    started: list[Stage] = []
    try:
        for stage in stages:
            await stage.start()
            started.append(stage)
        announce()
        memory.forget_what_starting_left()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(role.run()) for role in roles]
            waiting = group.create_task(stopping.wait())
            await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                logger.info("stopping")
                await _drain(roles, stages, drain_s)
            for task in (*tasks, waiting):
                task.cancel()
    finally:
        for stage in reversed(started):
            await stage.stop()


def _left_over(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waits for any more; a name that was looked up for too long is no fault of ours.

    nats-py and aiohttp leave the look-up when it takes too long, and say so themselves.
    """
    if isinstance(error := context.get("exception"), socket.gaierror):
        logger.debug("a name that nobody waits for was not found: %s", error)
    else:
        loop.default_exception_handler(context)


def _stop_on_signals() -> asyncio.Event:
    """What the first SIGINT or SIGTERM sets."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        stopping.set()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    return stopping


async def _drain(roles: Sequence[Role], stages: Sequence[Stage], drain_s: float) -> None:
    now = asyncio.get_running_loop().time
    ends_at_s = now() + drain_s
    for stage in stages:
        await stage.pause()
    await _drain_together([role for role in roles if not role.drains_last], ends_at_s)
    last = [role for role in roles if role.drains_last]
    await _drain_together(last, max(ends_at_s, now() + LAST_S))


async def _drain_together(roles: Sequence[Role], ends_at_s: float) -> None:
    works = (guarded(role.drain(), "drain") for role in roles)
    try:
        async with asyncio.timeout_at(ends_at_s):
            ends = await asyncio.gather(*works, return_exceptions=True)
    except TimeoutError:
        logger.warning("not everything was finished within drain_timeout")
        return
    for error in ends:
        if isinstance(error, OnebusError):
            logger.warning("stopping: %s", error)


def first_error(error: BaseException) -> BaseException:
    """The error inside of nested groups that explains the end; cancellations do not."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run(main: Coroutine[Any, Any, None]) -> int:
    """Run a process's main coroutine on the fastest loop there is; returns its exit code.

    An error of ours is one line on standard error, with exit code 1.
    """
    memory.give_back_what_is_freed()
    descriptors.allow_many()
    factory = None
    try:
        import uvloop  # noqa: PLC0415

        factory = uvloop.new_event_loop
    except ImportError:
        logger.debug("uvloop is not available on this platform")
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)
    except (OnebusError, BaseExceptionGroup) as raised:
        error = first_error(raised)
        if not isinstance(error, OnebusError):
            raise
        sys.stderr.write(f"onebus: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
