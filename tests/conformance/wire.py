"""The types of the standard's tables, as JSON has them."""

from typing import Any

_BITS = {"int32": 31, "int64": 63}


def is_type(value: Any, kind: str, bits: str = "int64") -> bool:
    """Whether a JSON value is of this type; `message` is text or a list of segments."""
    match kind:
        case "number":
            limit = 1 << _BITS[bits]
            return type(value) is int and -limit <= value < limit
        case "message":
            return isinstance(value, str) or is_array(value)
    return isinstance(value, {"string": str, "boolean": bool, "object": dict, "array": list}[kind])


def is_array(value: Any) -> bool:
    """Whether it is a message as an array: segments with a type, and data that is never null."""
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and isinstance(item.get("type"), str)
        and isinstance(item.get("data"), dict)
        for item in value
    )
