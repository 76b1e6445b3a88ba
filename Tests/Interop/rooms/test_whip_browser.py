"""Chromium behind WHIP and WHEP: pages without any client library."""

import pytest

from support.audio import ALICE
from support.browser import Ears
from support.rooms import token

PAGE = """<!doctype html><title>WHIP</title><script>
async function exchange(pc, url, jwt) {
  await pc.setLocalDescription();
  await new Promise((done) => {
    if (pc.iceGatheringState === 'complete') done();
    pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done();
  });
  const reply = await fetch(url, {
    method: 'POST', body: pc.localDescription.sdp,
    headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${jwt}` },
  });
  if (reply.status !== 201) throw new Error(`${reply.status} ${await reply.text()}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
  return { location: reply.headers.get('Location'), tag: reply.headers.get('ETag') };
}

// A green canvas with a line that moves, in three sizes.
async function publish(url, jwt) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const context = canvas.getContext('2d');
  let row = 0;
  setInterval(() => {
    context.fillStyle = 'rgb(20, 200, 60)';
    context.fillRect(0, 0, 640, 360);
    context.fillStyle = 'black';
    context.fillRect(0, 280 + (row++ * 4) % 80, 640, 4);
  }, 66);
  const [video] = canvas.captureStream(15).getVideoTracks();
  const [audio] = (await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  })).getAudioTracks();
  const pc = (globalThis.pc = new RTCPeerConnection());
  pc.addTransceiver(audio, { direction: 'sendonly' });
  pc.addTransceiver(video, {
    direction: 'sendonly',
    sendEncodings: [
      { rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' },
    ],
  });
  return exchange(pc, url, jwt);
}

async function play(url, jwt) {
  const pc = (globalThis.pc = new RTCPeerConnection());
  const element = (globalThis.element = document.createElement('video'));
  element.muted = true;
  pc.addEventListener('track', ({ track }) => {
    if (track.kind !== 'video') return;
    element.srcObject = new MediaStream([track]);
    element.play();
  });
  pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.addTransceiver('video', { direction: 'recvonly' });
  return exchange(pc, url, jwt);
}

function colour() {
  if (!element.videoWidth) return null;
  const canvas = Object.assign(document.createElement('canvas'), { width: 16, height: 16 });
  const context = canvas.getContext('2d');
  context.drawImage(element, 0, 0, element.videoWidth, element.videoHeight / 2, 0, 0, 16, 16);
  return [...context.getImageData(8, 8, 1, 1).data];
}

async function restart(url, jwt, tag) {
  pc.restartIce();
  await pc.setLocalDescription();
  const line = (name) => pc.localDescription.sdp.match(new RegExp(`^a=${name}:.*$`, 'm'))[0];
  const reply = await fetch(url, {
    method: 'PATCH', body: `${line('ice-ufrag')}\\r\\n${line('ice-pwd')}\\r\\n`,
    headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': tag, Authorization: `Bearer ${jwt}` },
  });
  if (reply.status !== 200) throw new Error(`${reply.status} ${await reply.text()}`);
  const ours = await reply.text();
  let sdp = pc.remoteDescription.sdp;
  for (const name of ['ice-ufrag', 'ice-pwd']) {
    const value = ours.match(new RegExp(`^a=${name}:.*$`, 'm'))[0];
    sdp = sdp.replace(new RegExp(`^a=${name}:.*$`, 'mg'), value);
  }
  await pc.setRemoteDescription({ type: 'answer', sdp });
  return reply.headers.get('ETag');
}
</script>"""


@pytest.fixture
def page(browsers, rooms):
    made = []

    def make(tone):
        page, context = browsers.page(tone)
        made.append(context)
        page.route("**/whip-page", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto(f"{rooms.http}/whip-page")
        return page

    yield make
    for context in made:
        context.close()


def test_a_page_publishes_and_another_plays(page, house):
    sender, receiver = page(ALICE), page(0)
    jwt = token("page", house.room)
    made = sender.evaluate("([url, jwt]) => publish(url, jwt)", [f"{house.server.http}/whip/{house.room}", jwt])
    assert made["location"].startswith("/whip/sessions/") and made["tag"].startswith('"')
    sender.wait_for_function("pc.connectionState === 'connected'")
    receiver.evaluate(
        "([url, jwt]) => play(url, jwt)", [f"{house.server.http}/whep/{house.room}/page", token("player", house.room)]
    )
    receiver.wait_for_function("pc.connectionState === 'connected'")
    ears = Ears(receiver, "player")
    heard = next((one for one in (ears.listen(1) for _ in range(8)) if one.is_tone(ALICE)), None)
    assert heard, "the player does not hear the publisher"
    receiver.wait_for_function("colour() && colour()[1] > 120 && colour()[0] < 90 && colour()[2] < 130")
    # A canvas that hardly moves earns no bandwidth for the largest encoding; the middle one it is, not the smallest.
    receiver.wait_for_function("element.videoWidth >= 320", timeout=20000)
    assert sender.evaluate("pc.getSenders()[1].getParameters().encodings.map((e) => e.rid)") == ["q", "h", "f"]
    # ICE again under the same session.
    tag = sender.evaluate(
        "([url, jwt, tag]) => restart(url, jwt, tag)", [house.server.http + made["location"], jwt, made["tag"]]
    )
    assert tag and tag != made["tag"]
    sender.wait_for_function("pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed'")
    assert any(ears.listen(1).is_tone(ALICE) for _ in range(8)), "silence after the ICE restart"
    assert not sender.problems and not receiver.problems, sender.problems + receiver.problems
