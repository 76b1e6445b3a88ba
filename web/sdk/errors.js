/**
 * Why something did not work, as codes that a program can switch over. Words for people belong to the user interface.
 * @module
 */

/**
 * @typedef {'mic-refused' | 'mic-missing' | 'mic-busy' | 'mic-insecure' | 'not-connected' | 'server-unreachable'
 *   | 'wrong-password' | 'forbidden' | 'not-found' | 'bad-number' | 'busy' | 'declined' | 'no-answer' | 'unavailable'
 *   | 'not-acceptable' | 'server-error' | 'timeout' | 'cancelled' | 'hung-up' | 'hung-up-remote' | 'rejected'
 *   | 'missed' | 'answered-elsewhere' | 'transferred' | 'media-failed' | 'media-lost' | 'internal'} Cause
 */

/** @typedef {import('./sip-message.js').SipResponse} SipResponse */
/** @typedef {import('./sip-message.js').SipRequest} SipRequest */

export class PhoneError extends Error {
  /**
   * @param {Cause} code
   * @param {string} [message] for a log
   * @param {number} [status] of the SIP response, where one said so
   */
  constructor(code, message = code, status = 0) {
    super(message);
    this.name = 'PhoneError';
    this.code = code;
    this.status = status;
  }
}

/** @type {Record<number, Cause>} */
const causes = {
  401: 'wrong-password', 403: 'forbidden', 404: 'not-found', 407: 'wrong-password', 408: 'no-answer', 410: 'not-found',
  480: 'unavailable', 484: 'bad-number', 486: 'busy', 487: 'cancelled', 488: 'not-acceptable', 600: 'busy',
  603: 'declined', 604: 'not-found', 606: 'not-acceptable',
};

/**
 * What a final refusal of a call means. Carriers put the true reason into a Reason header with a Q.850 cause.
 * @param {SipResponse} response
 * @returns {Cause}
 */
export function causeOf(response) {
  const q850 = reasonCause(response, 'Q.850');
  if (q850 === 1) return 'not-found';
  if (q850 === 17) return 'busy';
  if (q850 === 18 || q850 === 19) return 'no-answer';
  if (q850 === 21) return 'declined';
  if (q850 === 28) return 'bad-number';
  return causeOfStatus(response.status);
}

/**
 * @param {number} status 300 and above
 * @returns {Cause}
 */
export function causeOfStatus(status) {
  return causes[status] ?? (status >= 500 && status < 600 ? 'server-error' : 'unavailable');
}

/**
 * The cause number of a Reason header of this protocol (RFC 3326), 0 when there is none.
 * @param {SipResponse | SipRequest} message
 * @param {'SIP' | 'Q.850'} protocol
 */
export function reasonCause(message, protocol) {
  for (const reason of message.headers.getAll('Reason')) {
    const match = /^(\S+?)\s*;(?:.*;)?\s*cause\s*=\s*(\d+)/i.exec(reason);
    if (match && match[1].toUpperCase() === protocol) return Number(match[2]);
  }
  return 0;
}

/**
 * What getUserMedia's exception means.
 * @param {unknown} error
 * @returns {PhoneError}
 */
export function microphoneError(error) {
  if (error instanceof PhoneError) return error;
  const name = error instanceof Error || error instanceof DOMException ? error.name : '';
  const message = error instanceof Error ? error.message : String(error);
  if (name === 'NotAllowedError' || name === 'SecurityError') return new PhoneError('mic-refused', message);
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return new PhoneError('mic-missing', message);
  if (name === 'NotReadableError' || name === 'AbortError') return new PhoneError('mic-busy', message);
  return new PhoneError('internal', message);
}
