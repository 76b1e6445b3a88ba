/**
 * Random tokens, and the instance-id by which a registrar knows this browser again (RFC 5626 §4.1).
 * @module
 */

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';

/**
 * A token of lower-case letters and digits, about 5 bits a character.
 * @param {number} length
 */
export function randomToken(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  let token = '';
  for (const byte of bytes) token += alphabet[byte % alphabet.length];
  return token;
}

/** A version 4 UUID. `crypto.randomUUID` is missing on pages without https, so this makes its own. */
export function randomUUID() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/**
 * The UUID of this browser, the same after a reload. Two tabs must not share one, since each registration would replace
 * the other's: a tab holds a Web Lock on its slot while it lives, and the next tab takes the next slot.
 * @param {string} [prefix] of the keys in localStorage
 * @returns {Promise<string>}
 */
export async function instanceId(prefix = 'parley.instance') {
  for (let slot = 1; slot <= 16; slot += 1) {
    const key = `${prefix}.${slot}`;
    if (await claim(key)) return stored(key);
  }
  return randomUUID();
}

/** @param {string} key */
function stored(key) {
  try {
    const known = localStorage.getItem(key);
    if (known) return known;
    const fresh = randomUUID();
    localStorage.setItem(key, fresh);
    return fresh;
  } catch {
    return randomUUID(); // storage refused: a new identity each time is still a valid one
  }
}

/** @type {Set<string>} slots that this page holds */
const held = new Set();

/**
 * @param {string} key
 * @returns {Promise<boolean>} false when another tab holds it
 */
function claim(key) {
  if (held.has(key)) return Promise.resolve(false); // a second Phone on the same page
  const locks = globalThis.navigator?.locks;
  if (!locks) { // no Web Locks on http: pages; a second tab then replaces the first
    held.add(key);
    return Promise.resolve(true);
  }
  return new Promise((resolve) => {
    locks.request(key, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      if (lock === null) return undefined;
      held.add(key);
      return new Promise(() => {}); // held until the page goes
    }).catch(() => resolve(true));
  });
}
