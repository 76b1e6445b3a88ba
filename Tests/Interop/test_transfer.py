"""Transfers with real clients: the audio is followed to where it should be, in every direction, after each."""

from conftest import CALLER, RAW
from support.audio import ALICE, BOB, CARRIER
from support.audio import CALLER as CALLER_TONE
from support.baresip import Baresip
from support.desk import Desk
from support.sip import Dialog, Media, sdp
from test_calls import hears
from test_hold import is_music


def transfer(agent, target):
    """Begins a blind transfer of the current call; the outcome is in `agent.transfers`."""
    agent.page.evaluate("target => agent.transfer(target)", target)


def sounds(heard, *tones):
    """All of these at once: the mix of a conference."""
    for tone in tones:
        assert heard.tone(tone) > -40, f"{tone} Hz is missing, {heard}"


def outcome(agent, timeout=10.0):
    return agent.wait("agent.transfers.at(-1)", timeout, "told how the transfer went")


def test_an_agent_transfers_a_carriers_call_to_another_agent(server, known, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    with Baresip(CALLER, CALLER_TONE, name="caller") as caller:
        caller.dial(server.uri("+15550100"))
        alice.wait_ringing()
        alice.answer()
        hears(alice.listen(2).last(1), CALLER_TONE, BOB)
        transfer(alice, "1002")
        assert bob.wait_ringing()["from"] == "5551234", "who is transferred is named"
        waiting = caller.listen(1.5).last(0.75)
        sounds(waiting, 440, 480)
        assert waiting.lacks(ALICE), f"ringback while the target rings, {waiting}"
        bob.answer()
        assert outcome(alice) == "transferred"
        assert alice.wait_call("ended")["cause"] == "transferred"
        hears(bob.listen(2.5).last(1.5), CALLER_TONE, ALICE, BOB)
        hears(caller.listen(2).last(1.5), BOB, ALICE, CALLER_TONE)
        caller.hang_up()
        bob.wait_call("ended")
    record = server.record(known, to="+15550100")
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    assert [leg["party"] for leg in record["legs"]] == ["carrier", "1001", "1002"]
    assert record["legs"][1]["reason"] == "transferred"
    done = record["transfers"]
    assert [(one["kind"], one["by"], one["moved"], one["to"], one["status"], one["leg"]) for one in done] == [
        ("blind", 1, 0, "1002", 200, 2)
    ]
    assert len([call for call in server.calls() if call["id"] not in known]) == 1, "one call, one record"


def test_an_agent_transfers_another_agent_to_the_carrier(server, known, agent, baresip):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    alice.call("1002", until=None)
    bob.wait_ringing()
    bob.answer()
    alice.wait_call("active")
    hears(bob.listen(2).last(1), ALICE)
    transfer(alice, "9115553001")
    assert outcome(alice) == "transferred"
    hears(bob.listen(2.5).last(1.5), CARRIER, ALICE, BOB)
    hears(baresip.listen(2).last(1.5), BOB, ALICE, CARRIER)
    bob.hang_up()
    baresip.wait("CALL_CLOSED")
    record = server.record(known, to="1002")
    assert [leg["kind"] for leg in record["legs"]] == ["user", "user", "trunk"]


def test_a_refused_transfer_gives_the_call_back(server, known, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    with Baresip(CALLER, CALLER_TONE, name="caller") as caller:
        caller.dial(server.uri("+15550100"))
        alice.wait_ringing()
        alice.answer()
        hears(alice.listen(2).last(1), CALLER_TONE)
        transfer(alice, "1002")
        bob.wait_ringing()
        bob.reject(486)
        assert outcome(alice) == "busy"
        assert alice.state["state"] == "active"
        hears(alice.listen(2).last(1), CALLER_TONE, ALICE)
        hears(caller.listen(2).last(1), ALICE, CALLER_TONE)
        transfer(alice, "777")
        alice.wait("agent.transfers.length === 2", what="the second outcome")
        assert outcome(alice) == "not-found"
        hears(alice.listen(1.5).last(1), CALLER_TONE)
        alice.hang_up()
    record = server.record(known, to="+15550100")
    assert [one["status"] for one in record["transfers"]] == [486], "a number that does not exist is no transfer"


def test_an_attended_transfer_joins_the_two_others(server, known, agent, baresip):
    """Alice talks to the caller, asks Bob while the caller waits, toggles, and joins them."""
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    with Baresip(CALLER, CALLER_TONE, name="caller") as caller:
        caller.dial(server.uri("+15550100"))
        alice.wait_ringing()
        alice.answer()
        hears(alice.listen(2).last(1), CALLER_TONE)
        alice.page.evaluate("agent.current.hold()")
        alice.wait("agent.current.onHold", what="held")
        alice.call("1002", until=None)
        bob.wait_ringing()
        bob.answer()
        alice.wait_call("active")
        hears(bob.listen(2).last(1), ALICE, CALLER_TONE)
        assert is_music(caller.listen(1.5).last(1)), "the caller waits with music"
        alice.page.evaluate("agent.phone.switchTo(agent.calls[0])")
        hears(caller.listen(2.5).last(1), ALICE, BOB)
        assert is_music(bob.listen(1.5).last(1)), "now Bob waits"
        alice.page.evaluate("agent.attended(agent.calls[0], agent.calls[1])")
        assert outcome(alice) == "transferred"
        hears(bob.listen(2.5).last(1.5), CALLER_TONE, ALICE, BOB)
        hears(caller.listen(2).last(1.5), BOB, ALICE, CALLER_TONE)
        alice.wait("agent.calls.every((call) => call.isEnded)", what="out of both calls")
        bob.hang_up()
        caller.wait("CALL_CLOSED")
    record = server.record(known, to="+15550100")
    assert [(one["kind"], one["status"]) for one in record["transfers"]] == [("attended", 200)]
    assert [leg["party"] for leg in record["legs"]] == ["carrier", "1001", "1002"]
    other = server.record(known, to="1002")
    assert record["id"] in other["reason"], "the consultation says where it went"


def test_three_talk_in_a_local_conference(server, known, agent, baresip):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    alice.call("9115553002")
    baresip.wait("CALL_ESTABLISHED")
    alice.page.evaluate("agent.current.hold()")
    alice.call("1002", until=None)
    bob.wait_ringing()
    bob.answer()
    alice.wait_call("active")
    alice.page.evaluate("agent.conference()")
    sounds(bob.listen(3).last(1.5), ALICE, CARRIER)
    sounds(baresip.listen(2.5).last(1.5), ALICE, BOB)
    sounds(alice.listen(2).last(1), BOB, CARRIER)
    bob.hang_up()
    alice.wait("agent.calls.at(-1).isEnded", what="Bob gone")
    hears(baresip.listen(2.5).last(1), ALICE, BOB)
    alice.page.evaluate("agent.calls[0].hangUp()")
    baresip.wait("CALL_CLOSED")


def test_a_desk_phone_transfers_by_its_own_means(server, known, agent, baresip):
    """baresip, registered as 1003, sends REFER and reads the NOTIFYs."""
    alice = agent("1001", ALICE)
    account = ("127.0.0.1", server.sip_port, "1003", "pw-1003", server.domain)
    with Baresip("127.0.0.21", BOB, answer="manual", register=account, name="phone") as phone:
        phone.wait_registered()
        alice.call("1003", until=None)
        phone.wait("CALL_INCOMING")
        phone.accept()
        alice.wait_call("active")
        hears(alice.listen(2).last(1), BOB)
        phone.command("transfer", "sip:9115553003@localhost")
        hears(alice.listen(4).last(1.5), CARRIER, BOB)
        hears(baresip.listen(2).last(1.5), ALICE, BOB)
        phone.wait("CALL_CLOSED")
        alice.hang_up()
    record = server.record(known, to="1003")
    assert [leg["party"] for leg in record["legs"]] == ["1001", "1003", "carrier"]


def test_a_carrier_may_not_transfer(server, known, agent, trunk, party):
    """Whoever can make us call a number makes us pay for it."""
    alice, voice = agent("1001", ALICE), party(CARRIER)
    alice.call("9215553004", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.accept(sdp(RAW, voice.port))
    voice.start(dialog.media.address, dialog.media.port)
    hears(alice.listen(2).last(1), CARRIER)
    refused = dialog.request("REFER", extra=[("Refer-To", "<sip:+15550600@localhost>"), ("Contact", trunk.contact)])
    assert refused.status == 403
    hears(alice.listen(1.5).last(1), CARRIER, ALICE)
    alice.hang_up()
    dialog.wait_bye()


def test_the_desk_transfers_without_a_mouse(server, known, browsers, agent, baresip):
    bob = agent("1002", BOB)
    desk = Desk(browsers, server, "1003", ALICE)
    try:
        desk.dial("9115553005")
        desk.wait_call("active")
        hears(desk.listen(2).last(1), CARRIER)
        desk.at("mute").focus()
        desk.page.keyboard.press("t")
        desk.see("transfer-target")
        desk.page.keyboard.type("1002")
        desk.page.keyboard.press("Enter")
        bob.wait_ringing()
        desk.see("transfer-note", text="rings")
        bob.reject(486)
        desk.see("transfer-note", text="busy")
        hears(desk.listen(1.5).last(1), CARRIER)
        desk.page.keyboard.press("Enter")
        bob.wait("agent.calls.length === 2 && agent.current.state === 'ringing'", what="called again")
        bob.answer()
        hears(bob.listen(2.5).last(1), CARRIER, BOB)
        hears(baresip.listen(1.5).last(1), BOB, ALICE)
        desk.wait_call(None)
        bob.hang_up()
    finally:
        desk.close()
    assert [one["status"] for one in server.record(known, to="9115553005")["transfers"]] == [486, 200]
