/**
 * What happens inside an established call: re-INVITE both ways, UPDATE, INFO, BYE, and the three-way handshake of 2xx and ACK.
 * @module
 */

import { PhoneError } from './errors.js';
import { isHold } from './sdp.js';
import { SessionTimer } from './session-timer.js';
import { T1, T2, transactionTimeout } from './transactions.js';

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./dialog.js').Dialog} Dialog */
/** @typedef {import('./sip-message.js').SipRequest} SipRequest */
/** @typedef {import('./sip-message.js').SipResponse} SipResponse */
/** @typedef {import('./transactions.js').ServerTransaction} ServerTransaction */

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

export class CallDialog {
  /**
   * @param {Call} call
   * @param {Dialog} dialog
   */
  constructor(call, dialog) {
    this.call = call;
    this.dialog = dialog;
    this.timer = new SessionTimer(() => this.refresh());
    /**
     * Our ACKs by CSeq, for 2xx that come again.
     * @type {Map<number, string>}
     */
    this.acks = new Map();
    /**
     * Who waits for the ACK of which CSeq.
     * @type {Map<number, (ack: SipRequest) => void>}
     */
    this.ackWaiters = new Map();
    /**
     * One negotiation at a time.
     * @type {Promise<unknown>}
     */
    this.queue = Promise.resolve();
    /** @type {'idle' | 'local' | 'remote'} whose offer is open */
    this.negotiating = 'idle';
    this.isOver = false;
  }

  // ---- our requests

  /**
   * A request inside the dialog, challenges answered.
   * @param {string} method
   * @param {{type?: string, body?: string, headers?: Record<string, string>}} [content]
   * @returns {Promise<{response: SipResponse, request: SipRequest}>}
   */
  send(method, content = {}) {
    const { type = '', body = '', headers = {} } = content;
    const { phone } = this.call;
    const request = this.dialog.makeRequest(method);
    if (method === 'INVITE' || method === 'UPDATE' || method === 'REFER') phone.decorate(request);
    else request.headers.append('User-Agent', phone.options.userAgent);
    for (const [name, value] of Object.entries(headers)) request.headers.append(name, value);
    if (type) request.setBody(type, body);
    return new Promise((resolve, reject) => {
      phone.exchange(request, {
        final: (response, sent) => {
          const ack = this.acks.get(sent.cseq.number);
          if (method === 'INVITE' && ack) phone.layer.send(ack);
          else resolve({ response, request: sent });
        },
        timeout: () => reject(new PhoneError('timeout', `${method} got no answer`)),
      }, () => {
        this.dialog.localSequence += 1;
        return this.dialog.localSequence;
      });
    });
  }

  /**
   * ACK of a 2xx, with the credentials of its INVITE (RFC 3261 §22.1).
   * @param {SipRequest} invite
   * @param {string} [answer] SDP, when the 2xx brought the offer
   */
  acknowledge(invite, answer = '') {
    const { phone } = this.call;
    const ack = this.dialog.makeAck(invite.cseq.number);
    for (const name of ['Authorization', 'Proxy-Authorization']) {
      if (invite.headers.has(name)) ack.headers.append(name, invite.headers.get(name));
    }
    if (answer) ack.setBody('application/sdp', answer);
    const text = phone.layer.stamped(ack);
    this.acks.set(invite.cseq.number, text);
    phone.layer.send(text);
  }

  /**
   * Ends the dialog.
   * @param {string} [reason] value of a Reason header
   */
  bye(reason = '') {
    if (this.isOver) return;
    this.isOver = true;
    this.timer.stop();
    const { phone } = this.call;
    const request = this.dialog.makeRequest('BYE');
    request.headers.append('User-Agent', phone.options.userAgent);
    if (reason) request.headers.append('Reason', reason);
    const next = () => {
      this.dialog.localSequence += 1;
      return this.dialog.localSequence;
    };
    phone.exchange(request, { final() {}, timeout() {} }, next);
  }

  /** The other side said BYE, or the dialog is gone. */
  close() {
    this.isOver = true;
    this.timer.stop();
  }

  /**
   * Runs one negotiation after the other.
   * @template T
   * @param {() => Promise<T>} action
   * @returns {Promise<T>}
   */
  enqueue(action) {
    const result = this.queue.then(action);
    this.queue = result.then(() => {}, () => {});
    return result;
  }

  /**
   * A re-INVITE with a fresh offer: hold, resume, ICE restart.
   * @param {{iceRestart?: boolean}} [options]
   * @returns {Promise<void>}
   */
  async renegotiate(options = {}) {
    for (let attempt = 0; attempt < 5 && !this.isOver; attempt += 1) {
      const response = await this.enqueue(() => this.offer(options.iceRestart ?? false));
      if (response.status < 300) return;
      if (response.status === 481 || response.status === 408) this.call.finish('hung-up-remote');
      if (response.status !== 491) {
        throw new PhoneError('not-acceptable', `re-INVITE: ${response.status} ${response.reason}`, response.status);
      }
      // Both sides asked at once. Who made the call waits longer (RFC 3261 §14.1), with the queue free for the other's offer.
      await pause(this.call.direction === 'outgoing' ? 2100 + Math.random() * 1900 : Math.random() * 2000);
    }
    if (!this.isOver) throw new PhoneError('not-acceptable', 'the other side kept offering', 491);
  }

  /**
   * @param {boolean} iceRestart
   * @returns {Promise<SipResponse>}
   */
  async offer(iceRestart) {
    const { media } = this.call;
    if (!media) throw new PhoneError('internal', 'no media');
    this.negotiating = 'local';
    try {
      const body = await media.createOffer({ direction: this.call.wantedDirection, iceRestart });
      const { response, request } = await this.send('INVITE', { type: 'application/sdp', body });
      if (response.status >= 300) {
        await media.rollback();
        return response;
      }
      this.dialog.refresh(response);
      this.acknowledge(request);
      await media.acceptAnswer(response.sdp);
      this.timer.answered(response);
      // While we hold, "inactive" may be the echo of our own hold and says nothing about theirs.
      if (!this.call.onHold) this.call.noteRemoteHold(isHold(response.sdp));
      return response;
    } catch (error) {
      if (!this.isOver) await media.rollback().catch(() => {});
      throw error;
    } finally {
      this.negotiating = 'idle';
    }
  }

  /** The session timer wants a sign of life: UPDATE without a body, RFC 4028 §7.4. */
  async refresh() {
    if (this.isOver) return;
    try {
      const { response } = await this.send('UPDATE');
      if (response.status === 481 || response.status === 408) this.call.finish('hung-up-remote');
      else if (response.status < 300) this.timer.answered(response);
      else if (response.status !== 491) await this.renegotiate();
    } catch {
      // No answer at all: the flow is down, or the server is. Media decides whether the call lives.
      this.timer.run(60, false);
    }
  }

  // ---- their requests

  /** @param {ServerTransaction} transaction of a request that belongs to this dialog */
  receive(transaction) {
    const { request } = transaction;
    if (!this.dialog.accept(request)) return transaction.respond(500);
    switch (request.method) {
      case 'INVITE': return this.receiveInvite(transaction);
      case 'UPDATE': return this.receiveUpdate(transaction);
      case 'BYE':
        transaction.respond(200);
        return this.call.receiveBye(request);
      case 'INFO':
        this.call.receiveInfo(request);
        return transaction.respond(200);
      case 'OPTIONS':
        return transaction.respond(this.call.phone.capabilities(transaction));
      case 'NOTIFY':
        transaction.respond(200);
        return void this.call.receiveNotify(request);
      default: {
        const response = transaction.response(405);
        response.headers.append('Allow', this.call.phone.allow);
        return transaction.respond(response);
      }
    }
  }

  /** @param {SipRequest} ack */
  receiveAck(ack) {
    this.ackWaiters.get(ack.cseq.number)?.(ack);
  }

  /** @param {ServerTransaction} transaction */
  receiveInvite(transaction) {
    if (this.negotiating === 'local' || this.call.media?.hasPendingOffer) return transaction.respond(491);
    if (this.negotiating === 'remote' || !this.call.isEstablished) {
      const response = transaction.response(500); // RFC 3261 §14.2: a second INVITE before the first is done
      response.headers.append('Retry-After', Math.floor(Math.random() * 10));
      return transaction.respond(response);
    }
    this.negotiating = 'remote';
    transaction.onCancel = () => transaction.respond(487);
    return void this.enqueue(() => this.answerInvite(transaction))
      .catch(() => {})
      .finally(() => { this.negotiating = 'idle'; });
  }

  /** @param {ServerTransaction} transaction */
  async answerInvite(transaction) {
    const { media } = this.call;
    const { request } = transaction;
    if (!media || this.isOver) return transaction.respond(481);
    let body;
    try {
      if (request.sdp) {
        await media.acceptOffer(request.sdp);
        body = await media.createAnswer(this.call.wantedDirection);
      } else {
        body = await media.createOffer({ direction: this.call.wantedDirection });
      }
    } catch {
      await media.rollback().catch(() => {});
      return transaction.respond(488);
    }
    const response = transaction.response(200);
    this.call.phone.decorate(response);
    this.timer.answer(request, response);
    response.setBody('application/sdp', body);
    if (request.sdp) this.call.noteRemoteHold(isHold(request.sdp));
    const ack = await this.succeed(transaction, response);
    if (request.sdp) return undefined;
    if (ack?.sdp) {
      await media.acceptAnswer(ack.sdp);
      return this.call.noteRemoteHold(isHold(ack.sdp));
    }
    return media.rollback();
  }

  /**
   * UPDATE (RFC 3311): a session refresh mostly, sometimes with an offer.
   * @param {ServerTransaction} transaction
   */
  receiveUpdate(transaction) {
    const { request } = transaction;
    const { media } = this.call;
    if (request.sdp && (this.negotiating !== 'idle' || media?.hasPendingOffer)) return transaction.respond(491);
    if (!request.sdp) {
      const response = transaction.response(200);
      this.call.phone.decorate(response);
      this.timer.answer(request, response);
      return transaction.respond(response);
    }
    if (!media || !this.call.isEstablished) return transaction.respond(488);
    this.negotiating = 'remote';
    return void this.enqueue(async () => {
      try {
        await media.acceptOffer(request.sdp);
        const response = transaction.response(200);
        this.call.phone.decorate(response);
        this.timer.answer(request, response);
        response.setBody('application/sdp', await media.createAnswer(this.call.wantedDirection));
        transaction.respond(response);
        this.call.noteRemoteHold(isHold(request.sdp));
      } catch {
        await media.rollback().catch(() => {});
        transaction.respond(488);
      }
    }).finally(() => { this.negotiating = 'idle'; });
  }

  /**
   * Answers an INVITE with a 2xx and repeats it until the ACK comes (RFC 3261 §13.3.1.4).
   * @param {ServerTransaction} transaction
   * @param {SipResponse} response
   * @returns {Promise<SipRequest | null>} null when no ACK came in 32 s; the call has then been ended
   */
  succeed(transaction, response) {
    const { layer } = this.call.phone;
    const sequence = transaction.request.cseq.number;
    transaction.respond(response);
    return new Promise((resolve) => {
      let interval = T1;
      /** @param {SipRequest | null} ack */
      const finish = (ack) => {
        clearTimeout(again);
        clearTimeout(limit);
        this.ackWaiters.delete(sequence);
        resolve(ack);
      };
      const repeat = () => {
        if (this.isOver) return finish(null);
        layer.send(response.toString());
        interval = Math.min(interval * 2, T2);
        again = setTimeout(repeat, interval);
        return undefined;
      };
      let again = setTimeout(repeat, interval);
      const limit = setTimeout(() => {
        finish(null);
        this.call.hangUpBecause('media-lost', 'SIP;cause=408;text="ACK missing"');
      }, transactionTimeout);
      this.ackWaiters.set(sequence, finish);
    });
  }
}
