/**
 * Times, names and initials as people read them.
 * @module
 */

import { strings } from './strings.js';

/**
 * `3:07`, `1:02:09`.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const pair = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${pair(minutes)}:${pair(seconds % 60)}` : `${minutes}:${pair(seconds % 60)}`;
}

/**
 * For `datetime` and `aria`: `PT187S`.
 * @param {number} milliseconds
 */
export const isoDuration = (milliseconds) => `PT${Math.max(0, Math.floor(milliseconds / 1000))}S`;

/**
 * Today, Yesterday, or the date.
 * @param {number} at
 * @param {number} now
 */
export function day(at, now) {
  const start = (/** @type {number} */ time) => new Date(time).setHours(0, 0, 0, 0);
  const days = Math.round((start(now) - start(at)) / 86_400_000);
  if (days === 0) return strings.history.today;
  if (days === 1) return strings.history.yesterday;
  const date = new Date(at);
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = days < 7 ? { weekday: 'long' } : { day: 'numeric', month: 'long' };
  if (date.getFullYear() !== new Date(now).getFullYear()) parts.year = 'numeric';
  return date.toLocaleDateString('en-GB', parts);
}

/** @param {number} at */
export const clock = (at) => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });

/**
 * What stands in the round picture: two letters of a name, nothing for a number.
 * @param {string} name
 */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words.slice(0, 1);
  return letters.map((word) => Array.from(word)[0].toUpperCase()).join('');
}

/**
 * The best name that there is.
 * @param {{displayName: string, user: string, uri: string}} party
 */
export function nameOf({ displayName, user, uri }) {
  if (user === strings.dial.echoNumber && !displayName) return strings.call.echo;
  if (/^anonymous$/i.test(user) && /^(anonymous|)$/i.test(displayName)) return strings.call.anonymous;
  return displayName || spaced(user) || uri;
}

/**
 * The number under a name; '' when the name is the number already.
 * @param {{displayName: string, user: string, uri: string}} party
 */
export function numberOf(party) {
  if (/^anonymous$/i.test(party.user)) return '';
  const number = spaced(party.user);
  return nameOf(party) === number ? '' : number;
}

/**
 * Long numbers in groups, so that the eye can follow: `+49 301 234 567`. Country codes of E.164 have their known lengths.
 * @param {string} number
 */
export function spaced(number) {
  if (!/^\+?\d{7,15}$/.test(number)) return number;
  const plus = number.startsWith('+');
  const digits = plus ? number.slice(1) : number;
  const country = /^([17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])/.exec(digits)?.[0].length ?? 3;
  const first = plus ? country : digits.length % 3 || 3;
  return `${plus ? '+' : ''}${digits.slice(0, first)} ${digits.slice(first).replace(/(\d{3})(?=\d{2})/g, '$1 ')}`;
}
