/**
 * Transactions over a reliable transport (RFC 3261 §17, RFC 6026). Nothing is retransmitted by timer except the user's 2xx;
 * but a flow may break and come back, and then `resume` sends again what has had no answer. Requests that come twice
 * are answered with what was answered before.
 * @module
 */

import { Emitter } from './events.js';
import { randomToken } from './random.js';
import { SipRequest, SipResponse } from './sip-message.js';

/** RFC 3261 §17.1.1.1, milliseconds. */
export const T1 = 500;
export const T2 = 4000;
/** Timers B, F, H, J: 64·T1. */
export const transactionTimeout = 64 * T1;

/**
 * @typedef {object} ClientHandlers
 * @property {(response: SipResponse) => void} [provisional] 101…199
 * @property {(response: SipResponse) => void} final 2xx of an INVITE may come again, and from several branches
 * @property {() => void} timeout
 */

/** One request and its responses. */
export class ClientTransaction {
  /**
   * @param {TransactionLayer} layer
   * @param {SipRequest} request with its Via
   * @param {ClientHandlers} handlers
   */
  constructor(layer, request, handlers) {
    this.layer = layer;
    this.request = request;
    this.handlers = handlers;
    /** @type {'calling' | 'proceeding' | 'completed' | 'accepted' | 'terminated'} */
    this.state = 'calling';
    /** @type {'no' | 'wanted' | 'sent'} */
    this.cancelling = 'no';
    /** @type {string} the Reason header of the CANCEL */
    this.cancelReason = '';
    /** @type {SipRequest | null} ACK of a refusal, sent again when the refusal is */
    this.ack = null;
    this.timer = setTimeout(() => this.expire(), transactionTimeout);
  }

  get isInvite() {
    return this.request.method === 'INVITE';
  }

  get isPending() {
    return this.state === 'calling' || this.state === 'proceeding';
  }

  /** @param {SipResponse} response */
  receive(response) {
    if (response.status < 200) return this.receiveProvisional(response);
    const success = response.status < 300;
    if (this.isInvite && !success) this.acknowledge(response);
    if (this.state === 'accepted' && success) return this.handlers.final(response);
    if (!this.isPending) return undefined;
    clearTimeout(this.timer);
    this.state = this.isInvite && success ? 'accepted' : 'completed';
    // Kept for a while (timers D and M) so that a repeated final response finds its ACK.
    this.timer = setTimeout(() => this.terminate(), this.isInvite ? transactionTimeout : 0);
    return this.handlers.final(response);
  }

  /** @param {SipResponse} response */
  receiveProvisional(response) {
    if (!this.isPending) return;
    if (this.isInvite && this.state === 'calling') clearTimeout(this.timer); // timer B ends with the first answer
    this.state = 'proceeding';
    if (this.cancelling === 'wanted') this.sendCancel();
    if (response.status > 100) this.handlers.provisional?.(response);
  }

  /**
   * RFC 3261 §17.1.1.3: same branch, To of the response.
   * @param {SipResponse} response
   */
  acknowledge(response) {
    if (!this.ack) {
      this.ack = this.derived('ACK');
      this.ack.headers.set('To', response.headers.get('To'));
    }
    this.layer.send(this.ack.toString());
  }

  /**
   * Gives up a pending INVITE. CANCEL waits for the first provisional response (RFC 3261 §9.1).
   * @param {string} [reason] value of a Reason header
   */
  cancel(reason = '') {
    if (!this.isInvite || !this.isPending || this.cancelling !== 'no') return;
    this.cancelReason = reason;
    this.cancelling = 'wanted';
    if (this.state === 'proceeding') this.sendCancel();
  }

  sendCancel() {
    this.cancelling = 'sent';
    const cancel = this.derived('CANCEL');
    if (this.cancelReason) cancel.headers.append('Reason', this.cancelReason);
    this.layer.start(cancel, { final() {}, timeout() {} });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.expire(), transactionTimeout);
  }

  /**
   * ACK or CANCEL: everything as in the request, of Via only the topmost.
   * @param {string} method
   */
  derived(method) {
    const request = new SipRequest(method, this.request.uri);
    const { headers } = this.request;
    request.headers.append('Via', headers.getAll('Via')[0]);
    for (const route of headers.getAll('Route')) request.headers.append('Route', route);
    request.headers.append('Max-Forwards', 70);
    for (const name of ['From', 'To', 'Call-ID']) request.headers.append(name, headers.get(name));
    request.headers.append('CSeq', `${this.request.cseq.number} ${method}`);
    for (const name of ['Authorization', 'Proxy-Authorization']) {
      if (method === 'ACK' && headers.has(name)) request.headers.append(name, headers.get(name));
    }
    return request;
  }

  expire() {
    if (!this.isPending) return;
    this.terminate();
    this.handlers.timeout();
  }

  terminate() {
    clearTimeout(this.timer);
    this.state = 'terminated';
    this.layer.clients.delete(`${this.request.branch} ${this.request.method}`);
  }
}

/** One request from the other side and our responses. */
export class ServerTransaction {
  /**
   * @param {TransactionLayer} layer
   * @param {SipRequest} request
   * @param {string} key
   */
  constructor(layer, request, key) {
    this.layer = layer;
    this.request = request;
    this.key = key;
    /** The To-tag of every response that needs one. */
    this.toTag = randomToken(10);
    /** @type {SipResponse | null} */
    this.last = null;
    /** @type {(cancel: SipRequest) => void} called when a CANCEL has been answered and the INVITE is still open */
    this.onCancel = () => {};
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  get isAnswered() {
    return this.last !== null && this.last.status >= 200;
  }

  /**
   * A response to fill in before `respond`.
   * @param {number} status
   */
  response(status) {
    return SipResponse.to(this.request, status, status > 100 ? this.toTag : '');
  }

  /**
   * A second final response is ignored.
   * @param {SipResponse | number} response
   */
  respond(response) {
    if (this.isAnswered) return;
    this.last = typeof response === 'number' ? this.response(response) : response;
    this.layer.send(this.last.toString());
    if (!this.isAnswered) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.terminate(), transactionTimeout);
  }

  /** The other side did not hear the answer. A 2xx of an INVITE is repeated by who sent it, not here (RFC 6026 §7.1). */
  repeat() {
    if (!this.last) return;
    if (this.request.method === 'INVITE' && this.last.status >= 200 && this.last.status < 300) return;
    this.layer.send(this.last.toString());
  }

  terminate() {
    clearTimeout(this.timer);
    this.layer.servers.delete(this.key);
  }
}

/**
 * @extends {Emitter<{request: ServerTransaction, ack: SipRequest}>}
 */
export class TransactionLayer extends Emitter {
  /**
   * @param {{send: (text: string) => boolean, via: () => string}} options `via`: protocol and sent-by, such as
   *   `SIP/2.0/WS abc.invalid`; `send` says false when there is no flow
   */
  constructor({ send, via }) {
    super();
    this.send = send;
    this.via = via;
    /** @type {Map<string, ClientTransaction>} by branch and method */
    this.clients = new Map();
    /** @type {Map<string, ServerTransaction>} by branch, sent-by and method */
    this.servers = new Map();
  }

  /**
   * Sends a new request; pushes the Via.
   * @param {SipRequest} request
   * @param {ClientHandlers} handlers
   */
  request(request, handlers) {
    this.stamped(request);
    return this.start(request, handlers);
  }

  /**
   * Pushes a Via and serialises; an ACK of a 2xx is sent so, outside any transaction.
   * @param {SipRequest} request
   */
  stamped(request) {
    request.headers.prepend('Via', `${this.via()};branch=z9hG4bK${randomToken(16)}`);
    return request.toString();
  }

  /**
   * @param {SipRequest} request with its Via
   * @param {ClientHandlers} handlers
   */
  start(request, handlers) {
    const transaction = new ClientTransaction(this, request, handlers);
    this.clients.set(`${request.branch} ${request.method}`, transaction);
    this.send(request.toString());
    return transaction;
  }

  /** A new flow is up: requests without an answer go again, over it. */
  resume() {
    for (const transaction of [...this.clients.values()]) {
      if (transaction.isPending && transaction.request.method !== 'REGISTER') {
        this.send(transaction.request.toString());
      }
    }
  }

  /** @param {SipRequest | SipResponse} message */
  receive(message) {
    if (message instanceof SipResponse) {
      this.clients.get(`${message.branch} ${message.cseq.method}`)?.receive(message);
    } else {
      this.receiveRequest(message);
    }
  }

  /** @param {SipRequest} request */
  receiveRequest(request) {
    const via = (request.headers.getAll('Via')[0] ?? '').split(';')[0].replace(/\s+/g, ' ').toLowerCase();
    const method = request.method === 'ACK' ? 'INVITE' : request.method;
    const key = `${request.branch} ${via} ${method}`;
    const known = this.servers.get(key);
    if (request.method === 'ACK') {
      if (known?.isAnswered && (known.last?.status ?? 0) >= 300) known.terminate();
      else this.emit('ack', request);
      return;
    }
    if (known) {
      known.repeat();
      return;
    }
    const transaction = new ServerTransaction(this, request, key);
    this.servers.set(key, transaction);
    if (request.method === 'CANCEL') this.receiveCancel(transaction, `${request.branch} ${via} INVITE`);
    else this.emit('request', transaction);
  }

  /**
   * @param {ServerTransaction} cancel
   * @param {string} inviteKey
   */
  receiveCancel(cancel, inviteKey) {
    const invite = this.servers.get(inviteKey);
    if (invite) cancel.toTag = invite.toTag; // RFC 3261 §9.2: the To-tag of both should be the same
    cancel.respond(invite ? 200 : 481);
    if (invite && !invite.isAnswered) invite.onCancel(cancel.request);
  }

  /** Ends every transaction without telling anyone. */
  close() {
    for (const transaction of [...this.clients.values(), ...this.servers.values()]) transaction.terminate();
  }
}
