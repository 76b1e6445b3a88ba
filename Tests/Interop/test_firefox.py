"""Firefox as the agent and as the guest: the cases of firefox/cases.py, each in a network namespace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.island import Island

CASES = Path(__file__).resolve().parent / "firefox" / "cases.py"

pytestmark = [
    pytest.mark.skipif(not shutil.which("firefox-esr"), reason="Firefox (Debian's firefox-esr) is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace"),
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize(
    "case", ["the_desk_calls_the_echo", "the_desk_calls_a_carrier_and_is_called", "two_of_them_meet_in_a_room"]
)
def test_firefox(case, tmp_path):
    with Island() as island:
        run = subprocess.run(
            island.command(
                sys.executable, "-m", "pytest", f"{CASES}::test_{case}", "-x", "-q", "-p", "no:cacheprovider",
                f"--basetemp={tmp_path / 'inside'}",
            ),
            capture_output=True,
            text=True,
            timeout=170,
            cwd=CASES.parent,
        )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
