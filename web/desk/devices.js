/**
 * Microphones, speakers, and how loud something is.
 * @module
 */

import { PhoneError } from '../sdk/index.js';

/** @typedef {import('./settings.js').Settings} Settings */

/**
 * @param {Settings} settings
 * @returns {Promise<MediaStream>}
 */
export async function openMicrophone(settings) {
  const devices = navigator.mediaDevices;
  if (!devices) throw new PhoneError('mic-insecure', 'microphones need https or localhost');
  const { echoCancellation, noiseSuppression, autoGainControl, microphone } = settings;
  /** @type {MediaTrackConstraints} */
  const audio = { echoCancellation, noiseSuppression, autoGainControl };
  if (microphone) audio.deviceId = { ideal: microphone }; // an unplugged one falls back to the default
  return devices.getUserMedia({ audio, video: false });
}

/**
 * @param {MediaDeviceKind} kind
 * @returns {Promise<MediaDeviceInfo[]>} without the aliases that Chrome adds
 */
export async function listDevices(kind) {
  const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  return all.filter((device) => device.kind === kind && !['', 'default', 'communications'].includes(device.deviceId));
}

/** @returns {Promise<'granted' | 'prompt' | 'denied' | 'missing'>} */
export async function microphoneState() {
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  if (!devices.some(({ kind }) => kind === 'audioinput')) return 'missing';
  try {
    const status = await navigator.permissions.query({ name: /** @type {PermissionName} */ ('microphone') });
    return status.state;
  } catch {
    return devices.some(({ label }) => label !== '') ? 'granted' : 'prompt'; // Firefox cannot be asked
  }
}

/** Moves a level bar with what a stream carries. The bar is `element`, a `role=meter`. */
export class LevelMeter {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {MediaStreamAudioSourceNode | null} */
    this.source = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    this.level = 0;
  }

  /**
   * @param {MediaStream | null} stream null stops it
   * @param {AudioContext} context
   */
  watch(stream, context) {
    const track = stream?.getAudioTracks()[0] ?? null;
    if (this.source?.mediaStream.getAudioTracks()[0] === track && this.stream === stream) return;
    this.stop();
    if (!stream || !track) return;
    this.stream = stream;
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    this.source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      this.show(Math.sqrt(sum / samples.length));
    }, 70);
  }

  /** @param {number} rms 0…1 */
  show(rms) {
    const decibels = 20 * Math.log10(Math.max(rms, 1e-5));
    const target = Math.min(1, Math.max(0, (decibels + 60) / 54)); // -60 dB is nothing, -6 dB is full
    this.level = Math.max(target, this.level * 0.8);
    this.element.style.setProperty('--level', this.level.toFixed(3));
    this.element.setAttribute('aria-valuenow', String(Math.round(this.level * 100)));
  }

  stop() {
    clearInterval(this.timer);
    this.source?.disconnect();
    this.source = null;
    this.stream = null;
    this.level = 0;
    this.show(0);
  }
}
