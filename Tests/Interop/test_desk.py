"""The agent desktop, pressed as a person presses it."""

import contextlib

import pytest
from conftest import RAW
from support.audio import ALICE, BOB, CARRIER
from support.audio import CALLER as CALLER_TONE
from support.desk import Desk
from support.sip import Dialog, Media, sdp
from test_calls import hears


@pytest.fixture
def desk(browsers, server):
    made = []

    def make(user, tone, **options):
        made.append(Desk(browsers, server, user, tone, **options))
        return made[-1]

    yield make
    for one in made:
        with contextlib.suppress(Exception):
            one.close()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_log_in_dial_and_hang_up(server, known, desk, baresip, secure):
    page = desk("1001", ALICE, secure=secure)
    page.dial("9115550042")
    page.wait_call("active")
    page.see("stage")
    hears(page.listen(2.5).last(1), CARRIER, ALICE)
    hears(baresip.listen(1.5).last(1), ALICE, CARRIER)
    page.press("hangup")
    page.wait_call(None)
    assert server.record(known, to="9115550042")["ended_by"] == "caller"
    assert page.see("history-entry").get_attribute("data-number") == "9115550042"
    assert not page.page.problems, page.page.problems


def test_an_incoming_call_rings_and_is_answered_and_the_keys_work(server, known, desk, trunk, party):
    page, voice, dialog = desk("1001", ALICE), party(CALLER_TONE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, voice.port), user="+4930555", final=False)
    page.see("answer")
    shown = page.at("call-party").inner_text() + page.at("call-number").inner_text()
    assert "4930555" in shown.replace(" ", "")
    page.press("answer")
    answer = dialog.finish()
    media = Media(answer.body)
    voice.start(media.address, media.port)
    voice.event_type = media.payload_type("telephone-event/8000")
    hears(page.listen(2).last(1), CALLER_TONE, ALICE)
    first = len(voice.packets)
    page.send_digits("159*0#")
    voice.listen(1)
    assert voice.events(first) == "159*0#"
    page.press("mute")
    page.page.wait_for_timeout(300)
    assert voice.listen(1.2).last(0.8).lacks(ALICE)
    page.press("mute")
    hears(voice.listen(1.5).last(1), ALICE)
    dialog.bye()
    page.wait_call(None)


def test_hold_by_the_button(server, known, desk, baresip):
    page = desk("1001", ALICE)
    page.dial("9115550043")
    page.wait_call("active")
    hears(baresip.listen(2).last(1), ALICE)
    page.press("hold")
    page.page.wait_for_timeout(800)
    assert baresip.listen(1.5).last(1).lacks(ALICE)
    page.press("hold")
    hears(baresip.listen(2).last(1), ALICE)
    page.press("hangup")


def test_a_declined_call(server, known, desk, trunk):
    page, dialog = desk("1001", ALICE), Dialog(trunk)
    dialog.dial(server.uri("+15550100"), sdp(RAW, 40000), final=False)
    page.see("decline")
    page.press("decline")
    assert dialog.finish().status in (603, 486, 480)


def test_a_wrong_password_is_said_on_the_log_in_page(server, known, desk):
    page = desk("1001", ALICE, log_in=False)
    page.log_in("guess")
    page.see("login-error")
    assert page.at("login").is_visible()


def test_a_busy_number_is_said_in_words(server, known, desk, trunk):
    page = desk("1001", ALICE)
    page.dial("9215550044")
    Dialog(trunk, trunk.request("INVITE")).reject(486)
    page.see("call-state-text")
    page.page.wait_for_function("document.querySelector('[data-testid=call-state-text]').textContent.toLowerCase().includes('busy')")


def test_two_desks_talk(server, known, desk):
    alice, bob = desk("1001", ALICE), desk("1002", BOB)
    alice.dial("1002")
    bob.see("answer")
    bob.press("answer")
    alice.wait_call("active")
    hears(alice.listen(2.5).last(1), BOB, ALICE)
    hears(bob.listen(1.5).last(1), ALICE, BOB)
    alice.press("hangup")
    bob.wait_call(None)


def test_the_page_runs_under_its_own_content_security_policy(server, known, browsers):
    """The suite's ears need bypass_csp; a person's browser has none of that."""
    context = browsers.for_tone(ALICE).new_context(permissions=["microphone"])
    try:
        page = context.new_page()
        refused = []
        page.on("console", lambda line: refused.append(line.text) if line.type == "error" else None)
        page.goto(f"{server.http}/desk/")
        page.get_by_test_id("login-user").fill("1001")
        page.get_by_test_id("login-password").fill("pw-1001")
        page.get_by_test_id("login-submit").click()
        page.locator("[data-testid='registration'][data-state='registered']").wait_for()
        page.get_by_test_id("number").fill("600")
        page.get_by_test_id("call").click()
        page.get_by_test_id("hangup").wait_for()
        page.wait_for_timeout(2500)
        page.get_by_test_id("hangup").click()
        record = server.record(known, to="600")
        assert record["outcome"] == "answered" and record["legs"][0]["media"]["packets_received"] > 50
        assert not refused, refused
    finally:
        context.close()
