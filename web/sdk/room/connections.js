/**
 * The two peer connections of a room: one for what we send, where we offer, one for what we receive, where the server does.
 * @module
 */

import { Emitter } from '../events.js';

/** @typedef {(message: Record<string, any>) => boolean} Send a SignalRequest */

/**
 * @extends {Emitter<{connected: null, failed: null, packet: Uint8Array, track: {sid: string, track: MediaStreamTrack}}>}
 */
class Connection extends Emitter {
  /**
   * @param {RTCConfiguration} configuration
   * @param {Send} send
   * @param {'PUBLISHER' | 'SUBSCRIBER'} target
   */
  constructor(configuration, send, target) {
    super();
    this.send_ = send;
    this.target = target;
    this.peer = new RTCPeerConnection(configuration);
    /** @type {string[]} candidates that came before the description that they belong to */
    this.early = [];
    this.peer.onicecandidate = ({ candidate }) => {
      // The end of candidates is not told: it is nothing that a server needs, and some clients' servers choke on it.
      if (candidate?.candidate) send({ trickle: { candidateInit: JSON.stringify(candidate.toJSON()), target } });
    };
    this.peer.onconnectionstatechange = () => {
      if (this.peer.connectionState === 'connected') this.emit('connected', null);
      if (this.peer.connectionState === 'failed') this.emit('failed', null);
    };
    this.peer.ondatachannel = ({ channel }) => this.hear(channel);
  }

  /** @param {RTCDataChannel} channel */
  hear(channel) {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.emit('packet', new Uint8Array(data));
    };
  }

  /** @param {string} text JSON of an RTCIceCandidateInit */
  async addCandidate(text) {
    if (!this.peer.remoteDescription) {
      this.early.push(text);
      return;
    }
    await this.peer.addIceCandidate(JSON.parse(text)).catch(() => {});
  }

  async addEarlyCandidates() {
    for (const text of this.early.splice(0)) await this.addCandidate(text);
  }

  close() {
    this.peer.onicecandidate = this.peer.onconnectionstatechange = this.peer.ondatachannel = this.peer.ontrack = null;
    this.peer.close();
  }
}

export class PublisherConnection extends Connection {
  /**
   * @param {RTCConfiguration} configuration
   * @param {Send} send
   */
  constructor(configuration, send) {
    super(configuration, send, 'PUBLISHER');
    this.reliable = this.peer.createDataChannel('_reliable', { ordered: true });
    this.lossy = this.peer.createDataChannel('_lossy', { ordered: false, maxRetransmits: 0 });
    this.hear(this.reliable);
    this.hear(this.lossy);
    this.offers = 0;
    /** Of offers that were asked for while one was out. */
    this.isDirty = false;
    this.restartNext = false;
    this.isOffering = false;
    /** @type {(() => void)[]} */
    this.waiting = [];
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {{simulcast: boolean, isScreen: boolean}} options
   */
  add(track, { simulcast, isScreen }) {
    /** @type {RTCRtpEncodingParameters[]} */
    let sendEncodings = [{}];
    if (simulcast) {
      sendEncodings = [
        { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
        { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
        { rid: 'f', maxBitrate: 1_700_000 },
      ];
    } else if (track.kind === 'video') {
      sendEncodings = [{ maxBitrate: isScreen ? 2_500_000 : 1_700_000 }];
    }
    const transceiver = this.peer.addTransceiver(track, { direction: 'sendonly', sendEncodings });
    if (track.kind === 'video') preferVP8(transceiver);
  }

  /** @param {MediaStreamTrack} track */
  sender(track) {
    return this.peer.getSenders().find((sender) => sender.track === track) ?? null;
  }

  /** @param {MediaStreamTrack} track */
  remove(track) {
    const sender = this.sender(track);
    if (sender) this.peer.removeTrack(sender);
  }

  /**
   * @param {MediaStreamTrack} old
   * @param {MediaStreamTrack} fresh
   */
  async replace(old, fresh) {
    await this.sender(old)?.replaceTrack(fresh);
  }

  /**
   * Offers what there is now.
   * @returns {Promise<void>} when the server has answered
   */
  async negotiate() {
    const done = new Promise((/** @type {(value: void) => void} */ resolve) => this.waiting.push(resolve));
    if (this.peer.signalingState === 'stable' && !this.isOffering) await this.offer();
    else this.isDirty = true;
    await done;
  }

  async offer() {
    this.isOffering = true;
    this.isDirty = false;
    const offer = await this.peer.createOffer({ iceRestart: this.restartNext });
    this.restartNext = false;
    await this.peer.setLocalDescription(offer);
    this.offers += 1;
    this.send_({ offer: { type: 'offer', sdp: this.peer.localDescription?.sdp, id: this.offers } });
  }

  /** @param {Record<string, any>} description */
  async answered({ sdp, id = 0 }) {
    if (id && id !== this.offers) return;
    if (this.peer.signalingState !== 'have-local-offer') return;
    await this.peer.setRemoteDescription({ type: 'answer', sdp });
    await this.addEarlyCandidates();
    this.isOffering = false;
    if (this.isDirty) {
      await this.offer();
      return;
    }
    for (const done of this.waiting.splice(0)) done();
  }

  /** New ICE after the signalling came back; an offer that was lost with it is made again. */
  async restart() {
    if (!this.offers) return;
    this.restartNext = true;
    if (this.peer.signalingState === 'have-local-offer') await this.peer.setLocalDescription({ type: 'rollback' });
    this.isOffering = false;
    await this.offer();
  }

  /**
   * Sends on the reliable channel; waits until it is open, and while much is queued.
   * @param {Uint8Array} bytes
   */
  async send(bytes) {
    if (!this.offers) void this.negotiate();
    if (this.reliable.readyState === 'connecting') {
      await new Promise((resolve) => this.reliable.addEventListener('open', resolve, { once: true }));
    }
    this.reliable.bufferedAmountLowThreshold = 64_000;
    if (this.reliable.bufferedAmount > 1_000_000) {
      await new Promise((resolve) => this.reliable.addEventListener('bufferedamountlow', resolve, { once: true }));
    }
    this.reliable.send(/** @type {any} */ (bytes));
  }

  /**
   * Dynacast: switches encodings off that nobody watches.
   * @param {Record<string, any>} update SubscribedQualityUpdate
   */
  keepLayers({ subscribedCodecs = [], subscribedQualities = [] }) {
    const qualities = subscribedCodecs[0]?.qualities ?? subscribedQualities;
    const wanted = new Map(qualities.map((/** @type {any} */ { quality = 'LOW', enabled = false }) => [quality, enabled]));
    const rids = { q: 'LOW', h: 'MEDIUM', f: 'HIGH' };
    for (const sender of this.peer.getSenders()) {
      const parameters = sender.getParameters();
      if (sender.track?.kind !== 'video' || (parameters.encodings?.length ?? 0) < 2) continue;
      for (const encoding of parameters.encodings) {
        const quality = rids[/** @type {keyof typeof rids} */ (encoding.rid ?? 'f')];
        if (wanted.has(quality)) encoding.active = Boolean(wanted.get(quality));
      }
      sender.setParameters(parameters).catch(() => {});
    }
  }
}

export class SubscriberConnection extends Connection {
  /**
   * @param {RTCConfiguration} configuration
   * @param {Send} send
   */
  constructor(configuration, send) {
    super(configuration, send, 'SUBSCRIBER');
    /** @type {Map<string, MediaStreamTrack>} by the published track's sid */
    this.tracks = new Map();
    /** @type {Promise<void>} one offer after the other */
    this.turn = Promise.resolve();
  }

  /** @param {Record<string, any>} offer */
  offered(offer) {
    this.turn = this.turn.then(() => this.answer(offer)).catch(() => this.emit('failed', null));
    return this.turn;
  }

  /** @param {Record<string, any>} offer */
  async answer({ sdp, id = 0 }) {
    await this.peer.setRemoteDescription({ type: 'offer', sdp });
    await this.addEarlyCandidates();
    await this.peer.setLocalDescription(await this.peer.createAnswer());
    this.send_({ answer: { type: 'answer', sdp: this.peer.localDescription?.sdp, id } });
    this.map(sdp);
  }

  /**
   * Which track is on which section: `a=msid:<participant>|… <track>`.
   * @param {string} sdp
   */
  map(sdp) {
    const sids = new Map();
    for (const section of sdp.split('\r\nm=').slice(1)) {
      const mid = /\r\na=mid:(\S+)/.exec(section)?.[1];
      const sid = /\r\na=msid:\S+ (TR_\S+)/.exec(section)?.[1];
      if (mid && sid && !/\r\na=inactive/.test(section)) sids.set(mid, sid);
    }
    const before = this.tracks;
    this.tracks = new Map();
    for (const { mid, receiver } of this.peer.getTransceivers()) {
      const sid = sids.get(mid);
      if (!sid) continue;
      this.tracks.set(sid, receiver.track);
      if (before.get(sid) !== receiver.track) this.emit('track', { sid, track: receiver.track });
    }
  }

  /** What a resumed session tells the server. */
  async syncState() {
    const { localDescription, remoteDescription } = this.peer;
    return {
      answer: localDescription && { type: 'answer', sdp: localDescription.sdp },
      offer: remoteDescription && { type: 'offer', sdp: remoteDescription.sdp },
      subscription: { trackSids: [], subscribe: false, participantTracks: [] },
    };
  }
}

/**
 * VP8 first: every browser has three layers of it.
 * @param {RTCRtpTransceiver} transceiver
 */
function preferVP8(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs ?? [];
  const isVP8 = (/** @type {{mimeType: string}} */ { mimeType }) => mimeType === 'video/VP8';
  if (!codecs.some(isVP8)) return;
  transceiver.setCodecPreferences?.([...codecs.filter(isVP8), ...codecs.filter((codec) => !isVP8(codec))]);
}
