"""The servers under measurement, each started for a run and ended after it."""

import os
import socket
import subprocess
import time
from pathlib import Path

from support.ports import free_port
from support.server import ParleyServer

from .process import Usage

HERE = Path(__file__).resolve().parent
DOMAIN = "bench.test"
CALLEE = "5551000"


def user(number):
    return f"user{number:04d}"


def password(name):
    return f"pw-{name}"


class Parley:
    """The callee is a trunk: what users call goes there."""

    name = "Parley"

    def __init__(self, directory, users, trunk):
        names = [user(number) for number in range(users)] + ["phone"]
        self.server = ParleyServer(
            Path(directory) / "parley",
            users=[{"name": name, "password": password(name)} for name in names],
            trunks=[{"name": "trunk", "host": f"{trunk[0]}:{trunk[1]}", "codecs": ["PCMU"]}],
            routes=[{"match": f"^{CALLEE}$", "to": "trunk:trunk"}],
            sip={
                "domain": DOMAIN,
                "limits": {"messages-per-second": 1_000_000, "connections-per-source": 20_000},
            },
            log={"level": "warning"},
        )
        self.server.domain = DOMAIN
        self.server.first_media, self.server.last_media = 26000, 31999
        self.server.configuration["media"]["ports"] = "26000-31999"
        self.registers_callee = False

    def start(self):
        self.server.start(60)
        self.sip = self.server.sip
        self.websocket = f"ws://127.0.0.1:{self.server.http_port}/sip"
        return self

    def usage(self):
        return Usage([self.server.process.pid])

    def stop(self):
        self.server.stop(90)


class Kamailio:
    """Registrar and proxy; with `media`, rtpengine beside it."""

    def __init__(self, directory, media=False):
        self.directory = Path(directory) / "kamailio"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.media, self.processes = media, []
        self.name = "Kamailio + rtpengine" if media else "Kamailio"
        self.registers_callee = True

    def _spawn(self, name, command):
        log = open(self.directory / f"{name}.log", "wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        log.close()

    def start(self):
        port, control = free_port(), free_port()
        if self.media:
            options = ["--foreground", "--log-stderr", "--log-level=4", "--table=-1", "--interface=127.0.0.1"]
            options += [f"--listen-ng=127.0.0.1:{control}", "--port-min=26000", "--port-max=31998", "--delete-delay=0"]
            options += ["--timeout=600", "--silent-timeout=600", "--num-threads=2", "--dtls-passive"]
            self._spawn("rtpengine", ["rtpengine", *options])
        configuration = self.directory / "kamailio.cfg"
        configuration.write_text((HERE / "kamailio.cfg").read_text().replace("RTPENGINE_PORT", str(control)))
        command = ["kamailio", "-f", str(configuration), "-DD", "-E", "-m", "256", "-M", "16", "-Y", str(self.directory)]
        command += ["-l", f"udp:127.0.0.1:{port}", "-l", f"tcp:127.0.0.1:{port}"]
        time.sleep(1 if self.media else 0)
        self._spawn("kamailio", command + (["-A", "WITH_RTPENGINE"] if self.media else []))
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                    raise RuntimeError(f"{self.name} did not start: see {self.directory}") from None
                time.sleep(0.1)
        time.sleep(1)
        self.sip, self.websocket = ("127.0.0.1", port), f"ws://127.0.0.1:{port}/ws"
        return self

    def usage(self):
        return Usage([process.pid for process in self.processes])

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environment():
    """Where PARLEY_BIN says the server is, or the release build."""
    os.environ.setdefault("PARLEY_BIN", str(HERE.parents[1] / ".build" / "release" / "parley"))
