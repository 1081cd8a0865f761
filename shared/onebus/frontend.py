"""What a frontend is given: the bus, who the accounts are, and who else runs."""

from collections.abc import Iterable

from msgspec import Struct

from onebus.bus import Bus
from onebus.directory import Directory
from onebus.lease import Lease, Sessions


class FrontendKit(Struct, frozen=True):
    """Shared by all frontends of a process. `exclusive` is as for `Lease`."""

    bus: Bus
    directory: Directory
    sessions: Sessions
    exclusive: str = ""

    def lease(self, keys: Iterable[str]) -> Lease:
        """A session of this process among the frontends, to claim these with."""
        return Lease(self.bus, "frontend", self.sessions, keys, exclusive=self.exclusive)
