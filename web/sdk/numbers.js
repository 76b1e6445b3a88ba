/**
 * What people paste into a dial field, and what a SIP server wants to see.
 * @module
 */

/**
 * Cleans a number as it stands in mails and web pages: `tel:` links, spaces, dots, brackets, slashes, the `(0)` of
 * European numbers, digits of other scripts, invisible marks. Names and SIP addresses stay as they are.
 * @param {string} text
 */
export function cleanNumber(text) {
  const compact = text.normalize('NFKC').replace(/[\p{Cf}\p{Cc}]/gu, '').trim();
  const bare = compact.replace(/^(tel|callto):\/*/i, '').split(/[;?]/)[0].trim();
  if (/^sips?:/i.test(compact) || compact.includes('@')) return compact.replace(/\s+/g, '');
  const digits = Array.from(bare, (character) => {
    const value = decimalValue(character);
    return value < 0 ? character : String(value);
  }).join('');
  if (/\p{L}/u.test(digits)) return digits.replace(/\s+/g, '');
  const national = /^\s*(\+|00)/.test(digits) ? digits.replace(/\(\s*0\s*\)/, '') : digits;
  const plus = /^\D*\+/.test(national) ? '+' : '';
  return plus + national.replace(/[^\d*#]/g, '');
}

/**
 * 0…9 for a decimal digit of any script, else -1. Unicode keeps each script's ten digits together.
 * @param {string} character
 */
function decimalValue(character) {
  if (!/\p{Nd}/u.test(character)) return -1;
  let code = character.codePointAt(0) ?? 0;
  let value = 0;
  while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(code - 1)) && (character.codePointAt(0) ?? 0) - code < 9) {
    code -= 1;
    value += 1;
  }
  return /[0-9]/.test(character) ? Number(character) : value;
}

/**
 * @param {string} target a number, a user's name or a SIP URI
 * @param {string} domain
 * @returns {string} a SIP URI; '' when nothing is left to call
 */
export function toUri(target, domain) {
  const clean = cleanNumber(target);
  if (clean === '' || clean === '+') return '';
  if (/^sips?:/i.test(clean)) return clean;
  if (clean.includes('@')) return `sip:${clean}`;
  // Allowed bare in the user part: RFC 3261 §25.1, user-unreserved and mark.
  const user = encodeURIComponent(clean).replace(/%(2B|24|26|3D|2C|3B|3F|2F)/gi, decodeURIComponent);
  return `sip:${user}@${domain}`;
}
