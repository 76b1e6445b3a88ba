"""Guests in processes of their own, which a test may stop and kill."""

import asyncio
import sys
from pathlib import Path

from .rooms import token

JOIN_AND_STAY = """
import asyncio, sys
from livekit import rtc
async def main():
    room = rtc.Room()
    await room.connect(sys.argv[1], sys.argv[2], rtc.RoomOptions(single_peer_connection=sys.argv[3] == "True"))
    print("joined", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def guest_process(house, identity, single):
    """Joins, and stays until it is killed; gives the process."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", JOIN_AND_STAY, house.server.http, token(identity, house.room), str(single),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=Path(__file__).parent.parent,
    )
    line = await asyncio.wait_for(running.stdout.readline(), 20)
    assert line.strip() == b"joined"
    return running
