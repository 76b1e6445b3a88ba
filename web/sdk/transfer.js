/**
 * A transfer that this phone asks for: REFER, and the NOTIFYs that tell how it goes (RFC 3515, RFC 5589).
 * @module
 */

import { causeOfStatus, PhoneError } from './errors.js';
import { toUri } from './numbers.js';

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./sip-message.js').SipRequest} SipRequest */

/** How long somebody may ring, and a server say nothing, milliseconds. */
const patience = 180_000;

export class Transfer {
  /**
   * @param {Call} call
   * @param {string | Call} target who shall talk with the other side: a number, a name or a SIP URI; or a call of this phone, whose
   *   other side then is that
   * @throws {PhoneError} when there is nothing to call
   */
  constructor(call, target) {
    this.call = call;
    /** The other call of an attended transfer. */
    this.consultation = typeof target === 'string' ? null : target;
    const uri = typeof target === 'string' ? toUri(target, call.phone.domain) : target.remote.uri;
    if (!uri) throw new PhoneError('bad-number');
    this.uri = uri;
    /** The latest that the server told: 0, 100, 180, 200, 486… */
    this.status = 0;
    /** @type {(status: number) => void} */
    this.settle = () => {};
  }

  /** Refer-To. The dialog that is to be replaced is named from the view of who will be called with it (RFC 3891 §3). */
  get referTo() {
    const dialog = this.consultation?.dialog?.dialog;
    if (!this.consultation) return `<${this.uri}>`;
    if (!dialog) throw new PhoneError('internal', 'the other call has no dialog');
    const replaces = `${dialog.callId};to-tag=${dialog.remoteTag};from-tag=${dialog.localTag}`;
    return `<${this.uri}?Replaces=${encodeURIComponent(replaces)}>`;
  }

  /**
   * @returns {Promise<void>} when the two have been joined
   * @throws {PhoneError} when they were not
   */
  async run() {
    const { call } = this;
    /** @type {Promise<number>} */
    const end = new Promise((resolve) => { this.settle = resolve; });
    const limit = setTimeout(() => this.settle(408), patience);
    const ended = call.on('ended', () => this.settle(this.status >= 200 ? this.status : 487));
    try {
      const headers = { 'Refer-To': this.referTo, 'Referred-By': `<${call.phone.aor}>` };
      const { response } = await (call.dialog?.send('REFER', { headers }) ?? Promise.reject(new PhoneError('internal', 'no dialog')));
      if (response.status >= 300) throw new PhoneError(causeOfStatus(response.status), `REFER: ${response.status}`, response.status);
      const status = await end;
      if (status >= 300) throw new PhoneError(causeOfStatus(status), `transfer: ${status}`, status);
    } finally {
      clearTimeout(limit);
      ended();
    }
  }

  /**
   * A NOTIFY of the call's dialog.
   * @param {SipRequest} request
   * @returns {boolean} whether it was about this
   */
  receive(request) {
    if (!/^refer\b/i.test(request.headers.get('Event'))) return false;
    const status = Number(/^SIP\/2\.0 (\d{3})/i.exec(request.body)?.[1] ?? 0);
    const isOver = /^\s*terminated/i.test(request.headers.get('Subscription-State'));
    if (status) this.status = status;
    if (this.status >= 200 || isOver) this.settle(this.status >= 200 ? this.status : 487);
    return true;
  }
}
