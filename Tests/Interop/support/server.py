"""Parley itself under test: one process with its own directory, ports and configuration."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from .ports import free_port, media_ports

ROOT = Path(__file__).resolve().parents[3]
KEY = "devsecret"


def binary():
    """The server's binary: PARLEY_BIN, or what `swift build` left."""
    path = os.environ.get("PARLEY_BIN") or ROOT / ".build" / "debug" / "parley"
    if not Path(path).exists():
        raise FileNotFoundError(f"no server at {path}: build it (swift build) or set PARLEY_BIN")
    return str(path)


def yaml(value, indent=0):
    """The configuration as YAML. JSON is YAML's subset; only the outer levels are laid out for a reader of the file."""
    if indent == 0:
        return "".join(f"{key}: {yaml(item, 1)}\n" for key, item in value.items())
    return json.dumps(value)


def snake(value):
    """Keys of JSON objects as `ended_by` whether the server writes that or `endedBy`."""
    if isinstance(value, dict):
        return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower(): snake(item) for key, item in value.items()}
    return [snake(item) for item in value] if isinstance(value, list) else value


def user_entry(name, **more):
    return {"name": name, "password": f"pw-{name}", "display": f"Agent {name}"} | more


class ParleyServer:
    """`directory` holds the data, the configuration and the log."""

    def __init__(self, directory, users=("1001", "1002", "1003"), trunks=(), numbers=(), routes=(), certificate=None, **sections):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.http_port, self.https_port = free_port(), free_port()
        self.sip_port, self.sips_port = free_port(), free_port()
        self.first_media, self.last_media = media_ports()
        self.domain = "localhost"
        self.configuration = {
            "http": {
                "listen": f"127.0.0.1:{self.http_port}",
                "tls": {"listen": f"127.0.0.1:{self.https_port}"},
                "web": str(ROOT / "web"),
            },
            "sip": {
                "domain": self.domain,
                "udp": f"127.0.0.1:{self.sip_port}",
                "tcp": f"127.0.0.1:{self.sip_port}",
                "tls": f"127.0.0.1:{self.sips_port}",
            },
            "media": {
                "address": "127.0.0.1",
                "listen": ["127.0.0.1"],
                "ports": f"{self.first_media}-{self.last_media}",
                "port": free_port(),
            },
            "data": {"directory": str(self.directory / "data")},
            "keys": {"devkey": KEY},
            "provision": {
                "users": [user if isinstance(user, dict) else user_entry(user) for user in users],
                "trunks": list(trunks),
                "numbers": [{"number": "600", "to": "echo:"}, {"number": "601", "to": "milliwatt:"}, *numbers],
                "routes": list(routes),
            },
        }
        if certificate:
            self.configuration["http"]["tls"] |= {"certificate": certificate[0], "key": certificate[1]}
        for name, values in sections.items():
            section = self.configuration.setdefault(name, {})
            section.update(values)
        self.process, self.runs = None, 0

    # Addresses.

    @property
    def http(self):
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def https(self):
        return f"https://127.0.0.1:{self.https_port}"

    @property
    def sip(self):
        return ("127.0.0.1", self.sip_port)

    def uri(self, number):
        return f"sip:{number}@127.0.0.1:{self.sip_port}"

    # Life.

    @property
    def log_path(self):
        return self.directory / "parley.log"

    def start(self, timeout=30):
        configuration = self.directory / "parley.yaml"
        configuration.write_text(yaml(self.configuration))
        self.runs += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- run {self.runs}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                [binary(), "serve", "--config", str(configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env={name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"parley ended with {self.process.returncode}:\n{self.log()[-4000:]}"
            if self.get("/readyz", quiet=True)[0] == 200:
                return self
            time.sleep(0.05)
        raise AssertionError(f"parley not ready within {timeout} s:\n{self.log()[-4000:]}")

    def terminate(self):
        """Asks for the drain."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=20):
        """SIGTERM, then the exit status; a server that does not go is killed and that is an error."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else 0
        self.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"parley did not end within {timeout} s of SIGTERM") from None

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # HTTP.

    def get(self, path, key=None, quiet=False, timeout=5):
        """(status, text)."""
        request = urllib.request.Request(self.http + path)
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError:
            if quiet:
                return 0, ""
            raise

    def calls(self):
        """The call records, newest first."""
        status, text = self.get("/v1/calls", KEY)
        assert status == 200, f"GET /v1/calls: {status} {text}"
        body = snake(json.loads(text))
        return body["calls"] if isinstance(body, dict) else body

    def call(self, identifier):
        status, text = self.get(f"/v1/calls/{identifier}", KEY)
        assert status == 200, f"GET /v1/calls/{identifier}: {status} {text}"
        return snake(json.loads(text))

    def record(self, known=(), timeout=5.0, ended=True, **fields):
        """The newest call record that is not among `known` ids, has ended and has these fields; with its legs."""
        deadline = time.monotonic() + timeout
        while True:
            calls = [call for call in self.calls() if call["id"] not in known]
            for call in calls:
                if ended and not call.get("ended_at"):
                    continue
                if all(call.get(name) == value for name, value in fields.items()):
                    return call if "legs" in call else self.call(call["id"])
            assert time.monotonic() < deadline, f"no call record with {fields} in {json.dumps(calls, indent=1)[:3000]}"
            time.sleep(0.1)

    def known(self):
        """Ids of the calls so far, to tell new ones apart."""
        return {call["id"] for call in self.calls()}

    def metrics(self):
        """Name, with labels as written, to value."""
        found = {}
        for line in self.get("/metrics")[1].splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*(?:\{.*\})?)\s+(\S+)", line)
            if match:
                found[match.group(1)] = float(match.group(2))
        return found

    def metric(self, pattern):
        """The sum of the series whose name and labels match."""
        return sum(value for name, value in self.metrics().items() if re.search(pattern, name))
