/**
 * Every sound that the desktop makes, from oscillators: ring, ringback, key tones, busy, the end of a call.
 * Calls ring on a device of their own: each output is an audio element behind its part of the audio graph.
 * @module
 */

/**
 * Low and high frequency of a key, Hz (ITU-T Q.23).
 * @type {Record<string, [number, number]>}
 */
const keyTones = {
  1: [697, 1209], 2: [697, 1336], 3: [697, 1477], 4: [770, 1209], 5: [770, 1336], 6: [770, 1477],
  7: [852, 1209], 8: [852, 1336], 9: [852, 1477], '*': [941, 1209], 0: [941, 1336], '#': [941, 1477],
};

/** @typedef {{node: MediaStreamAudioDestinationNode, element: HTMLAudioElement, sink: string}} Output */

export class Tones {
  constructor() {
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {Record<'speaker' | 'ringer', Output | null>} */
    this.outputs = { speaker: null, ringer: null };
    this.sinks = { speaker: '', ringer: '' };
    this.ringVolume = 0.6;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.cadence = undefined;
    this.playing = '';
  }

  /** True while the browser waits for a click before it lets the page sound. */
  get isBlocked() {
    return this.context?.state === 'suspended';
  }

  /**
   * Call from a click or key press: sound is allowed from then on.
   * @returns {Promise<void>}
   */
  async unlock() {
    await this.open().resume().catch(() => {});
  }

  open() {
    this.context ??= new AudioContext({ latencyHint: 'interactive' });
    return this.context;
  }

  /**
   * @param {'speaker' | 'ringer'} which
   * @param {string} deviceId '' for the default
   */
  setSink(which, deviceId) {
    this.sinks[which] = deviceId;
    const output = this.outputs[which];
    if (output) route(output, deviceId);
  }

  /**
   * @param {'speaker' | 'ringer'} which
   * @returns {AudioNode}
   */
  output(which) {
    const context = this.open();
    if (context.state === 'suspended') context.resume().catch(() => {});
    let output = this.outputs[which];
    if (!output) {
      const node = context.createMediaStreamDestination();
      const element = new Audio();
      element.srcObject = node.stream;
      output = { node, element, sink: '' };
      this.outputs[which] = output;
      route(output, this.sinks[which]);
    }
    if (output.element.paused) output.element.play().catch(() => {});
    return output.node;
  }

  /**
   * @param {AudioNode} output
   * @param {number[]} frequencies Hz
   * @param {{after?: number, length: number, volume: number, fade?: number}} shape seconds
   */
  tone(output, frequencies, { after = 0, length, volume, fade = 0.008 }) {
    const context = this.open();
    const start = context.currentTime + 0.01 + after;
    const gain = context.createGain();
    gain.connect(output);
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(volume, start + 0.008);
    gain.gain.setValueAtTime(volume, Math.max(start + 0.008, start + length - fade));
    gain.gain.linearRampToValueAtTime(0, start + length);
    for (const frequency of frequencies) {
      const oscillator = context.createOscillator();
      oscillator.frequency.value = frequency;
      oscillator.connect(gain);
      oscillator.start(start);
      oscillator.stop(start + length + 0.02);
      oscillator.onended = () => oscillator.disconnect();
    }
  }

  /**
   * The sound of a key, for the ear of who presses it.
   * @param {string} key
   */
  key(key) {
    const pair = keyTones[key];
    if (pair) this.tone(this.output('speaker'), pair, { length: 0.14, volume: 0.07 });
  }

  /**
   * A call comes in: two soft rising chords, every three seconds.
   * @param {boolean} [soft] during another call
   */
  ring(soft = false) {
    this.repeat('ring', 3000, () => {
      const output = this.output(soft ? 'speaker' : 'ringer');
      const volume = (soft ? 0.12 : 0.32) * this.ringVolume;
      const notes = soft ? [[659, 0]] : [[523.25, 0], [659.25, 0.14], [783.99, 0.28], [659.25, 0.62], [783.99, 0.76], [1046.5, 0.9]];
      for (const [note, after] of notes) {
        this.tone(output, [note, note * 2.003], { after, length: 0.5, volume: volume * 0.7, fade: 0.4 });
      }
    });
  }

  /** It rings at the other side: 425 Hz, one second in five. */
  ringback() {
    this.repeat('ringback', 5000, () => this.tone(this.output('speaker'), [425], { length: 1, volume: 0.06, fade: 0.03 }));
  }

  /**
   * @param {string} name
   * @param {number} interval milliseconds
   * @param {() => void} action
   */
  repeat(name, interval, action) {
    if (this.playing === name) return;
    this.silence();
    this.playing = name;
    action();
    this.cadence = setInterval(action, interval);
  }

  /** Ends ring and ringback, at once. */
  silence() {
    clearInterval(this.cadence);
    if (this.playing === '') return;
    this.playing = '';
    for (const which of /** @type {const} */ (['speaker', 'ringer'])) {
      const output = this.outputs[which];
      if (!output) continue;
      output.element.pause();
      output.element.srcObject = null;
      this.outputs[which] = null; // what is still scheduled plays into nothing
    }
  }

  /** The call did not come about. */
  busy() {
    for (const after of [0, 0.4, 0.8]) this.tone(this.output('speaker'), [425], { after, length: 0.2, volume: 0.06 });
  }

  /** The call is over. */
  end() {
    this.tone(this.output('speaker'), [440], { length: 0.12, volume: 0.06, fade: 0.08 });
    this.tone(this.output('speaker'), [330], { after: 0.13, length: 0.18, volume: 0.06, fade: 0.12 });
  }

  /**
   * To hear whether the speaker is the right one.
   * @param {'speaker' | 'ringer'} which
   */
  test(which) {
    const output = this.output(which);
    [523.25, 659.25, 783.99].forEach((note, index) => {
      this.tone(output, [note], { after: index * 0.18, length: 0.4, volume: 0.14, fade: 0.3 });
    });
  }
}

/**
 * @param {Output} output
 * @param {string} deviceId
 */
function route(output, deviceId) {
  if (output.sink === deviceId) return;
  output.sink = deviceId;
  setSink(output.element, deviceId);
}

/**
 * Not every browser can choose an output.
 * @param {HTMLAudioElement} element
 * @param {string} deviceId
 */
export function setSink(element, deviceId) {
  const chooser = /** @type {{setSinkId?: (id: string) => Promise<void>}} */ (/** @type {unknown} */ (element));
  chooser.setSinkId?.(deviceId).catch(() => {}); // the device was unplugged: the default plays
}

export const canChooseOutput = 'setSinkId' in HTMLAudioElement.prototype;
