/**
 * A server at the other end of a pretended WebSocket, and just enough of WebRTC, so that whole calls run under node.
 * @module
 */

import { parseMessage, SipRequest, SipResponse } from '../sip-message.js';

export class FakeSocket {
  /** @type {FakeSocket[]} every one since the last reset */
  static all = [];

  /** False: attempts to connect fail. */
  static reachable = true;

  /**
   * @param {string} url
   * @param {string} protocol
   */
  constructor(url, protocol) {
    this.url = url;
    this.protocol = protocol;
    this.readyState = 0;
    /** @type {string[]} what the phone sent and nobody has looked at */
    this.sent = [];
    /** @type {(() => void) | null} */
    this.onopen = null;
    /** @type {(() => void) | null} */
    this.onclose = null;
    /** @type {((event: {data: string}) => void) | null} */
    this.onmessage = null;
    FakeSocket.all.push(this);
    queueMicrotask(() => {
      if (!FakeSocket.reachable) return this.onclose?.();
      this.readyState = 1;
      return this.onopen?.();
    });
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(text);
  }

  close() {
    this.readyState = 3;
  }

  /** The network breaks. */
  drop() {
    this.readyState = 3;
    this.onclose?.();
  }

  /** @param {SipRequest | SipResponse | string} message */
  deliver(message) {
    this.onmessage?.({ data: String(message) });
  }

  /**
   * The next request that the phone sent; others before it are passed over.
   * @param {string} method
   * @returns {SipRequest}
   */
  request(method) {
    for (;;) {
      const text = this.sent.shift();
      if (text === undefined) throw new Error(`the phone sent no ${method}`);
      if (text.trim() === '') continue;
      const message = parseMessage(text);
      if (message instanceof SipRequest && message.method === method) return message;
    }
  }

  /**
   * The next response that the phone sent.
   * @returns {SipResponse}
   */
  response() {
    for (;;) {
      const text = this.sent.shift();
      if (text === undefined) throw new Error('the phone sent no response');
      const message = text.trim() === '' ? null : parseMessage(text);
      if (message instanceof SipResponse) return message;
    }
  }

  /** First lines of what has been sent, methods and codes only. */
  get summary() {
    return this.sent.filter((text) => text.trim() !== '').map((text) => text.replace(/^SIP\/2.0 /, '').split(' ')[0]);
  }
}

class FakeTrack {
  kind = 'audio';
  enabled = true;
  readyState = 'live';

  stop() {
    this.readyState = 'ended';
  }
}

export class FakeStream {
  /** @param {FakeTrack[]} [tracks] */
  constructor(tracks = []) {
    this.tracks = tracks;
  }

  getTracks() {
    return this.tracks;
  }

  getAudioTracks() {
    return this.tracks;
  }

  /** @param {FakeTrack} track */
  addTrack(track) {
    this.tracks.push(track);
  }

  removeTrack() {
    this.tracks = [];
  }
}

export const microphone = () => Promise.resolve(/** @type {any} */ (new FakeStream([new FakeTrack()])));

/**
 * @param {string} direction
 * @param {number} [version]
 */
export const sdp = (direction, version = 1) => `v=0\r\no=- 1 ${version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n`
  + `m=audio 4000 UDP/TLS/RTP/SAVPF 111 101\r\na=rtpmap:101 telephone-event/8000\r\na=${direction}\r\n`;

const reversed = /** @type {Record<string, string>} */ ({ sendonly: 'recvonly', recvonly: 'sendonly' });

/** Keeps the signalling state as RFC 9429 draws it, and no media. */
export class FakePeer extends EventTarget {
  signalingState = 'stable';
  iceGatheringState = 'complete';
  connectionState = 'new';
  /** @type {any} */
  localDescription = null;
  /** @type {any[]} */
  transceivers = [];
  version = 0;
  remote = '';

  /**
   * @param {any} track
   * @param {any} options
   */
  addTransceiver(track, options) {
    const sender = { track: typeof track === 'string' ? null : track, dtmf: null, replaceTrack: async () => {} };
    const transceiver = { sender, receiver: { track: new FakeTrack() }, direction: options?.direction ?? 'sendrecv', currentDirection: null, stop() {} };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers() {
    return this.transceivers;
  }

  async createOffer() {
    this.version += 1;
    return { type: 'offer', sdp: sdp(this.transceivers[0].direction, this.version) };
  }

  async createAnswer() {
    const theirs = /a=(send\w+|recv\w+|inactive)/.exec(this.remote)?.[1] ?? 'sendrecv';
    const wanted = this.transceivers[0].direction;
    return { type: 'answer', sdp: sdp(theirs === 'sendrecv' ? wanted : reversed[theirs] ?? theirs) };
  }

  /** @param {any} description */
  async setLocalDescription(description) {
    this.move(description, 'have-local-offer', ['have-remote-offer']);
    if (description.type !== 'rollback') this.localDescription = description;
  }

  /** @param {any} description */
  async setRemoteDescription(description) {
    if (description.type === 'offer' && this.transceivers.length === 0) this.addTransceiver('audio', { direction: 'recvonly' });
    this.move(description, 'have-remote-offer', ['have-local-offer', 'have-remote-pranswer']);
    this.remote = description.sdp;
  }

  /**
   * @param {any} description
   * @param {string} offered
   * @param {string[]} answerable
   */
  move({ type }, offered, answerable) {
    if (this.signalingState === 'closed') throw new Error('closed');
    if (type === 'offer' && this.signalingState === 'stable') this.signalingState = offered;
    else if (type === 'answer' && answerable.includes(this.signalingState)) this.signalingState = 'stable';
    else if (type === 'pranswer' && answerable.includes(this.signalingState)) this.signalingState = 'have-remote-pranswer';
    else if (type === 'rollback' && this.signalingState === offered) this.signalingState = 'stable';
    else throw new Error(`${type} in ${this.signalingState}`);
  }

  async getStats() {
    return new Map();
  }

  close() {
    this.signalingState = 'closed';
  }
}

/** Puts them where the library looks for them. */
export function install() {
  const globals = /** @type {any} */ (globalThis);
  globals.WebSocket = FakeSocket;
  globals.MediaStream = FakeStream;
  globals.RTCPeerConnection = FakePeer;
  FakeSocket.all = [];
  FakeSocket.reachable = true;
}

/** Lets promises settle; timers are pretended, this one is not. */
const realImmediate = setImmediate;
export const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => { realImmediate(resolve); });
};
