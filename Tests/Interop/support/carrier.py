"""A carrier that demands registration and digest: what it saw is kept for the test to look at."""

import threading
import time

from .sip import Endpoint, Message, digest_response, parameters, token


class Carrier(Endpoint):
    """Answers REGISTER and (with `challenge_invites`) INVITE with a challenge and checks the response itself."""

    def __init__(self, address, user, password, realm="carrier.test", expires=60, challenge_invites=True):
        self.user, self.password, self.realm, self.expires = user, password, realm, expires
        self.challenge_invites = challenge_invites
        self.nonces, self.challenged, self.registrations, self.refused = set(), set(), [], 0
        self.registered = threading.Event()
        super().__init__(address, 0, (address, 0))

    def verified(self, message, header):
        values = parameters(message.get(header))
        if values.get("nonce") not in self.nonces or values.get("username") != self.user:
            return False
        if values.get("uri") != message.uri or values.get("realm") != self.realm:
            return False
        return values.get("response") == digest_response(values, message.method, self.password)

    def _arrive(self, data, source):
        message = Message.parse(data)
        message.source = source
        if message.is_response:
            return super()._arrive(data, source)
        if message.method == "REGISTER":
            return self._register(message)
        if message.method == "INVITE" and self.challenge_invites and ";tag=" not in message.get("to"):
            if not self.verified(message, "Proxy-Authorization"):
                return self._challenge(message, 407, "Proxy-Authenticate")
        if message.method == "ACK" and message.branch in self.challenged:
            return None  # Of the challenge: the transaction's, not a dialog's.
        return super()._arrive(data, source)

    def _challenge(self, message, status, header):
        nonce = token(16)
        self.nonces.add(nonce)
        self.challenged.add(message.branch)
        self.refused += 1
        value = f'Digest realm="{self.realm}", nonce="{nonce}", qop="auth", algorithm=MD5'
        self.reply(message, status, "Authentication required", [(header, value)])

    def _register(self, message):
        self.log.append(("<", message))
        if not self.verified(message, "Authorization"):
            return self._challenge(message, 401, "WWW-Authenticate")
        contact = message.get("contact")
        expires = parameters(contact).get("expires") or message.get("expires") or str(self.expires)
        granted = min(int(expires), self.expires)
        self.registrations.append((time.monotonic(), contact, granted))
        extra = [("Contact", f"{contact.split(';expires')[0]};expires={granted}")] if granted else []
        self.reply(message, 200, "OK", extra)
        if granted:
            self.registered.set()
        else:
            self.registered.clear()
        return None
