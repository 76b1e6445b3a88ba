/**
 * A user's recordings: what was said when, to listen to and to keep.
 * @module
 */

import { authorization } from '../desk/recording.js';
import { h } from '../desk/dom.js';
import { loadSession } from '../desk/settings.js';
import { columns, seconds, title } from './model.js';

/** @typedef {import('./model.js').Recording} Recording */

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The words of the page. */
const words = {
  play: 'Play', pause: 'Pause', ogg: 'Download', wav: 'Download WAV', agent: 'Agent', caller: 'Other side',
  wrong: 'The user name or password is wrong.', none: 'Nothing has been recorded yet.', failed: 'The server does not answer.',
  unplayable: 'This browser cannot play the recording.',
  /** @type {Record<string, string>} */
  state: { recording: 'Recording now', rendering: 'Being prepared', saved: '', failed: 'Failed' },
};

class Page {
  constructor() {
    /** @type {{user: string, password: string} | null} */
    this.account = null;
    /** @type {string | undefined} */
    this.next = undefined;
    this.timer = 0;
    this.login = /** @type {HTMLFormElement} */ (byId('login'));
    this.list = byId('list');
    this.more = byId('more');
    this.login.addEventListener('submit', (event) => {
      event.preventDefault();
      const user = /** @type {HTMLInputElement} */ (byId('user'));
      const password = /** @type {HTMLInputElement} */ (byId('password'));
      this.open({ user: user.value, password: password.value });
    });
    this.more.addEventListener('click', () => this.load());
    const session = loadSession();
    if (session) this.open(session);
  }

  /** @param {{user: string, password: string}} account */
  async open(account) {
    this.account = account;
    this.next = undefined;
    this.list.replaceChildren();
    await this.load();
  }

  /**
   * @param {string} path
   * @returns {Promise<Response>}
   */
  fetch(path) {
    return fetch(path, { headers: this.account ? { Authorization: authorization(this.account) } : {}, credentials: 'omit' });
  }

  async load() {
    const problem = byId('problem');
    problem.hidden = true;
    try {
      const call = new URLSearchParams(location.search).get('call');
      const query = [`limit=20`, this.next && `before=${encodeURIComponent(this.next)}`, call && `call=${encodeURIComponent(call)}`];
      const response = await this.fetch(`/v1/me/recordings?${query.filter(Boolean).join('&')}`);
      if (!response.ok) throw new Error(response.status === 401 ? words.wrong : words.failed);
      const { recordings, next } = await response.json();
      this.next = next;
      this.more.hidden = !next;
      this.login.hidden = true;
      this.list.hidden = false;
      for (const recording of recordings) this.list.append(new RecordingView(this, recording).element);
      this.watch();
      if (this.list.childElementCount === 0) this.list.append(h('li', { class: 'recording' }, words.none));
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : words.failed;
      problem.hidden = false;
    }
  }

  /** Looks again as long as something on the list is not finished. */
  watch() {
    clearTimeout(this.timer);
    if (!this.list.querySelector('[data-state="recording"], [data-state="rendering"]')) return;
    this.timer = window.setTimeout(async () => {
      const response = await this.fetch('/v1/me/recordings?limit=20').catch(() => null);
      const { recordings } = response?.ok ? await response.json() : { recordings: [] };
      for (const recording of recordings) {
        const shown = [...this.list.children].find((item) => item.getAttribute('data-id') === recording.id);
        if (shown && shown.getAttribute('data-state') !== recording.state) shown.replaceWith(new RecordingView(this, recording).element);
      }
      this.watch();
    }, 3000);
  }
}

class RecordingView {
  /**
   * @param {Page} page
   * @param {Recording} recording
   */
  constructor(page, recording) {
    this.page = page;
    this.recording = recording;
    this.audio = new Audio();
    this.audio.preload = 'none';
    /** @type {number[][]} */
    this.channels = [];
    this.canvas = h('canvas', { testid: 'waveform' });
    this.wave = h('div', { class: 'wave', role: 'slider', tabindex: '0', 'aria-label': 'Position', 'aria-valuemin': '0' }, this.canvas,
      h('div', { class: 'sides', 'aria-hidden': 'true' }, h('span', {}, words.agent), h('span', {}, words.caller)));
    this.playButton = h('button', { type: 'button', testid: 'play', onclick: () => this.toggle() }, words.play);
    this.time = h('span', { class: 'time', testid: 'time' });
    this.problem = h('p', { class: 'reason', role: 'alert', hidden: true });
    const when = new Date(recording.startedAt);
    const state = words.state[recording.state] ?? recording.state;
    this.element = h('li', { class: 'recording', testid: 'recording', 'data-id': recording.id, 'data-state': recording.state },
      h('div', { class: 'recording-head' },
        h('h2', {}, title(recording)),
        h('span', {}, [when.toLocaleString(), recording.duration ? seconds(recording.duration) : '', state].filter(Boolean).join(' · '))),
      recording.state === 'failed' && h('p', { class: 'reason' }, recording.reason));
    if (recording.state !== 'saved') return;
    this.element.append(this.wave, h('div', { class: 'row' }, this.playButton, this.time, h('span', { class: 'spacer' }),
      h('button', { type: 'button', testid: 'download', onclick: () => this.download('') }, words.ogg),
      h('button', { type: 'button', testid: 'download-wav', onclick: () => this.download('wav') }, words.wav)), this.problem);
    this.wave.addEventListener('click', (event) => this.seek(event.offsetX / this.wave.clientWidth));
    this.wave.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -5, ArrowRight: 5 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.audio.currentTime = Math.max(0, this.audio.currentTime + step);
    });
    for (const name of ['timeupdate', 'play', 'pause', 'ended', 'seeked']) this.audio.addEventListener(name, () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.wave);
    this.loadWave();
  }

  async loadWave() {
    const response = await this.page.fetch(`/v1/me/recordings/${this.recording.id}/waveform`);
    if (response.ok) this.channels = (await response.json()).channels;
    this.draw();
  }

  /** @param {string} format '' is how it is kept */
  path(format) {
    return `/v1/me/recordings/${this.recording.id}/media${format ? `?format=${format}` : ''}`;
  }

  async ready() {
    if (this.audio.src) return;
    const response = await this.page.fetch(this.path(''));
    if (!response.ok) throw new Error(words.failed);
    this.audio.src = URL.createObjectURL(await response.blob());
  }

  async toggle() {
    try {
      await this.ready();
      if (this.audio.paused) await this.audio.play();
      else this.audio.pause();
    } catch (error) {
      this.problem.textContent = error instanceof DOMException ? words.unplayable : words.failed;
      this.problem.hidden = false;
    }
  }

  /** @param {number} share of the whole */
  async seek(share) {
    await this.ready();
    this.audio.currentTime = share * (this.recording.duration ?? 0);
    this.draw();
  }

  /** @param {string} format */
  async download(format) {
    const response = await this.page.fetch(this.path(format));
    if (!response.ok) return;
    const url = URL.createObjectURL(await response.blob());
    h('a', { href: url, download: `${this.recording.id}.${format || this.recording.files[0]?.format || 'ogg'}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  /** The waveform, what was played in another colour. */
  draw() {
    const { canvas, audio, recording } = this;
    const total = recording.duration ?? 0;
    const played = total > 0 ? audio.currentTime / total : 0;
    this.playButton.textContent = audio.paused ? words.play : words.pause;
    this.time.textContent = `${seconds(audio.currentTime)} / ${seconds(total)}`;
    this.wave.setAttribute('aria-valuemax', String(Math.round(total)));
    this.wave.setAttribute('aria-valuenow', String(Math.round(audio.currentTime)));
    const width = canvas.clientWidth * devicePixelRatio;
    const height = canvas.clientHeight * devicePixelRatio;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d');
    if (!context || this.channels.length === 0) return;
    const style = getComputedStyle(canvas);
    const lane = height / this.channels.length;
    this.channels.forEach((channel, index) => {
      const bars = columns(channel, Math.max(1, Math.floor(width / (3 * devicePixelRatio))));
      bars.forEach((value, at) => {
        context.fillStyle = style.getPropertyValue(at / bars.length < played ? '--accent' : '--line-strong');
        const bar = Math.max(devicePixelRatio, value * (lane - 4 * devicePixelRatio));
        context.fillRect((at * width) / bars.length, lane * (index + 0.5) - bar / 2, 2 * devicePixelRatio, bar);
      });
    });
  }
}

new Page();
