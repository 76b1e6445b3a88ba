/**
 * Session timers (RFC 4028), from the side that does not ask for them: it refreshes when the other side wants it to, and
 * probes once when a refresh that the other side promised does not come.
 * @module
 */

/** @typedef {import('./sip-message.js').SipRequest} SipRequest */
/** @typedef {import('./sip-message.js').SipResponse} SipResponse */

/**
 * @param {string} value of Session-Expires
 * @returns {{seconds: number, refresher: 'uac' | 'uas' | ''} | null}
 */
export function parseSessionExpires(value) {
  const match = /^\s*(\d{1,9})\s*(?:;.*?\brefresher\s*=\s*(uac|uas)\b)?/i.exec(value);
  if (!match || Number(match[1]) < 1) return null;
  const refresher = (match[2] ?? '').toLowerCase();
  return { seconds: Number(match[1]), refresher: refresher === 'uac' || refresher === 'uas' ? refresher : '' };
}

export class SessionTimer {
  /** @param {() => void} refresh */
  constructor(refresh) {
    this.refresh = refresh;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /**
   * We sent the INVITE or UPDATE and this is its 2xx. Without an answer on it, we leave it be.
   * @param {SipResponse} response
   */
  answered(response) {
    const session = parseSessionExpires(response.headers.get('Session-Expires'));
    this.run(session?.seconds ?? 0, session?.refresher !== 'uas');
  }

  /**
   * The other side sent an INVITE or UPDATE; fills the 2xx.
   * @param {SipRequest} request
   * @param {SipResponse} response
   */
  answer(request, response) {
    const session = parseSessionExpires(request.headers.get('Session-Expires'));
    if (!session) {
      this.run(0, false);
      return;
    }
    const theyCan = request.headers.includes('Supported', 'timer');
    const refresher = session.refresher || (theyCan ? 'uac' : 'uas');
    response.headers.set('Session-Expires', `${session.seconds};refresher=${refresher}`);
    if (refresher === 'uac') response.headers.set('Require', 'timer');
    this.run(session.seconds, refresher === 'uas');
  }

  /**
   * @param {number} seconds 0: no timer
   * @param {boolean} weRefresh at half the time; else only after the whole of it
   */
  run(seconds, weRefresh) {
    clearTimeout(this.timer);
    if (seconds > 0) this.timer = setTimeout(this.refresh, Math.min(seconds, 86_400) * (weRefresh ? 500 : 1000));
  }

  stop() {
    clearTimeout(this.timer);
  }
}
