"""Chromium and the native SDK in one room. The browser runs LiveKit's own SDK for JavaScript: the bundle that the wheel
`livekit` carries for notebooks, served from here with a hook on its room object."""

import importlib.resources
import json

import pytest

from support import audio
from support.browser import Ears
from support.rooms import token

HOOK = "globalThis.lkRoom=this,this.connect="


def bundle(url, jwt):
    page = (importlib.resources.files("livekit.rtc.resources") / "jupyter-html" / "index.html").read_text()
    assert page.count("this.connect=") == 1, "the bundle has changed: find where Room's constructor sets connect"
    page = page.replace("this.connect=", HOOK)
    return page.replace("##livekit-url-placeholder##", url).replace("##livekit-token-placeholder##", jwt)


class Visitor:
    """A page of the bundle's small application, which joins by itself."""

    def __init__(self, browsers, house, identity, tone, **claims):
        self.page, self.context = browsers.page(tone)
        self.identity = identity
        body = bundle(house.server.http.replace("http", "ws", 1), token(identity, house.room, **claims))
        self.page.route("**/room-page", lambda route: route.fulfill(body=body, content_type="text/html"))
        self.page.goto(f"{house.server.http}/room-page")
        self.ears = Ears(self.page, identity)

    def wait(self, expression, timeout=15.0):
        self.page.wait_for_function(expression, timeout=timeout * 1000)
        return self.page.evaluate(expression)

    def connected(self):
        self.wait("globalThis.lkRoom?.state === 'connected'")

    def evaluate(self, script, argument=None):
        return self.page.evaluate(script, argument)


@pytest.fixture
def visitor(browsers, rooms):
    made = []

    def make(house, identity, tone, **claims):
        made.append(Visitor(browsers, house, identity, tone, **claims))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


async def heard(guest, identity, tone):
    return await guest.hears(identity, tone, 20)


@pytest.fixture
def meeting(house, loop, visitor):
    """(native guest, page) in one room, both connected and seeing each other."""
    def make(**options):
        ann = loop(house.join("ann", **options))
        page = visitor(house, "browser", audio.BOB)
        page.connected()
        loop(ann.sees("browser", 15))
        page.wait("lkRoom.remoteParticipants.size === 1")
        page.evaluate("lkRoom.localParticipant.setMicrophoneEnabled(true)")
        return ann, page

    return make


@pytest.mark.parametrize("single", [False, True], ids=["two-connections", "one-connection"])
def test_they_hear_each_other(meeting, loop, single):
    ann, page = meeting(single=single)
    loop(ann.speak(audio.ALICE))
    loop(heard(ann, "browser", audio.BOB))
    for _ in range(20):
        found = page.ears.listen(1)
        if found.is_tone(audio.ALICE):
            break
    assert found.is_tone(audio.ALICE), (found, page.page.problems)


def test_the_page_sees_the_native_camera(meeting, loop):
    ann, page = meeting()
    shown = loop(ann.show(640, 360))
    page.evaluate(WATCH)
    # The encoder begins small.
    picture = page.wait("globalThis.seen && seen.frames > 5 && seen.width === 640 && seen", 30)
    assert (picture["height"], picture["number"]) == (360, shown.number)


def test_the_native_guest_sees_the_page_s_camera(meeting, loop):
    ann, page = meeting()
    page.evaluate("lkRoom.localParticipant.setCameraEnabled(true)")

    async def seen():
        eye = await ann.eye("browser", 20)
        await ann.until(lambda: len(eye.frames) > 10, 15, "ten frames")
        return eye.last

    frame = loop(seen())
    assert frame.width >= 320


def test_data_passes_between_them(meeting, loop):
    ann, page = meeting()
    page.evaluate("""() => {
      globalThis.got = [];
      lkRoom.on('dataReceived', (bytes, from, kind, topic) =>
        got.push([new TextDecoder().decode(bytes), from?.identity ?? '', kind, topic ?? '']));
    }""")
    loop(ann.local.publish_data(b"to the page", topic="t"))
    assert page.wait("got.length && got[0]") == ["to the page", "ann", 0, "t"]
    page.evaluate("lkRoom.localParticipant.publishData(new TextEncoder().encode('from the page'), { reliable: true, topic: 'u' })")
    loop(ann.until(lambda: ann.data, what="data"))
    assert (ann.data[0].data, ann.data[0].topic, ann.data[0].participant.identity) == (b"from the page", "u", "browser")


def test_calls_and_texts_pass_between_them(meeting, loop):
    ann, page = meeting()

    async def serve():
        @ann.local.register_rpc_method("greet")
        async def greet(invocation):
            return f"hello {invocation.payload}"

    loop(serve())
    said = page.evaluate("lkRoom.localParticipant.performRpc({ destinationIdentity: 'ann', method: 'greet', payload: 'page' })")
    assert said == "hello page"
    page.evaluate("lkRoom.localParticipant.registerRpcMethod('name', async () => 'Chromium')")
    assert loop(ann.local.perform_rpc(destination_identity="browser", method="name", payload="")) == "Chromium"
    page.evaluate("""() => {
      globalThis.texts = [];
      lkRoom.registerTextStreamHandler('words', async (reader, from) => texts.push([await reader.readAll(), from.identity]));
    }""")
    loop(ann.local.send_text("words from ann", topic="words"))
    assert page.wait("texts.length && texts[0]") == ["words from ann", "ann"]


def test_mute_shows_on_both_sides(meeting, loop):
    ann, page = meeting()
    loop(heard(ann, "browser", audio.BOB))
    page.evaluate("lkRoom.localParticipant.setMicrophoneEnabled(false)")
    loop(ann.event("track_muted"))
    page.evaluate("lkRoom.localParticipant.setMicrophoneEnabled(true)")
    loop(ann.event("track_unmuted"))
    loop(heard(ann, "browser", audio.BOB))


def test_a_bad_token_is_explained(browsers, house, loop, visitor):
    page = visitor(house, "browser", audio.BOB, ttl=-600)
    # The application logs the reason; without CORS on the refusal it could only say that the server is unreachable.
    for _ in range(100):
        if page.page.problems:
            break
        page.page.wait_for_timeout(100)
    text = json.dumps(page.page.problems)
    assert "401" in text or "nvalid" in text or "xpired" in text or "uthentication" in text, text


WATCH = """() => {
  const video = document.createElement('video');
  video.muted = true;
  const attach = () => {
    for (const other of lkRoom.remoteParticipants.values())
      for (const publication of other.trackPublications.values())
        if (publication.kind === 'video' && publication.track) {
          video.srcObject = new MediaStream([publication.track.mediaStreamTrack]);
          video.play();
          return true;
        }
    return false;
  };
  const canvas = document.createElement('canvas');
  const timer = setInterval(() => {
    if (!video.srcObject && !attach()) return;
    if (!video.videoWidth) return;
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const row = context.getImageData(0, canvas.height >> 1, canvas.width, 1).data;
    const stripe = (bit) => row[4 * Math.floor((bit + 0.5) * canvas.width / 8)];
    const values = [...Array(8).keys()].map(stripe);
    globalThis.seen = {
      width: video.videoWidth, height: video.videoHeight, frames: video.getVideoPlaybackQuality().totalVideoFrames,
      number: values.reduce((sum, value) => sum * 2 + (value > 128 ? 1 : 0), 0),
    };
  }, 100);
}"""
