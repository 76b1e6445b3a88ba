"""Calls that do not come to be: each with the status that the caller sees, and a record that says so."""

import time

import pytest
from conftest import RAW, STRANGER
from support.audio import ALICE, BOB
from support.sip import Dialog, Endpoint, sdp


def ended(agent, **expected):
    state = agent.wait_call("ended", 20)
    assert {name: state[name] for name in expected} == expected, agent.story()
    return state


def test_an_unknown_number_is_404(server, known, agent):
    alice = agent("1001", ALICE)
    alice.call("7777", until=None)
    ended(alice, status=404, cause="not-found")
    record = server.record(known, to="7777")
    assert record["outcome"] in ("failed", "rejected") and record["status"] == 404 and not record.get("answered_at")


def test_a_user_who_is_not_registered_is_480(server, known, agent):
    alice = agent("1001", ALICE)
    alice.call("1004", until=None)
    ended(alice, status=480)
    assert server.record(known, to="1004")["status"] == 480


@pytest.mark.parametrize(
    ("status", "seen", "outcome"),
    [(486, 486, "busy"), (600, 600, "busy"), (603, 603, "rejected"), (480, 480, None), (404, 404, None), (503, None, "failed")],
)
def test_what_the_trunk_answers_reaches_the_agent(server, known, agent, trunk, status, seen, outcome):
    alice = agent("1001", ALICE)
    alice.call(f"921555{status}0", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.ring()
    alice.wait("agent.current.state === 'ringing'", what="ringing")
    dialog.reject(status)
    state = ended(alice)
    assert state["status"] == seen if seen else 480 <= state["status"] < 600
    record = server.record(known, to=f"921555{status}0")
    assert record["outcome"] == outcome if outcome else record["outcome"] != "answered"
    assert record["status"] == state["status"] and not record.get("answered_at")


def test_the_agent_is_busy(server, known, agent, trunk):
    alice, dialog = agent("1001", ALICE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, 40000), final=False)
    alice.wait_ringing()
    alice.reject(486)
    assert dialog.finish().status == 486
    record = server.record(known, to="+15550100")
    assert (record["outcome"], record["status"]) == ("busy", 486)


def test_the_agent_declines(server, known, agent, trunk):
    alice, dialog = agent("1001", ALICE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, 40000), final=False)
    alice.wait_ringing()
    alice.reject()
    assert dialog.finish().status in (603, 486, 480)
    assert server.record(known, to="+15550100")["outcome"] in ("rejected", "busy")


def test_nobody_answers_at_the_trunk(server, known, agent, trunk):
    alice = agent("1001", ALICE)
    alice.call("9215554001", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.ring()
    started = time.monotonic()
    cancel = trunk.request("CANCEL", 15, dialog.call_id)
    assert 6 < time.monotonic() - started < 12, "sip.no-answer is 8 s here"
    trunk.reply(cancel, 200)
    dialog.reject(487)
    state = ended(alice)
    assert state["status"] in (408, 480)
    record = server.record(known, to="9215554001")
    assert record["outcome"] == "no-answer" and record["ended_by"] == "system"


def test_nobody_answers_in_the_browser(server, known, agent, trunk):
    alice, dialog = agent("1001", ALICE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, 40000), final=False)
    alice.wait_ringing()
    assert dialog.finish(15).status in (408, 480)
    alice.wait_call("ended")
    assert server.record(known, to="+15550100")["outcome"] == "no-answer"


def test_the_agent_gives_up_while_the_trunk_rings(server, known, agent, trunk):
    alice = agent("1001", ALICE)
    alice.call("9215554002", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.ring()
    alice.wait("agent.current.state === 'ringing'", what="ringing")
    alice.hang_up()
    trunk.reply(trunk.request("CANCEL", call_id=dialog.call_id), 200)
    dialog.reject(487)
    record = server.record(known, to="9215554002")
    assert (record["outcome"], record["status"], record["ended_by"]) == ("cancelled", 487, "caller")


def test_the_trunk_gives_up_while_the_browser_rings(server, known, agent, trunk):
    alice, dialog = agent("1001", ALICE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, 40000), final=False)
    alice.wait_ringing()
    cancel = dialog.cancel()
    assert trunk.response(cancel).status == 200
    assert dialog.finish().status == 487
    ended(alice, cause="missed")
    record = server.record(known, to="+15550100")
    assert (record["outcome"], record["ended_by"]) == ("cancelled", "caller")


def test_a_cancel_that_crosses_the_answer_ends_the_call_by_bye(server, known, agent, trunk):
    """RFC 3261 §9.1: the 2xx won; whoever cancelled acknowledges and hangs up. No leg may be left behind."""
    alice = agent("1001", ALICE)
    alice.call("9215554003", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.ring()
    alice.wait("agent.current.state === 'ringing'", what="ringing")
    alice.hang_up()
    cancel = trunk.request("CANCEL", call_id=dialog.call_id)
    trunk.reply(cancel, 200)
    dialog.accept(sdp(RAW, 40000))
    dialog.wait_bye()
    assert server.record(known, to="9215554003")["outcome"] == "cancelled"


def test_a_trunk_that_is_dead_fails_the_call_in_time(server, known, agent):
    """Its address answers ICMP port unreachable, or nothing at all: the agent learns within timer B (32 s)."""
    alice = agent("1001", ALICE)
    alice.call("9315554004", until=None)
    alice.wait("agent.current.state === 'ended'", 40, "given up")
    assert alice.state["status"] in (408, 480, 500, 502, 503, 504)
    assert server.record(known, to="9315554004")["outcome"] in ("failed", "no-answer")


def test_a_codec_that_nobody_shares_is_488(server, known, trunk):
    dialog = Dialog(trunk)
    answer = dialog.dial(server.uri("+15550600"), sdp(RAW, 40000, ((18, "G729/8000"),)))
    assert answer.status == 488


def test_a_strangers_invite_is_refused_before_media_and_counted(server, known):
    stranger = Endpoint(STRANGER, 0, server.sip)
    try:
        before = server.metric(r"(?i)(unknown|stranger|unauthori[sz]ed|refused|rejected)")
        for number in ("+15550100", "600", "9115551234"):
            dialog = Dialog(stranger)
            answer = dialog.dial(server.uri(number), sdp(STRANGER, 40000))
            assert answer.status in (401, 403, 407), answer
            assert not answer.body
        after = server.metric(r"(?i)(unknown|stranger|unauthori[sz]ed|refused|rejected)")
        assert after >= before + 3, server.metrics()
        assert not [call for call in server.calls() if call["id"] not in known and call.get("answered_at")]
    finally:
        stranger.close()


def test_a_stranger_in_an_agents_name_needs_the_password(server, known):
    stranger = Endpoint(STRANGER, 0, server.sip)
    try:
        dialog = Dialog(stranger)
        answer = dialog.dial(server.uri("600"), sdp(STRANGER, 40000), user="1001", credentials=("1001", "guess"))
        assert answer.status in (401, 403, 407)
    finally:
        stranger.close()


def test_an_in_dialog_request_of_a_stranger_does_not_end_a_call(server, known, agent, trunk):
    """A BYE with guessed tags is 481; one from elsewhere with the right Call-ID but wrong tags too."""
    alice = agent("1001", ALICE)
    alice.call("9215554005", until=None)
    dialog = Dialog(trunk, trunk.request("INVITE"))
    dialog.accept(sdp(RAW, 40000))
    alice.wait_call("active")
    stranger = Endpoint(STRANGER, 0, server.sip)
    try:
        message = dialog.make("BYE", 5)
        message.fields = [
            (name, stranger.via() if name == "Via" else value.replace(dialog.local_tag, "guessed")) for name, value in message.fields
        ]
        stranger.send(message)
        assert stranger.response(message).status == 481
        assert alice.state["state"] == "active"
    finally:
        stranger.close()
    alice.hang_up()
    dialog.wait_bye()


def test_a_call_that_loops_back_ends_by_max_forwards(server, known, trunk):
    message = trunk.make("INVITE", server.uri("+15550600"), body=sdp(RAW, 40000))
    message.fields = [(name, "0" if name == "Max-Forwards" else value) for name, value in message.fields]
    trunk.send(message)
    assert trunk.response(message).status == 483


def test_a_call_to_a_page_that_closes_while_it_rings_ends_with_480(server, known, agent):
    """Nobody else of that user can answer: the caller need not wait for the no-answer timer."""
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    alice.call("1002", until="ringing")
    bob.wait_ringing()
    bob.page.close()
    ended(alice, status=480)
    record = server.record(known, to="1002")
    assert (record["outcome"], record["status"]) == ("failed", 480) and not record.get("answered_at")
