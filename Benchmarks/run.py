#!/usr/bin/env python3
"""Parley beside Kamailio and rtpengine, in the same run on the same machine.

    Benchmarks/run.py                 everything, three runs each (about 12 minutes); writes Benchmarks/results.json
    Benchmarks/run.py --smoke         a short run of everything against Parley alone: that it works, not how fast
    Benchmarks/run.py --only relay    one of: register, call, websocket, transcode, relay

CPU time is that of the server's processes; all traffic is on 127.0.0.0/8. Compare figures of one run only.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Tests" / "Interop")]

from load import measures  # noqa: E402
from load.process import machine  # noqa: E402
from load.servers import Kamailio, Parley, environment  # noqa: E402
from support.ports import free_port  # noqa: E402

# The goals of the project, as a share of the peer's figure in the same run.
GOALS = {
    ("register", "cpu_us_per_registration"): 1.0,
    ("websocket", "cpu_us_per_registration"): 1.0,
    ("transcode", "cpu_ms_per_call_second"): 0.30,
    ("relay", "cpu_ms_per_call_second"): 0.60,
    ("transcode", "cpu_us_set_up"): 0.50,
}
LIMITS = {("transcode", "ms_added_to_set_up"): 5.0, ("websocket", "kb_per_registered_agent"): 80.0}


class Tools:
    """The media load generator, built here, and the certificate that its legs show."""

    def __init__(self, directory):
        build = HERE / ".build"
        build.mkdir(exist_ok=True)
        self.media, self.legs = build / "media", Path(directory) / "legs"
        self.certificate, self.key = Path(directory) / "certificate.pem", Path(directory) / "key.pem"
        source = HERE / "media.c"
        if not self.media.exists() or self.media.stat().st_mtime < source.stat().st_mtime:
            flags = ["-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE"]
            libraries = ["-lopus", "-lsrtp2", "-lssl", "-lcrypto", "-lm"]
            subprocess.run(["gcc", *flags, "-o", str(self.media), str(source), *libraries], check=True)
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=bench", "-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        command = ["openssl", "x509", "-in", str(self.certificate), "-noout", "-fingerprint", "-sha256"]
        self.fingerprint = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("=")[1]


def plan(smoke, tools, trunk):
    """Name to (whether media is needed, coroutine function of a server)."""
    small = smoke
    calls, seconds = (2, 4) if small else (20, 12)
    relayed = 2 if small else 50
    return {
        "register": (False, lambda s: measures.registrations(s, 100 if small else 3000, 50 if small else 300, 200)),
        "call": (False, lambda s: measures.calls(s, trunk, 20 if small else 1000, 20 if small else 80, 200)),
        "websocket": (False, lambda s: measures.websockets(s, 20 if small else 400, 20 if small else 80)),
        "transcode": (True, lambda s: measures.gateway(s, trunk, calls, seconds, "opus", tools)),
        "relay": (True, lambda s: measures.gateway(s, trunk, relayed, seconds, "pcmu", tools)),
    }


def run(name, measure, make, runs):
    """Medians over valid runs; each run has a server of its own, so that none profits from a warm one."""
    rows = []
    for _ in range(runs * 3):
        with tempfile.TemporaryDirectory(prefix="parley-bench.") as directory:
            server = make(directory)
            try:
                server.start()
                found = asyncio.run(measure(server))
            finally:
                server.stop()
        print(f"  {server.name}: {json.dumps(found)}", flush=True)
        if found.get("is_valid", True):
            rows.append(found)
        if len(rows) == runs:
            break
    if not rows:
        raise SystemExit(f"{name}: no valid run of {make.__name__}")
    result = measures.median(rows)
    if "cpu_us_signalling_per_call" in result:
        result["cpu_us_set_up"] = round(result["cpu_us_signalling_per_call"] + result["cpu_us_ice_dtls_per_call"])
    return result


def figure(value):
    return value["p50"] if isinstance(value, dict) else value


def compare(results):
    """The table, and how each goal was met."""
    print(f"\n{machine()}\n")
    print(f"{'':12}{'':30}{'Parley':>12}{'peer':>12}{'ratio':>8}  goal")
    missed = 0
    for name, (ours, peers) in results.items():
        for key, value in ours.items():
            if isinstance(value, bool) or key in ("calls", "connections", "late_ms"):
                continue
            value, theirs = figure(value), figure(peers[key]) if peers else None
            ratio = value / theirs if theirs else None
            goal, limit = GOALS.get((name, key)), LIMITS.get((name, key))
            words = ""
            if limit is not None:
                words = f"≤ {limit:g}: {'met' if value <= limit else 'MISSED'}"
            elif goal is not None and ratio is not None:
                words = f"≤ {goal:g} ×: {'met' if ratio <= goal else 'MISSED'}"
            missed += "MISSED" in words
            cells = f"{value:>12g}" + (f"{theirs:>12g}" if theirs is not None else f"{'':12}")
            print(f"{name:12}{key:30}{cells}" + (f"{ratio:8.2f}" if ratio is not None else f"{'':8}") + f"  {words}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="short, Parley alone")
    parser.add_argument("--only", action="append", help="one measure; may be repeated")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true", help="Parley alone")
    arguments = parser.parse_args()
    environment()
    results, trunk = {}, ("127.0.0.12", free_port("127.0.0.12"))
    with tempfile.TemporaryDirectory(prefix="parley-bench.") as directory:
        tools = Tools(directory)
        for name, (needs_media, measure) in plan(arguments.smoke, tools, trunk).items():
            if arguments.only and name not in arguments.only:
                continue
            print(name, flush=True)
            runs = 1 if arguments.smoke else arguments.runs
            ours = run(name, measure, lambda d: Parley(d, 400, trunk), runs)
            peers = None
            if not arguments.smoke and not arguments.no_peers:
                peers = run(name, measure, lambda d: Kamailio(d, needs_media), runs)
            results[name] = (ours, peers)
    missed = compare(results)
    if arguments.smoke:
        broken = [name for name, (ours, _) in results.items() if ours.get("lost") or ours.get("rejected") or ours.get("deaf")]
        print("\nThe benchmark works." if not broken else f"\nPackets were lost or refused in: {', '.join(broken)}")
        return 1 if broken else 0
    file = HERE / "results.json"
    stored = json.loads(file.read_text()) if file.exists() else {}
    for name, (ours, peers) in results.items():
        stored[name] = {"machine": machine(), "parley": ours, "peer": peers}
    file.write_text(json.dumps(stored, indent=2) + "\n")
    print(f"\n{missed} goals missed" if missed else "\nEvery goal is met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
