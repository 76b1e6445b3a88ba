/**
 * MD5 (RFC 1321) and SHA-256 (FIPS 180-4) of a string's UTF-8 bytes, as lower-case hex. SubtleCrypto has no MD5, and
 * nothing at all on a page that is served by plain http from another machine, so both are written out here. They serve
 * SIP digest authentication and nothing else.
 * @module
 */

/**
 * The message padded to whole 64-byte blocks: 0x80, zeros, length in bits.
 * @param {string} text
 * @param {boolean} littleEndian of the length
 */
function padded(text, littleEndian) {
  const bytes = new TextEncoder().encode(text);
  const buffer = new Uint8Array(((bytes.length + 8) >> 6 << 6) + 64);
  buffer.set(bytes);
  buffer[bytes.length] = 0x80;
  const view = new DataView(buffer.buffer);
  const low = (bytes.length << 3) >>> 0;
  const high = Math.floor(bytes.length / 0x20000000);
  view.setUint32(buffer.length - 8, littleEndian ? low : high, littleEndian);
  view.setUint32(buffer.length - 4, littleEndian ? high : low, littleEndian);
  return view;
}

/**
 * @param {number[]} words
 * @param {boolean} littleEndian
 */
function hex(words, littleEndian) {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, index) => view.setUint32(index * 4, word, littleEndian));
  return Array.from(new Uint8Array(view.buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const md5Shifts = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
const md5Sines = Array.from({ length: 64 }, (_, index) => Math.floor(Math.abs(Math.sin(index + 1)) * 2 ** 32));

/**
 * @param {string} text
 * @returns {string}
 */
export function md5(text) {
  const view = padded(text, true);
  let [a0, b0, c0, d0] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let block = 0; block < view.byteLength; block += 64) {
    let [a, b, c, d] = [a0, b0, c0, d0];
    for (let step = 0; step < 64; step += 1) {
      const round = step >> 4;
      let mixed;
      let word;
      if (round === 0) { mixed = (b & c) | (~b & d); word = step; }
      else if (round === 1) { mixed = (d & b) | (~d & c); word = (5 * step + 1) % 16; }
      else if (round === 2) { mixed = b ^ c ^ d; word = (3 * step + 5) % 16; }
      else { mixed = c ^ (b | ~d); word = (7 * step) % 16; }
      const sum = (a + mixed + md5Sines[step] + view.getUint32(block + word * 4, true)) | 0;
      const shift = md5Shifts[round][step % 4];
      [a, d, c, b] = [d, c, b, (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0];
    }
    [a0, b0, c0, d0] = [(a0 + a) | 0, (b0 + b) | 0, (c0 + c) | 0, (d0 + d) | 0];
  }
  return hex([a0 >>> 0, b0 >>> 0, c0 >>> 0, d0 >>> 0], true);
}

const primes = (() => {
  /** @type {number[]} */
  const found = [];
  for (let candidate = 2; found.length < 64; candidate += 1) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate);
  }
  return found;
})();

/**
 * The first 32 bits of the fraction.
 * @param {number} value
 */
const fraction = (value) => Math.floor((value - Math.floor(value)) * 2 ** 32);
const sha256Constants = primes.map((prime) => fraction(Math.cbrt(prime)));
const sha256Start = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

/**
 * @param {number} word
 * @param {number} bits
 */
const rotated = (word, bits) => (word >>> bits) | (word << (32 - bits));

/**
 * @param {string} text
 * @returns {string}
 */
export function sha256(text) {
  const view = padded(text, false);
  const state = [...sha256Start];
  const w = new Array(64).fill(0);
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(block + i * 4) | 0;
    for (let i = 16; i < 64; i += 1) {
      const s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i += 1) {
      const s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + sha256Constants[i] + w[i]) | 0;
      const s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] = (state[i] + word) | 0; });
  }
  return hex(state.map((word) => word >>> 0), false);
}
