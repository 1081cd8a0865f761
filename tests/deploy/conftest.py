"""The tree that is checked, rendered once."""

from pathlib import Path

import pytest
from tests.deploy.rendered import copy_tree
from tests.deploy.variants import write_copies


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of deploy/ and the compose files, with secrets."""
    tree = copy_tree(tmp_path_factory.mktemp("tree"))
    write_copies(tree)
    return tree
