/**
 * Parley's phone for browsers: SIP over WebSocket, no dependency, no build step.
 *
 *     import { Phone } from './sdk/index.js';
 *     const phone = new Phone({ server: 'wss://pbx.example.net/sip', domain: 'example.net', user: '1001', password: '…' });
 *     phone.on('call', (call) => call.answer());
 *     await phone.start();
 *
 * @module
 */

export { Phone, version } from './phone.js';
export { Call } from './call.js';
export { Conference } from './conference.js';
export { PhoneError } from './errors.js';
export { cleanNumber, toUri } from './numbers.js';
export { assess } from './quality.js';

/** @typedef {import('./phone.js').PhoneOptions} PhoneOptions */
/** @typedef {import('./phone.js').PhoneState} PhoneState */
/** @typedef {import('./phone.js').PhoneStatus} PhoneStatus */
/** @typedef {import('./call.js').CallState} CallState */
/** @typedef {import('./errors.js').Cause} Cause */
/** @typedef {import('./quality.js').Quality} Quality */
/** @typedef {import('./quality.js').Rating} Rating */
