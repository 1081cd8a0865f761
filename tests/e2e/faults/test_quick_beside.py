"""The short form of faults under less load, beside the others of test_quick.py."""

from pathlib import Path

import pytest
from tests.e2e.faults.scenario import Scenario, check_short_form, short_forms


# Bots that are cut off leave their ends of the connections behind: the transport, and at times its
# socket first, when both are collected at once.
@pytest.mark.filterwarnings("ignore:unclosed .socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function _SelectorTransport.__del__")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", short_forms(alone=False), ids=lambda scenario: scenario.id)
async def test_the_short_form(scenario: Scenario, tmp_path: Path) -> None:
    await check_short_form(scenario, tmp_path)
