"""Audio and video from one to the others: heard as the tone and seen as the picture that was published."""

import asyncio

import pytest
from livekit import rtc

from support import audio

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])
MICROPHONE, CAMERA = rtc.TrackSource.SOURCE_MICROPHONE, rtc.TrackSource.SOURCE_CAMERA


@WAYS
async def test_audio_both_ways(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await asyncio.gather(ann.speak(audio.ALICE), bob.speak(audio.BOB))
    await asyncio.gather(bob.hears("ann", audio.ALICE), ann.hears("bob", audio.BOB))
    # Nobody hears themselves.
    heard = await ann.listen("bob", 1)
    assert heard.lacks(audio.ALICE), heard


@WAYS
async def test_audio_between_both_ways(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=not single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)


@WAYS
async def test_audio_has_no_gaps(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    heard = await bob.listen("ann", 5, timeout=15)
    assert heard.is_tone(audio.ALICE), heard
    assert len(heard.jumps(audio.ALICE)) <= 2, heard.jumps(audio.ALICE)


@WAYS
async def test_video_is_seen(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    shown = await ann.show(640, 360)
    await bob.watches("ann", shown.number)
    publication = await bob.publication("ann", CAMERA)
    assert publication.mime_type.lower() == "video/vp8"
    assert (publication.width, publication.height) == (640, 360)


@WAYS
async def test_the_late_get_what_is_there(house, single):
    ann = await house.join("ann", single=single)
    await ann.speak(audio.ALICE)
    shown = await ann.show()
    bob = await house.join("bob", single=single)
    await bob.hears("ann", audio.ALICE)
    await bob.watches("ann", shown.number)
    # The key frame was asked for: seconds, not the encoder's own interval.
    carl = await house.join("carl", single=single)
    await carl.watches("ann", shown.number, timeout=6)


@WAYS
async def test_each_hears_each(house, single):
    tones = {"ann": 455, "bob": 815, "carl": 1115, "dora": 1855}
    guests = [await house.join(name, single=single) for name in tones]
    for guest in guests:
        await guest.speak(tones[guest.identity])
    await asyncio.gather(
        *(guest.hears(name, tones[name], 15) for guest in guests for name in tones if name != guest.identity)
    )


@WAYS
async def test_camera_and_screen_at_once(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    camera = await ann.show(640, 360, number=0xA5)
    screen = await ann.show(640, 360, number=0x3C, name="screen", source=rtc.TrackSource.SOURCE_SCREENSHARE)
    for shown in (camera, screen):
        await bob.until(lambda: ("ann", shown.sid) in bob._eyes, 10, "both tracks")
        await bob.watches(("ann", shown.sid), shown.number)


@WAYS
async def test_mute_and_unmute(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    spoken = await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    spoken.line.mute()
    participant, publication = await bob.event("track_muted")
    assert (participant.identity, publication.muted) == ("ann", True)
    await asyncio.sleep(0.5)
    assert (await bob.listen("ann", 0.5)).is_silent
    spoken.line.unmute()
    await bob.event("track_unmuted")
    await bob.hears("ann", audio.ALICE)


@WAYS
async def test_unpublish_and_publish_again(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    for tone in (audio.ALICE, audio.BOB, audio.CARRIER):
        since = bob.mark
        spoken = await ann.speak(tone)
        await bob.event("track_subscribed", since=since)
        await bob.hears("ann", tone)
        since = bob.mark
        await ann.local.unpublish_track(spoken.sid)
        await bob.event("track_unpublished", since=since)
        await bob.until(lambda: not bob.room.remote_participants["ann"].track_publications, what="no publication")


@WAYS
async def test_unsubscribe_and_subscribe_again(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    publication = await bob.publication("ann", MICROPHONE)
    publication.set_subscribed(False)
    await bob.event("track_unsubscribed")
    await asyncio.sleep(0.5)
    since = bob.mark
    publication.set_subscribed(True)
    await bob.event("track_subscribed", since=since)
    await bob.hears("ann", audio.ALICE)


@WAYS
async def test_subscribing_by_hand(house, single):
    ann = await house.join("ann", single=single)
    bob = await house.join("bob", single=single, options={"auto_subscribe": False})
    await ann.speak(audio.ALICE)
    shown = await ann.show()
    await bob.publication("ann", CAMERA)
    heard = await bob.publication("ann", MICROPHONE)
    await asyncio.sleep(0.7)
    assert bob.count("track_subscribed") == 0
    heard.set_subscribed(True)
    await bob.hears("ann", audio.ALICE)
    assert bob.count("track_subscribed") == 1
    (await bob.publication("ann", CAMERA)).set_subscribed(True)
    await bob.watches("ann", shown.number)


@WAYS
async def test_the_publisher_learns_of_its_first_subscriber(house, single):
    ann = await house.join("ann", single=single)
    await ann.speak(audio.ALICE)
    await house.join("bob", single=single)
    await ann.event("local_track_subscribed")


async def test_who_may_not_publish(house):
    ann = await house.join("ann")
    await house.join("bob", can_publish=False)
    bob = house.guests[1]
    with pytest.raises((rtc.participant.PublishTrackError, asyncio.TimeoutError, TimeoutError)):
        await asyncio.wait_for(bob.speak(audio.BOB), 3)
    await ann.sees("bob")
    assert not ann.room.remote_participants["bob"].track_publications


async def test_only_the_sources_that_are_allowed(house):
    ann = await house.join("ann")
    bob = await house.join("bob", can_publish_sources=["microphone"])
    await bob.speak(audio.BOB)
    await ann.hears("bob", audio.BOB)
    with pytest.raises((rtc.participant.PublishTrackError, asyncio.TimeoutError, TimeoutError)):
        await asyncio.wait_for(bob.show(), 3)
    assert all(one.source == MICROPHONE for one in ann.room.remote_participants["bob"].track_publications.values())


@WAYS
async def test_who_may_not_subscribe(house, single):
    ann = await house.join("ann", single=single)
    await ann.speak(audio.ALICE)
    bob = await house.join("bob", single=single, can_subscribe=False)
    await bob.sees("ann")
    await bob.speak(audio.BOB)
    await ann.hears("bob", audio.BOB)
    assert bob.count("track_subscribed") == 0


@pytest.mark.parametrize("codec", ["H264", "VP9", "AV1"])
async def test_other_codecs(house, codec):
    ann, bob = await house.join("ann"), await house.join("bob")
    shown = await ann.show(codec=rtc.VideoCodec.Value(codec))
    await bob.watches("ann", shown.number)
    assert (await bob.publication("ann", CAMERA)).mime_type.lower() == f"video/{codec.lower()}"


@pytest.mark.parametrize("red", [False, True])
async def test_redundant_audio(house, red):
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.speak(audio.ALICE, red=red)
    await bob.hears("ann", audio.ALICE)


async def test_discontinuous_audio(house):
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.speak(audio.ALICE, dtx=True)
    await bob.hears("ann", audio.ALICE)


async def test_the_metrics_count_what_is_forwarded(house):
    before = house.server.metrics()
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.speak(audio.ALICE)
    await ann.show()
    await bob.hears("ann", audio.ALICE)
    await bob.eye("ann")

    def rises(name, least):
        found = house.server.metrics()
        return found.get(name, 0) - before.get(name, 0) >= least

    # The routers are summed up every third second.
    for kind in ("audio", "video"):
        await ann.until(lambda: rises(f'parley_room_packets_forwarded_total{{kind="{kind}"}}', 20), 15, kind)
        await ann.until(lambda: rises(f'parley_room_tracks{{kind="{kind}"}}', 1), 8, kind)
        await ann.until(lambda: rises(f'parley_room_subscriptions{{kind="{kind}"}}', 1), 8, kind)
    await ann.until(lambda: rises("parley_room_packets_received_total", 50), 8, "received")
    await ann.until(lambda: house.server.metrics()["parley_room_estimates"] >= 1, 8, "an estimate")
    counted = house.server.metrics()['parley_room_packets_forwarded_total{kind="audio"}']
    await bob.leave()
    await ann.leave()
    await asyncio.sleep(4)
    after = house.server.metrics()
    assert after['parley_room_packets_forwarded_total{kind="audio"}'] >= counted, "what was counted stays"
