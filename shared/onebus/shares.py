"""How many of the claims each replica takes, and which of them first. Pure arithmetic.

Replicas are the sessions of one role that want the same claims: who was started with another
configuration competes for a claim that is free, and shares nothing.
"""

from collections.abc import Iterable
from hashlib import blake2b

LEAST_STEP = 8
"""A small installation is served at once."""


def group(keys: Iterable[str]) -> str:
    """Eight hex digits that are the same for all replicas that want these claims."""
    wanted = "\n".join(sorted(keys))
    return blake2b(wanted.encode(), digest_size=4).hexdigest()


def share(claims: int, replicas: int) -> int:
    """How many claims a replica may hold, so that all of them can be held."""
    return -(-claims // max(replicas, 1))


def step(fair: int) -> int:
    """How many claims a replica takes at a time while it knows of no other."""
    return max(LEAST_STEP, -(-fair // 4))


def in_turn(session: str, keys: Iterable[str]) -> list[str]:
    """The order in which a session goes for claims: its own, so that replicas rarely collide."""
    return sorted(keys, key=lambda key: blake2b(f"{session} {key}".encode()).digest())
