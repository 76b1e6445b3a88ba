"""More of everything: many tracks at once, many comings and goings, encrypted rooms."""

import asyncio
import os

import pytest
from livekit import rtc

from support import audio

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])


@WAYS
async def test_more_tracks_than_a_client_has_lines_for(house, single):
    # With one connection the client offers three lines of each kind; the others are asked for.
    listener = await house.join("listener", single=single)
    tones = {f"guest-{n}": 300 + 205 * n for n in range(5)}
    guests = await asyncio.gather(*(house.join(name, single=single) for name in tones))
    for guest in guests:
        await guest.speak(tones[guest.identity])
    await asyncio.gather(*(listener.hears(name, tone, 40) for name, tone in tones.items()))


@WAYS
async def test_tracks_that_come_and_go(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    for round in range(8):
        since = bob.mark
        spoken, shown = await asyncio.gather(ann.speak(455), ann.show(320, 180, number=100 + round))
        await bob.event("track_subscribed", lambda track, *_: track.kind == rtc.TrackKind.KIND_VIDEO, since=since, timeout=10)
        await bob.hears("ann", 455)
        await asyncio.gather(ann.local.unpublish_track(spoken.sid), ann.local.unpublish_track(shown.sid))
        await bob.until(lambda: not bob.room.remote_participants["ann"].track_publications, what="no publication")


@WAYS
async def test_comings_and_goings_leave_nothing(house, single):
    server = house.server
    directory = f"/proc/{server.process.pid}/fd"
    ann = await house.join("ann", single=single)
    await ann.speak(455)

    async def visit(number):
        guest = await house.join(f"guest-{number}", single=single)
        await guest.ear("ann", 15)
        await guest.leave()
        house.guests.remove(guest)

    for number in range(3):
        await visit(number)
    await asyncio.sleep(1)
    before = len(os.listdir(directory))
    for number in range(3, 23):
        await visit(number)
    await ann.until(lambda: not ann.room.remote_participants, what="alone")
    for _ in range(50):
        after = len(os.listdir(directory))
        if after <= before + 2:
            break
        await asyncio.sleep(0.1)
    assert after <= before + 2, [os.readlink(f"{directory}/{name}") for name in os.listdir(directory)]


async def test_encrypted_media_passes_untouched(house):
    def key(text):
        return {"encryption": rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=text))}

    ann = await house.join("ann", options=key(b"secret"))
    bob = await house.join("bob", options=key(b"secret"))
    eve = await house.join("eve")
    for guest in (ann, bob):
        guest.room.e2ee_manager.set_enabled(True)
    await ann.speak(audio.ALICE)
    shown = await ann.show()
    await bob.hears("ann", audio.ALICE, 12)
    await bob.watches("ann", shown.number)
    # Who has no key gets noise or nothing.
    ear = await eve.ear("ann")
    await asyncio.sleep(1)
    assert not audio.Heard(ear.samples[-8000:], 16000).is_tone(audio.ALICE)


async def test_a_long_silence_ends_nothing(house):
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.sees("bob")
    await asyncio.sleep(20)
    assert ann.count("reconnecting") == 0 and bob.count("reconnecting") == 0
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
