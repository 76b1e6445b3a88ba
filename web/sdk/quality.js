/**
 * How a call sounds, from the browser's statistics, as one word and the reasons for it.
 * @module
 */

/** @typedef {'good' | 'fair' | 'poor' | 'unknown'} Rating */
/** @typedef {'loss-in' | 'loss-out' | 'jitter' | 'delay' | 'gaps' | 'no-audio-in' | 'mic-silent'} ReasonCode */

/**
 * What happened between two looks.
 * @typedef {object} Sample
 * @property {number} lossIn packets lost on the way to us, 0…1
 * @property {number | null} lossOut packets of ours that the other side misses, 0…1; null before its first report
 * @property {number} jitter of what arrives, milliseconds
 * @property {number | null} roundTrip milliseconds
 * @property {number} concealed speech that had to be invented, 0…1
 * @property {number} packetsIn
 * @property {number} silentFor milliseconds without any packet, 0 while nothing is expected
 * @property {number} micSilentFor milliseconds in which the microphone gave digital silence though it was open
 */

/**
 * @typedef {object} Quality
 * @property {Rating} rating
 * @property {{code: ReasonCode, text: string}[]} why the worst first; empty when good
 * @property {Sample} sample
 */

/**
 * Raw counters out of getStats.
 * @typedef {object} Counters
 * @property {number} time milliseconds
 * @property {number} packetsIn
 * @property {number} lostIn
 * @property {number} concealedSamples without the silent ones, which are pauses of a sender with DTX
 * @property {number} totalSamples
 * @property {number} jitter milliseconds
 * @property {number | null} roundTrip milliseconds
 * @property {number | null} lossOut
 * @property {number | null} micEnergy
 */

/**
 * Where fair begins and where poor begins.
 * @type {Record<'loss' | 'jitter' | 'delay' | 'gaps', [number, number]>}
 */
const thresholds = { loss: [0.02, 0.06], jitter: [30, 60], delay: [300, 500], gaps: [0.03, 0.1] };

/** @param {number} share */
const percent = (share) => `${Math.max(1, Math.round(share * 100))} %`;

/**
 * @param {Sample} sample
 * @returns {Quality}
 */
export function assess(sample) {
  /** @type {{code: ReasonCode, text: string, weight: number}[]} */
  const found = [];
  /**
   * @param {ReasonCode} code
   * @param {number | null} value
   * @param {[number, number]} limits
   * @param {string} text
   */
  const weigh = (code, value, [fair, poor], text) => {
    if (value !== null && value >= fair) found.push({ code, text, weight: value >= poor ? 2 : 1 });
  };
  if (sample.silentFor >= 3000) {
    found.push({ code: 'no-audio-in', text: 'No audio is arriving from the other side', weight: 3 });
  }
  if (sample.micSilentFor >= 5000) {
    found.push({ code: 'mic-silent', text: 'Your microphone gives no sound', weight: 2 });
  }
  weigh('loss-in', sample.lossIn, thresholds.loss, `${percent(sample.lossIn)} of what you should hear gets lost`);
  weigh('loss-out', sample.lossOut, thresholds.loss, `${percent(sample.lossOut ?? 0)} of what you say gets lost`);
  weigh('gaps', sample.concealed, thresholds.gaps, 'Speech arrives with gaps');
  weigh('jitter', sample.jitter, thresholds.jitter, `Audio arrives unevenly (${Math.round(sample.jitter)} ms)`);
  weigh('delay', sample.roundTrip, thresholds.delay, `Long delay (${Math.round(sample.roundTrip ?? 0)} ms)`);
  found.sort((a, b) => b.weight - a.weight);
  const worst = found[0]?.weight ?? 0;
  return {
    rating: worst >= 2 ? 'poor' : worst === 1 ? 'fair' : 'good',
    why: found.map(({ code, text }) => ({ code, text })),
    sample,
  };
}

/**
 * @param {Counters} before
 * @param {Counters} now
 * @param {{silentFor: number, micSilentFor: number}} durations up to `before`
 * @param {{hears: boolean, speaks: boolean}} expected false on hold or muted
 * @returns {Sample}
 */
export function difference(before, now, durations, { hears, speaks }) {
  const packetsIn = Math.max(0, now.packetsIn - before.packetsIn);
  const lost = Math.max(0, now.lostIn - before.lostIn);
  const samples = Math.max(0, now.totalSamples - before.totalSamples);
  const concealed = Math.max(0, now.concealedSamples - before.concealedSamples);
  const elapsed = now.time - before.time;
  const micQuiet = now.micEnergy !== null && now.micEnergy === before.micEnergy;
  return {
    lossIn: packetsIn + lost > 0 ? lost / (packetsIn + lost) : 0,
    lossOut: now.lossOut,
    jitter: hears ? now.jitter : 0,
    roundTrip: now.roundTrip,
    concealed: hears && packetsIn > 0 && samples > 0 ? concealed / samples : 0,
    packetsIn,
    silentFor: hears && packetsIn === 0 ? durations.silentFor + elapsed : 0,
    micSilentFor: speaks && micQuiet ? durations.micSilentFor + elapsed : 0,
  };
}

/**
 * @param {RTCStatsReport} report
 * @param {number} time milliseconds
 * @returns {Counters}
 */
export function readCounters(report, time) {
  /** @type {Counters} */
  const counters = {
    time, packetsIn: 0, lostIn: 0, concealedSamples: 0, totalSamples: 0, jitter: 0, roundTrip: null, lossOut: null,
    micEnergy: null,
  };
  report.forEach((/** @type {any} */ entry) => {
    if (entry.type === 'inbound-rtp' && entry.kind === 'audio') {
      counters.packetsIn += entry.packetsReceived ?? 0;
      counters.lostIn += entry.packetsLost ?? 0;
      counters.concealedSamples += (entry.concealedSamples ?? 0) - (entry.silentConcealedSamples ?? 0);
      counters.totalSamples += entry.totalSamplesReceived ?? 0;
      counters.jitter = Math.max(counters.jitter, (entry.jitter ?? 0) * 1000);
    } else if (entry.type === 'remote-inbound-rtp' && entry.kind === 'audio') {
      if (typeof entry.roundTripTime === 'number') counters.roundTrip = entry.roundTripTime * 1000;
      if (typeof entry.fractionLost === 'number') counters.lossOut = entry.fractionLost;
    } else if (entry.type === 'candidate-pair' && entry.nominated && typeof entry.currentRoundTripTime === 'number') {
      counters.roundTrip ??= entry.currentRoundTripTime * 1000;
    } else if (entry.type === 'media-source' && entry.kind === 'audio') {
      if (typeof entry.totalAudioEnergy === 'number') counters.micEnergy = entry.totalAudioEnergy;
    }
  });
  return counters;
}

/** Looks often enough to be believed, and not before the start of the audio has settled: its buffers fill with gaps. */
export class QualityMonitor {
  /**
   * @param {RTCPeerConnection} connection
   * @param {() => {hears: boolean, speaks: boolean}} expected
   * @param {(quality: Quality) => void} report
   */
  constructor(connection, expected, report) {
    this.connection = connection;
    this.expected = expected;
    this.report = report;
    /** @type {Counters | null} */
    this.before = null;
    this.durations = { silentFor: 0, micSilentFor: 0 };
    this.connectedLooks = 0;
    this.timer = setInterval(() => this.look().catch(() => {}), 1500);
  }

  async look() {
    if (this.connection.connectionState === 'connected') this.connectedLooks += 1;
    if (this.connectedLooks < 2) return;
    const now = readCounters(await this.connection.getStats(), performance.now());
    if (this.before) {
      const sample = difference(this.before, now, this.durations, this.expected());
      this.durations = sample;
      this.report(assess(sample));
    }
    this.before = now;
  }

  stop() {
    clearInterval(this.timer);
  }
}
