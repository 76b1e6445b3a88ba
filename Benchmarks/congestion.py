"""How rooms behave on narrow, lossy and changing links: figures for Docs/performance.md.

    sudo .venv/bin/python Benchmarks/congestion.py [--only NAME …] [--log]

Server, publisher and subscriber in network namespaces, an emulated link between (Tests/Interop/support/link.py); clients
are LiveKit's SDK. PARLEY_BIN names the server's binary.
"""

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tests" / "Interop"))

from support.congestion import Bench, Phase, Scenario  # noqa: E402

SCENARIOS = [
    Scenario("300", [Phase(30, 300)]),
    Scenario("800", [Phase(30, 800)]),
    Scenario("3000", [Phase(30, 3000)]),
    Scenario("800, 2 % loss", [Phase(30, 800, loss=2)]),
    Scenario("3000, 5 % loss", [Phase(30, 3000, loss=5)]),
    Scenario("3000, 10 % loss", [Phase(30, 3000, loss=10)]),
    Scenario("800, jitter 30 ms", [Phase(30, 800, jitter=30)]),
    Scenario("3000 down to 300, up to 3000", [Phase(25, 3000), Phase(25, 300), Phase(30, 3000)]),
    Scenario("1000 down to 180 (audio alone), up to 1000", [Phase(20, 1000), Phase(20, 180), Phase(30, 1000)]),
]


# Several behind one link, a TCP flow beside a subscriber, and one that speaks REMB alone (aiortc).
SHARES = [
    {"rate": 1500, "viewers": 3},
    {"rate": 3000, "viewers": 3},
    {"rate": 2000, "flow": True},
    {"rate": 800, "flow": True},
    {"rate": 600, "remb": True},
    {"rate": 250, "remb": True},
]


def seconds(value):
    return "never" if value is None else f"{value:.0f} s"


def rows(outcome):
    for index, phase in enumerate(outcome.scenario.phases):
        settled = outcome.of(index, 10)
        lost, packets = outcome.total("audio_lost", index), outcome.total("audio_packets", index)
        samples = outcome.total("samples", index)
        yield {
            "scenario": outcome.scenario.name, "rate_kbps": phase.rate, "loss_percent": phase.loss,
            "jitter_ms": phase.jitter,
            "video_kbps": round(outcome.mean("video", index, 10) / 1000),
            "height": max((one.height for one in settled), default=0),
            "fps": round(outcome.mean("frames", index, 10), 1),
            "seconds_without_a_frame": sum(1 for one in outcome.of(index, 3) if one.frames == 0),
            "queue_max_ms": round(outcome.longest[index] * 1000),
            "queue_settled_max_ms": round(max((one.wait for one in settled), default=0) * 1000),
            "queue_calm": seconds(outcome.calms(index)),
            "adapted": seconds(outcome.reaches(0.8 * outcome.mean("video", index, 10) / 1000, index)),
            "audio_lost_percent": round(100 * lost / max(lost + packets, 1), 1),
            "audio_concealed_percent": round(100 * outcome.total("concealed", index) / max(samples, 1), 1),
            "link_drops": outcome.dropped[index],
            "layers": outcome.layers,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of scenarios, or their beginnings")
    parser.add_argument("--log", action="store_true", help="each second")
    parser.add_argument("--output", help="a file for the figures as JSON")
    arguments = parser.parse_args()
    # What was started ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found = []
    for scenario in SCENARIOS:
        if arguments.only and not any(scenario.name.startswith(one) for one in arguments.only):
            continue
        directory = tempfile.mkdtemp(prefix="parley-congestion.")
        print(f"== {scenario.name} ({directory})", flush=True)
        outcome = Bench(directory).run(scenario, print if arguments.log else None)
        for row in rows(outcome):
            found.append(row)
            print(json.dumps(row), flush=True)
    for settings in SHARES:
        name = "share " + ", ".join(f"{key} {value}" for key, value in settings.items())
        if arguments.only and not any(name.startswith(one) for one in arguments.only):
            continue
        directory = tempfile.mkdtemp(prefix="parley-congestion.")
        print(f"== {name} ({directory})", flush=True)
        row = {"scenario": name} | dataclasses.asdict(Bench(directory).share(**settings))
        found.append(row)
        print(json.dumps(row), flush=True)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
