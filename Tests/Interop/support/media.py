"""Media files as others read them: ffprobe says what is inside, ffmpeg decodes it."""

import array
import json
import subprocess

from .audio import Heard
from .picture import number_of

RATE = 16000


class MediaFile:
    def __init__(self, path):
        self.path = str(path)
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", self.path],
            capture_output=True, text=True, timeout=60,
        )
        assert done.returncode == 0, f"ffprobe of {path}: {done.stderr}"
        self.found = json.loads(done.stdout)

    def __repr__(self):
        streams = [f"{s['codec_name']} {s.get('width', '')}x{s.get('height', '')}" for s in self.found["streams"]]
        return f"<{self.path} {self.format} {streams} {self.duration:.2f} s>"

    @property
    def format(self):
        return self.found["format"]["format_name"]

    @property
    def duration(self):
        return float(self.found["format"]["duration"])

    def stream(self, kind):
        return next((s for s in self.found["streams"] if s["codec_type"] == kind), None)

    @property
    def video(self):
        return self.stream("video")

    @property
    def audio(self):
        return self.stream("audio")

    def errors(self):
        """What a decoder complains of when it reads all."""
        done = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", self.path, "-f", "null", "-"], capture_output=True, text=True, timeout=120
        )
        return [line for line in done.stderr.splitlines() if "non monotonically" not in line]

    def samples(self):
        """All its sound at 16 kHz, at its places in time: gaps are silence."""
        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", self.path, "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE),
             "-f", "s16le", "-"], capture_output=True, timeout=120, check=True,
        ).stdout
        made = array.array("h")
        made.frombytes(raw[: len(raw) // 2 * 2])
        return made

    def hears(self, start, seconds):
        samples = self.samples()
        return Heard(samples[int(start * RATE) : int((start + seconds) * RATE)].tolist(), RATE, f"{self.path} from {start} s")

    def frame(self, at, crop=None):
        """(luma, width, height) of the picture shown at a time. `crop`: x, y, width, height as shares of the whole."""
        width, height = self.video["width"], self.video["height"]
        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", self.path, "-vf", f"trim=start={at},scale={width}:{height}", "-frames:v", "1",
             "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, timeout=120, check=True,
        ).stdout
        assert len(raw) == width * height, f"no picture at {at} s of {self}"
        if crop:
            import numpy

            plane = numpy.frombuffer(raw, dtype=numpy.uint8).reshape(height, width)
            x, y = int(crop[0] * width), int(crop[1] * height)
            w, h = int(crop[2] * width), int(crop[3] * height)
            return plane[y : y + h, x : x + w].tobytes(), w, h
        return raw, width, height

    def number(self, at, crop=None):
        """What `Picture` shows there."""
        return number_of(*self.frame(at, crop))

    def times(self, kind="v"):
        """The times of all packets, in seconds."""
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", self.path],
            capture_output=True, text=True, timeout=60, check=True,
        )
        return [float(line.strip(",")) for line in done.stdout.split() if line.strip(",") not in ("", "N/A")]
