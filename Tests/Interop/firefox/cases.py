"""What a person does with Firefox. Run by test_firefox.py, each case inside a network namespace of its own: Firefox uses
no loopback address for media."""

import contextlib
import json
import time

import pytest
from playwright.sync_api import expect, sync_playwright
from support.audio import ALICE
from support.baresip import NUMBER, Baresip
from support.browser import PAGE
from support.desk import SETTINGS
from support.island import Island
from support.server import ParleyServer, user_entry

# Firefox's own fake microphone; there is no choice.
MICROPHONE = 1000
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Without a sound card nothing would ever be played, and so nothing heard.
    "media.cubeb.force_mock_context": True,
    "media.cubeb.force_sample_rate": 48000,
    "permissions.default.desktop-notification": 1,
}
CARRIER = "127.0.0.11"
MOVING = """count => [...document.querySelectorAll('[data-testid=tile][data-video]:not([data-local=""]) video')]
  .filter((video) => video.videoWidth > 0 && video.currentTime > 0.3).length === count"""


@pytest.fixture
def parley(tmp_path):
    server = ParleyServer(
        tmp_path / "parley",
        users=(user_entry("1001", display="Ada"), "1002"),
        trunks=[{"name": "carrier", "host": f"{CARRIER}:{5070}", "codecs": ["PCMU", "PCMA"], "allow": [f"{CARRIER}/32"]}],
        numbers=[{"number": "+15550100", "to": "user:1001"}],
        routes=[{"match": r"^91(\d+)$", "to": "trunk:carrier", "number": NUMBER}],
        media={"address": Island.address, "listen": [Island.address, "127.0.0.1"]},
    )
    server.start()
    yield server
    log = server.log()
    assert server.stop() == 0, log[-3000:]


@pytest.fixture
def firefox():
    with sync_playwright() as playwright:
        browser = playwright.firefox.launch(
            channel="moz-firefox", executable_path="/usr/bin/firefox-esr", firefox_user_prefs=PREFERENCES
        )
        yield browser
        browser.close()


@pytest.fixture
def person(firefox):
    made = []

    def make():
        made.append(Person(firefox))
        return made[-1]

    yield make
    problems = [problem for one in made for problem in one.problems]
    for one in made:
        with contextlib.suppress(Exception):
            one.context.close()
    assert not problems


class Person:
    def __init__(self, browser):
        self.context = browser.new_context()
        self.context.set_default_timeout(20000)
        self.context.add_init_script(path=str(PAGE / "analyser.js"))
        stored = json.dumps(json.dumps(SETTINGS))
        # The blank page that comes before has no storage.
        self.context.add_init_script(
            f"if (location.protocol === 'http:') localStorage.getItem('parley.settings') ?? localStorage.setItem('parley.settings', {stored})"
        )
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("pageerror", self._problem)

    def _problem(self, error):
        # Playwright's own styles, for its screenshots and clicks, are not the page's.
        if "settings blocked an inline style" not in str(error):
            self.problems.append(str(error))

    def at(self, name):
        return self.page.get_by_test_id(name)

    def hears(self, hertz, timeout=10):
        """Waits until that is the loudest of some stream that comes."""
        deadline = time.monotonic() + timeout
        while True:
            heard = self.page.evaluate("ear.hear()")
            if any(abs(one["hertz"] - hertz) < 15 and one["level"] > -50 for one in heard):
                return
            assert time.monotonic() < deadline, f"not {hertz} Hz but {heard}"
            time.sleep(0.1)

    def hears_nothing_of(self, hertz, seconds=1.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            heard = self.page.evaluate("ear.hear()")
            assert not any(abs(one["hertz"] - hertz) < 15 and one["level"] > -50 for one in heard), heard
            time.sleep(0.1)

    # The desk.

    def log_in(self, parley, user="1001"):
        self.page.goto(f"{parley.http}/desk/")
        self.at("login-user").fill(user)
        self.at("login-password").fill(f"pw-{user}")
        self.at("login-submit").click()
        self.page.locator("[data-testid='registration'][data-state='registered']").wait_for()
        return self

    def dial(self, number):
        self.at("number").fill(number)
        self.at("call").click()

    def wait_call(self, state, timeout=15):
        self.page.wait_for_function(
            "state => (window.parley.phone?.calls.at(-1)?.state ?? null) === state", arg=state, timeout=timeout * 1000
        )

    # The room.

    def host(self, parley):
        self.page.goto(f"{parley.http}/room/")
        for field, value in (("room-name", "Weekly"), ("user", "1001"), ("password", "pw-1001")):
            self.at(field).fill(value)
        return self.enter()

    def guest(self, link, name):
        self.page.goto(link)
        self.at("name").fill(name)
        return self.enter()

    def enter(self):
        self.page.wait_for_function("() => document.querySelector('.mirror')?.videoWidth > 0")
        self.at("join").click()
        self.at("tile").first.wait_for()
        return self


def test_the_desk_calls_the_echo(parley, person):
    ada = person().log_in(parley)
    ada.dial("600")
    ada.wait_call("active")
    ada.hears(MICROPHONE)
    pair = ada.page.evaluate(
        """async () => { const found = [...(await ear.connections.at(-1).getStats()).values()];
        return found.filter(({ type }) => type === 'remote-candidate').map(({ address }) => address); }"""
    )
    assert Island.address in pair
    ada.at("hold").click()
    ada.page.wait_for_function("() => window.parley.phone.calls.at(-1).onHold")
    ada.at("hold").click()
    ada.page.wait_for_function("() => !window.parley.phone.calls.at(-1).onHold")
    time.sleep(1)
    ada.hears(MICROPHONE)
    ada.at("hangup").click()
    record = parley.record(to="600", timeout=10)
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    leg = record["legs"][0]
    assert leg["codec"].lower() == "opus" and leg["media"]["packets_received"] > 50


def test_the_desk_calls_a_carrier_and_is_called(parley, person):
    ada = person().log_in(parley)
    with Baresip(CARRIER, ALICE, port=5070) as carrier:
        ada.dial("915551234")
        carrier.wait("CALL_ESTABLISHED")
        ada.wait_call("active")
        ada.hears(ALICE)
        heard = carrier.listen(2.5).last(1)
        # The mock sound card is late on a busy machine: the tone is there, its phase jumps.
        assert heard.tone(MICROPHONE) > -40 and heard.lacks(ALICE), heard
        ada.at("hangup").click()
        carrier.wait("CALL_CLOSED")
        carrier.dial(f"sip:+15550100@127.0.0.1:{parley.sip_port}")
        ada.at("answer").click()
        ada.wait_call("active")
        carrier.wait("CALL_ESTABLISHED")
        ada.hears(ALICE)
        heard = carrier.listen(2.5).last(1)
        # The mock sound card is late on a busy machine: the tone is there, its phase jumps.
        assert heard.tone(MICROPHONE) > -40 and heard.lacks(ALICE), heard
        carrier.hang_up()
        ada.page.wait_for_function("() => !window.parley.phone.calls.length || window.parley.phone.calls.at(-1).state === 'ended'")
    record = parley.record(to="+15550100", timeout=10)
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")


def test_two_of_them_meet_in_a_room(parley, person):
    ada = person().host(parley)
    ada.at("invite").click()
    expect(ada.at("invite-link")).not_to_have_value("")
    link = ada.at("invite-link").input_value()
    ada.page.keyboard.press("Escape")
    bob = person().guest(link, "Bob")
    for one in (ada, bob):
        one.page.wait_for_function(MOVING, arg=1)
        one.hears(MICROPHONE)
    bob.page.keyboard.press("c")
    bob.at("chat-input").fill("hello Ada")
    bob.at("chat-send").click()
    expect(ada.at("unread")).to_have_text("1")
    bob.at("bar-mic").click()
    time.sleep(1)
    ada.hears_nothing_of(MICROPHONE)
    bob.at("bar-hangup").click()
    expect(ada.at("count")).to_have_text("1")
