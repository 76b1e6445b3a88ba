/**
 * What the page of recordings computes, without the page.
 * @module
 */

/**
 * @typedef {object} Recording
 * @property {string} id
 * @property {string} kind
 * @property {string} [call]
 * @property {string} [room]
 * @property {string} [from] who called
 * @property {string} [to] what was dialled
 * @property {'recording' | 'rendering' | 'saved' | 'failed'} state
 * @property {string} reason
 * @property {string} startedAt
 * @property {number} [duration] seconds
 * @property {{name: string, format: string, bytes: number}[]} files
 */

/** @param {Recording} recording */
export function title(recording) {
  if (recording.room) return `Room ${recording.room}`;
  return recording.from && recording.to ? `${recording.from} → ${recording.to}` : 'Call';
}

/**
 * `1:02:03`, `4:05`.
 * @param {number} value
 */
export function seconds(value) {
  const whole = Math.max(0, Math.floor(value));
  const pad = (/** @type {number} */ number) => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/**
 * A waveform in so many bars: each the loudest of its part, 0…1, on a scale that shows quiet speech.
 * @param {number[]} peaks 0…255
 * @param {number} count
 * @returns {number[]}
 */
export function columns(peaks, count) {
  const bars = [];
  for (let index = 0; index < count; index += 1) {
    const from = Math.floor((index * peaks.length) / count);
    const to = Math.max(from + 1, Math.floor(((index + 1) * peaks.length) / count));
    let loudest = 0;
    for (let at = from; at < to && at < peaks.length; at += 1) loudest = Math.max(loudest, peaks[at]);
    bars.push(Math.sqrt(loudest / 255));
  }
  return bars;
}
