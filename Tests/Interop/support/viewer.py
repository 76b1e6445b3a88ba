"""A guest of a room as a process of its own, for tests in network namespaces: LiveKit's SDK, figures as lines of JSON.

    python -m support.viewer show URL TOKEN [camera …]     publishes a tone and a busy picture with simulcast
    python -m support.viewer watch URL TOKEN [seconds]     subscribes to everything; one line a second, or more often
"""

import asyncio
import contextlib
import json
import math
import os
import sys
import time

import numpy
from livekit import rtc

FPS = 15


class Noise:
    """A picture that costs an encoder whatever it is allowed: blocks of noise that move."""

    def __init__(self, width, height, seed=1):
        self.width, self.height = width, height
        random = numpy.random.default_rng(seed)
        blocks = random.integers(40, 210, (2 * height // 6 + 2, 2 * width // 6 + 2), dtype=numpy.uint8)
        self.field = numpy.kron(blocks, numpy.ones((6, 6), dtype=numpy.uint8))
        self.chroma = bytes([128]) * (2 * (width // 2) * (height // 2))

    def frame(self, count):
        x = int((math.sin(count / 17) + 1) / 2 * (self.field.shape[1] - self.width))
        y = int((math.sin(count / 23) + 1) / 2 * (self.field.shape[0] - self.height))
        return self.field[y : y + self.height, x : x + self.width].tobytes() + self.chroma


async def show(room, width, height, bitrate):
    speaker = rtc.AudioSource(48000, 1, queue_size_ms=200)
    voice = rtc.LocalAudioTrack.create_audio_track("microphone", speaker)
    await room.local_participant.publish_track(
        voice, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    )
    camera = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("camera", camera)
    await room.local_participant.publish_track(
        track,
        rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.VP8, simulcast=True,
            video_encoding=rtc.VideoEncoding(max_framerate=FPS, max_bitrate=bitrate),
        ),
    )

    async def film():
        picture, start = Noise(width, height), time.monotonic()
        count = 0
        while True:
            camera.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, picture.frame(count)))
            count = max(count + 1, int((time.monotonic() - start) * FPS))
            await asyncio.sleep(max(0.0, start + count / FPS - time.monotonic()))

    async def sound():
        time_base = numpy.arange(9600)
        samples = (6000 * numpy.sin(2 * math.pi * 440 * time_base / 48000)).astype(numpy.int16)
        while True:
            for at in range(0, 9600, 480):
                await speaker.capture_frame(rtc.AudioFrame(samples[at : at + 480].tobytes(), 48000, 1, 480))

    work = [asyncio.ensure_future(film()), asyncio.ensure_future(sound())]
    while True:
        await asyncio.sleep(1)
        statistics = await room.get_rtc_stats()
        layers = {}
        for one in (*statistics.publisher_stats, *statistics.subscriber_stats):
            if one.HasField("outbound_rtp") and one.outbound_rtp.stream.kind == "video":
                sent = one.outbound_rtp
                layers[sent.outbound.rid or "-"] = [
                    sent.sent.bytes_sent, sent.outbound.frame_height, sent.outbound.frames_encoded,
                    sent.outbound.key_frames_encoded, sent.outbound.pli_count,
                ]
        print(json.dumps({"at": time.monotonic(), "layers": layers}), flush=True)
        for task in work:
            if task.done():
                task.result()


async def watch(room, interval=1.0):
    while True:
        statistics = await room.get_rtc_stats()
        line = {"at": time.monotonic(), "audio": {}, "video": {}}
        for one in (*statistics.publisher_stats, *statistics.subscriber_stats):
            if not one.HasField("inbound_rtp"):
                continue
            stream, received, inbound = one.inbound_rtp.stream, one.inbound_rtp.received, one.inbound_rtp.inbound
            if stream.kind not in ("audio", "video"):
                continue
            line[stream.kind][str(stream.ssrc)] = {
                "bytes": inbound.bytes_received, "packets": received.packets_received, "lost": received.packets_lost,
                "jitter": received.jitter, "frames": inbound.frames_decoded, "height": inbound.frame_height,
                "freezes": inbound.freeze_count, "frozen": inbound.total_freeze_duration,
                "samples": inbound.total_samples_received, "concealed": inbound.concealed_samples,
                "silent": inbound.silent_concealed_samples, "nacks": inbound.nack_count, "plis": inbound.pli_count,
                "repaired": inbound.retransmitted_packets_received, "keys": inbound.key_frames_decoded,
            }
        print(json.dumps(line), flush=True)
        await asyncio.sleep(interval)


async def main(role, url, jwt, *rest):
    room = rtc.Room()
    ears = []

    for name in ("reconnecting", "reconnected", "disconnected"):
        room.on(name, lambda *_, name=name: print(json.dumps({name: time.monotonic()}), flush=True))

    @room.on("track_subscribed")
    def subscribed(track, *_):
        kind = "audio" if track.kind == rtc.TrackKind.KIND_AUDIO else "video"
        print(json.dumps({"subscribed": kind, "at": time.monotonic()}), flush=True)
        # Without a sink libwebrtc does not play audio, and does not count it.
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            ears.append(asyncio.ensure_future(listen(track)))

    async def listen(track):
        async for _ in rtc.AudioStream(track, sample_rate=16000, num_channels=1):
            pass

    await asyncio.wait_for(room.connect(url, jwt, rtc.RoomOptions(auto_subscribe=role == "watch")), 20)
    print(json.dumps({"joined": time.monotonic()}), flush=True)
    if role == "show":
        width, height, bitrate = (int(value) for value in rest or (960, 540, 1_200_000))
        await show(room, width, height, bitrate)
    else:
        await watch(room, *(float(value) for value in rest))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
    os._exit(0)
