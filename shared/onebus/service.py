"""One process: its roles, its listener, its connection, and an orderly end.

Also the only place that catches whatever else may be raised, so that a fault of ours is one
logged event and an answer, never a traceback to a peer.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from aiohttp import web

from onebus.errors import ActionError, InternalError, OnebusError, OutcomeUnknown

logger = logging.getLogger(__name__)

DRAIN_S = 10.0
T = TypeVar("T")


class Role:
    """What a process does beside others: a platform's connector, a frontend, a background task."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """What it serves on the process's listener."""
        return ()

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
        """Start nothing new, finish what is in flight, let others take over."""


class Stage(Protocol):
    """Something that is started before the roles and stopped after them."""

    async def start(self) -> None:
        """Raises Misconfigured."""

    async def stop(self) -> None:
        """Called once, also when a later stage failed."""


async def guarded(work: Awaitable[T], what: str) -> T:
    """Await something; a fault of ours is logged under `what` and becomes InternalError."""
    try:
        return await work
    except (OnebusError, web.HTTPException):
        raise
    except Exception as error:
        if isinstance(cause := first_error(error), OnebusError):  # a group of tasks wraps it
            raise cause from None
        logger.exception("fault in %s", what)
        raise InternalError("an internal error; the log of the service has the details") from None


async def outcome(work: Awaitable[T], what: str) -> T | ActionError:
    """Await an action; its result, or the ActionError that it ended with."""
    try:
        return await guarded(work, what)
    except ActionError as error:
        return error
    except OnebusError as error:
        logger.warning("%s: %s", what, error)
        return OutcomeUnknown(f"it was cut short, and may have been done: {error}")


async def run_roles(
    roles: Sequence[Role], stages: Sequence[Stage], announce: Callable[[], None]
) -> None:
    """Start the stages, run the roles until SIGINT or SIGTERM, drain, stop the stages.

    Raises what a stage or a role raises, one error.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    started: list[Stage] = []
    try:
        for stage in stages:
            await stage.start()
            started.append(stage)
        announce()
        await _until(stopping, [role.run() for role in roles], roles)
    finally:
        for stage in reversed(started):
            await stage.stop()


async def _until(
    stopping: asyncio.Event, works: Sequence[Coroutine[Any, Any, None]], roles: Sequence[Role]
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        waiting = group.create_task(stopping.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            logger.info("stopping")
            await _drain(roles)
        for task in (*tasks, waiting):
            task.cancel()


async def _drain(roles: Sequence[Role]) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            await asyncio.gather(*(guarded(role.drain(), "drain") for role in roles))
    except TimeoutError:
        logger.warning("not everything was finished within %.0f s", DRAIN_S)
    except OnebusError as error:
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
