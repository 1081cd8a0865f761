"""Answers that the owner of an account gives by itself, whatever the platform is."""

import time

from onebus.action import Request, Response
from onebus.caller import NOT_OWNER
from onebus.errors import ActionError, ErrorData, PlatformUnavailable, error_data


def failed(error: ActionError) -> Response:
    """It was not done, or nobody knows."""
    return Response(error=error_data(error))


def not_owner() -> Response:
    """Not done: the caller asks again, for another process has the account."""
    return Response(error=ErrorData(NOT_OWNER, "another process owns the account"))


def too_late() -> Response:
    """Not done, for certain."""
    return failed(PlatformUnavailable("the deadline passed before it was started"))


def left_s(request: Request) -> float:
    """How long a request may still take, in seconds."""
    return request.deadline_ms / 1000 - time.time()
