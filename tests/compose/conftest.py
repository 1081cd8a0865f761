"""The image is built once; each module starts the services that it needs."""

import pytest
from tests.compose.stack import IMAGE, LOG, Stack, docker


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this tree, by the build that the compose file describes."""
    LOG.unlink(missing_ok=True)
    Stack("onebus-test", 0, {}).compose("build", "--quiet")
    docker("image", "prune", "--force")  # of former builds
    return IMAGE
