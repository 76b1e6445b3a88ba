"""Recording of rooms through LiveKit's Egress API: the files, read by ffprobe and by what they show and sound like."""

import asyncio
import hashlib
import resource
import subprocess
import sys
import time

import pytest
from livekit import api, rtc

from support import audio
from support.media import MediaFile
from support.ports import free_port
from support.rooms import House
from support.server import ParleyServer, binary
from support.webhooks import Webhooks

COMPLETE, FAILED, ACTIVE = api.EgressStatus.EGRESS_COMPLETE, api.EgressStatus.EGRESS_FAILED, api.EgressStatus.EGRESS_ACTIVE


class Sink(Webhooks):
    def events(self, room=None):
        # Parley's own event, which LiveKit's receiver does not know.
        self.problems[:] = [problem for problem in self.problems if "recording.saved" not in problem]
        return super().events(room)


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(directory, sink):
    parley = ParleyServer(directory / "egress", users=(), **sink.sections)
    parley.start()
    yield parley
    status = parley.stop(timeout=60)
    assert status == 0, f"parley ended with {status}:\n{parley.log()[-3000:]}"


@pytest.fixture
def studio(server):
    yield House(server)
    assert server.alive, server.log()[-4000:]


async def ended(house, egress, timeout=90):
    """What became of an egress, once its file is there."""
    deadline = time.monotonic() + timeout
    while True:
        found = await house.api.egress.list_egress(api.ListEgressRequest(egress_id=egress))
        assert len(found.items) == 1, found
        info = found.items[0]
        if info.status in (COMPLETE, FAILED):
            return info
        assert time.monotonic() < deadline, f"not done within {timeout} s: {info}\n{house.server.log()[-3000:]}"
        await asyncio.sleep(0.1)


async def file_of(house, egress, timeout=90):
    info = await ended(house, egress, timeout)
    assert info.status == COMPLETE, f"{info}\n{house.server.log()[-3000:]}"
    assert len(info.file_results) == 1 and info.file_results[0].size > 0, info
    return MediaFile(info.file_results[0].location)


def has(heard, tone):
    """A tone among others."""
    return heard.tone(tone) > -25


async def test_a_track_of_sound(studio, sink):
    ann = await studio.join("ann")
    bob = await studio.join("bob")
    line = await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    info = await studio.api.egress.start_track_egress(
        api.TrackEgressRequest(
            room_name=studio.room, track_id=line.sid,
            file=api.DirectFileOutput(filepath="sound/{room_name}-{publisher_identity}-{track_source}"),
        )
    )
    assert info.egress_id.startswith("EG_") and info.status == ACTIVE, info
    await bob.until(lambda: bob.room.isrecording if hasattr(bob.room, "isrecording") else True)
    listed = await studio.api.room.list_rooms(api.ListRoomsRequest(names=[studio.room]))
    assert listed.rooms[0].active_recording
    await asyncio.sleep(4)
    stopped = await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    assert stopped.status == api.EgressStatus.EGRESS_ENDING
    made = await file_of(studio, info.egress_id)
    assert made.path.endswith(f"sound/{studio.room}-ann-microphone.ogg"), made
    assert made.audio["codec_name"] == "opus" and made.video is None and "ogg" in made.format
    assert 3.5 < made.duration < 5.5, made
    heard = made.hears(0.5, 3)
    assert heard.is_tone(audio.ALICE), heard
    assert not made.errors()
    listed = await studio.api.room.list_rooms(api.ListRoomsRequest(names=[studio.room]))
    assert not listed.rooms[0].active_recording
    for name in ["egress_started", "egress_updated", "egress_ended"]:
        sink.wait(name, where=lambda event: event.egress_info.egress_id == info.egress_id)


@pytest.mark.parametrize(
    "codec, name, container",
    [
        (rtc.VideoCodec.VP8, "vp8", "matroska,webm"), (rtc.VideoCodec.VP9, "vp9", "matroska,webm"),
        (rtc.VideoCodec.H264, "h264", "mov"), (rtc.VideoCodec.AV1, "av1", "mov"),
    ],
    ids=["vp8", "vp9", "h264", "av1"],
)
async def test_a_track_of_pictures(studio, codec, name, container):
    ann = await studio.join("ann")
    bob = await studio.join("bob")
    shown = await ann.show(640, 360, codec=codec)
    await bob.watches("ann", shown.number, timeout=20)
    info = await studio.api.egress.start_track_egress(
        api.TrackEgressRequest(room_name=studio.room, track_id=shown.sid, file=api.DirectFileOutput(filepath="pictures/"))
    )
    await asyncio.sleep(5)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await file_of(studio, info.egress_id)
    assert made.video["codec_name"] == name and container in made.format, made
    assert 3 < made.duration < 7, made
    assert made.number(made.duration / 2) == shown.number, made
    assert not made.errors()


async def test_sound_and_pictures_stay_together(studio):
    ann = await studio.join("ann")
    bob = await studio.join("bob")
    line, shown = await ann.speak(audio.ALICE), await ann.show()
    await bob.hears("ann", audio.ALICE)
    await bob.watches("ann", shown.number)
    info = await studio.api.egress.start_track_composite_egress(
        api.TrackCompositeEgressRequest(
            room_name=studio.room, audio_track_id=line.sid, video_track_id=shown.sid,
            file_outputs=[api.EncodedFileOutput(filepath="both.webm")],
        )
    )
    await asyncio.sleep(3)
    # Both at once: the sound stops and the picture, too.
    line.line.mute()
    shown.line.mute()
    await asyncio.sleep(2)
    line.line.unmute()
    shown.line.unmute()
    await asyncio.sleep(3)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await file_of(studio, info.egress_id)
    assert made.video["codec_name"] == "vp8" and made.audio["codec_name"] == "opus", made
    assert 6.5 < made.duration < 9.5, made
    assert made.hears(0.5, 1.5).is_tone(audio.ALICE)
    assert made.number(1) == shown.number
    quiet = made.hears(3.7, 0.8)
    assert quiet.lacks(audio.ALICE), quiet
    times = made.times()
    gaps = [(a, b) for a, b in zip(times, times[1:]) if b - a > 1]
    assert len(gaps) == 1 and abs(gaps[0][0] - 3) < 1 and abs(gaps[0][1] - 5) < 1, gaps
    assert made.hears(made.duration - 1.5, 1).is_tone(audio.ALICE)


async def test_a_participant(studio):
    ann = await studio.join("ann")
    bob = await studio.join("bob")
    await ann.speak(audio.ALICE)
    shown = await ann.show()
    await bob.speak(audio.BOB)
    await bob.watches("ann", shown.number)
    info = await studio.api.egress.start_participant_egress(
        api.ParticipantEgressRequest(room_name=studio.room, identity="ann")
    )
    await asyncio.sleep(4)
    # Its end is the recording's end.
    await ann.leave()
    made = await file_of(studio, info.egress_id)
    assert made.hears(1, 2).is_tone(audio.ALICE) and made.hears(1, 2).lacks(audio.BOB)
    assert made.number(2) == shown.number
    assert f"{studio.room}-ann-" in made.path


async def test_a_room(studio):
    ann = await studio.join("ann", name="Ann Example")
    await ann.speak(audio.ALICE)
    shown = await ann.show()
    bob = await studio.join("bob")
    await bob.watches("ann", shown.number)
    options = api.EncodingOptions(width=640, height=360, framerate=10)
    info = await studio.api.egress.start_room_composite_egress(
        api.RoomCompositeEgressRequest(room_name=studio.room, layout="grid", advanced=options)
    )
    began = time.monotonic()
    await asyncio.sleep(3)
    # Late: heard and seen from then on.
    await bob.speak(audio.BOB)
    other = await bob.show()
    await ann.watches("bob", other.number)
    joined = time.monotonic() - began
    await asyncio.sleep(4)
    changed = await studio.api.egress.update_layout(
        api.UpdateLayoutRequest(egress_id=info.egress_id, layout="single")
    )
    assert changed.room_composite.layout == "single"
    switched = time.monotonic() - began
    await asyncio.sleep(3)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await file_of(studio, info.egress_id, timeout=180)
    assert (made.video["width"], made.video["height"]) == (640, 360) and made.audio["codec_name"] == "opus", made
    assert abs(made.duration - (switched + 3)) < 1.5, made
    alone = made.hears(0.8, 1.5)
    assert alone.is_tone(audio.ALICE), alone
    both = made.hears(joined + 1, 2)
    assert has(both, audio.ALICE) and has(both, audio.BOB), both
    # Side by side, without their edges.
    middle = joined + 2.5
    left, right = made.number(middle, (0.02, 0.27, 0.46, 0.46)), made.number(middle, (0.52, 0.27, 0.46, 0.46))
    assert {left, right} == {shown.number, other.number}, (left, right, made)
    assert made.number(switched + 2) in (shown.number, other.number), made


async def test_a_room_of_sound_alone(studio):
    ann, bob = await studio.join("ann"), await studio.join("bob")
    await asyncio.gather(ann.speak(audio.ALICE), bob.speak(audio.BOB))
    await bob.hears("ann", audio.ALICE)
    info = await studio.api.egress.start_room_composite_egress(
        api.RoomCompositeEgressRequest(
            room_name=studio.room, audio_only=True, file_outputs=[api.EncodedFileOutput(filepath="talk.ogg")]
        )
    )
    await asyncio.sleep(4)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await file_of(studio, info.egress_id)
    heard = made.hears(1, 2)
    assert made.video is None and has(heard, audio.ALICE) and has(heard, audio.BOB), heard


async def test_mp4_when_asked_for(studio):
    ann, bob = await studio.join("ann"), await studio.join("bob")
    shown = await ann.show()
    await bob.watches("ann", shown.number)
    info = await studio.api.egress.start_track_composite_egress(
        api.TrackCompositeEgressRequest(
            room_name=studio.room, video_track_id=shown.sid, advanced=api.EncodingOptions(width=640, height=360, framerate=10),
            file_outputs=[api.EncodedFileOutput(filepath="asked.mp4", file_type=api.EncodedFileType.MP4)],
        )
    )
    await asyncio.sleep(3)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await file_of(studio, info.egress_id, timeout=180)
    assert made.video["codec_name"] == "h264" and "mp4" in made.format, made
    assert made.number(2) == shown.number


async def test_what_is_refused(studio):
    ann = await studio.join("ann")
    line = await ann.speak(audio.ALICE)
    egress = studio.api.egress
    for request, code in [
        (api.TrackEgressRequest(room_name="nowhere", track_id="TR_x"), "not_found"),
        (api.TrackEgressRequest(room_name=studio.room, track_id="TR_x"), "not_found"),
        (api.TrackEgressRequest(room_name=studio.room, track_id=line.sid, websocket_url="ws://127.0.0.1/"), "unimplemented"),
        (
            api.TrackEgressRequest(
                room_name=studio.room, track_id=line.sid, file=api.DirectFileOutput(filepath="../../etc/passwd")
            ), "invalid_argument",
        ),
    ]:
        with pytest.raises(api.TwirpError) as refused:
            await egress.start_track_egress(request)
        assert refused.value.code == code, refused.value
    with pytest.raises(api.TwirpError) as refused:
        await egress.stop_egress(api.StopEgressRequest(egress_id="EG_nothing"))
    assert refused.value.code == "not_found"
    with pytest.raises(api.TwirpError):
        await egress.start_room_composite_egress(api.RoomCompositeEgressRequest(room_name=studio.room, layout="spiral"))


async def test_rooms_that_ask_to_be_recorded(studio):
    await studio.api.room.create_room(
        api.CreateRoomRequest(
            name=studio.room, egress=api.RoomEgress(tracks=api.AutoTrackEgress(filepath="auto/{room_name}-{track_source}"))
        )
    )
    ann = await studio.join("ann")
    await ann.speak(audio.ALICE)
    await asyncio.sleep(3)
    await ann.leave()
    deadline = time.monotonic() + 30
    while True:
        found = (await studio.api.egress.list_egress(api.ListEgressRequest(room_name=studio.room))).items
        if found and found[0].status == COMPLETE:
            break
        assert time.monotonic() < deadline, (found, studio.server.log()[-2000:])
        await asyncio.sleep(0.2)
    made = MediaFile(found[0].file_results[0].location)
    assert made.path.endswith(f"auto/{studio.room}-microphone.ogg") and made.hears(0.5, 1).is_tone(audio.ALICE)


async def test_a_recording_survives_kill_9(directory):
    parley = ParleyServer(directory / "egress-killed", users=())
    parley.start()
    house = House(parley)
    try:
        ann, bob = await house.join("ann"), await house.join("bob")
        line = await ann.speak(audio.ALICE)
        await bob.hears("ann", audio.ALICE)
        info = await house.api.egress.start_track_egress(
            api.TrackEgressRequest(room_name=house.room, track_id=line.sid, file=api.DirectFileOutput(filepath="killed"))
        )
        began = time.monotonic()
        await asyncio.sleep(4)
        parley.kill()
        lasted = time.monotonic() - began
        await house.close()
        parley.start()
        house = House(parley)
        made = await file_of(house, info.egress_id)
        assert lasted - 1 < made.duration < lasted + 1, (made, lasted)
        assert made.hears(0.5, 2.5).is_tone(audio.ALICE)
    finally:
        await house.close()
        parley.stop()


class Bucket:
    """moto's S3 server in a process of its own, with one bucket."""

    def __init__(self):
        import boto3

        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.client.create_bucket(Bucket="tapes")
                return
            except Exception:
                assert time.monotonic() < deadline, "moto did not start"
                time.sleep(0.2)

    def output(self, **more):
        return api.S3Upload(
            access_key="key", secret="secret", region="us-east-1", endpoint=self.endpoint, bucket="tapes", force_path_style=True, **more
        )

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def bucket():
    made = Bucket()
    yield made
    made.close()


async def test_a_file_goes_to_s3(studio, bucket, tmp_path):
    ann, bob = await studio.join("ann"), await studio.join("bob")
    line = await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    info = await studio.api.egress.start_track_egress(
        api.TrackEgressRequest(
            room_name=studio.room, track_id=line.sid,
            file=api.DirectFileOutput(filepath="calls/a b+{publisher_identity}", s3=bucket.output()),
        )
    )
    assert info.track.file.s3.secret not in ("secret", ""), info
    await asyncio.sleep(3)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await ended(studio, info.egress_id)
    assert made.status == COMPLETE, made
    assert made.file_results[0].filename == "calls/a b+ann.ogg" and bucket.endpoint in made.file_results[0].location
    target = tmp_path / "sound.ogg"
    bucket.client.download_file("tapes", "calls/a b+ann.ogg", str(target))
    assert target.stat().st_size == made.file_results[0].size
    head = bucket.client.head_object(Bucket="tapes", Key="calls/a b+ann.ogg")
    assert head["Metadata"]["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert MediaFile(target).hears(0.5, 2).is_tone(audio.ALICE)


async def test_an_endpoint_that_refuses_fails_the_egress_alone(studio, sink):
    ann, bob = await studio.join("ann"), await studio.join("bob")
    line = await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    nowhere = api.S3Upload(
        access_key="key", secret="hushhush", endpoint=f"http://127.0.0.1:{free_port()}", bucket="tapes", force_path_style=True
    )
    info = await studio.api.egress.start_track_egress(
        api.TrackEgressRequest(
            room_name=studio.room, track_id=line.sid, file=api.DirectFileOutput(filepath="lost", s3=nowhere)
        )
    )
    await asyncio.sleep(2)
    await studio.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
    made = await ended(studio, info.egress_id, timeout=120)
    assert made.status == FAILED and "tapes" in made.error, made
    assert "hushhush" not in str(made) and "hushhush" not in studio.server.log()
    # The room goes on.
    await bob.hears("ann", audio.ALICE)


async def test_files_are_encrypted_at_rest(directory, tmp_path):
    key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    parley = ParleyServer(directory / "egress-encrypted", users=(), recordings={"encryption-key": key})
    parley.start()
    house = House(parley)
    try:
        ann, bob = await house.join("ann"), await house.join("bob")
        line = await ann.speak(audio.ALICE)
        await bob.hears("ann", audio.ALICE)
        info = await house.api.egress.start_track_egress(
            api.TrackEgressRequest(room_name=house.room, track_id=line.sid, file=api.DirectFileOutput(filepath="secret"))
        )
        await asyncio.sleep(3)
        await house.api.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
        made = await ended(house, info.egress_id)
        assert made.status == COMPLETE, made
        path = made.file_results[0].location
        assert path.endswith("secret.ogg.enc") and b"OpusHead" not in open(path, "rb").read()
        plain = tmp_path / "plain.ogg"
        subprocess.run(
            [binary(), "recordings", "decrypt", "--config", str(parley.directory / "parley.yaml"), path, str(plain)],
            check=True, capture_output=True, timeout=60,
        )
        assert MediaFile(plain).hears(0.5, 2).is_tone(audio.ALICE)
    finally:
        await house.close()
        parley.stop()


async def test_a_full_disk_spoils_the_recording_alone(directory):
    """The file-size limit of the process stands for a disk that is full."""
    parley = ParleyServer(directory / "egress-full", users=())
    parley.start()
    house = House(parley)
    try:
        ann, bob = await house.join("ann"), await house.join("bob")
        line = await ann.speak(audio.ALICE)
        shown = await ann.show()
        await bob.watches("ann", shown.number)
        resource.prlimit(parley.process.pid, resource.RLIMIT_FSIZE, (600_000, 600_000))
        info = await house.api.egress.start_track_composite_egress(
            api.TrackCompositeEgressRequest(room_name=house.room, audio_track_id=line.sid, video_track_id=shown.sid)
        )
        made = await ended(house, info.egress_id, timeout=120)
        assert made.status == FAILED and made.error, made
        assert parley.alive
        await bob.hears("ann", audio.ALICE)
        if made.file_results:
            # What was written is readable.
            assert MediaFile(made.file_results[0].location).hears(0.5, 1).is_tone(audio.ALICE)
    finally:
        await house.close()
        parley.stop()
