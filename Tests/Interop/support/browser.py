"""Chromium as the agent: a microphone that is a tone, ears on what it receives, and a telephone to press.

One process for each tone, for Chromium has one fake microphone a process; a context (as a private window) for each agent.
"""

import array
import base64
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from . import audio

PAGE = Path(__file__).resolve().parent.parent / "page"
RATE = 16000
ARGUMENTS = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",
    "--allow-loopback-in-peer-connection",
    # A page that a test fulfils comes from no address: without this it may not talk to 127.0.0.1.
    "--disable-features=LocalNetworkAccessChecks",
    "--disable-gpu",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
]


class Browsers:
    """The Chromium processes of a test session."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.playwright = sync_playwright().start()
        self.running = {}

    def for_tone(self, tone):
        if tone not in self.running:
            samples = audio.tone(tone, 48000, 1) if tone else audio.silence(48000, 1)
            # Chromium's loop has a seam that is heard as a click: once in two minutes is seldom enough.
            wav = audio.write_wav(self.directory / f"microphone-{tone}.wav", samples * 120, 48000)
            self.running[tone] = self.playwright.chromium.launch(
                executable_path="/usr/bin/chromium",
                args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={wav}"],
            )
        return self.running[tone]

    def page(self, tone, **options):
        """A fresh context's page with ears, and the context."""
        context = self.for_tone(tone).new_context(
            ignore_https_errors=True, bypass_csp=True, permissions=["microphone", "notifications"], **options
        )
        context.set_default_timeout(15000)
        context.add_init_script(path=str(PAGE / "ear.js"))
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda line: page.problems.append(line.text) if line.type == "error" else None)
        return page, context

    def close(self):
        for browser in self.running.values():
            browser.close()
        self.playwright.stop()


class Ears:
    """What a page hears."""

    def __init__(self, page, who):
        self.page, self.who = page, who

    def listen(self, seconds):
        """The next seconds of everything that the page's connections receive."""
        start = self.page.evaluate("ear.count()")
        return self.since(start, seconds)

    def mark(self):
        return self.page.evaluate("ear.count()")

    def since(self, start, seconds):
        length = int(seconds * RATE)
        text = self.page.evaluate(
            "([from, length, limit]) => ear.take(from, length, limit)", [start, length, seconds * 1000 + 4000]
        )
        samples = array.array("h")
        samples.frombytes(base64.b64decode(text))
        return audio.Heard(samples.tolist(), RATE, self.who)

    def stats(self):
        return self.page.evaluate("ear.stats()")


class Agent:
    """A user in a browser, on the server's SDK without a face."""

    def __init__(self, browsers, server, user, tone, secure=False, origin=None, password=None, register=True, **options):
        self.server, self.user, self.tone = server, user, tone
        self.page, self.context = browsers.page(tone)
        self.ears = Ears(self.page, f"agent {user}")
        base = origin or (server.https if secure else server.http)
        # A page of the server's origin that has nothing of its own: the SDK is fetched from the server.
        self.page.route("**/interop-agent", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        self.page.goto(f"{base}/interop-agent")
        self.settings = {"user": user, "password": password or f"pw-{user}", "domain": server.domain, **options}
        self._start()
        if register:
            self.wait_phone("registered")

    def _start(self):
        self.page.add_script_tag(path=str(PAGE / "agent.js"), type="module")
        self.page.wait_for_function("() => window.agent")
        self.page.evaluate("settings => { agent.start(settings) }", self.settings)

    def reload(self):
        """The page anew, in the same tab."""
        self.page.reload(wait_until="commit")
        self._start()

    def wait(self, expression, timeout=10.0, what=None):
        """Waits until an expression of the page is true; says what had happened otherwise."""
        deadline = time.monotonic() + timeout
        while not (found := self.page.evaluate(expression)):
            if time.monotonic() > deadline:
                raise AssertionError(f"agent {self.user}: not {what or expression} in {timeout} s\n{self.story()}")
            self.page.wait_for_timeout(20)
        return found

    def story(self):
        log = self.page.evaluate("agent.log.slice(-30).join('\\n')")
        trace = self.page.evaluate("agent.trace.slice(-8).join('\\n--\\n')")
        return f"{log}\nproblems: {self.page.problems}\nlast SIP messages:\n{trace}"

    def wait_phone(self, state, timeout=10.0):
        self.wait(f"agent.phone.state === '{state}'", timeout, f"phone {state}")

    @property
    def state(self):
        return self.page.evaluate("agent.state()")

    def wait_call(self, state, timeout=10.0):
        self.wait(f"agent.current?.state === '{state}'", timeout, f"call {state}")
        return self.state

    def call(self, number, until="active", timeout=10.0):
        self.page.evaluate("number => agent.call(number)", number)
        if until:
            self.wait_call(until, timeout)

    def wait_ringing(self, timeout=10.0):
        """Waits for an incoming call that has not been answered."""
        self.wait("agent.current?.state === 'ringing' && agent.current.direction === 'incoming'", timeout, "called")
        return self.state

    def answer(self):
        self.page.evaluate("agent.current.answer()")
        self.wait_call("active")

    def reject(self, status=603):
        self.page.evaluate("status => agent.current.reject(status)", status)

    def hang_up(self):
        self.page.evaluate("agent.current.hangUp()")

    def hold(self):
        self.page.evaluate("agent.current.hold()")

    def resume(self):
        self.page.evaluate("agent.current.resume()")

    def send_digits(self, digits):
        self.page.evaluate("digits => agent.current.sendDtmf(digits)", digits)

    def listen(self, seconds):
        return self.ears.listen(seconds)

    def stats(self):
        return self.ears.stats()

    def close(self):
        if not self.page.is_closed():
            self.page.evaluate("Promise.race([agent.phone.stop(), new Promise((done) => setTimeout(done, 500))])")
        self.context.close()
