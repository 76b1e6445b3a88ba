"""Networks that break: the signal connection is cut under a call, and what must survive survives."""

import asyncio

import pytest
from livekit import rtc

from support import audio
from support.processes import guest_process
from support.proxy import Proxy
from support.rooms import House

WAYS = pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])


@pytest.fixture
def proxy(rooms):
    made = Proxy(("127.0.0.1", rooms.http_port))
    made.url = f"http://127.0.0.1:{made.port}"
    yield made
    made.close()


@WAYS
async def test_a_cut_signal_is_resumed(house, proxy, single):
    ann = await house.join("ann", single=single, url=proxy.url)
    bob = await house.join("bob", single=single)
    await ann.speak(audio.ALICE)
    await bob.speak(audio.BOB)
    await asyncio.gather(bob.hears("ann", audio.ALICE), ann.hears("bob", audio.BOB))
    sid = ann.local.sid
    proxy.cut()
    proxy.mend()
    await ann.event("reconnecting")
    await ann.event("reconnected", timeout=15)
    assert ann.local.sid == sid
    # Native SDKs declare everybody gone three seconds after a resume without the full snapshot.
    await asyncio.sleep(4)
    assert ann.count("participant_disconnected") == 0 and bob.count("participant_disconnected") == 0
    assert "bob" in ann.room.remote_participants
    await asyncio.gather(bob.hears("ann", audio.ALICE), ann.hears("bob", audio.BOB))
    # Signalling works again, both ways.
    await ann.show(number=0x5A)
    await bob.watches("ann", 0x5A)
    carl = await house.join("carl", single=single)
    await ann.sees("carl")
    await carl.hears("ann", audio.ALICE)


@WAYS
async def test_media_goes_on_while_the_signal_is_cut(house, proxy, single):
    ann = await house.join("ann", single=single, url=proxy.url)
    bob = await house.join("bob", single=single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    listening = asyncio.ensure_future(bob.listen("ann", 4, timeout=15))
    await asyncio.sleep(0.5)
    proxy.cut()
    proxy.mend()
    await ann.event("reconnected", timeout=15)
    heard = await listening
    assert heard.is_tone(audio.ALICE), heard
    assert len(heard.jumps(audio.ALICE)) <= 4, heard.jumps(audio.ALICE)


@WAYS
async def test_who_came_and_went_meanwhile(house, proxy, single):
    ann = await house.join("ann", single=single, url=proxy.url)
    bob = await house.join("bob", single=single)
    await ann.sees("bob")
    proxy.cut()
    await ann.event("reconnecting")
    await bob.leave()
    carl = await house.join("carl", single=single)
    await carl.speak(audio.CARRIER)
    proxy.mend()
    await ann.event("reconnected", timeout=15)
    await ann.misses("bob")
    await ann.sees("carl")
    await ann.hears("carl", audio.CARRIER, timeout=12)


@WAYS
async def test_reliable_data_is_neither_lost_nor_doubled(house, proxy, single):
    ann = await house.join("ann", single=single, url=proxy.url)
    bob = await house.join("bob", single=single, url=proxy.url)
    await ann.sees("bob")
    await bob.sees("ann")
    for number in range(30):
        await ann.local.publish_data(bytes([number]))
        if number == 10:
            proxy.cut()
            proxy.mend()
        await asyncio.sleep(0.05)
    await bob.until(lambda: len(bob.data) >= 30, 20, "30 packets")
    await asyncio.sleep(1)
    assert [packet.data[0] for packet in bob.data] == list(range(30))


@WAYS
async def test_a_full_reconnect_publishes_again(house, single):
    ann, bob = await house.join("ann", single=single), await house.join("bob", single=single)
    await ann.speak(audio.ALICE)
    await bob.hears("ann", audio.ALICE)
    old = bob.room.remote_participants["ann"].sid
    await ann.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
    await ann.event("reconnected", timeout=20)

    def is_new():
        seen = bob.room.remote_participants.get("ann")
        return seen and seen.sid != old

    since = bob.mark
    await bob.until(is_new, what="the new ann")
    await bob.event("track_subscribed", since=max(0, since - 20), timeout=12)
    await bob.hears("ann", audio.ALICE, timeout=12)


@WAYS
async def test_a_killed_client_may_start_again(house, single):
    ann = await house.join("ann", single=single)
    killed = await guest_process(house, "bob", single)
    old = (await ann.sees("bob")).sid
    killed.kill()
    await killed.wait()
    await asyncio.sleep(0.5)
    # Its session is kept for a while: it might have been the network.
    assert ann.room.remote_participants["bob"].sid == old
    again = await house.join("bob", single=single)
    await again.speak(audio.BOB)
    await ann.until(lambda: ann.room.remote_participants["bob"].sid == again.local.sid, what="the new bob")
    await ann.hears("bob", audio.BOB)


@pytest.mark.slow
async def test_a_killed_client_is_gone_after_a_while(house):
    ann = await house.join("ann")
    killed = await guest_process(house, "bob", False)
    await ann.sees("bob")
    killed.kill()
    await killed.wait()
    await ann.misses("bob", timeout=50)


async def test_the_server_s_end_is_told(new_server, tmp_path):
    server = new_server(users=())
    house = House(server)
    try:
        ann = await house.join("ann")
        server.terminate()
        # SERVER_SHUTDOWN asks for a reconnect; there is nothing to reconnect to.
        await ann.until(lambda: ann.count("reconnecting") or ann.count("disconnected"), 10, "told")
    finally:
        await house.close()


async def test_a_restarted_server_is_joined_anew(new_server):
    server = new_server(users=())
    house = House(server)
    try:
        ann, bob = await house.join("ann"), await house.join("bob")
        await ann.speak(audio.ALICE)
        await bob.hears("ann", audio.ALICE)
        server.kill()
        await asyncio.to_thread(server.start)
        for guest in (ann, bob):
            await guest.event("reconnected", timeout=30)
        await bob.hears("ann", audio.ALICE, timeout=15)
    finally:
        await house.close()
