"""The main job: calls between a browser and a trunk, both ways, with the tones recognised on both sides."""

import pytest
from conftest import CALLER, RAW
from support.audio import ALICE, BOB, CARRIER, MILLIWATT
from support.audio import CALLER as CALLER_TONE
from support.baresip import NUMBER, Baresip
from support.browser import Agent
from support.sip import Dialog, Media, sdp


def hears(heard, tone, *others):
    """That tone, and none of the others: the negative control of every listening."""
    assert heard.is_tone(tone), f"expected {tone} Hz, {heard}"
    for other in others:
        assert heard.lacks(other), f"{other} Hz does not belong there, {heard}"


def legs(record):
    return {leg["kind"]: leg for leg in record["legs"]}


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_browser_calls_out_through_the_trunk(server, known, agent, baresip, secure):
    alice = agent("1001", ALICE, secure=secure)
    alice.call("9115551234")
    hears(alice.listen(2.5).last(1.5), CARRIER, ALICE, BOB, CALLER_TONE)
    hears(baresip.listen(2).last(1.5), ALICE, CARRIER, BOB, CALLER_TONE)
    stats = alice.stats()
    assert stats["outbound"][0]["codec"] == "audio/opus" and stats["srtp"], stats
    alice.hang_up()
    record = server.record(known, to="9115551234")
    assert (record["outcome"], record["status"], record["ended_by"]) == ("answered", 200, "caller")
    assert (record["from"], record["direction"]) == ("1001", "outbound")
    user, trunk = legs(record)["user"], legs(record)["trunk"]
    assert user["codec"] == "opus" and trunk["codec"] == "PCMU" and trunk["party"] == "carrier"
    assert user["transport"].lower() == ("wss" if secure else "ws")
    for leg in (user, trunk):
        assert leg["media"]["packets_received"] > 150 and leg["media"]["packets_sent"] > 150, leg
        assert leg["media"]["packets_lost"] <= 2, leg
    baresip.wait("CALL_CLOSED")


def test_the_trunk_calls_a_browser(server, known, agent):
    alice = agent("1001", ALICE)
    with Baresip(CALLER, CALLER_TONE, name="caller") as caller:
        caller.dial(server.uri("+15550100"))
        ringing = alice.wait_ringing()
        assert ringing["from"], "the caller is named"
        caller.wait("CALL_RINGING")
        alice.answer()
        caller.wait("CALL_ESTABLISHED")
        hears(alice.listen(2.5).last(1.5), CALLER_TONE, ALICE, CARRIER)
        hears(caller.listen(2).last(1.5), ALICE, CALLER_TONE, CARRIER)
        caller.hang_up()
        alice.wait_call("ended")
    record = server.record(known, to="+15550100")
    assert (record["outcome"], record["status"], record["ended_by"]) == ("answered", 200, "caller")
    assert record["direction"] == "inbound"
    assert legs(record)["user"]["party"] == "1001" and record["legs"][0]["kind"] == "trunk"


def test_the_callee_hangs_up(server, known, agent, baresip):
    alice = agent("1001", ALICE)
    alice.call("9115551235")
    baresip.wait("CALL_ESTABLISHED")
    assert alice.listen(1.5).last(0.5).is_tone(CARRIER)
    baresip.hang_up()
    assert alice.wait_call("ended")["cause"] == "hung-up-remote"
    assert server.record(known, to="9115551235")["ended_by"] == "callee"


def test_two_browsers_talk_and_opus_passes_untouched(server, known, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    alice.call("1002", until=None)
    bob.wait_ringing()
    bob.answer()
    alice.wait_call("active")
    hears(alice.listen(2.5).last(1.5), BOB, ALICE, CARRIER)
    hears(bob.listen(2).last(1.5), ALICE, BOB, CARRIER)
    for one in (alice, bob):
        stats = one.stats()
        assert stats["inbound"][0]["codec"] == stats["outbound"][0]["codec"] == "audio/opus"
    bob.hang_up()
    record = server.record(known, to="1002")
    assert (record["outcome"], record["ended_by"], record["direction"]) == ("answered", "callee", "internal")
    assert [leg["codec"] for leg in record["legs"]] == ["opus", "opus"]


def test_the_echo_gives_the_caller_its_own_voice(server, known, agent):
    alice = agent("1001", ALICE)
    alice.call("600")
    hears(alice.listen(3).last(1.5), ALICE, CARRIER, BOB)
    alice.hang_up()
    record = server.record(known, to="600")
    assert record["outcome"] == "answered" and record["legs"][-1]["kind"] == "built-in"


def test_the_milliwatt_is_1004_hz_at_its_level(server, known, agent):
    alice = agent("1001", ALICE)
    alice.call("601")
    heard = alice.listen(3).last(1.5)
    hears(heard, MILLIWATT, ALICE, CARRIER, 1050)
    # 0 dBm0 is 3.17 dB under the overload point of a sine (ITU-T G.711 §5): -6.2 dBFS as root mean square.
    assert -9 < heard.level < -4, heard
    alice.hang_up()


def test_a_trunk_caller_reaches_echo_and_milliwatt(server, known, trunk, party):
    for number, tone in (("+15550600", CARRIER), ("+15550601", MILLIWATT)):
        voice, dialog = party(CARRIER), Dialog(trunk)
        answer = dialog.dial(server.uri(number), sdp(RAW, voice.port))
        assert answer.status == 200
        media = Media(answer.body)
        voice.start(media.address, media.port)
        hears(voice.listen(2.5).last(1.5), tone, ALICE, BOB)
        assert dialog.bye().status == 200


def test_early_media_reaches_the_browser_before_the_answer(server, known, agent, trunk, party):
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215550001", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    body = sdp(RAW, voice.port)
    dialog.ring(183, body)
    voice.start(dialog.media.address, dialog.media.port)
    alice.wait("agent.current.earlyMedia", what="early media")
    hears(alice.listen(2.5).last(1), CARRIER, ALICE)
    assert alice.state["state"] != "active"
    dialog.accept(body)
    alice.wait_call("active")
    hears(alice.listen(1.5).last(1), CARRIER, ALICE)
    hears(voice.listen(1.5).last(1), ALICE, CARRIER)
    alice.hang_up()
    dialog.wait_bye()
    record = server.record(known, to="9215550001")
    assert record["outcome"] == "answered"


def test_early_media_of_a_call_that_is_never_answered(server, known, agent, trunk, party):
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215550002", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.ring(183, sdp(RAW, voice.port))
    voice.start(dialog.media.address, dialog.media.port)
    assert alice.listen(2).last(0.5).is_tone(CARRIER), "an announcement"
    dialog.reject(404, "Not Found")
    assert alice.wait_call("ended")["status"] == 404


def test_all_contacts_of_a_user_ring_and_the_others_learn_who_answered(server, known, agent, trunk, party):
    first, second = agent("1001", ALICE), agent("1001", ALICE)
    voice, dialog = party(CALLER_TONE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, voice.port), final=False)
    for one in (first, second):
        one.wait_ringing()
    second.answer()
    answer = dialog.finish()
    assert answer.status == 200
    media = Media(answer.body)
    voice.start(media.address, media.port)
    assert first.wait_call("ended")["cause"] == "answered-elsewhere"
    hears(second.listen(2).last(1), CALLER_TONE, ALICE)
    hears(voice.listen(1.5).last(1), ALICE, CALLER_TONE)
    dialog.bye()
    second.wait_call("ended")
    record = server.record(known, to="+15550100")
    assert record["outcome"] == "answered"



@pytest.mark.parametrize("codec", ["opus", "G722", "PCMA"])
def test_a_trunk_with_another_codec(new_server, browsers, codec):
    """Opus goes through as it is; G.722 and A-law are transcoded."""
    with Baresip(CALLER, CALLER_TONE, codecs=(codec,)) as carrier:
        parley = new_server(
            users=("1001",),
            trunks=[{"name": "carrier", "host": f"{CALLER}:{carrier.port}", "codecs": [codec]}],
            routes=[{"match": r"^9(\d+)$", "to": "trunk:carrier", "number": NUMBER}],
        )
        alice = Agent(browsers, parley, "1001", ALICE)
        try:
            alice.call("9115551236")
            hears(alice.listen(2.5).last(1.5), CALLER_TONE, ALICE)
            hears(carrier.listen(2).last(1.5), ALICE, CALLER_TONE)
            alice.hang_up()
            assert [leg["codec"] for leg in parley.record(to="9115551236")["legs"]] == ["opus", codec]
        finally:
            alice.close()
    assert parley.stop() == 0


def test_six_calls_at_a_time_stay_apart(server, known, trunk, party):
    """Each caller hears its own echo and nobody else's."""
    tones = (455, 600, 1115, 1500, 1855, 2525)
    made = []
    for tone in tones:
        voice, dialog = party(tone), Dialog(trunk)
        answer = dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port))
        media = Media(answer.body)
        voice.start(media.address, media.port)
        made.append((tone, voice, dialog))
    made[0][1].listen(2)
    for tone, voice, dialog in made:
        hears(voice.heard().last(1), tone, *(other for other in tones if other != tone))
        assert dialog.bye().status == 200
    server.record(known, to="+15550600")
