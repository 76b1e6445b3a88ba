"""Tones: made, recorded and recognised. Samples are lists of Python integers, 16 bit, mono."""

import array
import cmath
import math
import statistics
import struct
import wave
from pathlib import Path

# One tone a party. None is a DTMF frequency (RFC 4733 §3.2: 697 … 1633 Hz), a musical note, or another's harmonic.
ALICE = 455
BOB = 1855
CARRIER = 1115
CALLER = 2525
# The milliwatt test number (ITU-T O.11 style): 1,004 Hz.
MILLIWATT = 1004

DTMF_ROWS = (697, 770, 852, 941)
DTMF_COLUMNS = (1209, 1336, 1477, 1633)
DTMF_KEYS = ("123A", "456B", "789C", "*0#D")


def tone(frequency, rate, seconds, level=-12.0):
    """A sine at `level` dBFS. Whole periods in a whole second: a loop of it has no click."""
    amplitude = 32767 * 10 ** (level / 20)
    step = 2 * math.pi * frequency / rate
    return [round(amplitude * math.sin(step * n)) for n in range(int(rate * seconds))]


def silence(rate, seconds):
    return [0] * int(rate * seconds)


def dtmf(digits, rate, on=0.1, off=0.1, level=-10.0):
    """In-band digits, as a telephone without telephone-event sends them."""
    samples = silence(rate, off)
    for digit in digits:
        row = next(i for i, keys in enumerate(DTMF_KEYS) if digit in keys)
        low, high = DTMF_ROWS[row], DTMF_COLUMNS[DTMF_KEYS[row].index(digit)]
        a, b = tone(low, rate, on, level), tone(high, rate, on, level)
        samples += [x + y for x, y in zip(a, b)] + silence(rate, off)
    return samples


def write_wav(path, samples, rate):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(array.array("h", samples).tobytes())
    return Path(path)


def read_wav(path):
    """(samples, rate) of a 16-bit mono WAV, also of one that is still being written (lengths in its header are zero)."""
    data = Path(path).read_bytes()
    if len(data) < 44 or data[:4] != b"RIFF":
        return [], 8000
    rate, offset = 8000, 12
    while offset + 8 <= len(data):
        kind, size = data[offset : offset + 4], struct.unpack_from("<I", data, offset + 4)[0]
        if kind == b"fmt ":
            rate = struct.unpack_from("<I", data, offset + 12)[0]
        if kind == b"data":
            body = data[offset + 8 :]
            if 0 < size <= len(body):
                body = body[:size]
            samples = array.array("h")
            samples.frombytes(body[: len(body) // 2 * 2])
            return samples.tolist(), rate
        offset += 8 + size + size % 2
    return [], rate


def level(samples):
    """Root mean square in dBFS; -120 for silence."""
    if not samples:
        return -120.0
    power = sum(s * s for s in samples) / len(samples)
    return 10 * math.log10(power / 32768**2) if power > 0 else -120.0


def tone_level(samples, rate, frequency):
    """Level of one frequency in dBFS as the root mean square of that sine (Goertzel filter under a Hann window)."""
    count = len(samples)
    if count < 32:
        return -120.0
    omega = 2 * math.pi * frequency / rate
    coefficient = 2 * math.cos(omega)
    step = 2 * math.pi / (count - 1)
    before, last = 0.0, 0.0
    for n, sample in enumerate(samples):
        windowed = sample * (0.5 - 0.5 * math.cos(step * n))
        before, last = last, windowed + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    # A Hann window halves a sine's amplitude; the amplitude of a bin is 2·|X|/N.
    amplitude = 2 * math.sqrt(max(power, 0)) / (count * 0.5)
    return 20 * math.log10(amplitude / math.sqrt(2) / 32768) if amplitude > 0 else -120.0


def strongest(samples, rate, low=200, high=3400):
    """(frequency, level in dBFS) of the strongest tone: what a listener would name. (0, level) when nothing is heard."""
    whole = level(samples)
    if whole < -60:
        return 0, whole
    piece = samples[-min(len(samples), rate) :]
    best = max(range(low, high, 20), key=lambda f: tone_level(piece[-rate // 4 :], rate, f))
    best = max(range(best - 20, best + 21, 1), key=lambda f: tone_level(piece, rate, f))
    return best, tone_level(piece, rate, best)


class Heard:
    """A stretch of what one party heard, with the questions that tests ask of it."""

    def __init__(self, samples, rate, who=""):
        self.samples, self.rate, self.who = samples, rate, who

    @property
    def seconds(self):
        return len(self.samples) / self.rate

    @property
    def level(self):
        return level(self.samples)

    def tone(self, frequency):
        """Its level in dBFS: the median over quarters of a second, which a click or a repaired packet does not move."""
        return statistics.median(found for found, _ in self._windows(frequency)) if self.samples else -120.0

    def _windows(self, frequency):
        """(level of the tone, level of everything) of each quarter of a second."""
        size = self.rate // 4
        starts = range(0, max(1, len(self.samples) - size + 1), size)
        pieces = [self.samples[start : start + size] for start in starts]
        return [(tone_level(piece, self.rate, frequency), level(piece)) for piece in pieces]

    def is_tone(self, frequency):
        """Whether this is that tone and hardly anything else, in three windows of four at least."""
        windows = self._windows(frequency)
        good = sum(1 for found, whole in windows if found > -40 and found > whole - 2.5)
        return good >= 0.74 * len(windows)

    def lacks(self, frequency):
        """Whether that tone is not part of what was heard: 20 dB under everything else, or under -55 dBFS."""
        windows = self._windows(frequency)
        return statistics.median(min(found - whole + 20, found + 55) for found, whole in windows) < 0

    @property
    def is_silent(self):
        return self.level < -55

    def last(self, seconds):
        return Heard(self.samples[-int(seconds * self.rate) :], self.rate, self.who)

    def jumps(self, frequency):
        """Seconds at which the phase of that tone jumps by more than 17 degrees: a click, a lost or a repeated stretch."""
        size, found, before = self.rate // 50, [], None
        step = -2j * math.pi * frequency / self.rate
        for start in range(0, len(self.samples) - size, size):
            turned = sum(self.samples[n] * cmath.exp(step * n) for n in range(start, start + size))
            if before and abs(cmath.phase(turned / before)) > 0.3:
                found.append(round(start / self.rate, 2))
            before = turned if abs(turned) > 10 * size else None
        return found

    def digits(self):
        """DTMF digits that sound in it, each once: windows of 20 ms every 10 ms, two in a row that agree."""
        window, hop, keys = self.rate // 50, self.rate // 100, []
        for start in range(0, len(self.samples) - window, hop):
            piece = self.samples[start : start + window]
            whole = level(piece)
            if whole < -40:
                keys.append(None)
                continue
            rows = sorted(((tone_level(piece, self.rate, f), i) for i, f in enumerate(DTMF_ROWS)), reverse=True)
            columns = sorted(((tone_level(piece, self.rate, f), i) for i, f in enumerate(DTMF_COLUMNS)), reverse=True)
            clear = rows[0][0] - rows[1][0] > 6 and columns[0][0] - columns[1][0] > 6
            clear = clear and abs(rows[0][0] - columns[0][0]) < 9
            # The pair is nearly all that sounds: a party's tone beside it is no digit.
            clear = clear and 10 * math.log10(10 ** (rows[0][0] / 10) + 10 ** (columns[0][0] / 10)) > whole - 3
            keys.append(DTMF_KEYS[rows[0][1]][columns[0][1]] if clear else None)
        found, last, quiet = "", None, 0
        for before, key in zip(keys, keys[1:]):
            if key is not None and key == before:
                found += key if key != last else ""
                last, quiet = key, 0
            else:
                quiet += 1
                last = None if quiet >= 3 else last
        return found

    def __str__(self):
        frequency, loud = strongest(self.samples, self.rate)
        heard = f"{frequency} Hz at {loud:.1f} dBFS" if frequency else "silence"
        return f"{self.who or 'heard'}: {heard} (all {self.level:.1f} dBFS, {self.seconds:.2f} s)"

    __repr__ = __str__


def _ulaw_table():
    """ITU-T G.711 µ-law, code to 16-bit sample."""
    table = []
    for code in range(256):
        value = ~code & 0xFF
        magnitude = (((value & 0x0F) << 3) + 0x84) << ((value & 0x70) >> 4)
        table.append(0x84 - magnitude if value & 0x80 else magnitude - 0x84)
    return table


def _alaw_table():
    """ITU-T G.711 A-law, code to 16-bit sample."""
    table = []
    for code in range(256):
        value = code ^ 0x55
        segment, sample = (value & 0x70) >> 4, (value & 0x0F) << 4
        sample = sample + 8 if segment == 0 else (sample + 0x108) << (segment - 1)
        table.append(sample if value & 0x80 else -sample)
    return table


ULAW, ALAW = _ulaw_table(), _alaw_table()


def _encoder(table):
    """The nearest code of each of 4,096 sample values (12 bits: G.711 resolves no finer where it matters here)."""
    order = sorted(range(256), key=lambda code: table[code])
    values = [table[code] for code in order]
    codes, position = bytearray(4096), 0
    for step in range(4096):
        sample = (step - 2048) * 16 + 8
        while position + 1 < 256 and abs(values[position + 1] - sample) <= abs(values[position] - sample):
            position += 1
        codes[step] = order[position]
    return bytes(codes)


_ULAW_CODES, _ALAW_CODES = _encoder(ULAW), _encoder(ALAW)


def encode_g711(samples, law="PCMU"):
    codes = _ULAW_CODES if law == "PCMU" else _ALAW_CODES
    return bytes(codes[(max(-32768, min(32767, s)) >> 4) + 2048] for s in samples)


def decode_g711(payload, law="PCMU"):
    table = ULAW if law == "PCMU" else ALAW
    return [table[code] for code in payload]
