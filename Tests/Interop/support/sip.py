"""A small SIP peer for the tests: messages as text, one endpoint on UDP, TCP or WebSocket, dialogs by hand.

It does what a test tells it and nothing more, so that it can also do what no proper implementation would.
"""

import hashlib
import queue
import re
import secrets
import socket
import ssl
import threading
import time

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type"}


def token(count=10):
    return secrets.token_hex(count // 2)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Message:
    """A request or response: start line, header fields in order, body."""

    def __init__(self, start, fields=(), body=""):
        self.start, self.fields, self.body = start, list(fields), body
        self.source = None
        self.at = time.monotonic()

    @classmethod
    def parse(cls, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
        fields = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        return cls(lines[0], fields, body.decode("utf-8", "replace"))

    def all(self, name):
        name = name.lower()
        return [value for key, value in self.fields if COMPACT.get(key.lower(), key.lower()) == name]

    def get(self, name, default=""):
        return next(iter(self.all(name)), default)

    @property
    def is_response(self):
        return self.start.startswith("SIP/2.0")

    @property
    def status(self):
        return int(self.start.split()[1]) if self.is_response else 0

    @property
    def method(self):
        return self.get("cseq").split()[-1] if self.is_response else self.start.split()[0]

    @property
    def uri(self):
        return self.start.split()[1]

    @property
    def sequence(self):
        return int(self.get("cseq").split()[0])

    @property
    def call_id(self):
        return self.get("call-id")

    @property
    def branch(self):
        found = re.search(r"branch=([^;,\s]+)", self.get("via"))
        return found.group(1) if found else ""

    def tag(self, name):
        found = re.search(r";tag=([^;>\s]+)", self.get(name))
        return found.group(1) if found else None

    def encode(self):
        body = self.body.encode()
        fields = [f"{name}: {value}" for name, value in self.fields if name.lower() != "content-length"]
        return "\r\n".join([self.start, *fields, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def __str__(self):
        return self.encode().decode()


def parameters(text):
    """The `name=value` pairs of a challenge or of credentials."""
    found = re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))', text)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def digest_response(values, method, password, body=""):
    """RFC 7616 §3.4.1 for MD5, with qop=auth or auth-int or without (RFC 2069)."""
    first = md5(f"{values['username']}:{values['realm']}:{password}")
    whole = values.get("qop") == "auth-int"
    second = md5(f"{method}:{values['uri']}:{md5(body)}" if whole else f"{method}:{values['uri']}")
    if "qop" in values:
        return md5(f"{first}:{values['nonce']}:{values['nc']}:{values['cnonce']}:{values['qop']}:{second}")
    return md5(f"{first}:{values['nonce']}:{second}")


def authorization(challenge, method, uri, user, password, count=1, qop="auth", body=""):
    """The header field that answers a 401 or 407: (name, value). Without `qop` in the challenge it has none."""
    name = "Authorization" if challenge.status == 401 else "Proxy-Authorization"
    offered = challenge.all("WWW-Authenticate") + challenge.all("Proxy-Authenticate")
    asked = next(parameters(text) for text in offered if parameters(text).get("algorithm", "MD5").upper() == "MD5")
    values = {"username": user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    if qop in [part.strip() for part in asked.get("qop", "").split(",")]:
        values |= {"qop": qop, "nc": f"{count:08x}", "cnonce": token(8)}
    values["response"] = digest_response(values, method, password, body)
    quoted = [f'{k}="{v}"' for k, v in values.items() if k not in ("qop", "nc")]
    quoted += [f"{k}={values[k]}" for k in ("qop", "nc") if k in values]
    if "opaque" in asked:
        quoted.append(f'opaque="{asked["opaque"]}"')
    return name, "Digest " + ", ".join(quoted) + ", algorithm=MD5"


def sdp(address, port, formats=((0, "PCMU/8000"), (101, "telephone-event/8000")), direction="sendrecv", version=1, extra=""):
    """An audio session; formats is a list of (payload type, rtpmap)."""
    lines = [
        "v=0",
        f"o=peer 4711 {version} IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {' '.join(str(number) for number, _ in formats)}",
        *[f"a=rtpmap:{number} {name}" for number, name in formats],
        *[f"a=fmtp:{number} 0-16" for number, name in formats if name.startswith("telephone-event")],
        "a=ptime:20",
        f"a={direction}",
    ]
    return "\r\n".join(lines) + "\r\n" + extra


class Media:
    """What an SDP body says of its first audio stream."""

    def __init__(self, body):
        self.body = body
        line = re.search(r"^m=audio (\d+) (\S+) (.*?)\r?$", body, re.M)
        self.port, self.profile, self.formats = int(line.group(1)), line.group(2), line.group(3).split()
        after = body[line.start() :]
        self.address = re.search(r"^c=IN IP[46] (\S+)", after, re.M) or re.search(r"^c=IN IP[46] (\S+)", body, re.M)
        self.address = self.address.group(1)
        self.maps = dict(re.findall(r"^a=rtpmap:(\d+) (\S+)", body, re.M))
        found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", body, re.M)
        self.direction = found.group(1) if found else "sendrecv"
        origin = re.search(r"^o=\S+ (\S+) (\S+) ", body, re.M)
        self.session, self.version = origin.group(1), int(origin.group(2))

    def payload_type(self, name):
        static = {"PCMU/8000": "0", "PCMA/8000": "8", "G722/8000": "9"}
        for number, mapped in self.maps.items():
            if mapped.lower().startswith(name.lower()) and number in self.formats:
                return int(number)
        number = static.get(name)
        return int(number) if number in self.formats else None


class Endpoint:
    """One SIP socket with a reading thread. Requests and responses wait in a list until a test asks for them."""

    def __init__(self, address, port, server, transport="UDP", connection=None):
        self.address, self.port, self.server, self.transport = address, port, server, transport
        self.arrived, self.lock, self.condition = [], threading.Lock(), threading.Condition()
        self.seen, self.answers, self.log = set(), {}, []
        self.closed = False
        if connection is not None:
            self.socket = connection
        elif transport == "UDP":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((address, port))
            self.port = self.socket.getsockname()[1]
        else:
            self.socket = socket.create_connection(server, timeout=5, source_address=(address, port))
            if transport == "TLS":
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                self.socket = context.wrap_socket(self.socket)
            self.port = self.socket.getsockname()[1]
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    @classmethod
    def over(cls, connection, address, port):
        """An endpoint on a connection that the server opened to `address:port`."""
        return cls(address, port, connection.getpeername(), "TCP", connection)

    def close(self):
        self.closed = True
        self.thread.join(2)
        self.socket.close()

    def _read(self):
        buffer = b""
        while not self.closed:
            try:
                if self.transport == "UDP":
                    data, source = self.socket.recvfrom(65535)
                else:
                    data, source = self.socket.recv(65535), self.server
                    if not data:
                        break
            except (TimeoutError, socket.timeout):
                continue
            except OSError:
                break
            if self.transport == "UDP":
                if data.strip():
                    self._arrive(data, source)
                continue
            buffer += data
            while b"\r\n\r\n" in buffer.lstrip(b"\r\n"):
                buffer = buffer.lstrip(b"\r\n")
                head, _, rest = buffer.partition(b"\r\n\r\n")
                length = int(Message.parse(head).get("content-length", "0"))
                if len(rest) < length:
                    break
                self._arrive(head + b"\r\n\r\n" + rest[:length], source)
                buffer = rest[length:]
        with self.condition:
            self.closed = True
            self.condition.notify_all()

    def _arrive(self, data, source):
        message = Message.parse(data)
        message.source = source
        with self.condition:
            self.log.append(("<", message))
            if not message.is_response:
                key = (message.branch, message.method)
                if key in self.seen:
                    if key in self.answers:
                        self._transmit(self.answers[key], source)
                    return
                self.seen.add(key)
            self.arrived.append(message)
            self.condition.notify_all()

    def _transmit(self, data, destination):
        if self.transport == "UDP":
            self.socket.sendto(data, destination)
        else:
            self.socket.sendall(data)

    def send(self, message, destination=None):
        self.log.append((">", message))
        self._transmit(message.encode(), destination or self.server)

    def send_raw(self, data, destination=None):
        self._transmit(data, destination or self.server)

    def wait(self, predicate, timeout=5.0, what="message"):
        """Takes the first waiting message that fits."""
        deadline = time.monotonic() + timeout
        with self.condition:
            while True:
                for message in self.arrived:
                    if predicate(message):
                        self.arrived.remove(message)
                        return message
                left = deadline - time.monotonic()
                if left <= 0 or not self.condition.wait(left):
                    if time.monotonic() >= deadline:
                        raise AssertionError(f"no {what} within {timeout} s; log:\n{self.trace()}")

    def request(self, method, timeout=5.0, call_id=None):
        def fits(m):
            return not m.is_response and m.method == method and (call_id is None or m.call_id == call_id)

        return self.wait(fits, timeout, method)

    def response(self, sent, timeout=5.0, provisional=False):
        """The final response to a request that was sent, or with `provisional` whichever comes next (but not 100)."""

        def fits(m):
            return m.is_response and m.branch == sent.branch and m.status >= (101 if provisional else 200)

        return self.wait(fits, timeout, f"answer to {sent.method}")

    def nothing(self, predicate, seconds):
        """Fails when a message that fits comes within that time."""
        try:
            found = self.wait(predicate, seconds)
        except AssertionError:
            return
        raise AssertionError(f"unexpected:\n{found}")

    def trace(self):
        return "\n".join(f"{arrow} {m.start}  [{m.get('cseq')}] {m.call_id[:12]}" for arrow, m in self.log[-40:])

    @property
    def contact(self):
        suffix = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"<sip:peer@{self.address}:{self.port}{suffix}>"

    def via(self):
        return f"SIP/2.0/{self.transport} {self.address}:{self.port};branch=z9hG4bK{token(12)};rport"

    def reply(self, request, status, reason="", extra=(), body="", tag=None):
        """Answers a request; a To tag is added where the status and the request want one."""
        to = request.get("to")
        if ";tag=" not in to and status > 100:
            to += f";tag={tag or 'peer' + md5(request.call_id)[:8]}"
        fields = [("Via", value) for value in request.all("via")]
        fields += [("Record-Route", value) for value in request.all("record-route")]
        fields += [("From", request.get("from")), ("To", to), ("Call-ID", request.call_id)]
        fields += [("CSeq", request.get("cseq")), *extra]
        if body:
            fields.append(("Content-Type", "application/sdp"))
        if request.method == "INVITE" and 100 < status < 300:
            fields.append(("Contact", self.contact))
        message = Message(f"SIP/2.0 {status} {reason or 'Reason'}", fields, body)
        self.answers[(request.branch, request.method)] = message.encode()
        self.send(message, request.source)
        return message

    def make(self, method, uri, user="peer", to=None, call_id=None, sequence=1, tag=None, extra=(), body="", kind="application/sdp"):
        fields = [("Via", self.via()), ("Max-Forwards", "70")]
        fields += [("From", f"<sip:{user}@{self.address}>;tag={tag or token(8)}"), ("To", to or f"<{uri}>")]
        fields += [("Call-ID", call_id or token(16)), ("CSeq", f"{sequence} {method}")]
        if method not in ("ACK", "CANCEL", "BYE"):
            fields.append(("Contact", self.contact))
        fields += list(extra)
        if body:
            fields.append(("Content-Type", kind))
        return Message(f"{method} {uri} SIP/2.0", fields, body)

    def register(self, user, password, domain, expires=300, contact=None):
        """Registers with digest; the final response."""
        uri, call_id, tag = f"sip:{domain}", token(16), token(8)
        extra = [("Expires", str(expires))]
        for sequence in (1, 2):
            message = self.make(
                "REGISTER", uri, user, f"<sip:{user}@{domain}>", call_id, sequence, tag, extra, ""
            )
            message.fields = [(n, f"<sip:{user}@{domain}>;tag={tag}" if n == "From" else v) for n, v in message.fields]
            if contact:
                message.fields = [(n, contact if n == "Contact" else v) for n, v in message.fields]
            self.send(message)
            answer = self.response(message)
            if answer.status != 401:
                return answer
            extra = [("Expires", str(expires)), authorization(answer, "REGISTER", uri, user, password)]
        return answer


class Dialog:
    """One call of an endpoint, as caller (`dial`) or callee (`Dialog(endpoint, invite)`)."""

    def __init__(self, endpoint, invite=None):
        self.endpoint, self.invite = endpoint, invite
        self.sequence, self.routes = 1, []
        if invite is not None:
            self.call_id = invite.call_id
            self.local_tag = "peer" + md5(invite.call_id)[:8]
            self.local = invite.get("to") + f";tag={self.local_tag}"
            self.remote = invite.get("from")
            self._target(invite)
            self.routes = invite.all("record-route")

    def _target(self, message):
        found = re.search(r"<([^>]+)>", message.get("contact")) or re.search(r"(sips?:[^;\s]+)", message.get("contact"))
        if found:
            self.target = found.group(1)

    @property
    def media(self):
        return Media(self.invite.body)

    # Callee.

    def ring(self, status=180, body=""):
        return self.endpoint.reply(self.invite, status, "Ringing", body=body)

    def accept(self, body, extra=()):
        self.endpoint.reply(self.invite, 200, "OK", extra, body)
        return self.endpoint.request("ACK", call_id=self.call_id)

    def reject(self, status, reason="", extra=()):
        self.endpoint.reply(self.invite, status, reason, extra)
        return self.endpoint.request("ACK", call_id=self.call_id)

    # Caller.

    def dial(self, uri, body, user="peer", extra=(), timeout=10.0, credentials=None, final=True):
        """Sends the INVITE, with credentials where challenged. Gives the final response (after the ACK) or,
        without `final`, returns once the INVITE is out."""
        self.call_id, tag, more = token(16), token(8), list(extra)
        while True:
            message = self.endpoint.make("INVITE", uri, user, None, self.call_id, self.sequence, tag, more, body)
            self.sent, self.local, self.local_tag = message, message.get("from"), tag
            self.endpoint.send(message)
            if not final:
                return None
            answer = self.finish(timeout)
            if answer.status not in (401, 407) or credentials is None or len(more) > len(list(extra)):
                return answer
            more.append(authorization(answer, "INVITE", uri, *credentials))
            self.sequence += 1

    def finish(self, timeout=10.0, ack_body=""):
        """Waits for the final response to the INVITE under way and acknowledges it."""
        answer = self.endpoint.response(self.sent, timeout)
        self.remote = answer.get("to")
        if answer.status < 300:
            self._target(answer)
            self.routes = list(reversed(answer.all("record-route")))
            self.answer = answer
            self.acknowledge(ack_body)
        else:
            ack = Message(f"ACK {self.sent.uri} SIP/2.0", [("Via", self.sent.get("via")), ("Max-Forwards", "70")])
            ack.fields += [("From", self.local), ("To", self.remote), ("Call-ID", self.call_id)]
            ack.fields += [("CSeq", f"{self.sent.sequence} ACK")]
            self.endpoint.send(ack)
        return answer

    def acknowledge(self, body="", sequence=None):
        message = self.make("ACK", sequence or self.sent.sequence, body)
        self.endpoint.send(message)

    def cancel(self):
        message = Message(f"CANCEL {self.sent.uri} SIP/2.0", [("Via", self.sent.get("via")), ("Max-Forwards", "70")])
        message.fields += [("From", self.local), ("To", self.sent.get("to")), ("Call-ID", self.call_id)]
        message.fields += [("CSeq", f"{self.sent.sequence} CANCEL")]
        self.endpoint.send(message)
        return message

    # Both.

    def make(self, method, sequence, body="", extra=(), kind="application/sdp"):
        fields = [("Via", self.endpoint.via()), ("Max-Forwards", "70")]
        fields += [("Route", value) for value in self.routes]
        fields += [("From", self.local), ("To", self.remote), ("Call-ID", self.call_id)]
        fields += [("CSeq", f"{sequence} {method}")]
        if method in ("INVITE", "UPDATE"):
            fields.append(("Contact", self.endpoint.contact))
        fields += list(extra)
        if body:
            fields.append(("Content-Type", kind))
        return Message(f"{method} {self.target} SIP/2.0", fields, body)

    def request(self, method, body="", extra=(), kind="application/sdp", timeout=5.0):
        """Sends a request within the dialog; gives its final response (a 2xx to INVITE is acknowledged)."""
        self.sequence += 1
        message = self.make(method, self.sequence, body, extra, kind)
        self.endpoint.send(message)
        answer = self.endpoint.response(message, timeout)
        if method == "INVITE":
            if answer.status < 300:
                self.acknowledge(sequence=self.sequence)
            else:
                ack = self.make("ACK", self.sequence)
                ack.fields[0] = ("Via", message.get("via"))
                self.endpoint.send(ack)
        return answer

    def info(self, digit, milliseconds=160):
        body = f"Signal={digit}\r\nDuration={milliseconds}\r\n"
        return self.request("INFO", body, kind="application/dtmf-relay")

    def bye(self):
        return self.request("BYE")

    def wait_bye(self, timeout=5.0):
        message = self.endpoint.request("BYE", timeout, self.call_id)
        self.endpoint.reply(message, 200, "OK")
        return message
