/**
 * A call as the user of the library sees it.
 * @module
 */

import { Emitter } from './events.js';
import { PhoneError } from './errors.js';
import { IncomingInvite } from './incoming.js';
import { OutgoingInvite } from './outgoing.js';
import { QualityMonitor } from './quality.js';
import { Transfer } from './transfer.js';

/** @typedef {import('./call-dialog.js').CallDialog} CallDialog */
/** @typedef {import('./errors.js').Cause} Cause */
/** @typedef {import('./keeper.js').KeptCall} KeptCall */
/** @typedef {import('./media.js').CallMedia} CallMedia */
/** @typedef {import('./phone.js').Phone} Phone */
/** @typedef {import('./quality.js').Quality} Quality */
/** @typedef {import('./sdp.js').Direction} Direction */
/** @typedef {import('./sip-message.js').SipRequest} SipRequest */
/** @typedef {import('./transactions.js').ServerTransaction} ServerTransaction */

/**
 * `starting`: asking for the microphone; `calling`: sent; `ringing`: at the other side, or here; `active`: answered.
 * @typedef {'starting' | 'calling' | 'ringing' | 'active' | 'ended'} CallState
 */

/** @typedef {{user: string, uri: string, displayName: string}} Party */

/** How long a call waits for its media to come back, milliseconds. */
const recoveryLimit = 45_000;

/**
 * Events: `change` (anything that a user interface shows), `ended`, `media` (the other side's stream), `dtmf` (a digit
 * that came by INFO), `quality` (every 1.5 s).
 * @extends {Emitter<{change: null, ended: {cause: Cause}, media: MediaStream, dtmf: {digit: string}, quality: Quality}>}
 */
export class Call extends Emitter {
  /**
   * Calls are made by `phone.call` and by the phone when one comes in.
   * @param {Phone} phone
   * @param {{id: string, direction: 'outgoing' | 'incoming', remote: Party, transaction?: ServerTransaction, kept?: KeptCall}} origin
   *   `kept`: a call that an earlier page had
   */
  constructor(phone, { id, direction, remote, transaction, kept }) {
    super();
    this.phone = phone;
    /** The SIP Call-ID. */
    this.id = id;
    this.direction = direction;
    this.remote = remote;
    /** @type {CallState} */
    this.state = transaction ? 'ringing' : 'starting';
    /** Milliseconds since 1970; 0 when it has not happened. */
    this.createdAt = Date.now();
    this.endedAt = 0;
    /** @type {Cause | ''} why it ended */
    this.cause = '';
    /** The SIP status that ended it, 0 when none did. */
    this.status = 0;
    this.reason = '';
    /** The other side holds us. */
    this.remoteHold = false;
    /** The network plays something before the answer (183). */
    this.earlyMedia = false;
    /** @type {RTCPeerConnectionState} */
    this.connection = 'new';
    /** @type {Quality | null} */
    this.quality = null;
    /** @type {CallMedia | null} */
    this.media = null;
    /** @type {CallDialog | null} */
    this.dialog = null;
    /** @type {QualityMonitor | null} */
    this.monitor = null;
    this.wasConnected = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} a short wait before recovery starts */
    this.hesitation = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} the end of all waiting */
    this.deadline = undefined;
    /**
     * The transfer that is under way.
     * @type {Transfer | null}
     */
    this.transferring = null;
    /** Value of a Replaces header: this call takes the place of one that an earlier page had. */
    this.replaces = kept?.replaces ?? '';
    /** Milliseconds since 1970; 0 when it has not happened. */
    this.answeredAt = kept?.answeredAt ?? 0;
    /** We hold the other side. */
    this.onHold = kept?.onHold ?? false;
    this.muted = kept?.muted ?? false;
    this.outgoing = direction === 'outgoing' || kept ? new OutgoingInvite(this) : null;
    this.incoming = transaction ? new IncomingInvite(this, transaction) : null;
  }

  get isEnded() {
    return this.state === 'ended';
  }

  get isEstablished() {
    return this.state === 'active';
  }

  get isAnswering() {
    return this.state === 'ringing' && (this.incoming?.isAnswering ?? false);
  }

  /**
   * The audio of the other side, null before there is a connection.
   * @returns {MediaStream | null}
   */
  get remoteStream() {
    return this.media?.remoteStream ?? null;
  }

  /**
   * What the microphone gives.
   * @returns {MediaStream | null}
   */
  get localStream() {
    return this.media?.microphone ?? null;
  }

  /** The media path broke and is being mended. */
  get isRecovering() {
    return this.deadline !== undefined;
  }

  // ---- what the user does

  /**
   * Answers an incoming call.
   * @returns {Promise<void>}
   * @throws {PhoneError} without a microphone (the call keeps ringing), or when its media cannot be agreed on
   */
  async answer() {
    await this.incoming?.answer();
  }

  /**
   * Refuses an incoming call.
   * @param {number} [status] 603 Decline; 486 Busy Here lets the user's other phones ring on
   */
  reject(status = 603) {
    if (this.direction !== 'incoming' || this.state !== 'ringing') return;
    this.incoming?.reject(status);
    this.finish('rejected');
  }

  /** Ends the call in whatever state it is. */
  hangUp() {
    if (this.isEnded) return;
    if (this.isEstablished) this.dialog?.bye();
    else if (this.direction === 'incoming') return this.reject();
    else this.outgoing?.cancel();
    this.finish('hung-up');
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.muted = muted;
    this.applySending();
    this.emit('change', null);
  }

  hold() {
    return this.setHold(true);
  }

  resume() {
    return this.setHold(false);
  }

  /**
   * @param {boolean} held
   * @returns {Promise<void>} when the other side agreed
   * @throws {PhoneError} when it did not; the call is then as it was
   */
  async setHold(held) {
    if (!this.isEstablished || this.onHold === held) return;
    this.onHold = held;
    this.applySending();
    this.emit('change', null);
    try {
      await this.dialog?.renegotiate();
    } catch (error) {
      if (!this.isEstablished) return;
      this.onHold = !held;
      this.applySending();
      this.emit('change', null);
      throw error;
    }
  }

  /**
   * Sends digits: as RFC 4733 events where agreed, else by INFO.
   * @param {string} digits of 0-9 * # A-D
   * @returns {Promise<void>}
   */
  async sendDtmf(digits) {
    const tones = digits.toUpperCase().replace(/[^0-9*#A-D]/g, '');
    if (!this.isEstablished || tones === '') return;
    const sender = this.phone.options.dtmf === 'info' ? null : this.media?.dtmf;
    if (sender) {
      sender.insertDTMF(sender.toneBuffer + tones, 160, 80); // a new insertion replaces what has not been sent
      return;
    }
    for (const tone of tones) {
      await this.dialog?.send('INFO', { type: 'application/dtmf-relay', body: `Signal=${tone}\r\nDuration=160\r\n` });
    }
  }

  /**
   * Sends the other side to somebody else, and leaves.
   * @param {string | Call} target a number, a name or a SIP URI (blind transfer); or another call of this phone: the two others
   *   then talk with each other (attended transfer)
   * @returns {Promise<void>} when they have been joined; the call then ends as `transferred`
   * @throws {PhoneError} when they were not; the call is then as it was
   */
  async transfer(target) {
    if (!this.isEstablished || this.transferring) throw new PhoneError('internal', 'nothing to transfer');
    this.transferring = new Transfer(this, target);
    this.emit('change', null);
    try {
      await this.transferring.run();
    } catch (error) {
      this.transferring = null;
      this.emit('change', null);
      throw error;
    }
    this.transferring = null;
    if (this.isEnded) return;
    this.dialog?.bye();
    this.finish('transferred');
  }

  /**
   * Speaks through another microphone from now on.
   * @param {MediaStream} microphone
   */
  async replaceMicrophone(microphone) {
    await this.media?.replaceMicrophone(microphone);
    this.applySending();
  }

  // ---- what the parts of the call report

  /** @param {CallMedia} media */
  attach(media) {
    this.media = media;
    this.applySending();
    media.on('track', (stream) => this.emit('media', stream));
    media.on('connection', (state) => this.receiveConnection(state));
  }

  /** @param {CallState} state */
  become(state) {
    if (this.isEnded || this.state === state) return;
    this.state = state;
    this.emit('change', null);
  }

  establish() {
    if (!this.media) return;
    this.answeredAt ||= Date.now();
    this.become('active');
    this.monitor = new QualityMonitor(this.media.connection, () => ({
      hears: !this.onHold && !this.remoteHold,
      speaks: !this.onHold && !this.muted,
    }), (quality) => {
      this.quality = quality;
      this.emit('quality', quality);
    });
  }

  /** @param {boolean} held */
  noteRemoteHold(held) {
    if (this.remoteHold === held) return;
    this.remoteHold = held;
    this.emit('change', null);
  }

  /** @param {SipRequest} _bye */
  receiveBye(_bye) {
    this.finish(this.transferring && this.transferring.status >= 200 && this.transferring.status < 300 ? 'transferred' : 'hung-up-remote');
  }

  /** @param {SipRequest} request */
  receiveNotify(request) {
    if (this.transferring?.receive(request)) this.emit('change', null);
  }

  /** @param {SipRequest} info */
  receiveInfo(info) {
    const type = info.headers.get('Content-Type').toLowerCase();
    const digit = type.startsWith('application/dtmf-relay') ? /^\s*Signal\s*=\s*([0-9*#A-D])/im.exec(info.body)?.[1]
      : type.startsWith('application/dtmf') ? /^\s*([0-9*#A-D])/i.exec(info.body)?.[1] : undefined;
    if (digit) this.emit('dtmf', { digit: digit.toUpperCase() });
  }

  /**
   * Ends an established call from this side.
   * @param {Cause} cause
   * @param {string} reason value of the Reason header
   */
  hangUpBecause(cause, reason) {
    if (this.isEnded) return;
    this.dialog?.bye(reason);
    this.finish(cause);
  }

  /**
   * @param {Cause} cause
   * @param {number} [status]
   * @param {string} [reason] the phrase beside the status
   */
  finish(cause, status = 0, reason = '') {
    if (this.isEnded) return;
    this.cause = cause;
    this.status = status;
    this.reason = reason;
    this.endedAt = Date.now();
    clearTimeout(this.hesitation);
    clearTimeout(this.deadline);
    this.deadline = undefined;
    this.monitor?.stop();
    this.dialog?.close();
    this.media?.close();
    this.state = 'ended';
    this.emit('change', null);
    this.emit('ended', { cause });
  }

  // ---- media

  /** @returns {Direction} */
  get wantedDirection() {
    return this.onHold ? 'sendonly' : 'sendrecv';
  }

  applySending() {
    this.media?.setSending(!this.muted && !this.onHold);
  }

  /** @param {RTCPeerConnectionState} state */
  receiveConnection(state) {
    this.connection = state;
    clearTimeout(this.hesitation);
    if (state === 'connected') {
      this.wasConnected = true;
      clearTimeout(this.deadline);
      this.deadline = undefined;
    } else if (state === 'disconnected') {
      this.hesitation = setTimeout(() => this.recover(), 3000); // it often mends itself
    } else if (state === 'failed') {
      this.recover();
    }
    this.emit('change', null);
  }

  /** The phone is registered again after its WebSocket was lost. */
  flowRestored() {
    if (this.isEstablished && this.isRecovering) this.recover();
  }

  /** ICE restart; without signalling it waits for the phone to come back. */
  recover() {
    if (!this.isEstablished) return;
    this.deadline ??= setTimeout(() => {
      this.hangUpBecause(this.wasConnected ? 'media-lost' : 'media-failed', 'SIP;cause=408;text="Media lost"');
    }, this.wasConnected ? recoveryLimit : recoveryLimit / 3);
    this.emit('change', null);
    if (this.phone.state !== 'registered') return;
    this.dialog?.renegotiate({ iceRestart: true }).catch((error) => this.phone.warn('ICE restart failed', error));
  }
}
