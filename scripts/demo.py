#!/usr/bin/env python3
"""The main job once, with no person present: a server, headless Chromium at the agent desktop, baresip as the carrier.

Calls out, calls in, sends digits both ways, holds, hangs up; prints what was heard on each side and the call records.
Exit status 0 when everything was heard that should be and nothing else.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Interop"))

from support import audio  # noqa: E402
from support.audio import ALICE, CARRIER  # noqa: E402
from support.baresip import NUMBER, Baresip  # noqa: E402
from support.browser import Browsers  # noqa: E402
from support.desk import Desk  # noqa: E402
from support.server import ParleyServer  # noqa: E402

CARRIER_ADDRESS = "127.0.0.11"
DIGITS = "159*0#"


class Report:
    """Lines of what was found beside what was expected."""

    def __init__(self):
        self.failures = 0

    def say(self, text):
        print(text, flush=True)

    def check(self, label, good, found):
        self.failures += not good
        print(f"  {'ok  ' if good else 'FAIL'}  {label:46}{found}", flush=True)

    def tone(self, label, heard, expected, absent):
        frequency, level = audio.strongest(heard.samples, heard.rate)
        found = f"{frequency} Hz at {level:.1f} dBFS" if frequency else "silence"
        good = heard.is_tone(expected) and heard.lacks(absent)
        self.check(f"{label} (expected {expected} Hz)", good, found)


def table(rows):
    """Columns of text as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def records(server):
    rows = [("call", "from", "to", "outcome", "status", "ended by", "leg", "party", "codec", "sent", "received", "lost")]
    for call in reversed(server.calls()):
        call = call if "legs" in call else server.call(call["id"])
        head = (call["id"][:8], call["from"], call["to"], call["outcome"], str(call["status"]), str(call["ended_by"]))
        for leg in call["legs"]:
            media = leg["media"]
            counts = (media["packets_sent"], media["packets_received"], media["packets_lost"])
            rows.append((*head, leg["kind"], leg["party"], leg["codec"] or "-", *(str(count) for count in counts)))
            head = ("",) * 6
    table(rows)


def outgoing(report, desk, carrier):
    report.say("\nThe agent calls the carrier: 9 115 551 234")
    started = time.monotonic()
    desk.dial("9115551234")
    desk.wait_call("active")
    report.check("answered", True, f"after {1000 * (time.monotonic() - started):.0f} ms")
    report.tone("the agent hears the carrier", desk.listen(2.5).last(1.5), CARRIER, ALICE)
    report.tone("the carrier hears the agent", carrier.listen(2).last(1.5), ALICE, CARRIER)
    carrier.digits_heard(0.1)
    desk.send_digits(DIGITS)
    digits = carrier.digits_heard(1)
    report.check(f"the carrier receives {DIGITS}", digits == DIGITS, digits or "nothing")
    desk.press("hold")
    held = carrier.listen(2).last(1)
    report.check("held, the carrier hears music", held.lacks(ALICE) and held.level > -45, f"{held.level:.1f} dBFS")
    desk.press("hold")
    report.tone("and the agent again after it", carrier.listen(2).last(1), ALICE, CARRIER)
    desk.press("hangup")
    desk.wait_call(None)


def incoming(report, desk, carrier, server):
    report.say("\nThe carrier calls the agent: +15550100")
    carrier.dial(server.uri("+15550100"))
    desk.see("answer")
    report.check("the desktop rings", True, desk.at("call-party").inner_text())
    desk.press("answer")
    desk.wait_call("active")
    report.tone("the agent hears the carrier", desk.listen(2.5).last(1.5), CARRIER, ALICE)
    report.tone("the carrier hears the agent", carrier.listen(2).last(1.5), ALICE, CARRIER)
    start = desk.ears.mark()
    carrier.send_digits("27#")
    digits = desk.ears.since(start, 2.5).digits()
    report.check("the agent hears 27#", digits == "27#", digits or "nothing")
    carrier.hang_up()
    desk.wait_call(None)


def main():
    directory = Path(tempfile.mkdtemp(prefix="parley-demo."))
    report, server, browsers = Report(), None, None
    carrier = Baresip(CARRIER_ADDRESS, CARRIER)
    try:
        server = ParleyServer(
            directory,
            users=("1001",),
            trunks=[{"name": "carrier", "host": f"{CARRIER_ADDRESS}:{carrier.port}", "codecs": ["PCMU", "PCMA"]}],
            numbers=[{"number": "+15550100", "to": "user:1001"}],
            routes=[{"match": r"^9(\d+)$", "to": "trunk:carrier", "number": NUMBER}],
        ).start()
        report.say(f"Server at {server.http}, carrier (baresip) at {CARRIER_ADDRESS}:{carrier.port}")
        report.say(f"The agent's microphone sounds at {ALICE} Hz, the carrier at {CARRIER} Hz.")
        browsers = Browsers(directory)
        desk = Desk(browsers, server, "1001", ALICE, secure=True)
        report.say(f"The agent is registered: {server.https}/desk/ in headless Chromium")
        outgoing(report, desk, carrier)
        incoming(report, desk, carrier, server)
        report.check("no error on the page", not desk.page.problems, str(desk.page.problems or "none"))
        desk.close()
        server.record(to="+15550100")
        report.say("\nCall records")
        records(server)
        status = server.stop()
        report.say("")
        report.check("the server ended by SIGTERM", status == 0, f"status {status}")
    except Exception as error:  # A demonstration says what went wrong and where to look, whatever it is.
        report.failures += 1
        report.say(f"\nFAIL  {type(error).__name__}: {error}")
    finally:
        if browsers:
            browsers.close()
        carrier.close()
        if server and server.alive:
            server.kill()
    if report.failures:
        report.say(f"\n{report.failures} of the above failed. The server's log: {server.log_path if server else directory}")
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    report.say("\nEverything was heard where it should be, and nowhere else.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
