/**
 * A telephone in a browser: registers over a WebSocket, makes and takes calls, and comes back by itself after a loss.
 * @module
 */

import { Call } from './call.js';
import { DigestClient } from './digest.js';
import { Emitter } from './events.js';
import { causeOfStatus, PhoneError } from './errors.js';
import { toUri } from './numbers.js';
import { CallKeeper } from './keeper.js';
import { instanceId, randomToken } from './random.js';
import { Registration } from './registration.js';
import { parseMessage, SipRequest, SipResponse } from './sip-message.js';
import { TransactionLayer } from './transactions.js';
import { backOff, WebSocketTransport } from './transport.js';

/** @typedef {import('./transactions.js').ClientTransaction} ClientTransaction */
/** @typedef {import('./transactions.js').ServerTransaction} ServerTransaction */

export const version = '0.1.0';

/**
 * @typedef {object} PhoneOptions
 * @property {string} server WebSocket URL, such as `wss://pbx.example.net/sip`
 * @property {string} user
 * @property {string} password
 * @property {string} domain SIP domain of the user
 * @property {string} [displayName]
 * @property {string} [authUser] where the name for authentication differs
 * @property {RTCIceServer[]} [iceServers]
 * @property {string} [userAgent]
 * @property {string} [instanceId] UUID; without one, the browser's own
 * @property {number} [registerExpires] seconds, 600
 * @property {number} [keepAlive] seconds between keep-alives, 25
 * @property {'auto' | 'info'} [dtmf] RFC 4733 where agreed, or always INFO
 * @property {MediaTrackConstraints | true} [audio] constraints of the microphone
 * @property {() => Promise<MediaStream>} [microphone] instead of getUserMedia
 * @property {boolean} [keepCalls] take over the calls of this page when it is loaded anew, true
 */

/**
 * `connecting`, `registering`: on the way; `registered`: calls can come and go; `reconnecting`: lost, coming back by
 * itself; `rejected`: the server refuses this user, no further attempt is made.
 * @typedef {'stopped' | 'connecting' | 'registering' | 'registered' | 'reconnecting' | 'rejected'} PhoneState
 */

/**
 * `retryAt`: milliseconds since 1970, or 0.
 * @typedef {{state: PhoneState, error: PhoneError | null, retryAt: number}} PhoneStatus
 */

/**
 * A request and, after a challenge, the one that followed it.
 * @typedef {{cancel: () => void}} Exchange
 */

/**
 * `call`: one comes in; `text`: a user sent a text; `restored`: one of the page before this one is taken over; `calls`: one began or ended; `message`: every
 * SIP message, for a trace.
 * @typedef {object} PhoneEvents
 * @property {PhoneStatus} state
 * @property {Call} call
 * @property {Call} restored
 * @property {null} calls
 * @property {{direction: 'in' | 'out', text: string}} message
 * @property {{from: {user: string, uri: string, displayName: string}, type: string, text: string}} text
 * @property {{text: string, error: unknown}} warning
 */

/** @extends {Emitter<PhoneEvents>} */
export class Phone extends Emitter {
  /** @param {PhoneOptions} options */
  constructor(options) {
    super();
    this.options = {
      displayName: '', authUser: options.user, iceServers: [], userAgent: `Parley-Desk/${version}`, instanceId: '',
      registerExpires: 600, keepAlive: 25, dtmf: 'auto', keepCalls: true, audio: /** @type {MediaTrackConstraints | true} */ (true),
      ...options,
    };
    /** @type {PhoneStatus} */
    this.status = { state: 'stopped', error: null, retryAt: 0 };
    /**
     * Calls that have not ended, oldest first.
     * @type {Call[]}
     */
    this.calls = [];
    this.instanceId = this.options.instanceId;
    /** No name of this machine that anyone could reach: RFC 7118 §5. */
    this.host = `${randomToken(12)}.invalid`;
    this.contact = `sip:${randomToken(8)}@${this.host};transport=ws;ob`;
    this.allow = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, MESSAGE';
    this.digest = new DigestClient(this.options.authUser, options.password);
    this.transport = new WebSocketTransport(options.server, { keepAlive: this.options.keepAlive });
    this.layer = new TransactionLayer({
      send: (text) => this.transmit(text),
      via: () => `SIP/2.0/${this.transport.isSecure ? 'WSS' : 'WS'} ${this.host}`,
    });
    this.registration = new Registration(this, {
      registered: () => this.receiveRegistered(),
      failed: (error, retryAfter) => this.receiveRefusal(error, retryAfter),
      silent: () => this.transport.lost(),
    });
    this.keeper = new CallKeeper(this.aor);
    this.keeper.calls = () => this.calls;
    this.hasRestored = !this.options.keepCalls;
    this.registrationFailures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.retryTimer = undefined;
    this.wasRegistered = false;
    this.connect();
  }

  get state() {
    return this.status.state;
  }

  get domain() {
    return this.options.domain;
  }

  /** Address of record. */
  get aor() {
    return `sip:${encodeURIComponent(this.options.user)}@${this.domain}`;
  }

  /** For From: name and address. */
  get identity() {
    const name = this.options.displayName.replace(/[\r\n]/g, ' ').replace(/(["\\])/g, '\\$1');
    return name ? `"${name}" <${this.aor}>` : `<${this.aor}>`;
  }

  // ---- what the user does

  /** Connects and registers, and keeps it so until `stop`. */
  async start() {
    if (this.state !== 'stopped' && this.state !== 'rejected') return;
    this.become('connecting');
    if (!this.instanceId) this.instanceId = await instanceId();
    if (this.status.state !== 'connecting') return; // stopped meanwhile
    this.digest.known.clear();
    if (this.transport.state === 'open') this.registration.start();
    else this.transport.open();
  }

  /** Ends all calls, unregisters, disconnects. */
  async stop() {
    for (const call of [...this.calls]) call.hangUp();
    clearTimeout(this.retryTimer);
    this.wasRegistered = false;
    const removed = this.registration.stop();
    this.become('stopped');
    await removed;
    if (this.state !== 'stopped') return; // started again
    this.transport.close();
    this.layer.close();
  }

  /** Does not wait for the end of the pause before the next attempt. */
  retryNow() {
    if (this.transport.state === 'waiting') this.transport.hurry();
    else if (this.state === 'reconnecting' && this.transport.state === 'open') this.registration.start();
  }

  /**
   * Calls a number, a user's name or a SIP URI. What goes wrong later is told by the call's `ended`.
   * @param {string} target
   * @returns {Call}
   * @throws {PhoneError} when not registered, or nothing to call
   */
  call(target) {
    if (this.state !== 'registered') throw new PhoneError('not-connected');
    const uri = toUri(target, this.domain);
    if (!uri) throw new PhoneError('bad-number');
    const user = decodeURIComponent(/^sips?:([^@;]*)@/i.exec(uri)?.[1] ?? target);
    const call = new Call(this, { id: randomToken(22), direction: 'outgoing', remote: { user, uri, displayName: '' } });
    this.add(call);
    call.outgoing?.start();
    return call;
  }

  /**
   * Talks on this call; the others are held.
   * @param {Call} call
   * @returns {Promise<void>}
   */
  async switchTo(call) {
    const others = this.calls.filter((other) => other !== call && other.isEstablished && !other.onHold);
    await Promise.all(others.map((other) => other.hold().catch((error) => this.warn('hold failed', error))));
    await call.resume();
  }

  /**
   * Sends a text to a user (RFC 3428), 1,300 bytes at most.
   * @param {string} target
   * @param {string} text
   * @returns {Promise<void>} when a device of theirs has it
   * @throws {PhoneError} when none has
   */
  async sendText(target, text) {
    if (this.state !== 'registered') throw new PhoneError('not-connected');
    const uri = toUri(target, this.domain);
    if (!uri) throw new PhoneError('bad-number');
    let sequence = 1;
    const request = new SipRequest('MESSAGE', uri);
    request.headers
      .append('Max-Forwards', 70)
      .append('From', `${this.identity};tag=${randomToken(10)}`)
      .append('To', `<${uri}>`)
      .append('Call-ID', randomToken(22))
      .append('CSeq', `${sequence} MESSAGE`)
      .append('User-Agent', this.options.userAgent);
    request.setBody('text/plain;charset=UTF-8', text);
    const status = await new Promise((resolve) => {
      this.exchange(request, { final: (response) => resolve(response.status), timeout: () => resolve(408) }, () => {
        sequence += 1;
        return sequence;
      });
    });
    if (status >= 300) throw new PhoneError(causeOfStatus(status), `MESSAGE: ${status}`, status);
  }

  // ---- for the parts of the phone

  /** @returns {Promise<MediaStream>} */
  openMicrophone() {
    if (this.options.microphone) return this.options.microphone();
    const devices = globalThis.navigator?.mediaDevices;
    if (!devices) return Promise.reject(new PhoneError('mic-insecure', 'microphones need https or localhost'));
    return devices.getUserMedia({ audio: this.options.audio, video: false });
  }

  /**
   * Headers that say who and what we are.
   * @param {SipRequest | SipResponse} message
   */
  decorate(message) {
    message.headers
      .append('Contact', `<${this.contact}>`)
      .append('Allow', this.allow)
      .append('Supported', 'outbound, timer')
      .append('User-Agent', this.options.userAgent);
  }

  /**
   * The answer to OPTIONS.
   * @param {ServerTransaction} transaction
   */
  capabilities(transaction) {
    const response = transaction.response(200);
    this.decorate(response);
    response.headers.append('Accept', 'application/sdp');
    return response;
  }

  /**
   * Sends a request and answers the server's challenge.
   * @param {SipRequest} request
   * @param {{provisional?: (response: SipResponse, request: SipRequest) => void,
   *   final: (response: SipResponse, request: SipRequest) => void, timeout: () => void}} handlers
   * @param {() => number} nextSequence number for the request that follows a challenge
   * @returns {Exchange}
   */
  exchange(request, handlers, nextSequence) {
    /** @type {ClientTransaction} */
    let transaction;
    let cancelled = false;
    /**
     * @param {SipRequest} attempt
     * @param {number} tries
     */
    const send = (attempt, tries) => {
      this.digest.sign(attempt);
      transaction = this.layer.request(attempt, {
        provisional: (response) => handlers.provisional?.(response, attempt),
        timeout: handlers.timeout,
        final: (response) => {
          if ((response.status === 401 || response.status === 407) && !cancelled && tries < 4) {
            const challenge = this.digest.learn(response);
            // A second challenge for fresh credentials means that they are wrong, unless only the nonce was too old.
            if (challenge && (tries === 0 || challenge.stale)) {
              const next = attempt.copy();
              next.headers.set('CSeq', `${nextSequence()} ${attempt.method}`);
              send(next, tries + 1);
              return;
            }
          }
          handlers.final(response, attempt);
        },
      });
    };
    send(request, 0);
    return {
      cancel: () => {
        cancelled = true;
        transaction.cancel();
      },
    };
  }

  /**
   * @param {string} text
   * @param {unknown} [error]
   */
  warn(text, error = null) {
    this.emit('warning', { text, error });
  }

  // ---- connection and registration

  connect() {
    this.transport.on('open', () => {
      if (this.state === 'stopped' || this.state === 'rejected') return;
      if (!this.wasRegistered) this.become('registering');
      this.registration.start();
    });
    this.transport.on('state', ({ state, retryAt }) => {
      if (this.state === 'stopped' || this.state === 'rejected' || state !== 'waiting') return;
      clearTimeout(this.retryTimer);
      this.registration.suspend();
      this.become('reconnecting', new PhoneError('server-unreachable'), retryAt);
    });
    this.transport.on('message', (text) => this.receive(text));
    this.layer.on('request', (transaction) => this.receiveRequest(transaction));
    this.layer.on('ack', (ack) => this.calls.find((call) => call.dialog?.dialog.matches(ack))?.dialog?.receiveAck(ack));
  }

  receiveRegistered() {
    this.registrationFailures = 0;
    const isNew = this.state !== 'registered';
    this.wasRegistered = true;
    if (!isNew) return;
    this.layer.resume();
    this.become('registered');
    for (const call of [...this.calls]) call.flowRestored();
    if (!this.hasRestored) this.restore().catch((error) => this.warn('calls could not be taken over', error));
  }

  /** Takes over the calls that this page had before it was loaded anew. */
  async restore() {
    this.hasRestored = true;
    for (const kept of await this.keeper.take()) {
      const call = new Call(this, { id: randomToken(22), direction: kept.direction, remote: kept.remote, kept });
      this.add(call);
      this.emit('restored', call);
      call.outgoing?.start();
    }
  }

  /**
   * @param {PhoneError} error
   * @param {number} retryAfter seconds
   */
  receiveRefusal(error, retryAfter) {
    if (this.state === 'stopped') return;
    if (error.code !== 'server-error') {
      this.wasRegistered = false;
      this.become('rejected', error);
      if (this.calls.length === 0) this.transport.close();
      return;
    }
    this.registrationFailures += 1;
    const pause = Math.min(retryAfter, 600) * 1000 || backOff(this.registrationFailures, Math.random());
    this.retryTimer = setTimeout(() => this.registration.start(), pause);
    this.become('reconnecting', error, Date.now() + pause);
  }

  /**
   * @param {PhoneState} state
   * @param {PhoneError | null} [error]
   * @param {number} [retryAt]
   */
  become(state, error = null, retryAt = 0) {
    this.status = { state, error, retryAt };
    this.emit('state', this.status);
  }

  /** @param {string} text */
  transmit(text) {
    const sent = this.transport.send(text);
    if (sent) this.emit('message', { direction: 'out', text });
    return sent;
  }

  // ---- what comes in

  /** @param {string} text */
  receive(text) {
    this.emit('message', { direction: 'in', text });
    try {
      this.layer.receive(parseMessage(text));
    } catch (error) {
      this.warn('dropped a message', error);
    }
  }

  /** @param {ServerTransaction} transaction */
  receiveRequest(transaction) {
    const { request } = transaction;
    if (request.to.tag !== '') return this.receiveInDialog(transaction);
    switch (request.method) {
      case 'INVITE': return this.receiveInvite(transaction);
      case 'OPTIONS': return transaction.respond(this.capabilities(transaction));
      case 'MESSAGE': {
        const { from } = request;
        transaction.respond(200);
        return this.emit('text', {
          from: { user: from.uri.user, uri: from.uri.text, displayName: from.displayName },
          type: request.headers.get('Content-Type'), text: request.body,
        });
      }
      case 'NOTIFY': return transaction.respond(200); // message-summary and the like, unasked
      case 'BYE': case 'INFO': case 'UPDATE': return transaction.respond(481);
      default: {
        const response = transaction.response(405);
        response.headers.append('Allow', this.allow);
        return transaction.respond(response);
      }
    }
  }

  /** @param {ServerTransaction} transaction */
  receiveInDialog(transaction) {
    const { request } = transaction;
    const call = this.calls.find(({ dialog }) => dialog?.dialog.matches(request));
    if (call?.dialog) return call.dialog.receive(transaction);
    return transaction.respond(request.method === 'NOTIFY' ? 200 : 481);
  }

  /** @param {ServerTransaction} transaction */
  receiveInvite(transaction) {
    const { request } = transaction;
    const known = ['timer', 'outbound', 'path'];
    const unknown = request.headers.getAll('Require').filter((token) => !known.includes(token.toLowerCase()));
    if (unknown.length > 0) {
      const response = transaction.response(420);
      response.headers.append('Unsupported', unknown.join(', '));
      return transaction.respond(response);
    }
    // The same request by two ways: RFC 3261 §8.2.2.2.
    const merged = [...this.layer.servers.values()].some((other) => other !== transaction
      && other.request.method === 'INVITE' && other.request.callId === request.callId
      && other.request.headers.get('CSeq') === request.headers.get('CSeq') && other.request.from.tag === request.from.tag);
    if (merged) return transaction.respond(482);
    if (this.state === 'stopped') return transaction.respond(480);
    const { from } = request;
    const call = new Call(this, {
      id: request.callId, direction: 'incoming', transaction,
      remote: { user: from.uri.user, uri: from.uri.text, displayName: from.displayName },
    });
    this.add(call);
    call.incoming?.ring();
    return this.emit('call', call);
  }

  /** @param {Call} call */
  add(call) {
    this.calls.push(call);
    if (this.options.keepCalls) call.on('change', () => this.keeper.save());
    call.on('ended', () => {
      this.calls = this.calls.filter((other) => other !== call);
      if (this.options.keepCalls) this.keeper.save();
      this.emit('calls', null);
    });
    this.emit('calls', null);
  }
}
