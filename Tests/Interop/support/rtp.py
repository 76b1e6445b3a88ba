"""A plain RTP party (RFC 3550, RTP/AVP): plays a tone or digits, keeps what it hears. G.711 only."""

import random
import socket
import struct
import threading
import time

from . import audio
from .ports import even_port

EVENT_KEYS = "0123456789*#ABCD"


class Packet:
    def __init__(self, data, source):
        first, second, self.sequence, self.timestamp, self.ssrc = struct.unpack_from("!BBHII", data)
        self.marker, self.payload_type = bool(second & 0x80), second & 0x7F
        self.payload = data[12 + 4 * (first & 0x0F) :]
        self.source, self.at = source, time.monotonic()


class Party:
    """One RTP socket that sends 50 packets a second from `start` on, and listens from its making."""

    def __init__(self, address, tone=None, law="PCMU", port=None):
        self.address, self.law = address, law
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port or even_port(address)))
        self.port = self.socket.getsockname()[1]
        self.socket.settimeout(0.2)
        self.packets, self.octets_other = [], 0
        self.payload_type = None
        self.event_type = 101
        self.remote, self.closed, self.sending = None, False, False
        self.ssrc, self.sequence, self.timestamp = random.getrandbits(32), random.getrandbits(15), random.getrandbits(30)
        self.queue, self.lock = [], threading.Lock()
        self.play(tone)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._listen, self._send)]
        for thread in self.threads:
            thread.start()

    def play(self, tone):
        """Frequency in hertz, a list of samples at 8 kHz played once (then silence), or nil for silence."""
        if tone is None:
            samples = audio.silence(8000, 0.02)
        elif isinstance(tone, list):
            samples = tone + audio.silence(8000, 0.02)
        else:
            samples = audio.tone(tone, 8000, 1)
        coded = audio.encode_g711(samples, self.law)
        frames = [coded[i : i + 160] for i in range(0, len(coded) - 159, 160)]
        with self.lock if hasattr(self, "lock") else threading.Lock():
            self.frames, self.position, self.loops = frames, 0, not isinstance(tone, list)

    def use(self, law):
        """Changes the codec of what is sent, keeping the tone's frames in step."""
        with self.lock:
            samples = [s for frame in self.frames for s in audio.decode_g711(frame, self.law)]
            self.law = law
            coded = audio.encode_g711(samples, law)
            self.frames = [coded[i : i + 160] for i in range(0, len(coded), 160)]

    def start(self, address, port):
        self.remote, self.sending = (address, port), True

    def pause(self):
        self.sending = False

    def send_digits(self, digits, milliseconds=120, gap=120):
        """Queues telephone-events (RFC 4733 §2.5): updates each 20 ms, the end sent three times."""
        for digit in digits:
            steps = milliseconds // 20
            for step in range(1, steps + 1):
                self.queue.append((EVENT_KEYS.index(digit), False, step * 160, step == 1))
            for _ in range(3):
                self.queue.append((EVENT_KEYS.index(digit), True, steps * 160, False))
            self.queue.extend([None] * (gap // 20))

    def _send(self):
        due, event_start = time.monotonic(), 0
        while not self.closed:
            due += 0.02
            time.sleep(max(0, due - time.monotonic()))
            self.timestamp = (self.timestamp + 160) & 0xFFFFFFFF
            if not self.sending:
                continue
            with self.lock:
                event = self.queue.pop(0) if self.queue else None
                if event is not None:
                    key, end, duration, first = event
                    if first:
                        event_start = self.timestamp
                    payload = struct.pack("!BBH", key, (0x80 if end else 0) | 10, duration)
                    header = (self.event_type | (0x80 if first else 0), event_start)
                else:
                    payload = self.frames[self.position]
                    if self.loops or self.position + 1 < len(self.frames):
                        self.position = (self.position + 1) % len(self.frames)
                    static = 0 if self.law == "PCMU" else 8
                    header = (static if self.payload_type is None else self.payload_type, self.timestamp)
            self.sequence = (self.sequence + 1) & 0xFFFF
            packet = struct.pack("!BBHII", 0x80, header[0], self.sequence, header[1], self.ssrc) + payload
            try:
                self.socket.sendto(packet, self.remote)
            except OSError:
                pass

    def _listen(self):
        while not self.closed:
            try:
                data, source = self.socket.recvfrom(2048)
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                break
            if len(data) >= 12 and data[0] >> 6 == 2 and not 192 <= data[1] <= 223:
                self.packets.append(Packet(data, source))
            else:
                self.octets_other += len(data)

    def listen(self, seconds, who="trunk"):
        """What is heard during the next seconds."""
        first = len(self.packets)
        time.sleep(seconds)
        return self.heard(first, who=who)

    def heard(self, first=0, last=None, who="trunk"):
        """The audio packets from that index on as samples, in the order of their timestamps."""
        samples = []
        chosen = [p for p in self.packets[first:last] if p.payload_type in (0, 8)]
        for packet in sorted(chosen, key=lambda p: p.sequence if abs(p.sequence - chosen[0].sequence) < 30000 else p.sequence - 65536):
            samples += audio.decode_g711(packet.payload, "PCMU" if packet.payload_type == 0 else "PCMA")
        return audio.Heard(samples, 8000, who)

    def wait_packets(self, count=1, timeout=5.0, first=0):
        deadline = time.monotonic() + timeout
        while len(self.packets) - first < count:
            assert time.monotonic() < deadline, f"{len(self.packets) - first} of {count} RTP packets in {timeout} s"
            time.sleep(0.01)

    def events(self, first=0):
        """Digits received as telephone-events, each once (same timestamp: same event)."""
        found, seen = "", set()
        for packet in self.packets[first:]:
            if packet.payload_type == self.event_type and len(packet.payload) >= 4 and packet.timestamp not in seen:
                seen.add(packet.timestamp)
                found += EVENT_KEYS[packet.payload[0]] if packet.payload[0] < 16 else "?"
        return found

    def close(self):
        self.closed = True
        for thread in self.threads:
            thread.join(1)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
