/**
 * Three and more at one table, mixed in this browser: each call hears the microphone and all other calls.
 * @module
 */

/** @typedef {import('./call.js').Call} Call */

/**
 * One call's place: what it is sent is mixed in `out`; what it says is heard by the others through `voice`.
 * @typedef {{out: MediaStreamAudioDestinationNode, voice: GainNode, sources: MediaStreamAudioSourceNode[], stop: (() => void)[]}} Seat
 */

export class Conference {
  /** @param {AudioContext} [context] one that runs; a page may make one only after a click */
  constructor(context = new AudioContext({ sampleRate: 48_000 })) {
    this.context = context;
    /** @type {Map<Call, Seat>} */
    this.seats = new Map();
  }

  /** Who is in it. */
  get calls() {
    return [...this.seats.keys()];
  }

  /**
   * Takes a call in, and off hold.
   * @param {Call} call
   * @returns {Promise<void>}
   */
  async add(call) {
    if (this.seats.has(call) || !call.isEstablished || !call.media) return;
    await this.context.resume();
    const { context } = this;
    /** @type {Seat} */
    const seat = { out: context.createMediaStreamDestination(), voice: context.createGain(), sources: [], stop: [] };
    for (const [other, { out, voice }] of this.seats) {
      if (other === call) continue;
      seat.voice.connect(out);
      voice.connect(seat.out);
    }
    this.seats.set(call, seat);
    this.wire(call, seat);
    seat.stop = [
      call.on('media', () => this.wire(call, seat)),
      call.on('change', () => this.balance(call, seat)),
      call.on('ended', () => this.remove(call)),
      call.media.on('microphone', () => this.wire(call, seat)),
    ];
    await call.media.setSubstitute(seat.out.stream.getAudioTracks()[0] ?? null);
    await call.resume();
    this.balance(call, seat);
  }

  /**
   * Lets a call go on by itself.
   * @param {Call} call
   */
  remove(call) {
    const seat = this.seats.get(call);
    if (!seat) return;
    this.seats.delete(call);
    for (const stop of seat.stop) stop();
    for (const source of seat.sources) source.disconnect();
    seat.voice.disconnect();
    for (const { voice } of this.seats.values()) {
      try {
        voice.disconnect(seat.out);
      } catch {
        // was not connected
      }
    }
    if (!call.isEnded) call.media?.setSubstitute(null).catch(() => {});
    if (this.seats.size === 1) for (const last of this.calls) this.remove(last);
  }

  /** Everybody for himself again. */
  end() {
    for (const call of this.calls) this.remove(call);
  }

  /**
   * @param {Call} call
   * @param {Seat} seat
   */
  wire(call, seat) {
    for (const source of seat.sources) source.disconnect();
    seat.sources = [];
    const { media } = call;
    if (!media) return;
    if (media.microphone.getAudioTracks().length > 0) {
      const own = this.context.createMediaStreamSource(media.microphone);
      own.connect(seat.out);
      seat.sources.push(own);
    }
    if (media.remoteStream.getAudioTracks().length > 0) {
      const theirs = this.context.createMediaStreamSource(media.remoteStream);
      theirs.connect(seat.voice);
      seat.sources.push(theirs);
    }
  }

  /**
   * Who is held neither hears nor is heard: its music would be everybody's.
   * @param {Call} call
   * @param {Seat} seat
   */
  balance(call, seat) {
    seat.voice.gain.value = call.onHold || call.remoteHold ? 0 : 1;
  }
}
