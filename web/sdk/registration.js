/**
 * Keeps one registration alive (RFC 3261 §10, RFC 5626): asks, answers the challenge, refreshes in time.
 * @module
 */

import { SipRequest } from './sip-message.js';
import { NameAddress } from './sip-message.js';
import { PhoneError } from './errors.js';
import { randomToken } from './random.js';

/** @typedef {import('./phone.js').Phone} Phone */
/** @typedef {import('./sip-message.js').SipResponse} SipResponse */

/** Milliseconds after which a registrar that says nothing is as good as gone. */
const patience = 10_000;

/**
 * When to refresh: well before the end, RFC 5626 leaves room for a lost attempt.
 * @param {number} expires seconds
 */
export function refreshDelay(expires) {
  return Math.max(1, Math.min(expires * 0.85, expires - 30 > 0 ? expires - 30 : expires * 0.5));
}

export class Registration {
  /**
   * @param {Phone} phone
   * @param {{registered: () => void, failed: (error: PhoneError, retryAfter: number) => void, silent: () => void}} handlers
   *   `retryAfter`: seconds that the server asked for, 0 when it did not
   */
  constructor(phone, handlers) {
    this.phone = phone;
    this.handlers = handlers;
    this.callId = randomToken(22);
    this.fromTag = randomToken(10);
    this.sequence = 0;
    this.expires = phone.options.registerExpires;
    this.isRegistered = false;
    /** Answers to an attempt that was given up are not listened to. */
    this.generation = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Registers, or refreshes. */
  start() {
    this.send(this.expires);
  }

  /** Forgets the flow: no refresh until `start`. */
  suspend() {
    this.generation += 1;
    this.isRegistered = false;
    clearTimeout(this.timer);
  }

  /**
   * Removes the binding. Resolves when the server answered, or after two seconds.
   * @returns {Promise<void>}
   */
  stop() {
    const wasRegistered = this.isRegistered;
    this.suspend();
    if (!wasRegistered) return Promise.resolve();
    return new Promise((resolve) => {
      setTimeout(resolve, 2000);
      this.phone.exchange(this.request(0), { final: () => resolve(), timeout: () => resolve() }, () => this.next());
    });
  }

  next() {
    this.sequence += 1;
    return this.sequence;
  }

  /** @param {number} expires seconds; 0 removes the binding */
  request(expires) {
    const { phone } = this;
    const request = new SipRequest('REGISTER', `sip:${phone.domain}`);
    const instance = `;+sip.instance="<urn:uuid:${phone.instanceId}>";reg-id=1`;
    request.headers
      .append('Max-Forwards', 70)
      .append('From', `${phone.identity};tag=${this.fromTag}`)
      .append('To', `<${phone.aor}>`)
      .append('Call-ID', this.callId)
      .append('CSeq', `${this.next()} REGISTER`)
      .append('Contact', `<${phone.contact}>${instance};expires=${expires}`)
      .append('Expires', expires)
      .append('Supported', 'outbound, path, gruu, timer')
      .append('Allow', phone.allow)
      .append('User-Agent', phone.options.userAgent);
    return request;
  }

  /** @param {number} expires */
  send(expires) {
    this.generation += 1;
    const { generation } = this;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.give(generation, () => this.handlers.silent()), patience);
    this.phone.exchange(this.request(expires), {
      final: (response, sent) => this.give(generation, () => this.receive(response, sent.headers.has('Authorization'))),
      timeout: () => {},
    }, () => this.next());
  }

  /**
   * @param {number} generation
   * @param {() => void} action
   */
  give(generation, action) {
    if (generation !== this.generation) return;
    clearTimeout(this.timer);
    action();
  }

  /**
   * @param {SipResponse} response
   * @param {boolean} hadCredentials in the request
   */
  receive(response, hadCredentials) {
    if (response.status < 300) {
      const granted = this.granted(response);
      this.isRegistered = true;
      this.timer = setTimeout(() => this.start(), refreshDelay(granted) * 1000);
      this.handlers.registered();
      return;
    }
    const minimum = Number(response.headers.get('Min-Expires'));
    if (response.status === 423 && minimum > this.expires && minimum <= 86_400) {
      this.expires = minimum;
      this.start();
      return;
    }
    this.isRegistered = false;
    // Many servers, Parley among them, answer wrong credentials with a bare 403, so that phones do not ask again and again.
    const refused = response.status === 401 || response.status === 407
      || (response.status === 403 && hadCredentials && /^forbidden$|auth|password|credential/i.test(response.reason));
    const code = refused ? 'wrong-password'
      : response.status === 403 ? 'forbidden'
        : response.status === 404 ? 'not-found' : 'server-error';
    const retryAfter = Number(/^\d+/.exec(response.headers.get('Retry-After'))?.[0] ?? 0);
    const message = `REGISTER: ${response.status} ${response.reason}`;
    this.handlers.failed(new PhoneError(code, message, response.status), retryAfter);
  }

  /**
   * Seconds that the registrar gave to our own contact.
   * @param {SipResponse} response
   */
  granted(response) {
    for (const value of response.headers.getAll('Contact')) {
      try {
        const contact = NameAddress.parse(value);
        const own = contact.params.get('+sip.instance')?.includes(this.phone.instanceId)
          || contact.uri.host === this.phone.host;
        const expires = contact.params.get('expires');
        if (own && expires && /^\d{1,9}$/.test(expires)) return Number(expires);
      } catch {
        // another client's contact that this parser does not read
      }
    }
    const header = response.headers.get('Expires');
    return /^\d{1,9}$/.test(header) ? Number(header) : this.expires;
  }
}
