/**
 * The signalling socket of a room (`/rtc`), in JSON frames.
 * @module
 */

import { Emitter } from '../events.js';

/** Heard when the server went away without a word. */
const silence = 15_000;

/**
 * @typedef {object} RoomFailure
 * @property {'refused' | 'unreachable'} kind
 * @property {string} text the server's own words, if it said any
 */

/**
 * @extends {Emitter<{message: Record<string, any>, lost: null}>}
 */
export class RoomSignal extends Emitter {
  /**
   * @param {string} url ws: or wss:, without a path
   */
  constructor(url) {
    super();
    this.url = url.replace(/\/$/, '');
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.pinger = undefined;
    this.heardAt = 0;
    /** Milliseconds; what the last ping took. */
    this.roundTrip = 0;
  }

  /**
   * Opens the socket; the first message (join, reconnect or leave) comes by `message` like all others.
   * @param {string} token
   * @param {{sid?: string, reason?: number}} [resume] of the session to come back to
   * @returns {Promise<void>} rejects with a RoomFailure
   */
  async open(token, resume) {
    this.close();
    const query = new URLSearchParams({
      access_token: token, auto_subscribe: '1', adaptive_stream: '1', sdk: 'js', version: '2.9.0', protocol: '15', frames: 'json',
    });
    // Firefox calls a track in its descriptions something else than `track.id`: the server has to know.
    if (/\bFirefox\//.test(globalThis.navigator?.userAgent ?? '')) query.set('browser', 'firefox');
    if (resume?.sid) {
      query.set('reconnect', '1');
      query.set('sid', resume.sid);
      query.set('reconnect_reason', String(resume.reason ?? 1));
    }
    const socket = new WebSocket(`${this.url}/rtc?${query}`);
    this.socket = socket;
    await /** @type {Promise<void>} */ (new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject({ kind: 'unreachable', text: '' }), 10_000);
      socket.onopen = () => {
        clearTimeout(timer);
        resolve();
      };
      socket.onerror = socket.onclose = async () => {
        clearTimeout(timer);
        reject(await this.why(query));
      };
    }));
    this.heardAt = Date.now();
    this.ping();
    socket.onmessage = ({ data }) => {
      this.heardAt = Date.now();
      if (typeof data !== 'string') return;
      const message = JSON.parse(data);
      if (message.pongResp) this.roundTrip = Date.now() - Number(message.pongResp.lastPingTimestamp);
      this.emit('message', message);
    };
    socket.onerror = null;
    socket.onclose = () => this.drop();
    this.pinger = setInterval(() => {
      if (Date.now() - this.heardAt > silence) this.drop();
      else this.ping();
    }, 5000);
  }

  /**
   * A browser tells nothing of a refused WebSocket; the same question over HTTP does.
   * @param {URLSearchParams} query
   * @returns {Promise<RoomFailure>}
   */
  async why(query) {
    try {
      const answer = await fetch(`${this.url.replace(/^ws/, 'http')}/rtc/validate?${query}`);
      if (answer.ok) return { kind: 'unreachable', text: '' };
      return { kind: 'refused', text: await answer.text() };
    } catch {
      return { kind: 'unreachable', text: '' };
    }
  }

  ping() {
    this.send({ pingReq: { timestamp: String(Date.now()), rtt: String(this.roundTrip) } });
  }

  /** @param {Record<string, any>} message a SignalRequest */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  drop() {
    if (!this.socket) return;
    this.close();
    this.emit('lost', null);
  }

  close() {
    clearInterval(this.pinger);
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }
}
