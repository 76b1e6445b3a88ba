"""The room page, pressed as a person presses it: a host, and guests who follow the link."""

import contextlib
import re

import pytest
from playwright.sync_api import expect
from support.audio import ALICE, BOB
from support.browser import PAGE, Ears
from support.proxy import Proxy
from support.server import ParleyServer, user_entry

PICTURES = """() => [...document.querySelectorAll('[data-testid=tile][data-video]:not([data-local=""]) video')]
  .map((video) => ({ width: video.videoWidth, time: video.currentTime }))"""


@pytest.fixture(scope="module")
def house(directory):
    parley = ParleyServer(directory / "room-page", users=(user_entry("1001", display="Ada"),))
    parley.start()
    yield parley
    assert parley.stop() == 0


class Visitor:
    """A person at the page, whose microphone is a tone."""

    def __init__(self, browsers, tone):
        self.context = browsers.for_tone(tone).new_context(
            bypass_csp=True, permissions=["camera", "microphone"]
        )
        self.context.set_default_timeout(20000)
        self.context.add_init_script(path=str(PAGE / "ear.js"))
        self.page = self.context.new_page()
        self.problems = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.ears = Ears(self.page, "visitor")

    def at(self, name):
        return self.page.get_by_test_id(name)

    def host(self, address, room="Weekly"):
        self.page.goto(f"{address}/room/")
        for field, value in (("room-name", room), ("user", "1001"), ("password", "pw-1001")):
            self.at(field).fill(value)
        return self.enter()

    def guest(self, link, name):
        self.page.goto(link)
        self.at("name").fill(name)
        return self.enter()

    def enter(self):
        # The mirror shows the camera: a person joins when they have seen themselves.
        self.page.wait_for_function("() => document.querySelector('.mirror')?.videoWidth > 0")
        self.at("join").click()
        self.at("tile").first.wait_for()
        return self

    def link(self):
        self.at("invite").click()
        expect(self.at("invite-link")).to_have_value(re.compile("#invitation="))
        link = self.at("invite-link").input_value()
        self.page.keyboard.press("Escape")
        return link

    def sees(self, count):
        """Waits until so many pictures of others move."""
        self.page.wait_for_function(f"() => ({PICTURES})().filter(({{ time }}) => time > 0.3).length === {count}")

    def tile(self, name):
        return self.page.locator(f"[data-testid=tile][aria-label^='{name}']")


@pytest.fixture
def visitor(browsers):
    made = []

    def make(tone):
        made.append(Visitor(browsers, tone))
        return made[-1]

    yield make
    problems = [problem for each in made for problem in each.problems]
    for each in made:
        with contextlib.suppress(Exception):
            each.context.close()
    assert not problems


def test_a_host_and_a_guest_meet(house, visitor):
    ada = visitor(ALICE).host(house.http)
    bob = visitor(BOB).guest(ada.link(), "Bob")
    for one, other, tone, own in ((ada, "Bob", BOB, ALICE), (bob, "Ada", ALICE, BOB)):
        one.sees(1)
        expect(one.tile(other)).to_be_visible()
        heard = one.ears.listen(2.5).last(1)
        assert heard.is_tone(tone) and heard.lacks(own), heard
    bob.page.keyboard.press("c")
    bob.at("chat-input").fill("hello <b>Ada</b>")
    bob.at("chat-send").click()
    expect(ada.at("unread")).to_have_text("1")
    ada.at("bar-chat").click()
    expect(ada.at("messages")).to_contain_text("hello <b>Ada</b>")
    ada.page.keyboard.press("Escape")
    bob.at("bar-hand").click()
    expect(ada.tile("Bob, Hand raised")).to_be_visible()
    bob.at("bar-camera").click()
    expect(ada.tile("Bob")).not_to_have_attribute("data-video", "")
    bob.at("bar-cameraoff" if bob.at("bar-cameraoff").count() else "bar-camera").click()
    ada.sees(1)
    bob.at("bar-hangup").click()
    expect(bob.at("farewell")).to_contain_text("You left the room")
    expect(ada.at("count")).to_have_text("1")


def test_a_host_mutes_and_removes(house, visitor):
    ada = visitor(ALICE).host(house.http, room="Quiet")
    bob = visitor(BOB).guest(ada.link(), "Bob")
    ada.sees(1)
    ada.at("bar-people").click()
    ada.at("mute-all").click()
    expect(bob.page.get_by_role("status")).to_have_text("A host muted you.")
    expect(ada.tile("Bob, Muted")).to_be_visible()
    assert ada.ears.listen(2).last(1).is_silent
    bob.page.keyboard.press("m")
    expect(ada.tile("Bob, Muted")).to_have_count(0)
    ada.page.on("dialog", lambda dialog: dialog.accept())
    ada.at("remove").click()
    expect(bob.at("farewell")).to_contain_text("You were removed")
    expect(ada.at("count")).to_have_text("1")


def test_the_room_survives_a_cut_of_the_signalling(house, visitor):
    proxy = Proxy(("127.0.0.1", house.http_port))
    ada = visitor(ALICE).host(house.http, room="Cut")
    bob = visitor(BOB).guest(ada.link().replace(str(house.http_port), str(proxy.port)), "Bob")
    ada.sees(1)
    bob.sees(1)
    proxy.cut()
    expect(bob.page.get_by_role("status")).to_contain_text("Coming back")
    # Media has a way of its own and goes on meanwhile.
    assert bob.ears.listen(1.5).last(0.8).is_tone(ALICE)
    proxy.mend()
    expect(bob.page.get_by_role("status")).to_be_hidden()
    bob.page.keyboard.press("m")
    expect(ada.tile("Bob, Muted")).to_be_visible()
    expect(ada.at("count")).to_have_text("2")
    assert bob.ears.listen(1.5).last(0.8).is_tone(ALICE)
    proxy.close()


def test_wrong_passwords_and_forged_invitations_are_refused_in_words(house, visitor):
    ada = visitor(ALICE)
    ada.page.goto(f"{house.http}/room/")
    for field, value in (("room-name", "Weekly"), ("user", "1001"), ("password", "wrong")):
        ada.at(field).fill(value)
    ada.at("join").click()
    expect(ada.page.get_by_role("alert")).to_contain_text("password is wrong")
    bob = visitor(BOB)
    bob.page.goto(f"{house.http}/room/#invitation=eyJhbGciOiJIUzI1NiJ9.eyJ2aWRlbyI6eyJyb29tIjoieCJ9fQ.AAAA")
    bob.at("name").fill("Bob")
    bob.at("join").click()
    expect(bob.page.get_by_role("alert")).to_contain_text("invalid token")
