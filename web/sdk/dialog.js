/**
 * A dialog (RFC 3261 §12): who talks with whom, where requests go, and which number comes next.
 * @module
 */

import { NameAddress, SipRequest } from './sip-message.js';

/** @typedef {import('./sip-message.js').SipResponse} SipResponse */

export class Dialog {
  /**
   * @param {{callId: string, local: string, remote: string, localTag: string, remoteTag: string, target: string,
   *   routes: string[], localSequence: number, remoteSequence: number}} state  `local`, `remote`: values for From and To
   */
  constructor(state) {
    this.callId = state.callId;
    this.local = state.local;
    this.remote = state.remote;
    this.localTag = state.localTag;
    this.remoteTag = state.remoteTag;
    this.target = state.target;
    this.routes = state.routes;
    this.localSequence = state.localSequence;
    this.remoteSequence = state.remoteSequence;
  }

  /**
   * The dialog that our request made.
   * @param {SipRequest} request
   * @param {SipResponse} response 101…299 with a To-tag
   */
  static ofCaller(request, response) {
    return new Dialog({
      callId: request.callId, local: request.headers.get('From'), remote: response.headers.get('To'),
      localTag: request.from.tag, remoteTag: response.to.tag,
      target: contactUri(response) || request.uri, routes: response.headers.getAll('Record-Route').reverse(),
      localSequence: request.cseq.number, remoteSequence: -1,
    });
  }

  /**
   * The dialog that a request to us makes.
   * @param {SipRequest} request
   * @param {string} localTag
   */
  static ofCallee(request, localTag) {
    return new Dialog({
      callId: request.callId, local: `${request.headers.get('To')};tag=${localTag}`, remote: request.headers.get('From'),
      localTag, remoteTag: request.from.tag,
      target: contactUri(request) || request.from.uri.text, routes: request.headers.getAll('Record-Route'),
      localSequence: Math.floor(Math.random() * 10_000) + 1, remoteSequence: request.cseq.number,
    });
  }

  /** @param {SipRequest} request from the other side */
  matches(request) {
    return request.callId === this.callId && request.to.tag === this.localTag && request.from.tag === this.remoteTag;
  }

  /**
   * The next request of ours.
   * @param {string} method
   */
  makeRequest(method) {
    this.localSequence += 1;
    return this.outline(method, this.localSequence);
  }

  /**
   * ACK of a 2xx.
   * @param {number} sequence of the INVITE
   */
  makeAck(sequence) {
    return this.outline('ACK', sequence);
  }

  /**
   * @param {string} method
   * @param {number} sequence
   */
  outline(method, sequence) {
    const request = new SipRequest(method, this.target);
    for (const route of this.routes) request.headers.append('Route', route);
    request.headers.append('Max-Forwards', 70);
    request.headers.append('From', this.local).append('To', this.remote).append('Call-ID', this.callId);
    request.headers.append('CSeq', `${sequence} ${method}`);
    return request;
  }

  /**
   * Notes a request of the other side: its number, and its Contact where it refreshes the target.
   * @param {SipRequest} request
   * @returns {boolean} false when it is out of order and deserves a 500 (RFC 3261 §12.2.2)
   */
  accept(request) {
    if (request.cseq.number <= this.remoteSequence) return false;
    this.remoteSequence = request.cseq.number;
    if (request.method === 'INVITE' || request.method === 'UPDATE') this.target = contactUri(request) || this.target;
    return true;
  }

  /**
   * A 2xx to our INVITE or UPDATE refreshes the target.
   * @param {SipResponse} response
   */
  refresh(response) {
    this.target = contactUri(response) || this.target;
  }
}

/** @param {SipRequest | SipResponse} message */
function contactUri(message) {
  const contact = message.headers.getAll('Contact')[0];
  if (!contact) return '';
  try {
    return NameAddress.parse(contact).uri.text;
  } catch {
    return '';
  }
}
