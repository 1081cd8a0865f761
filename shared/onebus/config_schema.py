"""The JSON Schema of the configuration file, from the Structs that decode it.

An editor that knows it completes keys and marks slips. Source: https://json-schema.org/draft/2020-12
"""

from typing import Any

import msgspec
from msgspec import Struct

from onebus import installed
from onebus.errors import Misconfigured
from onebus.settings import Settings

JsonSchema = dict[str, Any]

_REFERENCE: JsonSchema = {"type": "string", "pattern": r"\$\{.+\}"}
_ANYTHING: JsonSchema = {"type": "object"}


def schema() -> JsonSchema:
    """The whole file, with every platform and bot standard that is installed here."""
    definitions: JsonSchema = {}
    top = _struct(Settings, "settings", definitions)
    protocols = {
        name: _described(installed.protocol_config(name), name, definitions)
        for name in installed.protocols()
    }
    properties = {
        **top["properties"],
        "general": {
            "description": "Defaults for every account",
            **_block({name: _may_be_empty(protocol) for name, protocol in protocols.items()}),
        },
    }
    accounts = {
        rf"^{platform}\..+$": _may_be_empty(_account(platform, protocols, definitions))
        for platform in installed.platforms()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onebus configuration",
        **_block(properties),
        "patternProperties": accounts,
        "$defs": definitions,
    }


def _account(platform: str, protocols: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """An account: the connector's keys and a block for each bot standard."""
    try:
        config = installed.connector_class(platform).Config
    except Misconfigured:
        # Its library is not installed here, so its keys are not known.
        return _ANYTHING
    own = _struct(config, platform, definitions)
    blocks = {name: _may_be_empty(protocol) for name, protocol in protocols.items()}
    definitions[platform] = {**own, "properties": {**own.get("properties", {}), **blocks}}
    return {"$ref": f"#/$defs/{platform}"}


def _described(kind: type[Struct], name: str, definitions: JsonSchema) -> JsonSchema:
    definitions[name] = _struct(kind, name, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _struct(kind: type[Struct], prefix: str, definitions: JsonSchema) -> JsonSchema:
    """A Struct's own schema; those of the Structs inside it go into `definitions`."""
    (ref,), components = msgspec.json.schema_components(
        [kind], ref_template=f"#/$defs/{prefix}.{{name}}"
    )
    own = ref["$ref"].removeprefix(f"#/$defs/{prefix}.")
    for name, component in components.items():
        if name != own:
            definitions[f"{prefix}.{name}"] = _open_to_references(component)
    # Every block may be empty as far as the file goes; what is required is said by its list.
    return {"additionalProperties": False, **_open_to_references(components[own])}


def _open_to_references(component: JsonSchema) -> JsonSchema:
    """Numbers, truth values and choices may be written as `${VAR}` too."""
    properties = component.get("properties", {})
    opened = {name: _or_reference(value) for name, value in properties.items()}
    return {**component, "properties": opened}


def _or_reference(value: JsonSchema) -> JsonSchema:
    if not ({"enum", "pattern"} & value.keys() or value.get("type") in _NOT_TEXT):
        return value
    outer: JsonSchema = {key: value[key] for key in ("description", "default") if key in value}
    inner = {key: part for key, part in value.items() if key not in outer}
    return {**outer, "anyOf": [inner, _REFERENCE]}


_NOT_TEXT = ("integer", "number", "boolean")


def _may_be_empty(value: JsonSchema) -> JsonSchema:
    """`sandbox.demo:` with nothing behind it is an account with all defaults."""
    return {"anyOf": [value, {"type": "null"}]}


def _block(properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "additionalProperties": False}
