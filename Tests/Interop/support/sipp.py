"""Runs the scenarios of signaling/sip/scenarios with SIPp."""

import os
import subprocess
from pathlib import Path

from .server import ROOT

SCENARIOS = ROOT / "signaling" / "sip" / "scenarios"


class Sipp:
    """One SIPp process that runs a scenario once. `number` for the calling side; without it SIPp waits to be called."""

    def __init__(self, scenario, address, server, directory, number=None, port=None, transport="u1", timeout=20):
        self.directory = Path(directory)
        self.scenario = scenario
        command = ["sipp", "-sf", str(SCENARIOS / scenario), "-i", address, "-mi", address, "-m", "1", "-nostdin"]
        command += ["-t", transport, "-trace_err", "-trace_msg", "-timeout", str(timeout), "-timeout_error"]
        command += ["-p", str(port)] if port else []
        command += ["-s", number, f"{server[0]}:{server[1]}"] if number else []
        self.process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=dict(os.environ, TERM="dumb"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, timeout=30):
        """Waits for the end and fails with what SIPp says when the scenario did not go as written."""
        try:
            _, errors = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError(f"{self.scenario} did not end in {timeout} s") from None
        if self.process.returncode == 0:
            return
        logs = sorted(self.directory.glob("*_errors.log")) + sorted(self.directory.glob("*_messages.log"))
        said = "\n".join(path.read_text(errors="replace")[-3000:] for path in logs)
        raise AssertionError(f"{self.scenario}: SIPp ended with {self.process.returncode}\n{errors[-1000:]}\n{said}")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
