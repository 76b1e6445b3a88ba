"""Coming and going: what everybody learns of everybody."""

import asyncio

import pytest
from livekit import rtc
from livekit.protocol.room import RoomConfiguration

from support.rooms import DisconnectReason

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])


@WAYS
async def test_join_and_leave(house, single):
    ann = await house.join("ann", single=single)
    assert ann.room.isconnected()
    assert ann.local.sid.startswith("PA_")
    assert (await ann.room.sid).startswith("RM_")
    assert ann.room.name == house.room
    bob = await house.join("bob", single=single)
    await ann.sees("bob")
    await bob.sees("ann")
    await ann.event("participant_connected", lambda other: other.identity == "bob")
    await bob.leave()
    gone = (await ann.event("participant_disconnected"))[0]
    assert gone.identity == "bob"
    assert gone.disconnect_reason == DisconnectReason.CLIENT_INITIATED
    await ann.misses("bob")


async def test_the_sdk_s_own_choice(house):
    ann, bob = await house.join("ann"), await house.join("bob")
    await ann.sees("bob")
    await bob.sees("ann")


async def test_both_ways_meet_in_one_room(house):
    ann, bob = await house.join("ann", single=False), await house.join("bob", single=True)
    await ann.sees("bob")
    await bob.sees("ann")


@WAYS
async def test_what_the_token_says(house, single):
    ann = await house.join("ann", single=single)
    bob = await house.join(
        "bob", single=single, name="Bob Ö.", metadata='{"a":1}', attributes={"seat": "4", "row": "ä"}
    )
    assert (bob.local.name, bob.local.metadata, dict(bob.local.attributes)) == (
        "Bob Ö.", '{"a":1}', {"seat": "4", "row": "ä"},
    )
    seen = await ann.sees("bob")
    assert (seen.name, seen.metadata, dict(seen.attributes)) == ("Bob Ö.", '{"a":1}', {"seat": "4", "row": "ä"})
    assert seen.kind == rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
    assert seen.sid == bob.local.sid


async def test_kinds_of_participants(house):
    ann = await house.join("ann")
    await house.join("bot", kind="agent")
    assert (await ann.sees("bot")).kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


@WAYS
async def test_ten_at_once(house, single):
    guests = await asyncio.gather(*(house.join(f"guest-{n}", single=single) for n in range(10)))
    for guest in guests:
        for other in guests:
            if other is not guest:
                await guest.sees(other.identity)


@WAYS
async def test_the_hidden_are_not_seen(house, single):
    ann = await house.join("ann", single=single)
    ghost = await house.join("ghost", single=single, hidden=True)
    await ghost.sees("ann")
    bob = await house.join("bob", single=single)
    await ghost.sees("bob")
    await asyncio.sleep(0.3)
    assert "ghost" not in ann.room.remote_participants
    assert "ghost" not in bob.room.remote_participants
    assert ann.room.num_participants <= 2


@WAYS
async def test_the_same_identity_again(house, single):
    ann = await house.join("ann", single=single)
    first = await house.join("bob", single=single)
    old = first.local.sid
    await ann.sees("bob")
    second = await house.join("bob", single=single)
    reason = (await first.event("disconnected"))[0]
    assert reason == DisconnectReason.DUPLICATE_IDENTITY
    assert second.local.sid != old
    await ann.until(lambda: ann.room.remote_participants.get("bob") and ann.room.remote_participants["bob"].sid == second.local.sid)
    # The old one may not take the new one with it.
    await asyncio.sleep(0.7)
    assert ann.room.remote_participants["bob"].sid == second.local.sid
    assert second.room.isconnected()


async def test_room_counts(house):
    ann = await house.join("ann")
    bob = await house.join("bob")
    await ann.until(lambda: ann.room.num_participants == 2, what="two participants")
    await bob.speak(455)
    await ann.until(lambda: ann.room.num_publishers == 1, what="one publisher")
    await bob.leave()
    await ann.until(lambda: ann.room.num_participants == 1, what="one participant")
    await ann.until(lambda: ann.room.num_publishers == 0, what="no publisher")


async def test_a_full_room_refuses(house):
    config = RoomConfiguration(max_participants=1)
    await house.join("ann", config=config)
    with pytest.raises(rtc.ConnectError):
        await house.join("bob", timeout=40)


async def test_room_configuration_of_the_token(house):
    ann = await house.join("ann", config=RoomConfiguration(empty_timeout=77, departure_timeout=9, metadata="from the token"))
    assert ann.room.metadata == "from the token"
    assert ann.room.empty_timeout == 77
    assert ann.room.departure_timeout == 9


async def test_active_is_told(house):
    ann = await house.join("ann")
    await house.join("bob")
    await ann.event("participant_active", lambda other: other.identity == "bob")


async def test_a_token_is_refreshed(house):
    ann = await house.join("ann", ttl=30)
    await ann.event("token_refreshed", timeout=5)
