"""baresip (Debian) as a carrier or a desk phone: plays a tone, records what it hears, is commanded over TCP."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import audio
from .ports import free_port

CODECS = {"PCMU": "PCMU/8000/1", "PCMA": "PCMA/8000/1", "G722": "G722/16000/1", "opus": "opus/48000/1"}
# baresip takes calls for its own user only: routes to it rewrite what was dialled to this.
NUMBER = "5551234"
# There is no resampler in Debian's build: what is played has the codec's rate.
RATES = {"opus": 48000, "G722": 16000}
MODULES = ("account", "contact", "menu", "ctrl_tcp")


class Baresip:
    """One user agent on an address of its own.

    `answer`: "auto" or "manual". `register`: (host, port, user, password, domain) to register there."""

    def __init__(self, address, tone, answer="auto", codecs=("PCMU", "PCMA"), register=None, name="carrier", port=None):
        self.address, self.name, self.rate = address, name, RATES.get(codecs[0], 8000)
        self.port, self.control_port = port or free_port(address), free_port(address)
        self.directory = Path(tempfile.mkdtemp(prefix="parley-baresip."))
        self.tone = tone
        samples = audio.tone(tone, self.rate, 1) if tone else audio.silence(self.rate, 1)
        # The module plays its file once, so the file outlasts every call.
        audio.write_wav(self.directory / "play.wav", samples * 180, self.rate)
        media = "g711 opus g722" if "G722" in codecs else "g711 opus"
        modules = ["aufile", "aubridge", "sndfile", *media.split(), "uuid"]
        first = 32000 - (self.port % 97) * 100
        configuration = {
            "poll_method": "epoll",
            "sip_listen": f"{address}:{self.port}",
            "call_local_timeout": "120",
            "call_max_calls": "8",
            "module_path": "/usr/lib/baresip/modules",
            "audio_player": f"aubridge,{name}",
            "audio_source": f"aufile,{self.directory}/play.wav",
            "audio_alert": f"aubridge,{name}-alert",
            "ausrc_channels": "1",
            "auplay_channels": "1",
            "rtp_ports": f"{first}-{first + 90}",
            "rtcp_mux": "no",
            "jitter_buffer_delay": "2-10",
            "net_interface": address,
            "snd_path": str(self.directory),
            "ctrl_tcp_listen": f"{address}:{self.control_port}",
            "opus_stereo": "no",
            "opus_sprop_stereo": "no",
        }
        lines = [f"{key} {value}" for key, value in configuration.items()]
        lines += [f"module {module}.so" for module in modules]
        lines += ["module_app " + module + ".so" for module in MODULES]
        (self.directory / "config").write_text("\n".join(lines) + "\n")
        (self.directory / "contacts").write_text("")
        wanted = ",".join(CODECS[codec] for codec in codecs)
        parameters = f";answermode={answer};audio_codecs={wanted};ptime=20"
        if register:
            host, port, user, password, domain = register
            account = f'<sip:{user}@{domain}>;auth_user={user};auth_pass={password};outbound="sip:{host}:{port};transport=udp;lr";regint=300'
        else:
            account = f"<sip:{NUMBER}@{address}:{self.port};transport=udp>;regint=0"
        (self.directory / "accounts").write_text(account + parameters + "\n")
        self.log_file = open(self.directory / "baresip.log", "wb")
        self.process = subprocess.Popen(
            ["baresip", "-f", str(self.directory)],
            stdin=subprocess.DEVNULL,
            stdout=self.log_file,
            stderr=subprocess.STDOUT,
        )
        self.buffer, self.events = b"", []
        deadline = time.monotonic() + 10
        while True:
            try:
                self.control = socket.create_connection((address, self.control_port), timeout=1)
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, f"baresip did not start:\n{self.log()}"
                time.sleep(0.05)

    def log(self):
        return (self.directory / "baresip.log").read_text(errors="replace")

    # Control: netstrings of JSON.

    def _poll(self, timeout):
        self.control.settimeout(timeout)
        try:
            data = self.control.recv(65536)
        except (TimeoutError, socket.timeout):
            return
        assert data, "baresip closed its control connection"
        self.buffer += data
        while match := re.match(rb"(\d+):", self.buffer):
            size, start = int(match.group(1)), match.end()
            if len(self.buffer) < start + size + 1:
                break
            self.events.append(json.loads(self.buffer[start : start + size].decode("utf-8", "replace")))
            self.buffer = self.buffer[start + size + 1 :]

    def wait(self, kind, timeout=10.0, **fields):
        """Takes the first event of that type, such as CALL_ESTABLISHED."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event.get("type") == kind and all(event.get(k) == v for k, v in fields.items()):
                    self.events.remove(event)
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind} from baresip within {timeout} s; {self.events}\n{self.log()[-1500:]}"
            self._poll(min(left, 0.2))

    def command(self, name, parameters="", timeout=5.0):
        token = f"{name}-{time.monotonic_ns()}"
        text = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event.get("response") and event.get("token") == token:
                    self.events.remove(event)
                    return event
            assert time.monotonic() < deadline, f"baresip did not answer '{name}'"
            self._poll(0.2)

    def dial(self, uri):
        return self.command("dial", uri)

    def wait_registered(self, timeout=10):
        """By its log: the event may be older than the control connection."""
        deadline = time.monotonic() + timeout
        while "200 OK" not in self.log():
            assert time.monotonic() < deadline, f"baresip did not register:\n{self.log()[-800:]}"
            time.sleep(0.1)

    def accept(self):
        return self.command("accept")

    def hang_up(self):
        return self.command("hangup")

    def hold(self):
        return self.command("hold")

    def resume(self):
        return self.command("resume")

    def digits_heard(self, seconds=0.5):
        """Telephone-events received so far, in order."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._poll(0.1)
        found = [event for event in self.events if event.get("type") == "CALL_DTMF_START"]
        for event in found:
            self.events.remove(event)
        return "".join(event.get("param", "?") for event in found)

    def send_digits(self, digits):
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(0.3)

    # Ears: recordings grow as the call goes on; after a hold baresip begins a new file.

    def _files(self):
        return sorted(self.directory.glob("dump-*-dec.wav"), key=lambda path: path.stat().st_ctime)

    def listen(self, seconds, timeout=5):
        """What is heard during the next seconds."""
        before = {path: len(audio.read_wav(path)[0]) for path in self._files()}
        deadline = time.monotonic() + seconds + timeout
        while True:
            samples, rate = [], self.rate
            for path in self._files():
                found, rate = audio.read_wav(path)
                samples += found[before.get(path, 0) :]
            if len(samples) >= seconds * rate or time.monotonic() > deadline:
                return audio.Heard(samples, rate, self.name)
            time.sleep(0.1)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.control.close()
        self.log_file.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
