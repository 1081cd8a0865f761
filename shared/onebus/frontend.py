"""What a frontend is given: the bus, who the accounts are, and who else runs."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from onebus.bus import Bus
from onebus.directory import Directory
from onebus.lease import Lease, Sessions
from onebus.settings import MediaSettings


def _nowhere() -> str:
    return ""


class FrontendMedia(Struct, frozen=True):
    """How files reach bots. `base_url`: where those that we go to reach us, empty for nowhere;
    `public_url`: where all others do, if not where they came.

    Without a `secret_key` no address of a file can be signed, so bots get none.
    """

    settings: MediaSettings = MediaSettings()
    secret_key: str = ""
    public_url: str = ""
    base_url: Callable[[], str] = _nowhere


class FrontendKit(Struct, frozen=True):
    """Shared by all frontends of a process. `exclusive` is as for `Lease`."""

    bus: Bus
    directory: Directory
    sessions: Sessions
    exclusive: str = ""
    media: FrontendMedia = FrontendMedia()

    def lease(self, keys: Iterable[str]) -> Lease:
        """A session of this process among the frontends, to claim these with."""
        return Lease(self.bus, "frontend", self.sessions, keys, exclusive=self.exclusive)
