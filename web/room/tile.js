/**
 * One picture on the stage: a person or a screen.
 * @module
 */

import { h, icon, setAttribute, setIcon, setText } from '../desk/dom.js';
import { initials } from '../desk/format.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/room/index.js').Participant} Participant */
/** @typedef {import('../sdk/room/index.js').Publication} Publication */

export class Tile {
  /**
   * @param {string} key
   * @param {{isLocal: boolean, isScreen: boolean, onPin: () => void, onSize: (width: number, height: number) => void}} options
   */
  constructor(key, { isLocal, isScreen, onPin, onSize }) {
    this.key = key;
    this.isLocal = isLocal;
    this.isScreen = isScreen;
    this.spokeAt = 0;
    this.hand = 0;
    this.joinedAt = 0;
    this.video = h('video', { autoplay: true, playsinline: true, 'aria-hidden': 'true' });
    this.video.muted = true;
    this.face = h('span', { class: 'face', 'aria-hidden': 'true' });
    this.mic = h('span', { class: 'tile-mic' }, icon('micoff'));
    this.name = h('span', { class: 'tile-name' });
    this.hand_ = h('span', { class: 'tile-hand', title: strings.tile.hand }, icon('hand'));
    this.quality = h('span', { class: 'tile-quality', role: 'img' }, h('i'), h('i'), h('i'));
    this.notice = h('p', { class: 'tile-notice' }, strings.tile.paused);
    this.element = h(
      'article', { class: 'tile', testid: 'tile', 'data-local': isLocal, 'data-screen': isScreen, tabindex: '0' },
      this.video, this.face, this.notice,
      h('div', { class: 'tile-label' }, this.hand_, this.mic, this.name, this.quality));
    this.element.addEventListener('dblclick', onPin);
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') onPin();
    });
    // Tells how large the picture is shown, once a change has settled: a window being drawn larger must not ask for a new
    // layer sixty times a second.
    let timer = 0;
    this.observer = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const { width, height } = this.element.getBoundingClientRect();
        const scale = Math.min(devicePixelRatio, 2);
        onSize(Math.round(width * scale), Math.round(height * scale));
      }, 250);
    });
    this.observer.observe(this.element);
  }

  /**
   * @param {Participant} participant
   * @param {Publication | null} publication of the picture
   */
  show(participant, publication) {
    const { tile } = strings;
    const name = this.isLocal && !this.isScreen ? tile.you : participant.name;
    setText(this.name, this.isScreen ? tile.screen(participant.name) : name);
    setText(this.face, initials(participant.name));
    const track = publication && !publication.isMuted ? publication.track : null;
    const shown = /** @type {MediaStream | null} */ (this.video.srcObject)?.getVideoTracks()[0] ?? null;
    if (shown !== track) this.video.srcObject = track ? new MediaStream([track]) : null;
    setAttribute(this.element, 'data-video', Boolean(track));
    const microphone = participant.publication('MICROPHONE');
    const isMuted = !this.isScreen && (!microphone || microphone.isMuted);
    this.mic.hidden = !isMuted;
    const speaks = participant.isSpeaking && !this.isScreen && !isMuted;
    if (speaks) this.spokeAt = Date.now();
    setAttribute(this.element, 'data-speaking', speaks);
    this.hand = this.isScreen ? 0 : Number(participant.attributes.hand ?? 0);
    this.hand_.hidden = !this.hand;
    this.joinedAt = Number(participant.info.joinedAtMs ?? participant.info.joinedAt ?? 0);
    this.quality.hidden = this.isScreen;
    setAttribute(this.quality, 'data-quality', participant.quality);
    setAttribute(this.quality, 'aria-label', tile.quality[participant.quality] ?? '');
    this.quality.title = tile.quality[participant.quality] ?? '';
    this.notice.hidden = !publication?.isPaused;
    if (participant.kind === 'SIP') setIcon(this.mic, 'phone');
    this.element.setAttribute('aria-label', [
      this.name.textContent, isMuted && tile.muted, this.hand && tile.hand, !this.isScreen && tile.quality[participant.quality],
    ].filter(Boolean).join(', '));
  }

  remove() {
    this.observer.disconnect();
    this.video.srcObject = null;
    this.element.remove();
  }
}
