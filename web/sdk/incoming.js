/**
 * The INVITE of a call that comes to us: ringing, answer, reject, and the caller who gives up.
 * @module
 */

import { CallDialog } from './call-dialog.js';
import { Dialog } from './dialog.js';
import { microphoneError, PhoneError, reasonCause } from './errors.js';
import { CallMedia } from './media.js';
import { isHold } from './sdp.js';

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./sip-message.js').SipRequest} SipRequest */
/** @typedef {import('./transactions.js').ServerTransaction} ServerTransaction */

export class IncomingInvite {
  /**
   * @param {Call} call
   * @param {ServerTransaction} transaction
   */
  constructor(call, transaction) {
    this.call = call;
    this.transaction = transaction;
    this.isAnswering = false;
    call.dialog = new CallDialog(call, Dialog.ofCallee(transaction.request, transaction.toTag));
    transaction.onCancel = (cancel) => this.receiveCancel(cancel);
  }

  ring() {
    const response = this.transaction.response(180);
    this.call.phone.decorate(response);
    this.transaction.respond(response);
  }

  /**
   * @throws {PhoneError} without a microphone; the call then keeps ringing
   */
  async answer() {
    const { call } = this;
    if (this.isAnswering || call.isEnded || call.isEstablished) return;
    this.isAnswering = true;
    call.emit('change', null);
    /** @type {MediaStream} */
    let microphone;
    try {
      microphone = await call.phone.openMicrophone();
    } catch (error) {
      this.isAnswering = false;
      call.emit('change', null);
      throw microphoneError(error);
    }
    if (call.isEnded) return microphone.getTracks().forEach((track) => track.stop());
    call.attach(new CallMedia(microphone, call.phone.options.iceServers));
    try {
      await this.accept();
    } catch (error) {
      this.transaction.respond(488);
      call.finish('not-acceptable', 488);
      throw new PhoneError('not-acceptable', error instanceof Error ? error.message : String(error), 488);
    }
    return undefined;
  }

  async accept() {
    const { call, transaction } = this;
    const { media, dialog } = call;
    if (!media || !dialog) return;
    const offer = transaction.request.sdp;
    if (offer) await media.acceptOffer(offer);
    const body = offer ? await media.createAnswer('sendrecv') : await media.createOffer();
    if (call.isEnded) return; // cancelled meanwhile
    const response = transaction.response(200);
    call.phone.decorate(response);
    dialog.timer.answer(transaction.request, response);
    response.setBody('application/sdp', body);
    call.establish();
    if (offer) call.noteRemoteHold(isHold(offer));
    dialog.enqueue(async () => {
      const ack = await dialog.succeed(transaction, response);
      if (offer || !ack) return;
      await media.acceptAnswer(ack.sdp);
      call.noteRemoteHold(isHold(ack.sdp));
    }).catch(() => call.hangUpBecause('not-acceptable', 'SIP;cause=488;text="Not Acceptable Here"'));
  }

  /** @param {number} status */
  reject(status) {
    this.transaction.respond(status);
  }

  /** @param {SipRequest} cancel */
  receiveCancel(cancel) {
    this.transaction.respond(487);
    const elsewhere = reasonCause(cancel, 'SIP') === 200;
    this.call.finish(elsewhere ? 'answered-elsewhere' : 'missed');
  }
}
