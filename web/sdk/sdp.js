/**
 * The few things that a phone must read in a session description by itself; the browser does the rest.
 * @module
 */

/** @typedef {'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'} Direction */

/**
 * Direction of the first audio stream, from the viewpoint of who wrote the description. `c=0.0.0.0` is the hold of
 * RFC 2543 and reads as sendonly; a refused stream (port 0) as inactive.
 * @param {string} sdp
 * @returns {Direction}
 */
export function audioDirection(sdp) {
  /** @type {Direction} */
  let session = 'sendrecv';
  /** @type {Direction | null} */
  let own = null;
  let section = '';
  let sessionZero = false;
  /** @type {boolean | null} */
  let ownZero = null;
  let seen = false;
  for (const line of sdp.split(/\r?\n/)) {
    const media = /^m=(\w+) (\d+)/.exec(line);
    if (media) {
      if (seen) break;
      section = media[1];
      seen = section === 'audio';
      if (seen && media[2] === '0') return 'inactive';
    }
    const direction = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/.exec(line);
    if (direction && section === '') session = /** @type {Direction} */ (direction[1]);
    if (direction && section === 'audio') own = /** @type {Direction} */ (direction[1]);
    const zero = /^c=IN IP4 (\S+)/.exec(line);
    if (zero && section === '') sessionZero = zero[1] === '0.0.0.0';
    if (zero && section === 'audio') ownZero = zero[1] === '0.0.0.0';
  }
  const direction = own ?? session;
  // A browser writes 0.0.0.0 with port 9 while it has no candidate yet: that is no hold (RFC 8829 §5.2.1).
  const placeholder = /^m=audio 9 /m.test(sdp);
  if ((ownZero ?? sessionZero) && !placeholder && direction === 'sendrecv') return 'sendonly';
  return direction;
}

/**
 * True when the writer of this description does not listen to us: it holds the call.
 * @param {string} sdp
 */
export function isHold(sdp) {
  const direction = audioDirection(sdp);
  return direction === 'sendonly' || direction === 'inactive';
}

/**
 * True when RFC 4733 telephone events were agreed on.
 * @param {string} sdp
 */
export function hasTelephoneEvent(sdp) {
  return /^a=rtpmap:\d+ telephone-event\//im.test(sdp);
}

/**
 * The session version of the o= line, to tell a refresh from a change.
 * @param {string} sdp
 */
export function originVersion(sdp) {
  return /^o=\S+ (\S+ \S+) /m.exec(sdp)?.[1] ?? '';
}
