"""A made-up platform whose configuration has a setting of every kind."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from onebus.connector import Connector as Base
from onebus.connector import SelfInfo


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """A block within the block."""

    per_second: Annotated[float, Meta(gt=0)] = 1.0
    burst: int | None = None


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Every kind of setting once."""

    api_token: str
    nickname: str = "Chatter"
    secure: bool = True
    retries: Annotated[int, Meta(ge=0, le=9)] = 3
    mode: Literal["poll", "push"] = "poll"
    limits: Limits = Limits()
    proxies: tuple[str, ...] = ()
    targets: tuple[str | dict[str, Any], ...] = ()
    page: bool = False

    def problems(self, *, exposed: bool) -> Iterable[tuple[str, str]]:
        if not self.api_token:
            yield "api_token", "must not be empty"
        if self.mode == "push" and not self.proxies:
            # A careless author: the text repeats the secret.
            yield "proxies[0]", f"push with {self.api_token} needs a proxy"
        if exposed and self.page:
            yield "page", "shows everything to everybody"


class Connector(Base[Config]):
    """Never opened."""

    Config = Config

    async def open(self) -> SelfInfo:
        raise NotImplementedError
