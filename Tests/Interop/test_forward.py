"""Do-not-disturb, forwarding and text, as users set and send them."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from support.audio import ALICE, BOB, CARRIER
from test_calls import hears


def handling(server, user, change=None):
    """Reads or changes what becomes of a user's calls, with the user's password."""
    body = json.dumps(change).encode() if change is not None else None
    request = urllib.request.Request(f"{server.http}/v1/me/call-handling", body, method="PATCH" if body else "GET")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:pw-{user}".encode()).decode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


NOTHING = {"doNotDisturb": False, "forwardAlways": None, "forwardBusy": None, "forwardNoAnswer": None, "noAnswerAfter": 20}


@pytest.fixture
def settings(server):
    """Changes a user's settings; all are undone after the test."""
    changed = set()

    def change(user, **values):
        changed.add(user)
        return handling(server, user, values)

    yield change
    for user in changed:
        handling(server, user, NOTHING)


def test_do_not_disturb_is_busy_and_nothing_rings(server, known, agent, settings):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    assert settings("1002", doNotDisturb=True)["doNotDisturb"] is True
    assert handling(server, "1002")["doNotDisturb"] is True
    alice.call("1002", until=None)
    assert alice.wait_call("ended")["cause"] == "busy"
    assert bob.page.evaluate("agent.calls.length") == 0
    assert server.record(known, to="1002")["outcome"] == "busy"
    settings("1002", doNotDisturb=False)
    alice.call("1002", until=None)
    bob.wait_ringing()
    alice.hang_up()


def test_every_call_is_forwarded_to_the_carrier(server, known, agent, settings, baresip):
    alice = agent("1001", ALICE)
    settings("1002", forwardAlways="9115555001")
    alice.call("1002")
    hears(alice.listen(2.5).last(1), CARRIER, ALICE)
    hears(baresip.listen(1.5).last(1), ALICE)
    alice.hang_up()
    record = server.record(known, to="1002")
    assert [(one["kind"], one["to"], one["status"], one["leg"]) for one in record["transfers"]] == [
        ("forward-always", "9115555001", 200, 1)
    ]


def test_what_is_not_answered_or_refused_as_busy_is_forwarded(server, known, agent, settings, baresip):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    settings("1002", forwardNoAnswer="601", forwardBusy="9115555002", noAnswerAfter=5)
    alice.call("1002", until=None)
    bob.wait_ringing()
    alice.wait_call("active", timeout=12)
    assert bob.wait_call("ended")["cause"] == "missed"
    alice.hang_up()
    alice.call("1002", until=None)
    bob.wait("agent.calls.length === 2 && agent.current.state === 'ringing'", what="called again")
    bob.reject(486)
    alice.wait_call("active")
    hears(alice.listen(2.5).last(1), CARRIER)
    alice.hang_up()
    kinds = {call["transfers"][0]["kind"] for call in server.calls() if call["id"] not in known}
    assert kinds == {"forward-no-answer", "forward-busy"}


def test_settings_that_make_no_sense_are_refused(server, settings):
    for change in ({"forwardAlways": "a b"}, {"noAnswerAfter": 1}, {"doNotDisturb": "yes"}, {"nonsense": 1}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            settings("1002", **change)
        assert refused.value.code == 400
    assert handling(server, "1002")["noAnswerAfter"] == 20


def test_users_send_texts(server, agent):
    alice, bob = agent("1001", ALICE), agent("1002", BOB)
    bob.page.evaluate("void agent.phone.on('text', ({ from, text }) => { agent.heard = `${from.user}: ${text}`; })")
    alice.page.evaluate("agent.phone.sendText('1002', 'Grüße aus dem Test')")
    bob.wait("agent.heard === '1001: Grüße aus dem Test'", what="the text")
    code = alice.page.evaluate("agent.phone.sendText('1004', 'x').then(() => 'sent', ({ code }) => code)")
    assert code == "unavailable", "nobody is registered there"
