"""coturn: a real TURN server on an address of its own."""

import socket
import subprocess
import time

from .ports import free_port

USER, PASSWORD = "parley", "relay-secret"


class Coturn:
    """Relays for one user between loopback addresses, which it refuses by default."""

    def __init__(self, directory, address="127.0.0.31"):
        self.address, self.port = address, free_port(address)
        self.log_path = directory / "coturn.log"
        self.process = None

    @property
    def server(self):
        return f"{self.address}:{self.port}"

    @property
    def setting(self):
        """An entry of `media.turn`."""
        return {"server": self.server, "transport": "udp", "username": USER, "password": PASSWORD}

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [
                    "turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers", "--lt-cred-mech",
                    "--fingerprint", "--realm=parley.test", f"--user={USER}:{PASSWORD}",
                    f"--listening-ip={self.address}", f"--relay-ip={self.address}", f"--listening-port={self.port}",
                    "--min-port=42000", "--max-port=42999", "--log-file=stdout", "--simple-log", "--verbose",
                    f"--pidfile={self.log_path}.pid", f"--userdb={self.log_path}.db",
                ],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise AssertionError(f"coturn is not up:\n{self.log()[-2000:]}")

    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def allocations(self):
        return self.log().count("ALLOCATE processed, success")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
