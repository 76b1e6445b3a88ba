"""Digits: RFC 4733 both ways, INFO, and in-band where the peer has no telephone-event. None twice, none lost."""

import time

import pytest
from conftest import RAW
from support.audio import ALICE, CARRIER, dtmf
from support.sip import Dialog, Media, sdp
from test_calls import hears

DIGITS = "159*0#72"
WITHOUT_EVENTS = ((0, "PCMU/8000"),)


def called_trunk(agent, trunk, party, number, **options):
    """A call from a browser to the test's own trunk: (agent, dialog, voice)."""
    alice, voice = agent("1001", ALICE, **options), party(None)
    alice.call(number, until=None)
    return alice, Dialog(trunk, trunk.request("INVITE")), voice


def test_the_browsers_digits_reach_the_carrier(server, known, agent, baresip):
    alice = agent("1001", ALICE)
    alice.call("9115553001")
    baresip.wait("CALL_ESTABLISHED")
    alice.listen(1)
    baresip.digits_heard(0.1)
    alice.send_digits(DIGITS)
    assert baresip.digits_heard(len(DIGITS) * 0.3 + 1.5) == DIGITS
    hears(baresip.listen(1.5).last(1), ALICE)
    alice.hang_up()


def test_the_carriers_digits_sound_in_the_browser(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553002")
    dialog.accept(sdp(RAW, voice.port))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    voice.event_type = dialog.media.payload_type("telephone-event/8000")
    alice.listen(1.5)
    start = alice.ears.mark()
    voice.send_digits(DIGITS, 200, 200)
    heard = alice.ears.since(start, len(DIGITS) * 0.4 + 1.5)
    assert heard.digits() == DIGITS, heard
    dialog.bye()


def test_a_trunks_digits_reach_a_browser_that_is_asked_to_hear_silence_otherwise(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553003")
    dialog.accept(sdp(RAW, voice.port))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    assert alice.listen(3).digits() == "", "the negative control: no digit sent, none heard"
    dialog.bye()


def test_info_from_the_browser_becomes_events_on_the_trunk(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553004", dtmf="info")
    dialog.accept(sdp(RAW, voice.port))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    voice.event_type = dialog.media.payload_type("telephone-event/8000")
    first = len(voice.packets)
    alice.send_digits("27#")
    time.sleep(2)
    assert voice.events(first) == "27#"
    alice.hang_up()


def test_info_from_the_trunk_reaches_the_browser(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553005")
    dialog.accept(sdp(RAW, voice.port))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    alice.listen(1)
    start = alice.ears.mark()
    for digit in "83*":
        assert dialog.info(digit).status == 200
        time.sleep(0.4)
    assert alice.ears.since(start, 2.5).digits() == "83*"
    dialog.bye()


def test_a_peer_without_events_hears_the_digits_in_band(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553006")
    dialog.accept(sdp(RAW, voice.port, WITHOUT_EVENTS))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    time.sleep(1)
    first = len(voice.packets)
    alice.send_digits("159#")
    time.sleep(2.5)
    heard = voice.heard(first)
    assert heard.digits() == "159#", heard
    alice.hang_up()


def test_in_band_digits_of_a_peer_without_events_reach_the_browser_once(server, known, agent, trunk, party):
    alice, dialog, voice = called_trunk(agent, trunk, party, "9215553007")
    dialog.accept(sdp(RAW, voice.port, WITHOUT_EVENTS))
    alice.wait_call("active")
    voice.start(dialog.media.address, dialog.media.port)
    alice.listen(1)
    start = alice.ears.mark()
    voice.play(dtmf("4096", 8000, 0.12, 0.15))
    assert alice.ears.since(start, 3).digits() == "4096"
    dialog.bye()


@pytest.mark.parametrize("digits", ["1234567890", "11", "###"])
def test_repeated_digits_stay_apart_between_two_trunk_parties(server, known, trunk, party, digits):
    """The echo gives events back: what the trunk sends, it receives."""
    voice, dialog = party(CARRIER), Dialog(trunk)
    answer = dialog.dial(server.uri("+15550600"), sdp(RAW, voice.port))
    media = Media(answer.body)
    voice.event_type = media.payload_type("telephone-event/8000")
    assert voice.event_type, answer.body
    voice.start(media.address, media.port)
    voice.wait_packets(20)
    voice.send_digits(digits)
    time.sleep(len(digits) * 0.24 + 1)
    assert voice.events() == digits
    dialog.bye()
