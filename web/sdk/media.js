/**
 * The audio of one call: an RTCPeerConnection with one bundled, rtcp-muxed audio stream, and offer/answer around it.
 * @module
 */

import { Emitter } from './events.js';
import { hasTelephoneEvent } from './sdp.js';

/** @typedef {import('./sdp.js').Direction} Direction */

/** Milliseconds to wait for candidates before the description is sent without the late ones. */
const gatherCap = 500;
/** Longer only while there is not a single one yet. */
const gatherLimit = 3000;

const codecOrder = ['audio/opus', 'audio/g722', 'audio/pcmu', 'audio/pcma', 'audio/telephone-event'];

/**
 * `microphone`: another one is spoken into.
 * @extends {Emitter<{connection: RTCPeerConnectionState, track: MediaStream, microphone: null}>}
 */
export class CallMedia extends Emitter {
  /**
   * @param {MediaStream} microphone its first audio track is sent
   * @param {RTCIceServer[]} iceServers
   */
  constructor(microphone, iceServers) {
    super();
    this.microphone = microphone;
    /** The other side's audio; the same object for the life of the call. */
    this.remoteStream = new MediaStream();
    /** @type {RTCRtpTransceiver | null} */
    this.transceiver = null;
    this.remoteSdp = '';
    /**
     * What is sent instead of the microphone: a mix that contains it.
     * @type {MediaStreamTrack | null}
     */
    this.substitute = null;
    this.connection = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    this.connection.ontrack = ({ track }) => {
      if (track.kind !== 'audio') return;
      for (const old of this.remoteStream.getTracks()) this.remoteStream.removeTrack(old);
      this.remoteStream.addTrack(track);
      this.emit('track', this.remoteStream);
    };
    this.connection.onconnectionstatechange = () => this.emit('connection', this.connection.connectionState);
  }

  get track() {
    return this.microphone.getAudioTracks()[0] ?? null;
  }

  /** What is sent. */
  get outgoing() {
    return this.substitute ?? this.track;
  }

  /** @param {MediaStreamTrack | null} track null: the microphone again */
  async setSubstitute(track) {
    this.substitute = track;
    await this.transceiver?.sender.replaceTrack(this.outgoing);
  }

  /** @returns {RTCDTMFSender | null} null when the other side knows no telephone events */
  get dtmf() {
    const sender = this.transceiver?.sender.dtmf ?? null;
    return sender?.canInsertDTMF && hasTelephoneEvent(this.remoteSdp) ? sender : null;
  }

  /**
   * @param {{direction?: Direction, iceRestart?: boolean}} [options]
   * @returns {Promise<string>} the offer with its candidates
   */
  async createOffer(options = {}) {
    const { direction = 'sendrecv', iceRestart = false } = options;
    if (!this.transceiver) {
      this.transceiver = this.connection.addTransceiver(this.outgoing ?? 'audio', { direction, streams: [this.microphone] });
      this.preferCodecs(this.transceiver);
    }
    this.transceiver.direction = direction;
    await this.connection.setLocalDescription(await this.connection.createOffer({ iceRestart }));
    await this.gathered();
    return this.localSdp;
  }

  /**
   * @param {string} sdp
   * @param {'answer' | 'pranswer'} type `pranswer` for the early media of a 183
   */
  async acceptAnswer(sdp, type = 'answer') {
    await this.connection.setRemoteDescription({ type, sdp });
    this.remoteSdp = sdp;
  }

  /** The answer of the 183 stands when the 200 brings none. */
  async confirmEarlyAnswer() {
    if (this.connection.signalingState === 'have-remote-pranswer') await this.acceptAnswer(this.remoteSdp);
  }

  /** @param {string} sdp */
  async acceptOffer(sdp) {
    await this.connection.setRemoteDescription({ type: 'offer', sdp });
    this.remoteSdp = sdp;
  }

  /**
   * @param {Direction} direction what we would like; the browser intersects it with the offer
   * @returns {Promise<string>}
   */
  async createAnswer(direction) {
    const audio = this.connection.getTransceivers().filter(({ receiver }) => receiver.track.kind === 'audio');
    this.transceiver ??= audio[0] ?? null;
    for (const other of this.connection.getTransceivers()) {
      if (other !== this.transceiver && other.currentDirection !== 'stopped') other.stop(); // answered with port 0
    }
    if (this.transceiver) {
      this.transceiver.direction = direction;
      if (this.transceiver.sender.track !== this.outgoing) await this.transceiver.sender.replaceTrack(this.outgoing);
    }
    await this.connection.setLocalDescription(await this.connection.createAnswer());
    await this.gathered();
    return this.localSdp;
  }

  get localSdp() {
    return this.connection.localDescription?.sdp ?? '';
  }

  get hasPendingOffer() {
    return this.connection.signalingState !== 'stable';
  }

  async rollback() {
    if (this.connection.signalingState === 'stable' || this.connection.signalingState === 'closed') return;
    const type = this.connection.signalingState === 'have-local-offer' ? 'local' : 'remote';
    if (type === 'local') await this.connection.setLocalDescription({ type: 'rollback' });
    else await this.connection.setRemoteDescription({ type: 'rollback' });
  }

  /** @param {boolean} audible */
  setSending(audible) {
    for (const track of this.microphone.getAudioTracks()) track.enabled = audible;
  }

  /**
   * Another microphone without the other side noticing.
   * @param {MediaStream} microphone the old one is stopped
   */
  async replaceMicrophone(microphone) {
    const audible = this.track?.enabled ?? true;
    const old = this.microphone;
    this.microphone = microphone;
    this.setSending(audible);
    await this.transceiver?.sender.replaceTrack(this.outgoing);
    this.emit('microphone', null);
    for (const track of old.getTracks()) track.stop();
  }

  close() {
    this.connection.ontrack = this.connection.onconnectionstatechange = null;
    this.connection.close();
    for (const track of this.microphone.getTracks()) track.stop();
  }

  /**
   * Opus first; what would not help a phone call (RED, comfort noise) is left out.
   * @param {RTCRtpTransceiver} transceiver
   */
  preferCodecs(transceiver) {
    const offered = globalThis.RTCRtpReceiver?.getCapabilities?.('audio')?.codecs ?? [];
    const wanted = codecOrder.flatMap((type) => offered.filter(({ mimeType }) => mimeType.toLowerCase() === type));
    if (wanted.length === 0 || !transceiver.setCodecPreferences) return;
    try {
      transceiver.setCodecPreferences(wanted);
    } catch {
      // a browser that wants its own list keeps it
    }
  }

  /** @returns {Promise<void>} when gathering is complete, or long enough for what there is */
  gathered() {
    const { connection } = this;
    if (connection.iceGatheringState === 'complete') return Promise.resolve();
    return new Promise((resolve) => {
      const started = Date.now();
      const finish = () => {
        clearTimeout(cap);
        clearTimeout(limit);
        connection.removeEventListener('icegatheringstatechange', look);
        connection.removeEventListener('icecandidate', look);
        resolve();
      };
      const look = () => {
        const some = /^a=candidate:/m.test(this.localSdp);
        if (connection.iceGatheringState === 'complete' || (some && Date.now() - started >= gatherCap)) finish();
      };
      const cap = setTimeout(look, gatherCap);
      const limit = setTimeout(finish, gatherLimit);
      connection.addEventListener('icegatheringstatechange', look);
      connection.addEventListener('icecandidate', look);
    });
  }
}
