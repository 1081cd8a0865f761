"""What the sessions of one process have in common, and what each knows of its account."""

from msgspec import Struct

from frontends.onebot_v11.background import Background
from frontends.onebot_v11.lookup import Lookup
from frontends.onebot_v11.underway import Underway
from onebus.bucket import Bucket
from onebus.bus import Bus
from onebus.caller import Caller
from onebus.directory import AccountRecord, Directory
from onebus.frontend import FrontendMedia
from onebus.idmap import IdMap
from onebus.log import Log
from onebus.objects import Objects


class Identity(Struct, frozen=True):
    """Who the account is, in numbers."""

    self_id: int
    record: AccountRecord
    lookup: Lookup


class Shared:
    """What the sessions of one process have in common."""

    def __init__(self, bus: Bus, directory: Directory, media: FrontendMedia) -> None:
        self.bus = bus
        self.media = media
        self.objects = Objects(bus)
        self.directory = directory
        self.log = Log(bus)
        self.ids = IdMap(Bucket(bus, "ids"))
        self.caller = Caller(bus, directory)
        self.background = Background()
        self.underway = Underway()
