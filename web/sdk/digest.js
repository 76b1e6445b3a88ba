/**
 * Digest authentication, the client's side (RFC 7616, RFC 8760 for SIP): MD5 and SHA-256, plain and -sess, qop auth and
 * auth-int, nonce counts. Of several challenges the strongest one that it knows is answered.
 * @module
 */

import { md5, sha256 } from './hash.js';
import { randomToken } from './random.js';
import { splitOutsideQuotes, unquote } from './sip-message.js';

/** @typedef {import('./sip-message.js').SipRequest} SipRequest */
/** @typedef {import('./sip-message.js').SipResponse} SipResponse */

/**
 * @typedef {object} Challenge
 * @property {string} realm
 * @property {string} nonce
 * @property {string} opaque
 * @property {string} algorithm as the server wrote it, '' when absent (MD5)
 * @property {string[]} qop
 * @property {boolean} stale the password was right, only the nonce is too old
 */

/**
 * Strongest first.
 * @type {Record<string, (text: string) => string>}
 */
const algorithms = { 'SHA-256': sha256, 'SHA-256-SESS': sha256, MD5: md5, 'MD5-SESS': md5 };

/**
 * @param {string} value of a WWW-Authenticate or Proxy-Authenticate header
 * @returns {Challenge | null} null when it is not a usable Digest challenge
 */
export function parseChallenge(value) {
  const match = /^digest\s+(.*)$/is.exec(value.trim());
  if (!match) return null;
  /** @type {Record<string, string>} */
  const fields = {};
  for (const part of splitOutsideQuotes(match[1], ',')) {
    const equals = part.indexOf('=');
    if (equals > 0) fields[part.slice(0, equals).trim().toLowerCase()] = unquote(part.slice(equals + 1));
  }
  if (!fields.nonce || fields.realm === undefined) return null;
  const qop = (fields.qop ?? '').split(',').map((token) => token.trim().toLowerCase()).filter(Boolean);
  return {
    realm: fields.realm, nonce: fields.nonce, opaque: fields.opaque ?? '', algorithm: fields.algorithm ?? '', qop,
    stale: (fields.stale ?? '').toLowerCase() === 'true',
  };
}

/**
 * @param {string[]} values of all the challenge headers
 * @returns {Challenge | null}
 */
export function strongestChallenge(values) {
  const order = Object.keys(algorithms);
  /** @param {Challenge} challenge */
  const rank = (challenge) => order.indexOf((challenge.algorithm || 'MD5').toUpperCase());
  return values
    .map(parseChallenge)
    .filter(/** @returns {challenge is Challenge} */ (challenge) => challenge !== null)
    .filter((challenge) => rank(challenge) >= 0)
    .filter(({ qop }) => qop.length === 0 || qop.includes('auth') || qop.includes('auth-int'))
    .sort((a, b) => rank(a) - rank(b))[0] ?? null;
}

/**
 * The value of an Authorization header.
 * @param {Challenge} challenge
 * @param {{user: string, password: string, method: string, uri: string, body: string, cnonce: string, count: number}} input
 */
export function credentials(challenge, { user, password, method, uri, body, cnonce, count }) {
  const algorithm = (challenge.algorithm || 'MD5').toUpperCase();
  const hash = algorithms[algorithm];
  const qop = challenge.qop.includes('auth') ? 'auth' : challenge.qop.includes('auth-int') ? 'auth-int' : '';
  const nc = count.toString(16).padStart(8, '0');
  let secret = hash(`${user}:${challenge.realm}:${password}`);
  if (algorithm.endsWith('-SESS')) secret = hash(`${secret}:${challenge.nonce}:${cnonce}`);
  const subject = hash(qop === 'auth-int' ? `${method}:${uri}:${hash(body)}` : `${method}:${uri}`);
  const response = qop === ''
    ? hash(`${secret}:${challenge.nonce}:${subject}`)
    : hash(`${secret}:${challenge.nonce}:${nc}:${cnonce}:${qop}:${subject}`);
  const quoted = (/** @type {string} */ text) => `"${text.replace(/(["\\])/g, '\\$1')}"`;
  const parts = [`username=${quoted(user)}`, `realm=${quoted(challenge.realm)}`, `nonce=${quoted(challenge.nonce)}`,
    `uri=${quoted(uri)}`, `response="${response}"`];
  if (challenge.algorithm) parts.push(`algorithm=${challenge.algorithm}`);
  if (qop) parts.push(`qop=${qop}`, `nc=${nc}`);
  if (qop || algorithm.endsWith('-SESS')) parts.push(`cnonce="${cnonce}"`);
  if (challenge.opaque) parts.push(`opaque=${quoted(challenge.opaque)}`);
  return `Digest ${parts.join(', ')}`;
}

/** Keeps the last challenge of the server and of a proxy, and signs requests with them. */
export class DigestClient {
  /**
   * @param {string} user
   * @param {string} password
   */
  constructor(user, password) {
    this.user = user;
    this.password = password;
    /** @type {Map<string, {challenge: Challenge, count: number}>} by name of the header that answers */
    this.known = new Map();
  }

  /**
   * Takes the challenge of a 401 or 407.
   * @param {SipResponse} response
   * @returns {{stale: boolean} | null} null when there is none that it can answer
   */
  learn(response) {
    const proxy = response.status === 407;
    const challenge = strongestChallenge(response.headers.getAll(proxy ? 'Proxy-Authenticate' : 'WWW-Authenticate'));
    if (!challenge) return null;
    this.known.set(proxy ? 'Proxy-Authorization' : 'Authorization', { challenge, count: 0 });
    return { stale: challenge.stale };
  }

  /**
   * Adds the credentials for every challenge known so far.
   * @param {SipRequest} request
   */
  sign(request) {
    for (const [header, entry] of this.known) {
      entry.count += 1;
      request.headers.set(header, credentials(entry.challenge, {
        user: this.user, password: this.password, method: request.method, uri: request.uri, body: request.body,
        cnonce: randomToken(16), count: entry.count,
      }));
    }
  }
}
