"""The agent desktop as a person uses it: by its fields and buttons (`data-testid`s, see web/README.md)."""

import json

from .browser import Ears

# The microphone's filters are made to remove tones: an agent of the tests has them off.
SETTINGS = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
NAMES = {"*": "star", "#": "hash"}


class Desk:
    def __init__(self, browsers, server, user, tone, password=None, secure=False, log_in=True, settings=None, **options):
        self.user, self.server = user, server
        self.page, self.context = browsers.page(tone, **options)
        stored = json.dumps(SETTINGS | (settings or {}))
        self.page.add_init_script(f"localStorage.getItem('parley.settings') ?? localStorage.setItem('parley.settings', {json.dumps(stored)})")
        self.ears = Ears(self.page, f"desk {user}")
        self.page.goto(f"{server.https if secure else server.http}/desk/")
        if log_in:
            self.log_in(password or f"pw-{user}")
            self.see("registration", state="registered")

    def at(self, name):
        return self.page.get_by_test_id(name)

    def see(self, name, state=None, text=None, timeout=10):
        """Waits until that element is visible, in that state, with that text."""
        selector = f"[data-testid='{name}']" + (f"[data-state='{state}']" if state else "")
        found = self.page.locator(selector).filter(has_text=text) if text else self.page.locator(selector)
        found.first.wait_for(state="visible", timeout=timeout * 1000)
        return found.first

    def log_in(self, password):
        self.at("login-user").fill(self.user)
        self.at("login-password").fill(password)
        self.at("login-submit").click()

    def dial(self, number):
        self.at("number").fill(number)
        self.at("call").click()

    def call_state(self):
        return self.page.evaluate("window.parley.phone?.calls.at(-1)?.state ?? null")

    def wait_call(self, state, timeout=10):
        """Waits for the state of the newest call; nil when it is gone."""
        self.page.wait_for_function(
            "state => (window.parley.phone?.calls.at(-1)?.state ?? null) === state", arg=state, timeout=timeout * 1000
        )

    def press(self, name):
        self.at(name).click()

    def send_digits(self, digits):
        if not self.at("call-pad").is_visible():
            self.press("keypad-toggle")
        for digit in digits:
            self.press(f"dtmf-{NAMES.get(digit, digit)}")
            self.page.wait_for_timeout(260)

    def listen(self, seconds):
        return self.ears.listen(seconds)

    def close(self):
        self.context.close()
