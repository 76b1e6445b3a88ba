/**
 * What a page leaves for itself when it is loaded anew: the dialogs of its calls, so that the next page takes them over by an
 * INVITE with Replaces (RFC 3891). The server holds a call whose page has gone for a while.
 * @module
 */

/** @typedef {import('./call.js').Call} Call */

/**
 * One call as the next page needs it. `replaces`: value of the header.
 * @typedef {object} KeptCall
 * @property {string} replaces
 * @property {{user: string, uri: string, displayName: string}} remote
 * @property {'outgoing' | 'incoming'} direction
 * @property {number} answeredAt
 * @property {boolean} onHold
 * @property {boolean} muted
 */

/** Older notes are of a page that crashed or slept; the server has let go of its calls. Milliseconds. */
const freshness = 120_000;
const beat = 5_000;

export class CallKeeper {
  /** @param {string} aor whose calls */
  constructor(aor) {
    this.key = `parley.calls.${aor}`;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    /** @type {Map<string, () => void>} locks that this page holds, with their release */
    this.locks = new Map();
    /** @type {() => Call[]} */
    this.calls = () => [];
  }

  /**
   * @param {Call} call
   * @returns {KeptCall[]} none for a call without a dialog yet
   */
  static note(call) {
    const { remote, direction, answeredAt, onHold, muted } = call;
    const dialog = call.isEstablished ? call.dialog?.dialog : null;
    // One that is being taken over may be so again by the page after this one.
    const replaces = dialog ? `${dialog.callId};to-tag=${dialog.remoteTag};from-tag=${dialog.localTag}` : call.replaces;
    return replaces && !call.isEnded ? [{ replaces, remote, direction, answeredAt, onHold, muted }] : [];
  }

  /** Writes down what there is now. */
  save() {
    const kept = this.calls().flatMap((call) => CallKeeper.note(call));
    for (const { replaces } of kept) this.hold(replaces);
    for (const [name, release] of this.locks) {
      if (kept.some(({ replaces }) => replaces === name)) continue;
      this.locks.delete(name);
      release();
    }
    clearInterval(this.timer);
    this.timer = kept.length > 0 ? setInterval(() => this.save(), beat) : undefined;
    try {
      if (kept.length > 0) sessionStorage.setItem(this.key, JSON.stringify({ at: Date.now(), calls: kept }));
      else sessionStorage.removeItem(this.key);
    } catch {
      // storage refused: a reload ends the call, as it does elsewhere
    }
  }

  /**
   * The calls that the page before this one had. A duplicated tab has the same notes, but its twin lives and holds the lock.
   * @returns {Promise<KeptCall[]>}
   */
  async take() {
    /** @type {any} */
    let stored = null;
    try {
      stored = JSON.parse(globalThis.sessionStorage?.getItem(this.key) ?? 'null');
      globalThis.sessionStorage?.removeItem(this.key);
    } catch {
      // refused or damaged: nothing to take over
    }
    if (!Array.isArray(stored?.calls) || !(Date.now() - stored.at < freshness)) return [];
    const found = stored.calls.filter((/** @type {any} */ note) => typeof note?.replaces === 'string' && typeof note?.remote?.uri === 'string');
    const free = await Promise.all(found.map((/** @type {KeptCall} */ note) => this.isFree(note.replaces)));
    return found.filter((/** @type {KeptCall} */ _, /** @type {number} */ index) => free[index]);
  }

  /** @param {string} name */
  hold(name) {
    const locks = globalThis.navigator?.locks;
    if (!locks || this.locks.has(name)) return;
    this.locks.set(name, () => {});
    locks.request(`parley.call.${name}`, () => new Promise((release) => {
      this.locks.set(name, () => release(undefined));
    })).catch(() => {});
  }

  /**
   * @param {string} name
   * @returns {Promise<boolean>}
   */
  isFree(name) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return Promise.resolve(true);
    const patience = new AbortController();
    setTimeout(() => patience.abort(), 1000); // the page before this one may be about to let go
    return locks.request(`parley.call.${name}`, { signal: patience.signal }, () => true).catch(() => false);
  }
}
