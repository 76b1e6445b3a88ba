"""A subscriber that knows no transport-wide feedback: aiortc, which tells what it can take by REMB alone. A process of its
own for tests in network namespaces; figures as lines of JSON.

    python -m support.remb URL TOKEN
"""

import asyncio
import contextlib
import json
import os
import sys
import time

import websockets
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp


async def main(url, jwt):
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    heard = {"audio": 0, "video": 0}

    @peer.on("track")
    def track(one):
        print(json.dumps({"subscribed": one.kind, "at": time.monotonic()}), flush=True)
        asyncio.ensure_future(drain(one))

    async def drain(one):
        with contextlib.suppress(MediaStreamError):
            while True:
                await one.recv()
                heard[one.kind] += 1

    async def report():
        while True:
            await asyncio.sleep(1)
            line = {"at": time.monotonic(), "frames": heard["video"], "sounds": heard["audio"]}
            for one in (await peer.getStats()).values():
                if one.type == "inbound-rtp":
                    line[one.kind] = {"packets": one.packetsReceived, "lost": one.packetsLost}
            print(json.dumps(line), flush=True)

    address = url.replace("http", "ws", 1) + f"/rtc?access_token={jwt}&auto_subscribe=1&protocol=9&sdk=python&frames=json"
    async with websockets.connect(address, max_size=None) as socket:
        tell = lambda message: socket.send(json.dumps(message))  # noqa: E731
        asyncio.ensure_future(report())

        async def ping():
            while True:
                await asyncio.sleep(5)
                await tell({"ping": str(int(time.time() * 1000))})

        # The kind of the first message is the kind of the server's.
        await tell({"ping": "1"})
        asyncio.ensure_future(ping())
        async for text in socket:
            message = json.loads(text)
            if "join" in message:
                print(json.dumps({"joined": time.monotonic()}), flush=True)
            elif "offer" in message:
                offer = message["offer"]
                await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
                await peer.setLocalDescription(await peer.createAnswer())
                sdp = peer.localDescription.sdp
                print(json.dumps({"answered": "goog-remb" in sdp, "numbers": "transport-cc" in sdp}), flush=True)
                await tell({"answer": {"type": "answer", "sdp": sdp, "id": offer.get("id", 0)}})
            elif message.get("trickle", {}).get("target") == "SUBSCRIBER":
                init = json.loads(message["trickle"]["candidateInit"])
                if init.get("candidate"):
                    candidate = candidate_from_sdp(init["candidate"].split(":", 1)[1])
                    candidate.sdpMid, candidate.sdpMLineIndex = init.get("sdpMid", "0"), init.get("sdpMLineIndex", 0)
                    await peer.addIceCandidate(candidate)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
    os._exit(0)
