"""What is measured. Each function loads a running server and gives a dictionary of figures."""

import asyncio
import json
import re
import statistics
import subprocess
import time

from support.sip import Media, sdp, token

from .servers import CALLEE, user
from .sip import Account, Answering, Datagrams, Socket, paced

FIRST_BROWSER_PORT, FIRST_TRUNK_PORT = 20000, 23000


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(values):
    return {"p50": round(1000 * percentile(values, 0.5), 2), "p99": round(1000 * percentile(values, 0.99), 2)}


async def idle_rate(server, seconds=2):
    """CPU milliseconds a second that the server uses for nothing."""
    before, started = server.usage(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (server.usage().cpu_ms - before.cpu_ms) / (time.perf_counter() - started)


async def cost(server, idle, action):
    """(CPU microseconds of the server beyond its idle rate, result) of an action."""
    before, started = server.usage(), time.perf_counter()
    result = await action()
    await asyncio.sleep(0.3)
    spent = server.usage().cpu_ms - before.cpu_ms - idle * (time.perf_counter() - started)
    return 1000 * spent, result


async def registrations(server, count, rate, users):
    """REGISTER with digest over UDP: 401 and 200."""
    link = await Datagrams.open(server.sip)
    accounts = [Account(link, user(number)) for number in range(users)]
    await paced(min(200, count), rate, lambda number: accounts[number % users].register())
    idle = await idle_rate(server)
    spent, seconds = await cost(server, idle, lambda: paced(count, rate, lambda i: accounts[i % users].register()))
    await link.close()
    return {"cpu_us_per_registration": round(spent / count, 1), "ms_until_200": milliseconds(seconds)}


async def callee(server, trunk):
    """Who answers the calls: the trunk where the server routes to it, else a registered user at the same socket."""
    link = await Datagrams.open(server.sip, trunk)
    answering = Answering(link, FIRST_TRUNK_PORT)
    if server.registers_callee:
        await Account(link, CALLEE).register()
    return link, answering


async def calls(server, trunk, count, rate, users):
    """INVITE with digest, 180, 200, ACK, half a second, BYE, over UDP; no RTP flows."""
    trunk_link, _ = await callee(server, trunk)
    link = await Datagrams.open(server.sip)
    accounts = [Account(link, user(number)) for number in range(users)]
    times, ended = [], []

    async def one(number):
        account = accounts[number % users]
        call = await account.invite(CALLEE, sdp("127.0.0.1", 40000, ((0, "PCMU/8000"),)))
        times.append(call.seconds)
        await asyncio.sleep(0.5)
        ended.append(await call.end())

    await paced(min(50, count), rate, one)
    times.clear()
    idle = await idle_rate(server)
    spent, _ = await cost(server, idle, lambda: paced(count, rate, one))
    await link.close()
    await trunk_link.close()
    return {
        "cpu_us_per_call": round(spent / count, 1),
        "ms_invite_until_200": milliseconds(times),
        "ms_bye_until_200": milliseconds(ended),
    }


async def websockets(server, count, rate):
    """Agents on WebSockets: what opening, registering and keeping one costs."""
    idle = await idle_rate(server)
    before = server.usage()
    links, accounts = [], []

    async def open_one(_):
        links.append(await Socket.open(server.websocket))

    opened, _ = await cost(server, idle, lambda: paced(count, rate, open_one))
    accounts += [Account(link, user(number)) for number, link in enumerate(links)]
    first, _ = await cost(server, idle, lambda: paced(count, rate, lambda i: accounts[i].register()))
    memory = server.usage().pss_kb - before.pss_kb
    again, _ = await cost(server, idle, lambda: paced(count, rate, lambda i: accounts[i].register(fresh=False)))
    for link in links:
        await link.close()
    return {
        "connections": count,
        "cpu_us_per_connection": round(opened / count, 1),
        "cpu_us_per_registration": round(first / count, 1),
        "cpu_us_per_refresh": round(again / count, 1),
        "kb_per_registered_agent": round(memory / count, 1),
    }


def browser_offer(port, is_opus, ufrag, secret, fingerprint):
    """As Chromium offers, with one codec: what must be carried is the benchmark's to say."""
    number, name = (111, "opus/48000/2") if is_opus else (0, "PCMU/8000")
    lines = ["v=0", f"o=- {time.monotonic_ns()} 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0"]
    lines += [f"m=audio {port} UDP/TLS/RTP/SAVPF {number}", "c=IN IP4 127.0.0.1", f"a=rtcp:{port} IN IP4 127.0.0.1"]
    lines += [f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host", "a=end-of-candidates"]
    lines += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{secret}", f"a=fingerprint:sha-256 {fingerprint}", "a=setup:actpass"]
    lines += ["a=mid:0", "a=sendrecv", "a=rtcp-mux", f"a=rtpmap:{number} {name}"]
    lines += [f"a=fmtp:{number} minptime=10;useinbandfec=1"] if is_opus else []
    return "\r\n".join(lines) + f"\r\na=ssrc:{int(token(6), 16)} cname:bench\r\n"


def remote_of(answer):
    """(address, port, ufrag, password) of the server's browser side."""
    candidates = [line.split() for line in re.findall(r"^a=candidate:(.*?)\r?$", answer, re.M)]
    usable = [fields for fields in candidates if fields[1] == "1" and fields[2].lower() == "udp" and "." in fields[4]]
    media = Media(answer)
    address, port = media.address, media.port
    if usable:
        best = max(usable, key=lambda fields: (fields[4].startswith("127."), int(fields[3])))
        address, port = best[4], int(best[5])
    return address, port, re.search(r"^a=ice-ufrag:(\S+)", answer, re.M)[1], re.search(r"^a=ice-pwd:(\S+)", answer, re.M)[1]


async def gateway(server, trunk, count, seconds, codec, tools):
    """Callers on WebSockets with ICE and DTLS-SRTP, callee on UDP with RTP and PCMU, media both ways."""
    trunk_link, answering = await callee(server, trunk)
    links = [await Socket.open(server.websocket) for _ in range(count)]
    accounts = [Account(link, user(number)) for number, link in enumerate(links)]
    for account in accounts:
        await account.register()
    idle = await idle_rate(server)
    running, legs, added = [], [], []

    async def set_up():
        for number, account in enumerate(accounts):
            port, ufrag, secret = FIRST_BROWSER_PORT + 2 * number, token(8), token(24)
            offer = browser_offer(port, codec == "opus", ufrag, secret, tools.fingerprint)
            call = await account.invite(CALLEE, offer)
            running.append(call)
            arrived, answered, trunk_offer, trunk_port = answering.newest
            # On the way there and on the way back; what the callee took between is its own.
            added.append((arrived - call.sent_at) + (call.sent_at + call.seconds - answered))
            address, remote_port, remote_ufrag, remote_secret = remote_of(call.answer)
            kind = "opus 111" if codec == "opus" else "pcmu 0"
            legs.append(f"{port} {address} {remote_port} {kind} webrtc {ufrag} {secret} {remote_ufrag} {remote_secret}")
            media = Media(trunk_offer)
            legs.append(f"{trunk_port} {media.address} {media.port} pcmu 0 rtp")

    before = server.usage()
    signalling, _ = await cost(server, idle, set_up)
    tools.legs.write_text("\n".join(legs) + "\n")
    command = [str(tools.media), str(tools.legs), str(seconds + 3), str(tools.certificate), str(tools.key)]
    keys_before, started = server.usage(), time.perf_counter()
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    ready = (await load.stdout.readline()).decode().split()
    if not ready:
        raise RuntimeError(f"{server.name}: the media did not connect")
    keys = 1000 * (server.usage().cpu_ms - keys_before.cpu_ms - idle * (time.perf_counter() - started))
    await asyncio.sleep(2)
    first, started = server.usage(), time.perf_counter()
    await asyncio.sleep(seconds)
    last, elapsed = server.usage(), time.perf_counter() - started
    found = json.loads(await load.stdout.readline())
    await load.wait()
    for call in running:
        await call.end()
    for link in links:
        await link.close()
    await trunk_link.close()
    each = (last.cpu_ms - first.cpu_ms) / elapsed / count
    return {
        "calls": count,
        "cpu_ms_per_call_second": round(each, 3),
        "calls_per_core": round(1000 / each) if each > 0 else 0,
        "cpu_us_signalling_per_call": round(signalling / count),
        "cpu_us_ice_dtls_per_call": round(keys / count),
        "ms_added_to_set_up": milliseconds(added),
        "ms_ice_and_dtls": float(ready[1]),
        "kb_per_call": round((first.pss_kb - before.pss_kb) / count),
        "lost": found["lost"],
        "rejected": found["rejected"],
        "deaf": found["deaf"],
        "active_share": round(found["active"] / max(1, found["received"]), 2),
        "late_ms": found["late_ms"],
        "is_valid": found["late_ms"] < 60 and found["deaf"] == 0,
    }


def median(rows):
    """Of each figure over several runs; of dictionaries each entry."""
    merged = {}
    for name, value in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(value, dict):
            merged[name] = median(values)
        elif isinstance(value, bool):
            merged[name] = all(values)
        elif isinstance(value, (int, float)):
            merged[name] = round(statistics.median(values), 3)
        else:
            merged[name] = value
    return merged
