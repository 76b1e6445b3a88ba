"""One publisher, one subscriber behind an emulated link, and what the subscriber gets while the link changes.

Server and publisher live in one network namespace, the subscriber in another; `link.Link` joins them. The clients are
LiveKit's SDK (libwebrtc) in processes of their own. Needs root and /dev/net/tun.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from . import server as servers
from .link import Link
from .server import KEY, binary, yaml

HERE = Path(__file__).resolve().parents[1]
HTTP = 7880


@dataclass
class Phase:
    """The link for some seconds. Rates in kbps (None: unlimited), times in milliseconds, loss in percent."""

    seconds: float
    rate: int | None = None
    loss: float = 0
    jitter: float = 0
    delay: float = 20


@dataclass
class Scenario:
    name: str
    phases: list
    queue: int = 500
    camera: tuple = (960, 540, 1_200_000)


@dataclass
class Second:
    """What the subscriber got in about a second."""

    at: float
    phase: int
    video: int = 0
    audio: int = 0
    height: int = 0
    frames: int = 0
    frozen: float = 0
    audio_packets: int = 0
    audio_lost: int = 0
    concealed: float = 0
    samples: int = 0
    lost: int = 0
    packets: int = 0
    plis: int = 0
    wait: float = 0


@dataclass
class Outcome:
    scenario: Scenario
    seconds: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    longest: list = field(default_factory=list)
    dropped: list = field(default_factory=list)
    layers: dict = field(default_factory=dict)
    published: list = field(default_factory=list)
    subscribed: dict = field(default_factory=dict)

    def of(self, phase, skip=0.0):
        """The seconds of a phase, without its first."""
        start = self.starts[phase] + skip
        return [one for one in self.seconds if one.phase == phase and one.at - start >= 1]

    def mean(self, name, phase, skip=0.0):
        part = self.of(phase, skip)
        return sum(getattr(one, name) for one in part) / len(part) if part else 0

    def total(self, name, phase, skip=0.0):
        return sum(getattr(one, name) for one in self.of(phase, skip))

    def reaches(self, kbps, phase):
        """Seconds from the phase's start until two seconds on end carry that much video; None if never."""
        part = self.of(phase)
        for one, after in zip(part, part[1:]):
            if min(one.video, after.video) >= kbps * 1000:
                return max(0.0, one.at - 1 - self.starts[phase])
        return None

    def calms(self, phase, wait=0.1):
        """Seconds from the phase's start until the link's queue stays below `wait` seconds; None if never."""
        last = [one for one in self.of(phase) if one.wait > wait]
        if not last:
            return 0.0
        if last[-1] is self.of(phase)[-1]:
            return None
        return last[-1].at - self.starts[phase]


@dataclass
class Share:
    """What those behind one link got, each in kbps, once it was shared out."""

    rate: int
    video: list = field(default_factory=list)
    heights: list = field(default_factory=list)
    frames: list = field(default_factory=list)
    audio_lost: float = 0
    flow: float = 0
    # The link's queue in milliseconds: in the middle, at its worst.
    queue: float = 0
    queue_most: float = 0
    used: float = 0


class Reader:
    """Lines of JSON of a process, as they come."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def until(self, check, timeout, what):
        deadline = time.monotonic() + timeout
        while not (found := next((one for one in list(self.lines) if check(one)), None)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {what}: {self.lines[-3:]}")
            time.sleep(0.05)
        return found


class Bench:
    """A server and a publisher that several scenarios share would disturb one another: each run has its own."""

    def __init__(self, directory, environment=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = environment or {}

    @contextlib.contextmanager
    def _spawn(self, command, name, **options):
        with open(self.directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                **({"stdout": log} | options),
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @contextlib.contextmanager
    def server(self, link):
        address = link.addresses[0]
        signalling = getattr(link, "signalling", address)
        configuration = {
            "http": {"listen": f"{signalling}:{HTTP}", "web": str(servers.ROOT / "web")},
            "sip": {"udp": f"{address}:5060", "tcp": f"{address}:5060", "tls": f"{address}:5061"},
            "media": {"address": address, "listen": [address], "ports": "20000-20999"},
            "data": {"directory": str(self.directory / "data")},
            "keys": {"devkey": KEY},
        }
        path = self.directory / "parley.yaml"
        path.write_text(yaml(configuration))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        with self._spawn(
            link.command(0, "nice", "-n", "-12", binary(), "serve", "--config", str(path)), "parley",
            env=environment | self.environment,
        ) as process:
            ready = link.command(
                0, sys.executable, "-c",
                f"import urllib.request; urllib.request.urlopen('http://{signalling}:{HTTP}/readyz', timeout=1)",
            )
            deadline = time.monotonic() + 30
            while subprocess.run(ready, capture_output=True).returncode != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.directory / "parley.log").read_text(errors="replace")[-3000:])
                time.sleep(0.2)
            yield

    def guest(self, link, side, role, *rest, identity=None, module="support.viewer"):
        from .rooms import token

        address = getattr(link, "signalling", link.addresses[0])
        # A guest of another module has one role only.
        kind = [role] if module == "support.viewer" else []
        command = [sys.executable, "-m", module, *kind, f"http://{address}:{HTTP}",
                   token(identity or role, "congestion"), *map(str, rest)]
        return self._spawn(
            link.command(side, "nice", "-n", "-12", *command), identity or role, stdout=subprocess.PIPE, text=True, cwd=HERE
        )

    def run(self, scenario, log=None):
        outcome = Outcome(scenario)
        with contextlib.ExitStack() as stack:
            link = stack.enter_context(Link(queue=scenario.queue / 1000))
            link.down.rate = None
            stack.enter_context(self.server(link))
            publisher = Reader(stack.enter_context(self.guest(link, 0, "show", *scenario.camera)))
            publisher.until(lambda one: "joined" in one, 30, "publisher")
            # All layers flow before anybody looks.
            publisher.until(
                lambda one: sum(1 for sent, *_ in one.get("layers", {}).values() if sent > 20_000) >= 2, 40, "simulcast"
            )
            self._set(link, scenario.phases[0])
            viewer = Reader(stack.enter_context(self.guest(link, 1, "watch")))
            viewer.until(lambda one: "joined" in one, 30, "subscriber")
            for index, phase in enumerate(scenario.phases):
                self._set(link, phase)
                link.down.longest, link.down.dropped = 0.0, 0
                outcome.starts.append(time.monotonic())
                seen = len(viewer.lines)
                while time.monotonic() < outcome.starts[-1] + phase.seconds:
                    time.sleep(0.1)
                    while seen < len(viewer.lines):
                        seen += 1
                        if second := self._second(viewer.lines, seen - 1, index, link):
                            outcome.seconds.append(second)
                            if log:
                                log(second)
                outcome.longest.append(link.down.longest)
                outcome.dropped.append(link.down.dropped)
            outcome.subscribed = {one["subscribed"]: one["at"] for one in viewer.lines if "subscribed" in one}
            outcome.published = [one for one in publisher.lines if "layers" in one]
            last = [one["layers"] for one in publisher.lines if "layers" in one][-6:]
            for rid in last[-1]:
                if rid in last[0]:
                    outcome.layers[rid] = (
                        round((last[-1][rid][0] - last[0][rid][0]) * 8 / 1000 / max(len(last) - 1, 1)), last[-1][rid][1])
        return outcome

    def share(self, rate, viewers=1, flow=False, remb=False, settle=20, seconds=20, queue=500):
        """`viewers` of LiveKit's SDK, or one that speaks REMB alone, behind a link of `rate` kbps, perhaps with a TCP
        flow beside them; what they get after `settle` seconds."""
        with contextlib.ExitStack() as stack:
            link = stack.enter_context(Link(queue=queue / 1000))
            stack.enter_context(self.server(link))
            publisher = Reader(stack.enter_context(self.guest(link, 0, "show", 960, 540, 1_200_000)))
            publisher.until(
                lambda one: sum(1 for sent, *_ in one.get("layers", {}).values() if sent > 20_000) >= 2, 60, "simulcast"
            )
            self._set(link, Phase(0, rate))
            guests = []
            for index in range(viewers):
                module = "support.remb" if remb else "support.viewer"
                guest = self.guest(link, 1, "watch", identity=f"watch{index}", module=module)
                guests.append(Reader(stack.enter_context(guest)))
            for guest in guests:
                guest.until(lambda one: "joined" in one, 30, "subscriber")
            if flow:
                where = (link.addresses[0], "9000")
                python = [sys.executable, "-m", "support.flow"]
                options = {"stdout": subprocess.PIPE, "text": True, "cwd": HERE}
                sender = Reader(stack.enter_context(self._spawn(link.command(0, *python, "send", *where), "send", **options)))
                sender.until(lambda one: "ready" in one, 10, "flow")
                flow = Reader(stack.enter_context(self._spawn(link.command(1, *python, "receive", *where), "take", **options)))
            time.sleep(settle)
            before, bytes_before = [len(guest.lines) - 1 for guest in guests], link.down.bytes
            forwarded = self._forwarded(link)
            flow_before = flow.lines[-1] if flow else None
            waits, end = [], time.monotonic() + seconds
            while time.monotonic() < end:
                waits.append(link.down.wait(time.monotonic()) * 1000)
                time.sleep(0.02)
            share = Share(rate, used=round((link.down.bytes - bytes_before) * 8 / 1000 / seconds))
            share.queue, share.queue_most = round(sorted(waits)[len(waits) // 2]), round(max(waits))
            lost = packets = 0
            for guest, since in zip(guests, before):
                first, last = guest.lines[since], guest.lines[-1]
                elapsed = last["at"] - first["at"]

                def step(kind, name, ends=(first, last)):
                    return sum(
                        one[name] - ends[0][kind].get(ssrc, {}).get(name, 0) for ssrc, one in ends[1][kind].items()
                    )

                if remb:
                    # aiortc counts no bytes: the server does.
                    share.video.append(round((self._forwarded(link) - forwarded) * 8 / 1000 / seconds))
                    lost += last["audio"]["lost"] - first["audio"]["lost"]
                    packets += last["audio"]["packets"] - first["audio"]["packets"]
                    continue
                share.video.append(round(step("video", "bytes") * 8 / 1000 / elapsed))
                share.frames.append(round(step("video", "frames") / elapsed, 1))
                share.heights.append(max((one["height"] for one in last["video"].values()), default=0))
                lost, packets = lost + step("audio", "lost"), packets + step("audio", "packets")
            share.audio_lost = round(100 * lost / max(lost + packets, 1), 1)
            if flow:
                elapsed = flow.lines[-1]["at"] - flow_before["at"]
                share.flow = round((flow.lines[-1]["flow"] - flow_before["flow"]) * 8 / 1000 / elapsed)
        return share

    def _forwarded(self, link):
        """Bytes of video that the server has sent to all subscribers so far."""
        read = (
            "import urllib.request as u; print(u.urlopen(u.Request("
            f"'http://{link.addresses[0]}:{HTTP}/metrics', headers={{'Authorization': 'Bearer {KEY}'}})).read().decode())"
        )
        text = subprocess.run(link.command(0, sys.executable, "-c", read), capture_output=True, text=True, check=True).stdout
        name = 'parley_room_octets_forwarded_total{kind="video"} '
        return next(float(line[len(name):]) for line in text.splitlines() if line.startswith(name))

    @staticmethod
    def _set(link, phase):
        link.down.rate = phase.rate * 1000 if phase.rate else None
        link.down.loss, link.down.jitter = phase.loss / 100, phase.jitter / 1000
        link.down.delay = link.up.delay = phase.delay / 1000

    @staticmethod
    def _second(lines, index, phase, link):
        now, before = lines[index], lines[index - 1]
        if "video" not in now or "video" not in before:
            return None
        elapsed = max(now["at"] - before["at"], 0.1)

        def step(kind, name):
            return sum(
                one[name] - before[kind].get(ssrc, {}).get(name, 0) for ssrc, one in now[kind].items()
            )

        return Second(
            at=now["at"], phase=phase, video=round(step("video", "bytes") * 8 / elapsed),
            audio=round(step("audio", "bytes") * 8 / elapsed),
            height=max((one["height"] for one in now["video"].values()), default=0),
            frames=step("video", "frames"), frozen=step("video", "frozen"), audio_packets=step("audio", "packets"),
            audio_lost=step("audio", "lost"), concealed=step("audio", "concealed"), samples=step("audio", "samples"),
            lost=step("video", "lost"), packets=step("video", "packets"), plis=step("video", "plis"),
            wait=link.down.wait(time.monotonic()),
        )
