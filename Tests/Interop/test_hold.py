"""Hold: three times in a row, with audio after each; music to the held side; both directions."""

from conftest import RAW
from support.audio import ALICE, BOB, CARRIER
from support.sip import Dialog, Media, sdp
from test_calls import hears


def is_music(heard):
    """Something sounds that is none of the parties, and it is not one bare tone."""
    return heard.level > -45 and all(heard.lacks(tone) or not heard.is_tone(tone) for tone in (ALICE, BOB, CARRIER))


def test_the_agent_holds_and_resumes_three_times(server, known, agent, baresip):
    alice = agent("1001", ALICE)
    alice.call("9115552001")
    hears(baresip.listen(2).last(1), ALICE)
    for turn in range(3):
        alice.hold()
        alice.wait("agent.current.onHold", what="held")
        held = baresip.listen(2).last(1)
        assert not held.is_tone(ALICE) and is_music(held), f"turn {turn}: music on hold, {held}"
        quiet = alice.listen(1)
        assert quiet.is_silent, f"turn {turn}: the holder hears nothing, {quiet}"
        alice.resume()
        hears(baresip.listen(2).last(1), ALICE, CARRIER)
        hears(alice.listen(1.5).last(1), CARRIER, ALICE)
    alice.hang_up()
    record = server.record(known, to="9115552001")
    assert record["outcome"] == "answered"


def test_baresip_holds_and_resumes_three_times(server, known, agent, baresip):
    """Its own recording ends with its first hold, so the other direction is the next test's."""
    alice = agent("1001", ALICE)
    alice.call("9115552002")
    baresip.wait("CALL_ESTABLISHED")
    hears(alice.listen(2).last(1), CARRIER)
    for turn in range(3):
        baresip.hold()
        held = alice.listen(2).last(1)
        assert not held.is_tone(CARRIER), f"turn {turn}: {held}"
        baresip.resume()
        hears(alice.listen(2).last(1), CARRIER, ALICE)
    alice.hang_up()


def test_the_trunk_holds_and_resumes_three_times(server, known, agent, trunk, party):
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215552002", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.accept(sdp(RAW, voice.port))
    voice.start(dialog.media.address, dialog.media.port)
    hears(alice.listen(2).last(1), CARRIER)
    for turn in range(3):
        held = dialog.request("INVITE", sdp(RAW, voice.port, direction="sendonly", version=2 + 2 * turn))
        assert Media(held.body).direction in ("recvonly", "inactive"), f"turn {turn}"
        voice.pause()
        assert not alice.listen(2).last(1).is_tone(CARRIER), f"turn {turn}"
        open_again = dialog.request("INVITE", sdp(RAW, voice.port, version=3 + 2 * turn))
        assert Media(open_again.body).direction == "sendrecv", f"turn {turn}"
        voice.sending = True
        hears(alice.listen(2).last(1), CARRIER, ALICE)
        hears(voice.listen(1.5).last(1), ALICE, CARRIER)
    dialog.bye()


def test_a_browser_held_by_a_browser_hears_music(server, known, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    alice.call("1002", until=None)
    bob.wait_ringing()
    bob.answer()
    hears(bob.listen(2).last(1), ALICE)
    alice.hold()
    held = bob.listen(2).last(1)
    assert is_music(held), held
    assert alice.listen(1).is_silent
    alice.resume()
    hears(bob.listen(2).last(1), ALICE, BOB)
    hears(alice.listen(1.5).last(1), BOB, ALICE)
    alice.hang_up()


def test_both_sides_hold_and_the_first_resume_alone_opens_nothing(server, known, agent, trunk, party):
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215552003", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.accept(sdp(RAW, voice.port))
    voice.start(dialog.media.address, dialog.media.port)
    hears(alice.listen(2).last(1), CARRIER)
    alice.hold()
    offers = []
    answer = dialog.request("INVITE", sdp(RAW, voice.port, direction="sendonly", version=2))
    assert answer.status == 200
    assert Media(answer.body).direction in ("recvonly", "inactive")
    alice.resume()
    for _ in range(2):
        try:
            offer = trunk.request("INVITE", 1.0, dialog.call_id)
        except AssertionError:
            break
        offers.append(offer)
        trunk.reply(offer, 200, "OK", body=sdp(RAW, voice.port, direction="sendonly", version=3))
        trunk.request("ACK", call_id=dialog.call_id)
    answer = dialog.request("INVITE", sdp(RAW, voice.port, direction="sendrecv", version=4))
    assert answer.status == 200 and Media(answer.body).direction == "sendrecv"
    hears(alice.listen(2).last(1), CARRIER, ALICE)
    hears(voice.listen(1.5).last(1), ALICE, CARRIER)
    dialog.bye()
