"""Going on after the last event that a bot had: `?resume_from=` and `Last-Event-ID`.

Not in the standard. Every event carries its `event_id`; a bot that remembers the last one gets
what came after it, as far as the log still has that, and then what happens.
"""

from aiohttp import web
from msgspec import Struct

from frontends.onebot_v11.session import Session
from frontends.onebot_v11.view import Fields
from onebus.errors import BadParams


class Resume(Struct, frozen=True):
    """Where to begin; `after` None: now. `missed`: the log has lost events that came after it."""

    after: int | None = None
    missed: bool = False

    def extension(self) -> Fields:
        """What the lifecycle event says of it."""
        if self.after is None:
            return {}
        return {"resume": {"from": str(self.after), "missed": self.missed}}


async def resume_of(request: web.Request, session: Session) -> Resume:
    """What a bot asks for. Raises BadParams for what is no event_id of ours, and BusError."""
    asked = request.query.get("resume_from") or request.headers.get("Last-Event-ID")
    if not asked:
        return Resume()
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 19):
        raise BadParams("resume_from is no event_id: give that of the last event that you had")
    after = int(asked)
    if after > await session.log.end():
        raise BadParams(f"resume_from {after} is no event_id of this log: its end is before it")
    return Resume(after, missed=after < await session.log.first() - 1)
