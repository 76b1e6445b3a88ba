/**
 * The WebSocket that carries SIP (RFC 7118). It is kept open: after a loss it comes back by itself, with growing pauses and
 * jitter so that a thousand agents do not return in the same second, and at once when the network does.
 * @module
 */

import { Emitter } from './events.js';

/** @typedef {'closed' | 'connecting' | 'open' | 'waiting'} TransportState */

/**
 * Milliseconds before the attempt after `failures` failed ones: 0.5…1 s, 1…2 s, … 15…30 s.
 * @param {number} failures 1 or more
 * @param {number} random 0…1
 */
export function backOff(failures, random) {
  const ceiling = Math.min(30_000, 1000 * 2 ** Math.min(failures - 1, 10));
  return Math.round(ceiling * (0.5 + random / 2));
}

/**
 * @extends {Emitter<{state: {state: TransportState, retryAt: number}, open: null, lost: null, message: string}>}
 */
export class WebSocketTransport extends Emitter {
  /**
   * @param {string} url ws: or wss:
   * @param {{keepAlive?: number, connectTimeout?: number}} [options] seconds
   */
  constructor(url, options = {}) {
    super();
    const { keepAlive = 25, connectTimeout = 10 } = options;
    this.url = url;
    this.keepAlive = keepAlive * 1000;
    this.connectTimeout = connectTimeout * 1000;
    /** @type {TransportState} */
    this.state = 'closed';
    this.failures = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} retry, connect time-out */
    this.timer = undefined;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.pinger = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.pongTimer = undefined;
    /** Only a server that has answered a keep-alive once is expected to answer the next. */
    this.serverPongs = false;
    this.onOnline = () => this.hurry();
    this.onVisible = () => {
      if (globalThis.document?.visibilityState === 'visible') this.probe();
    };
  }

  get isSecure() {
    return this.url.startsWith('wss:');
  }

  open() {
    if (this.state !== 'closed') return;
    globalThis.window?.addEventListener('online', this.onOnline);
    globalThis.document?.addEventListener('visibilitychange', this.onVisible);
    this.failures = 0;
    this.attempt();
  }

  close() {
    globalThis.window?.removeEventListener('online', this.onOnline);
    globalThis.document?.removeEventListener('visibilitychange', this.onVisible);
    this.drop();
    this.become('closed');
  }

  /**
   * @param {string} text
   * @returns {boolean} false when there is no open flow; the caller sends again after `open`
   */
  send(text) {
    if (this.state !== 'open' || this.socket?.readyState !== 1) return false;
    this.socket.send(text);
    return true;
  }

  /** Retries now instead of at the end of the pause. */
  hurry() {
    if (this.state === 'waiting') this.attempt();
    else this.probe();
  }

  attempt() {
    this.drop();
    this.become('connecting');
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocket(this.url, 'sip');
    } catch {
      this.lost(); // not a WebSocket URL, or ws: from an https page
      return;
    }
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      clearTimeout(this.timer);
      this.become('open');
      this.pinger = setInterval(() => this.probe(), this.keepAlive);
      this.emit('open', null);
    };
    socket.onmessage = ({ data }) => this.receive(typeof data === 'string' ? data : new TextDecoder().decode(data));
    socket.onclose = () => this.lost();
    this.timer = setTimeout(() => this.lost(), this.connectTimeout);
  }

  /** @param {string} text */
  receive(text) {
    clearTimeout(this.pongTimer);
    if (/^[\r\n\0]*$/.test(text)) {
      if (text === '\r\n') this.serverPongs = true;
      else if (text === '\r\n\r\n') this.send('\r\n'); // RFC 5626 §4.4.1
      return;
    }
    this.failures = 0; // a server that speaks SIP; one that only opens and closes still meets growing pauses
    this.emit('message', text);
  }

  /** CRLFCRLF: keeps middleboxes from forgetting the flow, and finds out early that it is dead. */
  probe() {
    if (!this.send('\r\n\r\n') || !this.serverPongs) return;
    clearTimeout(this.pongTimer);
    this.pongTimer = setTimeout(() => this.lost(), 10_000);
  }

  lost() {
    if (this.state === 'closed') return;
    const wasOpen = this.state === 'open';
    this.drop();
    this.failures += 1;
    const pause = backOff(this.failures, Math.random());
    this.become('waiting', Date.now() + pause);
    this.timer = setTimeout(() => this.attempt(), pause);
    if (wasOpen) this.emit('lost', null);
  }

  drop() {
    clearTimeout(this.timer);
    clearInterval(this.pinger);
    clearTimeout(this.pongTimer);
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  /**
   * @param {TransportState} state
   * @param {number} [retryAt] milliseconds since 1970
   */
  become(state, retryAt = 0) {
    this.state = state;
    this.emit('state', { state, retryAt });
  }
}
