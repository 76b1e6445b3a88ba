"""Telephones in rooms: baresip over SIP and RTP, LiveKit's SDK over WebRTC, and the server's API over both."""

import asyncio
import contextlib
import itertools
import time

import pytest
from livekit import api, rtc

from support.audio import MILLIWATT
from support.baresip import NUMBER, Baresip
from support.browser import Agent
from support.rooms import DisconnectReason, House
from support.server import ParleyServer

from .conftest import Loop
from .test_browser import Visitor

SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
# Three behind the carrier, and one on a desk, whose address is none of the carrier's.
PHONES = [f"127.0.0.{n}" for n in (31, 32, 33, 61)]
# Tones of the telephones, and of the SDK's participants: none another's harmonic or a DTMF frequency.
TONES = {PHONES[0]: 1115, PHONES[1]: 1855, PHONES[2]: 2525, PHONES[3]: 2135}
ANN, BEN, CY = 455, 595, 3055
_numbers = itertools.count()
ROOMS = 40
PIN, HOST_PIN = "1234", "987654"


@pytest.fixture(scope="session")
def exchange(directory, webhooks):
    """A server whose numbers +155507xx lead to rooms, for the telephones' addresses."""
    parley = ParleyServer(
        directory / "phones",
        users=("1001",),
        trunks=[{"name": "carrier", "host": f"{PHONES[0]}:5999", "codecs": ["PCMU", "PCMA", "G722"], "allow": ["127.0.0.32/28"]}],
        numbers=[{"number": f"+155507{n:02}", "to": f"room:phones-{n:02}"} for n in range(ROOMS)],
        rooms={
            "dial-in": {
                "numbers": [
                    {"number": f"+155508{n:02}", "room": f"phones-{n:02}", "pin": PIN, "host-pin": HOST_PIN, "wait-for-host": n % 2 == 1}
                    for n in range(ROOMS)
                ]
            }
        },
        **webhooks.sections,
    )
    parley.start()
    yield parley
    status = parley.stop()
    assert status == 0, f"parley ended with {status}:\n{parley.log()[-3000:]}"


@pytest.fixture
def lobby(exchange, request):
    """A room that has a number: `lobby.number`."""
    request.node.log_start = len(exchange.log())
    index = next(_numbers)
    house = House(exchange, f"phones-{index:02}")
    house.number = exchange.uri(f"+155507{index:02}")
    # The same room behind a PIN.
    house.guarded = exchange.uri(f"+155508{index:02}")
    # And the next one's, which is not used by other tests.
    house.other = House(exchange, f"phones-{next(_numbers):02}")
    house.waiting = exchange.uri(f"+155508{house.other.room[-2:]}")
    yield house
    assert exchange.alive, f"the server died:\n{exchange.log()[-4000:]}"


@pytest.fixture
def phones():
    """Makes telephones: phones(0, codecs=("G722",))."""
    with contextlib.ExitStack() as stack:
        def make(index=0, **options):
            address = PHONES[index]
            return stack.enter_context(Baresip(address, TONES[address], name=f"phone{index}", **options))

        yield make


async def dial(phone, number):
    await asyncio.to_thread(phone.dial, number)
    await asyncio.to_thread(phone.wait, "CALL_ESTABLISHED")


def heard_so(listen, check, timeout=15):
    """Listens second by second until what is heard is as it should be."""
    deadline = time.monotonic() + timeout
    while not check(heard := listen(1.2).last(1)):
        assert time.monotonic() < deadline, f"not heard within {timeout} s: {heard}"
    return heard


async def hears(phone, tone):
    """Waits until the telephone hears that tone and hardly anything else."""
    return await asyncio.to_thread(heard_so, phone.listen, lambda heard: heard.is_tone(tone))


def hears_all_but(listen, tones, own):
    """Waits until all tones are heard but the listener's own."""
    heard_so(listen, lambda heard: all(heard.tone(tone) > -50 for tone in tones - {own}) and heard.tone(own) < -55)


async def phone_of(guest, timeout=20.0):
    """The telephone's participant as the guest sees it."""
    def find():
        return next((one for one in guest.room.remote_participants.values() if one.kind == SIP), None)

    return await guest.until(find, timeout, "seeing a telephone")


async def test_a_telephone_is_a_participant_heard_and_hearing(lobby, phones, webhooks):
    ann = await lobby.join("ann")
    await ann.speak(ANN)
    phone = phones()
    await dial(phone, lobby.number)
    seen = await phone_of(ann)
    publication = await ann.publication(seen.identity, rtc.TrackSource.SOURCE_MICROPHONE)
    assert publication.kind == rtc.TrackKind.KIND_AUDIO and not publication.muted
    assert seen.attributes["sip.callStatus"] == "active"
    assert seen.attributes["sip.trunkID"] == "carrier"
    assert seen.attributes["sip.trunkPhoneNumber"] == lobby.number.split(":")[1].split("@")[0]
    assert seen.attributes["sip.callID"] and seen.attributes["sip.phoneNumber"]
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await hears(phone, ANN)
    joined = await asyncio.to_thread(
        webhooks.wait, "participant_joined", lobby.room, lambda event: event.participant.kind == 3
    )
    assert joined.participant.identity == seen.identity
    await asyncio.to_thread(phone.hang_up)
    await ann.misses(seen.identity)
    left = await asyncio.to_thread(
        webhooks.wait, "participant_left", lobby.room, lambda event: event.participant.identity == seen.identity
    )
    assert left.participant.disconnect_reason == DisconnectReason.CLIENT_INITIATED
    call = await asyncio.to_thread(lobby.server.record, to=lobby.number.split(":")[1].split("@")[0])
    assert [leg["kind"] for leg in call["legs"]] == ["trunk", "room"] and call["outcome"] == "answered"


async def test_the_api_mutes_a_telephone_and_sends_it_away(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    seen = await phone_of(ann)
    publication = await ann.publication(seen.identity)
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await lobby.api.room.mute_published_track(
        api.MuteRoomTrackRequest(room=lobby.room, identity=seen.identity, track_sid=publication.sid, muted=True)
    )
    await ann.event("track_muted", lambda one, _: one.identity == seen.identity)
    await asyncio.sleep(0.3)
    assert (await ann.listen(seen.identity)).is_silent
    await lobby.api.room.update_participant(
        api.UpdateParticipantRequest(room=lobby.room, identity=seen.identity, name="Uncle", attributes={"a": "b"})
    )
    await ann.until(lambda: seen.name == "Uncle" and seen.attributes.get("a") == "b")
    await lobby.api.room.remove_participant(api.RoomParticipantIdentity(room=lobby.room, identity=seen.identity))
    await ann.misses(seen.identity)
    await asyncio.to_thread(phone.wait, "CALL_CLOSED")


async def test_the_end_of_the_room_ends_its_calls(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    await phone_of(ann)
    await lobby.api.room.delete_room(api.DeleteRoomRequest(room=lobby.room))
    await asyncio.to_thread(phone.wait, "CALL_CLOSED")


async def test_a_full_room_is_a_busy_line(lobby, phones):
    await lobby.api.room.create_room(api.CreateRoomRequest(name=lobby.room, max_participants=1))
    await lobby.join("ann")
    phone = phones()
    await asyncio.to_thread(phone.dial, lobby.number)
    closed = await asyncio.to_thread(phone.wait, "CALL_CLOSED")
    assert "486" in closed.get("param", ""), closed


async def test_keys_go_to_the_room_and_come_from_it(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    seen = await phone_of(ann)
    await ann.publication(seen.identity)
    await asyncio.to_thread(phone.send_digits, "12#")

    def keys():
        return "".join(one[0].digit for name, one in ann.events if name == "sip_dtmf_received")

    await ann.until(lambda: keys() == "12#", what="the keys in the room")
    await ann.local.publish_dtmf(code=7, digit="7")
    await ann.local.publish_dtmf(code=11, digit="#")
    await asyncio.sleep(1)
    assert await asyncio.to_thread(phone.digits_heard) == "7#"


async def test_codes_mute_and_raise_the_hand(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    seen = await phone_of(ann)
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await asyncio.to_thread(phone.send_digits, "*6")
    await ann.event("track_muted", lambda one, _: one.identity == seen.identity)
    await asyncio.to_thread(phone.send_digits, "*6")
    await ann.event("track_unmuted", lambda one, _: one.identity == seen.identity)
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await asyncio.to_thread(phone.send_digits, "*9")
    await ann.until(lambda: int(seen.attributes.get("hand", "0")) > 1_600_000_000_000, what="a hand")
    await asyncio.to_thread(phone.send_digits, "*9")
    await ann.until(lambda: "hand" not in seen.attributes, what="no hand")
    assert not ann.count("sip_dtmf_received"), "codes are no keys"


async def test_a_held_telephone_puts_no_music_into_the_room(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    seen = await phone_of(ann)
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await asyncio.to_thread(phone.hold)
    await asyncio.sleep(0.5)
    assert (await ann.listen(seen.identity)).is_silent
    await asyncio.to_thread(phone.resume)
    await ann.hears(seen.identity, TONES[PHONES[0]])


async def test_six_tones_each_hears_the_other_five_and_never_itself(lobby, phones):
    tones = {"ann": ANN, "ben": BEN, "cy": CY}
    guests = [await lobby.join(name) for name in tones]
    for guest in guests:
        await guest.speak(tones[guest.identity], level=-20)
    lines = [phones(index) for index in range(3)]
    speakers = dict(tones)
    for line in lines:
        known = set(guests[0].room.remote_participants)
        await dial(line, lobby.number)
        await guests[0].until(lambda: set(guests[0].room.remote_participants) - known, 30, "another telephone")
        (identity,) = set(guests[0].room.remote_participants) - known
        speakers[identity] = TONES[line.address]
    # Each of the SDK's participants has a track of everybody else's.
    for guest in guests:
        for identity, tone in speakers.items():
            if identity != guest.identity:
                await guest.hears(identity, tone, timeout=30)
    # A telephone has one mix of them.
    everybody = set(speakers.values())
    for line in lines:
        await asyncio.to_thread(hears_all_but, line.listen, everybody, TONES[line.address])


async def enter(phone, number, pin):
    await dial(phone, number)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(phone.send_digits, pin + "#")


async def test_a_pin_wrong_and_then_right(lobby, phones):
    ann = await lobby.join("ann")
    await ann.speak(ANN)
    phone = phones()
    await dial(phone, lobby.guarded)
    spoken = await asyncio.to_thread(phone.listen, 1.5)
    assert not spoken.is_silent, "nobody asked for the PIN"
    await asyncio.to_thread(phone.send_digits, "4321#")
    await asyncio.sleep(1.5)
    assert not ann.room.remote_participants, "in with a wrong PIN"
    await asyncio.to_thread(phone.send_digits, PIN + "#")
    seen = await phone_of(ann, 20)
    # Seen before it is heard.
    await ann.until(lambda: seen.attributes["sip.callStatus"] == "active")
    assert seen.attributes["sip.ruleID"]
    await ann.hears(seen.identity, TONES[PHONES[0]])
    await hears(phone, ANN)


async def test_three_wrong_pins_end_the_call(lobby, phones):
    phone = phones()
    await enter(phone, lobby.guarded, "1")
    for pin in ("11", "12345"):
        await asyncio.sleep(1.2)
        await asyncio.to_thread(phone.send_digits, pin + "#")
    await asyncio.to_thread(phone.wait, "CALL_CLOSED", 30)


async def test_callers_wait_for_the_host_who_commands_by_keys(lobby, phones):
    room = lobby.other
    guest, host = phones(0), phones(1)
    await enter(guest, lobby.waiting, PIN)
    await asyncio.sleep(2)
    assert not (await room.api.room.list_rooms(api.ListRoomsRequest(names=[room.room]))).rooms, "in without the host"
    await enter(host, lobby.waiting, HOST_PIN)
    ann = await room.join("ann")
    await ann.until(lambda: len(ann.room.remote_participants) == 2, 20, "both telephones")
    await ann.speak(ANN)
    by_tone = {}
    for identity in ann.room.remote_participants:
        heard = await ann.listen(identity, timeout=15)
        by_tone |= {address: identity for address, tone in TONES.items() if heard.is_tone(tone)}
    assert set(by_tone) == set(PHONES[:2])
    # Mute all: the guest and ann, not the host.
    await asyncio.to_thread(host.send_digits, "*3")
    await ann.event("track_muted", lambda one, _: one.identity == by_tone[PHONES[0]])
    await ann.event("track_muted", lambda one, _: one.identity == "ann")
    assert not (await ann.publication(by_tone[PHONES[1]])).muted
    # Lock: nobody else comes in.
    await asyncio.to_thread(host.send_digits, "*2")
    await asyncio.sleep(0.5)
    with pytest.raises(Exception):
        await room.join("ben", timeout=5)
    # End.
    await asyncio.to_thread(host.send_digits, "*88")
    for phone in (guest, host):
        await asyncio.to_thread(phone.wait, "CALL_CLOSED", 20)
    await ann.event("disconnected")


async def test_a_guest_commands_nothing(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones()
    await dial(phone, lobby.number)
    await phone_of(ann)
    await ann.speak(ANN)
    await asyncio.to_thread(phone.send_digits, "*3*2*88")
    await asyncio.sleep(1)
    assert not ann.count("track_muted")
    await lobby.join("ben")


async def test_a_desk_phone_comes_in_and_is_moved_to_another_room_and_out(lobby, phones):
    server = lobby.server
    desk = phones(3, register=("127.0.0.1", server.sip_port, "1001", "pw-1001", server.domain), codecs=("G722",))
    await asyncio.to_thread(desk.wait_registered)
    ann, ben = await lobby.join("ann"), await lobby.other.join("ben")
    await dial(desk, lobby.number)
    seen = await phone_of(ann)
    assert seen.name == "Agent 1001"
    await ann.hears(seen.identity, TONES[PHONES[3]])

    async def move(room, identity, to):
        await lobby.api.sip.transfer_sip_participant(
            api.TransferSIPParticipantRequest(room_name=room, participant_identity=identity, transfer_to=to)
        )

    await move(lobby.room, seen.identity, f"room:{lobby.other.room}")
    moved = await phone_of(ben)
    await ann.misses(seen.identity)
    await ben.hears(moved.identity, TONES[PHONES[3]])
    # Out of the room, to the milliwatt.
    await move(lobby.other.room, moved.identity, "601")
    await ben.misses(moved.identity)
    await hears(desk, MILLIWATT)


async def test_a_phone_is_rung_into_a_room_and_hung_up_with_its_removal(lobby, phones):
    ann = await lobby.join("ann")
    await ann.speak(ANN)
    phone = phones(0)
    trunk = await lobby.api.sip.create_outbound_trunk(
        api.CreateSIPOutboundTrunkRequest(
            trunk=api.SIPOutboundTrunkInfo(name="out", address=f"{phone.address}:{phone.port}", numbers=["+15550700"])
        )
    )
    ringing = asyncio.ensure_future(
        lobby.api.sip.create_sip_participant(
            api.CreateSIPParticipantRequest(
                sip_trunk_id=trunk.sip_trunk_id, sip_call_to=NUMBER, room_name=lobby.room, participant_identity="uncle",
                participant_name="Uncle Bob", dtmf="12w#", wait_until_answered=True,
            )
        )
    )
    seen = await ann.sees("uncle")
    answer = await ringing
    assert answer.participant_identity == "uncle" and answer.participant_id == seen.sid
    assert seen.kind == SIP and seen.name == "Uncle Bob"
    await ann.until(lambda: seen.attributes["sip.callStatus"] == "active", what="an active call")
    await ann.hears("uncle", TONES[PHONES[0]])
    await hears(phone, ANN)
    assert await asyncio.to_thread(phone.digits_heard) == "12#"
    await lobby.api.room.remove_participant(api.RoomParticipantIdentity(room=lobby.room, identity="uncle"))
    await asyncio.to_thread(phone.wait, "CALL_CLOSED")


async def test_a_phone_that_does_not_answer_rings_and_goes(lobby, phones):
    ann = await lobby.join("ann")
    phone = phones(0, answer="manual")
    trunk = await lobby.api.sip.create_outbound_trunk(
        api.CreateSIPOutboundTrunkRequest(
            trunk=api.SIPOutboundTrunkInfo(name="out", address=f"{phone.address}:{phone.port}", numbers=["+15550701"])
        )
    )

    def ring(**more):
        return lobby.api.sip.create_sip_participant(
            api.CreateSIPParticipantRequest(
                sip_trunk_id=trunk.sip_trunk_id, sip_call_to=NUMBER, room_name=lobby.room, participant_identity="uncle", **more
            )
        )

    await ring()
    seen = await ann.sees("uncle")
    await ann.until(lambda: seen.attributes.get("sip.callStatus") == "ringing", what="ringing")
    assert not seen.track_publications
    await asyncio.to_thread(phone.wait, "CALL_INCOMING")
    await asyncio.to_thread(phone.hang_up)
    await ann.misses("uncle")
    # With the answer awaited the refusal is an error with its status.
    busy = asyncio.ensure_future(ring(wait_until_answered=True))
    await asyncio.to_thread(phone.wait, "CALL_INCOMING")
    await asyncio.to_thread(phone.hang_up)
    with pytest.raises(api.TwirpError) as refused:
        await busy
    assert refused.value.metadata["sip_status_code"] == "486", refused.value.metadata


@pytest.fixture
def runner(lobby):
    """Runs the SDK's part of a test whose other half blocks."""
    made = Loop()
    yield made
    made(lobby.close())
    made.loop.call_soon_threadsafe(made.loop.stop)


def test_a_softphone_a_telephone_a_browser_and_the_sdk_hear_each_other(lobby, phones, browsers, runner):
    ann = runner(lobby.join("ann"))
    runner(ann.speak(ANN, level=-20))
    visitor = Visitor(browsers, lobby, "vic", CY)
    agent = Agent(browsers, lobby.server, "1001", BEN)
    try:
        visitor.connected()
        visitor.evaluate("lkRoom.localParticipant.setMicrophoneEnabled(true)")
        agent.call(lobby.number.split(":")[1].split("@")[0])
        phone = phones(0)
        phone.dial(lobby.number)
        phone.wait("CALL_ESTABLISHED")
        runner(ann.until(lambda: len(ann.room.remote_participants) == 3, 15, "all four"))
        tones = {ANN, BEN, CY, TONES[PHONES[0]]}
        # Each line has one mix, without its own voice.
        for listen, own in ((phone.listen, TONES[PHONES[0]]), (agent.listen, BEN)):
            hears_all_but(listen, tones, own)
        for identity, tone in (("sip_1001", BEN), ("vic", CY)):
            runner(ann.hears(identity, tone, timeout=15))
        hears_all_but(visitor.ears.listen, tones, CY)
    finally:
        agent.close()
