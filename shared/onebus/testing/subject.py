"""What the contract tests must know of a platform to play it: the one class that you write.

It stands in `tests/contract/subjects/{platform}.py`, is called `Subject`, and plays the platform's
side over real HTTP or sockets: a fake server, or the connector's own routes. The tests are in
`onebus.testing.contract`; a new one holds for every connector at once.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import Struct

from onebus.connector import WebhookRequest
from onebus.errors import OnebusError
from onebus.event import Chat
from onebus.ids import Account
from onebus.segment import Segment

if TYPE_CHECKING:
    from onebus.testing.play import Replica

Golden = Callable[[Any], Any]
"""What a golden's `given` becomes: plain JSON, to be compared with its `expect`."""


class NotTaken(OnebusError):
    """The connector did not take an update: the platform has to give it again."""


class Refusal(Struct, frozen=True):
    """How the fake platform answers a call that it does not carry out.

    429 means "not before `retry_after_s` from now"; 5xx that nobody knows; 0 that the connection
    breaks once the call has arrived.
    """

    status: int
    retry_after_s: float = 0.0


class Arrived(Struct, frozen=True):
    """A call that would write a message, as the fake platform saw it; monotonic seconds."""

    at_s: float
    chat: str
    text: str
    refusal: Refusal | None = None


class Subject(ABC):
    """One platform as a test plays it, made anew for each test.

    `now_s` is the tests' time in unix seconds, which they move: signatures take it from there.
    """

    canaries: ClassVar[Sequence[str]] = ()
    """The secrets of `config` and those that the platform gives: none may be seen anywhere."""

    replay_window_s: ClassVar[float | None] = None
    """For how long a webhook's signature is good; None: the platform signs no time."""

    pauses: ClassVar[Literal["account", "chat"]] = "account"
    """What a refusal with "not before" holds for: all calls, or those into the same chat."""

    calls_api: ClassVar[bool] = True
    """Whether sending is a call of the platform's API, which can be refused."""

    samples: ClassVar[Mapping[str, Segment]] = {}
    """Segments by name, where the example of the tests does not do: pictures that exist, say."""

    def __init__(self, account: Account, now_s: Callable[[], float]) -> None:
        self.account = account
        self.now_s = now_s
        self.arrived: list[Arrived] = []
        """The calls that would write a message, refused ones included; yours to fill."""
        self.refusals: Iterator[Refusal | None] = iter(())
        """What to answer the next of these calls: None carries it out, and so does the end."""

    @abstractmethod
    def serve(self) -> AbstractAsyncContextManager[Any]:
        """The platform is there for as long as the block lasts."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The account's configuration: the fake's addresses, the canaries, what makes it quick."""

    @property
    @abstractmethod
    def chats(self) -> Sequence[Chat]:
        """At least two chats that the account may write to."""

    @abstractmethod
    def decodes(self) -> Mapping[str, Golden]:
        """By file of `tests/golden/{platform}` without its end: payload → events or segments."""

    @abstractmethod
    def encodes(self) -> Mapping[str, Golden]:
        """By file: segments or events → what the platform takes."""

    async def deliver(self, replica: "Replica", number: int) -> None:
        """Give the update of this number, the same one each time, to this replica.

        Returns when the connector has confirmed it as it confirms updates: by its answer to a
        webhook, by asking for what comes after it. Raises NotTaken when it said "come again". The
        default posts `signed(number)`.
        """
        reply = await replica.connector.webhook(self.signed(number))
        if reply.status >= 500:
            raise NotTaken(f"HTTP {reply.status}")
        if reply.status != 200:
            raise AssertionError(f"update {number} was answered HTTP {reply.status}")

    @abstractmethod
    async def deliver_unknown(self, replica: "Replica") -> None:
        """Give a well-formed update of a kind that nobody has heard of, like `deliver`.

        Raises BadParams where whoever sent it is told so at once, as a person who uses REST is.
        """

    def signed(self, number: int) -> WebhookRequest:
        """The webhook that brings this update, signed as the platform does."""
        raise NotImplementedError

    def forgeries(self, number: int) -> Mapping[str, WebhookRequest]:
        """Webhooks that bring this update and must be refused, by what is wrong with them.

        At least "missing", "empty", "wrong" and "another account's"; all that the platform's way to
        sign can show.
        """
        raise NotImplementedError

    def unsafe_configs(self) -> Sequence[Mapping[str, Any]]:
        """Changes of `config` without which no webhook could be verified: they refuse to start."""
        return ()

    def wrong_credentials(self) -> Mapping[str, Any] | None:
        """Changes of `config` that the platform rejects; None where it asks for none."""
        return None

    def refusal(self, chat: str, text: str) -> Refusal | None:
        """Note a call that would write, and say how to answer it: your fake asks for each."""
        found = next(self.refusals, None)
        self.arrived.append(Arrived(time.monotonic(), chat, text, found))
        return found

    @property
    def accepted(self) -> list[Arrived]:
        """The calls that were carried out, in order."""
        return [call for call in self.arrived if call.refusal is None]
