"""How many files a process may open, tried in processes of their own."""

import resource
import subprocess
import sys

import pytest

_PROGRAM = """
import resource
from onebus import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
descriptors.allow_many()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(64, 512, "512 512"), (512, 512, "512 512"), (64, 64, "64 64")]
)
def test_what_the_system_grants_is_used(soft: int, hard: int, then: str) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 512
    program = _PROGRAM.format(soft=soft, hard=hard)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == then, done.stderr
