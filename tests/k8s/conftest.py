"""The server that is tested against; without one, every test fails and says so."""

import pytest
from tests.k8s.server import minor_version


@pytest.fixture(scope="session")
def minor() -> int:
    """Its minor version: 20 for 1.20."""
    return minor_version()
