"""The short form of every fault; `make faults` runs the long ones and prints the table."""

import random
from pathlib import Path

import pytest
from tests.e2e.faults.scenario import Run, Scenario, scenarios

QUICK = [scenario for scenario in scenarios() if scenario.quick]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.id)
async def test_the_short_form(scenario: Scenario, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"SEED={seed} ONLY={scenario.id} QUICK=1 make faults")  # shown when it fails
    rows = await scenario.run(Run(scenario.id, tmp_path / scenario.id, seed, quick=True))
    assert rows
    for row in rows:
        print(row)
    assert not [row for row in rows if not row.passed]
