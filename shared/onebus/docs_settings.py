"""Tables of settings, from the Structs that decode them."""

import importlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct, structs

from onebus import installed
from onebus.docs_table import Row, code, table
from onebus.settings import BusSettings, MediaSettings, Settings, TlsSettings


def _settings() -> str:
    return _keys(Settings, without=("bus", "media"))


def _media_settings() -> str:
    rows = _rows(MediaSettings, prefix="media.")
    return table(("key", "value", "default", "meaning"), rows)


def _bus_settings() -> str:
    own = _rows(BusSettings, prefix="bus.", without=("tls",))
    files = _rows(TlsSettings, prefix="bus.tls.")
    return table(("key", "value", "default", "meaning"), [*own, *files])


def _protocol_settings() -> str:
    return _keys(installed.protocol_config("onebot.v11"))


def _entry_settings() -> str:
    """The maps in the lists of bots, both kinds in one table."""
    endpoint: Any = importlib.import_module("frontends.onebot_v11.endpoint")
    lists = {
        "ws_reverse": endpoint.WsEndpoint,
        "http_reverse": endpoint.HttpEndpoint,
    }
    found = {f.name: f for kind in lists.values() for f in structs.fields(kind)}
    rows = [
        (
            f"`{name}`",
            code(*(which for which, kind in lists.items() if name in kind.__struct_fields__)),
            _type_words(field.type),
            _default(field),
            _description(field.type),
        )
        for name, field in found.items()
    ]
    return table(("key", "in", "value", "default", "meaning"), rows)


def _keys(kind: type[Struct], *, without: Sequence[str] = ()) -> str:
    rows = _rows(kind, without=without)
    if not any(row[3] for row in rows):
        return table(("key", "value", "default"), [row[:3] for row in rows])
    return table(("key", "value", "default", "meaning"), rows)


def _rows(kind: type[Struct], *, prefix: str = "", without: Sequence[str] = ()) -> list[Row]:
    fields = [field for field in structs.fields(kind) if field.name not in without]
    return [
        (f"`{prefix}{f.name}`", _type_words(f.type), _default(f), _description(f.type))
        for f in fields
    ]


def _default(field: structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default in ("", ()):
        return "empty"
    if field.default is None:
        return "the account's"
    value = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _description(kind: Any) -> str:
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    found = (meta.description for meta in metas if isinstance(meta, Meta) and meta.description)
    return next(found, "")


def _type_words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Annotated:
        return _type_words(get_args(kind)[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if origin is tuple:
        return "list"
    if origin in (Union, types.UnionType):  # None stands for the account's own setting
        return _type_words(get_args(kind)[0])
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[kind]


def _connector_settings(platform: str) -> Callable[[], str]:
    return lambda: _keys(installed.connector_class(platform).Config)


PARTS: Mapping[str, Callable[[], str]] = {
    "settings": _settings,
    "media settings": _media_settings,
    "bus settings": _bus_settings,
    "onebot.v11 settings": _protocol_settings,
    "onebot.v11 entries": _entry_settings,
    **{f"{name} settings": _connector_settings(name) for name in installed.platforms()},
}
