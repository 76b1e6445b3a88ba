"""SIP clients in numbers: over UDP or WebSocket, paced, with the time of each answer."""

import asyncio
import re
import time

from support.sip import Message, authorization, sdp, token
from websockets.asyncio.client import connect

from .servers import DOMAIN, password


class Waiting:
    """Responses by branch, requests by a handler."""

    def __init__(self):
        self.answers = {}
        self.on_request = None

    def receive(self, data, source=None):
        message = Message.parse(data if isinstance(data, bytes) else data.encode())
        message.source = source
        if message.is_response:
            queue = self.answers.get(message.branch)
            if queue is not None:
                queue.put_nowait((time.perf_counter(), message))
        elif self.on_request:
            self.on_request(message)

    async def final(self, transport, message, seen=None):
        """Sends a request and gives (seconds, final response); `seen` collects (seconds, status) of provisional ones."""
        queue = self.answers[message.branch] = asyncio.Queue()
        started = time.perf_counter()
        transport(message.encode())
        try:
            while True:
                at, answer = await asyncio.wait_for(queue.get(), 20)
                if answer.status >= 200:
                    return at - started, answer
                if seen is not None and answer.status > 100:
                    seen.append((at - started, answer.status))
        finally:
            del self.answers[message.branch]


class Datagrams(Waiting, asyncio.DatagramProtocol):
    """Many users behind one UDP socket."""

    @classmethod
    async def open(cls, remote, local=("127.0.0.1", 0)):
        _, made = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=local)
        made.remote = remote
        return made

    def connection_made(self, transport):
        self.transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]
        self.protocol = "UDP"

    def datagram_received(self, data, source):
        self.receive(data, source)

    def send(self, data):
        self.transport.sendto(data, self.remote)

    def contact(self, name):
        return f"<sip:{name}@{self.host}:{self.port}>"

    @property
    def sent_by(self):
        return f"{self.host}:{self.port}"

    async def close(self):
        self.transport.close()


class Socket(Waiting):
    """One user on a WebSocket of its own (RFC 7118)."""

    @classmethod
    async def open(cls, url):
        made = cls()
        made.connection = await connect(url, subprotocols=["sip"], compression=None, ping_interval=None, max_queue=None)
        made.protocol, made.sent_by = "WS", f"{token(12)}.invalid"
        made.instance = token(8)
        made.reader = asyncio.create_task(made._read())
        made.sends = asyncio.Queue()
        made.writer = asyncio.create_task(made._write())
        return made

    async def _read(self):
        async for data in self.connection:
            self.receive(data)

    async def _write(self):
        while True:
            await self.connection.send((await self.sends.get()).decode())

    def send(self, data):
        self.sends.put_nowait(data)

    def contact(self, name):
        return f"<sip:{self.instance}@{self.sent_by};transport=ws>"

    async def close(self):
        self.writer.cancel()
        await self.connection.close()
        await self.reader


class Account:
    """A user of a link: registers, calls."""

    def __init__(self, link, name):
        self.link, self.name = link, name
        self.call_id, self.tag, self.sequence, self.challenge, self.uses = token(16), token(8), 0, None, 0

    def request(self, method, uri, to, call_id, tag, sequence, extra=(), body=""):
        fields = [("Via", f"SIP/2.0/{self.link.protocol} {self.link.sent_by};branch=z9hG4bK{token(12)};rport")]
        fields += [("Max-Forwards", "70"), ("From", f"<sip:{self.name}@{DOMAIN}>;tag={tag}"), ("To", to)]
        fields += [("Call-ID", call_id), ("CSeq", f"{sequence} {method}")]
        if method in ("REGISTER", "INVITE"):
            fields.append(("Contact", self.link.contact(self.name)))
        fields += list(extra)
        if body:
            fields.append(("Content-Type", "application/sdp"))
        return Message(f"{method} {uri} SIP/2.0", fields, body)

    def credentials(self, method, uri):
        if self.challenge is None:
            return []
        self.uses += 1
        return [authorization(self.challenge, method, uri, self.name, password(self.name), self.uses)]

    async def register(self, fresh=True):
        """REGISTER, 401, REGISTER, 200; without `fresh` the nonce is used again. Gives the seconds until the 200."""
        uri, to = f"sip:{DOMAIN}", f"<sip:{self.name}@{DOMAIN}>"
        if fresh:
            self.challenge = None
        for _ in range(2):
            self.sequence += 1
            extra = [("Expires", "3600"), *self.credentials("REGISTER", uri)]
            message = self.request("REGISTER", uri, to, self.call_id, self.tag, self.sequence, extra)
            seconds, answer = await self.link.final(self.link.send, message)
            if answer.status == 200:
                return seconds
            if answer.status != 401:
                raise RuntimeError(f"REGISTER: {answer.start}")
            self.challenge, self.uses = answer, 0
        raise RuntimeError("REGISTER: refused twice")

    async def invite(self, callee, body):
        """INVITE with digest, until the ACK. Gives the call."""
        call = Call(self, f"sip:{callee}@{DOMAIN}")
        await call.start(body)
        return call


class Call:
    def __init__(self, account, uri):
        self.account, self.uri = account, uri
        self.call_id, self.tag, self.sequence = token(16), token(8), 0
        self.provisional = []

    async def start(self, body):
        account, link = self.account, self.account.link
        for _ in range(2):
            self.sequence += 1
            extra = account.credentials("INVITE", self.uri)
            message = account.request("INVITE", self.uri, f"<{self.uri}>", self.call_id, self.tag, self.sequence, extra, body)
            self.sent_at = time.perf_counter()
            self.seconds, answer = await link.final(link.send, message, self.provisional)
            self.to, self.answered_at = answer.get("to"), time.perf_counter()
            if answer.status < 300:
                break
            ack = account.request("ACK", self.uri, self.to, self.call_id, self.tag, self.sequence)
            ack.fields[0] = ("Via", message.get("via"))
            link.send(ack.encode())
            if answer.status not in (401, 407):
                raise RuntimeError(f"INVITE: {answer.start}")
            account.challenge, account.uses = answer, 0
        else:
            raise RuntimeError("INVITE: refused twice")
        self.answer = answer.body
        self.target = re.search(r"<([^>]+)>", answer.get("contact")).group(1)
        self.routes = [("Route", value) for value in reversed(answer.all("record-route"))]
        ack = account.request("ACK", self.target, self.to, self.call_id, self.tag, self.sequence, self.routes)
        link.send(ack.encode())

    async def end(self):
        account, self.sequence = self.account, self.sequence + 1
        message = account.request("BYE", self.target, self.to, self.call_id, self.tag, self.sequence, self.routes)
        seconds, answer = await account.link.final(account.link.send, message)
        if answer.status != 200:
            raise RuntimeError(f"BYE: {answer.start}")
        return seconds


class Answering:
    """The called side on UDP: 180 and 200 at once, with PCMU at a port of its own for each call."""

    def __init__(self, link, first_port):
        self.link, self.next_port = link, first_port
        self.calls, self.seen, self.tags = {}, {}, token(6)
        link.on_request = self.receive

    def reply(self, request, status, extra=(), body=""):
        to = request.get("to")
        fields = [("Via", value) for value in request.all("via")]
        fields += [("Record-Route", value) for value in request.all("record-route")]
        fields += [("From", request.get("from")), ("To", to if ";tag=" in to else f"{to};tag={self.tags}")]
        fields += [("Call-ID", request.call_id), ("CSeq", request.get("cseq")), *extra]
        fields += [("Content-Type", "application/sdp")] if body else []
        data = Message(f"SIP/2.0 {status} OK", fields, body).encode()
        self.link.transport.sendto(data, request.source)
        return data

    def receive(self, request):
        if request.method == "INVITE":
            if request.branch in self.seen:
                self.link.transport.sendto(self.seen[request.branch], request.source)
                return
            arrived, port = time.perf_counter(), self.next_port
            self.next_port += 2
            contact = [("Contact", self.link.contact("peer"))]
            self.reply(request, 180, contact)
            body = sdp("127.0.0.1", port, ((0, "PCMU/8000"),))
            self.seen[request.branch] = self.reply(request, 200, contact, body)
            self.calls[request.call_id] = (arrived, time.perf_counter(), request.body, port)
            self.newest = self.calls[request.call_id]
        elif request.method != "ACK":
            self.reply(request, 200)


async def paced(count, rate, action):
    """Starts `action(i)` at the rate, waits for all, gives the results; the first failure is raised."""
    started, tasks = time.perf_counter(), []
    for number in range(count):
        wait = started + number / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(action(number)))
    return await asyncio.gather(*tasks)
