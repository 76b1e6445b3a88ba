/**
 * The INVITE of a call that we make: provisional answers, early media, the final answer, CANCEL and its races, forks.
 * @module
 */

import { CallDialog } from './call-dialog.js';
import { Dialog } from './dialog.js';
import { causeOf, microphoneError, PhoneError } from './errors.js';
import { CallMedia } from './media.js';
import { randomToken } from './random.js';
import { isHold } from './sdp.js';
import { SipRequest } from './sip-message.js';

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./phone.js').Exchange} Exchange */
/** @typedef {import('./sip-message.js').SipResponse} SipResponse */

export class OutgoingInvite {
  /** @param {Call} call */
  constructor(call) {
    this.call = call;
    /** @type {Exchange | null} */
    this.exchange = null;
    this.sequence = 1;
    /**
     * Descriptions are applied in the order in which they came.
     * @type {Promise<unknown>}
     */
    this.steps = Promise.resolve();
    this.earlyTag = '';
    this.earlySdp = '';
    /**
     * Branches that were answered though we no longer wanted them: the ACK for each.
     * @type {Map<string, CallDialog>}
     */
    this.unwanted = new Map();
  }

  async start() {
    const { call } = this;
    try {
      const microphone = await call.phone.openMicrophone();
      if (call.isEnded) return microphone.getTracks().forEach((track) => track.stop());
      call.attach(new CallMedia(microphone, call.phone.options.iceServers));
      const offer = await call.media?.createOffer({ direction: call.wantedDirection }) ?? '';
      if (!call.isEnded) this.invite(offer);
    } catch (error) {
      call.finish(microphoneError(error).code);
    }
    return undefined;
  }

  /** @param {string} offer */
  invite(offer) {
    const { call } = this;
    const { phone } = call;
    const request = new SipRequest('INVITE', call.remote.uri);
    request.headers
      .append('Max-Forwards', 70)
      .append('From', `${phone.identity};tag=${randomToken(10)}`)
      .append('To', `<${call.remote.uri}>`)
      .append('Call-ID', call.id)
      .append('CSeq', `${this.sequence} INVITE`);
    phone.decorate(request);
    if (call.replaces) request.headers.append('Replaces', call.replaces).append('Require', 'replaces');
    request.setBody('application/sdp', offer);
    call.become('calling');
    this.exchange = phone.exchange(request, {
      provisional: (response, sent) => this.receiveProvisional(response, sent),
      final: (response, sent) => this.receiveFinal(response, sent),
      timeout: () => call.finish('timeout'),
    }, () => {
      this.sequence += 1;
      return this.sequence;
    });
  }

  cancel() {
    this.exchange?.cancel();
  }

  /**
   * @param {SipResponse} response
   * @param {SipRequest} request
   */
  receiveProvisional(response, request) {
    const { call } = this;
    if (call.isEnded || call.isEstablished) return;
    const { tag } = response.to;
    if (tag && !call.dialog) call.dialog = new CallDialog(call, Dialog.ofCaller(request, response));
    if (response.status === 180) call.become('ringing');
    const { sdp } = response;
    if (!sdp || sdp === this.earlySdp || (this.earlyTag && tag !== this.earlyTag)) return;
    this.earlyTag = tag;
    this.earlySdp = sdp;
    this.step(async () => {
      await call.media?.acceptAnswer(sdp, 'pranswer');
      call.earlyMedia = true;
      call.emit('change', null);
    });
  }

  /**
   * @param {SipResponse} response
   * @param {SipRequest} request
   */
  receiveFinal(response, request) {
    const { call } = this;
    if (response.status >= 300) return call.finish(causeOf(response), response.status, response.reason);
    const { tag } = response.to;
    if (call.isEstablished && call.dialog?.dialog.remoteTag === tag) return this.repeatAck(call.dialog, request);
    if (call.isEnded || call.isEstablished) return this.refuse(response, request);
    const dialog = new CallDialog(call, Dialog.ofCaller(request, response));
    call.dialog = dialog;
    dialog.acknowledge(request);
    dialog.timer.answered(response);
    call.establish();
    return this.step(async () => {
      const { media } = call;
      if (!media) return;
      if (response.sdp && !(response.sdp === this.earlySdp && tag === this.earlyTag)) {
        await media.acceptAnswer(response.sdp);
      } else {
        await media.confirmEarlyAnswer();
      }
      if (media.hasPendingOffer) throw new PhoneError('not-acceptable', '200 without a session description');
      call.noteRemoteHold(isHold(media.remoteSdp));
    });
  }

  /**
   * A 2xx that crossed our CANCEL, or of another fork: acknowledged and ended (RFC 3261 §13.2.2.4).
   * @param {SipResponse} response
   * @param {SipRequest} request
   */
  refuse(response, request) {
    const { tag } = response.to;
    const known = this.unwanted.get(tag) ?? (this.call.dialog?.dialog.remoteTag === tag && this.call.dialog.acks.size > 0
      ? this.call.dialog : null);
    if (known) return this.repeatAck(known, request);
    const dialog = new CallDialog(this.call, Dialog.ofCaller(request, response));
    this.unwanted.set(tag, dialog);
    dialog.acknowledge(request);
    return dialog.bye();
  }

  /**
   * @param {CallDialog} dialog
   * @param {SipRequest} request
   */
  repeatAck(dialog, request) {
    const ack = dialog.acks.get(request.cseq.number);
    if (ack) this.call.phone.layer.send(ack);
  }

  /** @param {() => Promise<void>} action */
  step(action) {
    this.steps = this.steps.then(action).catch((error) => {
      if (this.call.isEnded) return;
      if (this.call.isEstablished) this.call.hangUpBecause('not-acceptable', 'SIP;cause=488;text="Not Acceptable Here"');
      else this.earlySdp = ''; // a bad 183 does not end a call that may still be answered well
      this.call.phone.warn('session description refused', error);
    });
  }
}
