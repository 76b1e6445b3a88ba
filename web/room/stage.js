/**
 * The pictures: a grid of all, or one large and the others beside it.
 * @module
 */

import { h } from '../desk/dom.js';
import { featured, grid, ordered } from './layout.js';
import { strings } from './strings.js';
import { Tile } from './tile.js';

/** @typedef {import('../sdk/room/index.js').Room} Room */
/** @typedef {import('../sdk/room/index.js').Participant} Participant */
/** @typedef {import('../sdk/room/index.js').Publication} Publication */

const gap = 10;

export class Stage {
  /** @param {Room} room */
  constructor(room) {
    this.room = room;
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    /** @type {Map<string, HTMLAudioElement>} by track */
    this.voices = new Map();
    /** @type {'grid' | 'speaker'} */
    this.view = 'grid';
    this.pinned = '';
    this.speakerDevice = '';
    this.large = h('div', { class: 'large' });
    this.small = h('div', { class: 'small-tiles' });
    this.alone = h('div', { class: 'alone' }, h('h2', {}, strings.notice.alone), h('p', {}, strings.notice.aloneHint));
    this.element = h('section', { class: 'stage', 'aria-label': 'Participants' }, this.large, this.small, this.alone);
    this.observer = new ResizeObserver(() => this.arrange());
    this.observer.observe(this.element);
  }

  /** Brings tiles and voices in line with the room. */
  update() {
    const { room } = this;
    const present = new Set();
    /** @type {Participant[]} */
    const people = [...room.participants.values()];
    if (room.local) people.push(room.local);
    for (const participant of people) {
      const isLocal = participant === room.local;
      this.place(present, participant, participant.publication('CAMERA'), `${participant.sid} camera`, isLocal, false);
      const screen = participant.publication('SCREEN_SHARE');
      if (screen) this.place(present, participant, screen, `${participant.sid} screen`, isLocal, true);
      if (!isLocal) this.hear(present, participant);
    }
    for (const [key, tile] of this.tiles) {
      if (present.has(key)) continue;
      tile.remove();
      this.tiles.delete(key);
    }
    for (const [key, voice] of this.voices) {
      if (present.has(key)) continue;
      voice.srcObject = null;
      voice.remove();
      this.voices.delete(key);
    }
    this.alone.hidden = room.participants.size > 0;
    this.arrange();
  }

  /**
   * @param {Set<string>} present
   * @param {Participant} participant
   * @param {Publication | null} publication
   * @param {string} key
   * @param {boolean} isLocal
   * @param {boolean} isScreen
   */
  place(present, participant, publication, key, isLocal, isScreen) {
    present.add(key);
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = new Tile(key, { isLocal, isScreen, onPin: () => this.pin(key), onSize: (width, height) => this.sized(key, width, height) });
      this.tiles.set(key, tile);
    }
    tile.show(participant, publication);
  }

  /**
   * @param {Set<string>} present
   * @param {Participant} participant
   */
  hear(present, participant) {
    for (const publication of participant.publications.values()) {
      if (publication.kind !== 'audio' || !publication.track) continue;
      const key = `voice ${publication.sid}`;
      present.add(key);
      let voice = this.voices.get(key);
      if (!voice) {
        voice = h('audio', { autoplay: true });
        this.voices.set(key, voice);
        this.element.append(voice);
        void this.sendTo(voice);
      }
      const shown = /** @type {MediaStream | null} */ (voice.srcObject)?.getAudioTracks()[0];
      if (shown !== publication.track) {
        voice.srcObject = new MediaStream([publication.track]);
        voice.play().catch(() => {});
      }
    }
  }

  /** @param {string} device */
  setSpeaker(device) {
    this.speakerDevice = device;
    for (const voice of this.voices.values()) void this.sendTo(voice);
  }

  /** @param {any} voice setSinkId is not everywhere */
  async sendTo(voice) {
    if (this.speakerDevice) await voice.setSinkId?.(this.speakerDevice).catch(() => {});
  }

  /** @param {string} key */
  pin(key) {
    this.pinned = this.pinned === key ? '' : key;
    if (this.pinned) this.view = 'speaker';
    this.arrange();
  }

  /** @param {'grid' | 'speaker'} view */
  setView(view) {
    this.view = view;
    this.pinned = '';
    this.arrange();
  }

  /**
   * Asks for a picture of that size.
   * @param {string} key
   * @param {number} width
   * @param {number} height
   */
  sized(key, width, height) {
    const [sid, kind] = key.split(' ');
    const participant = this.room.bySid(sid);
    if (!participant || participant === this.room.local) return;
    const publication = participant.publication(kind === 'screen' ? 'SCREEN_SHARE' : 'CAMERA');
    if (!publication) return;
    const hidden = width === 0 || height === 0;
    this.room.setTrackSettings(publication.sid, hidden ? { disabled: true } : { disabled: false, width, height });
  }

  arrange() {
    const tiles = ordered([...this.tiles.values()]);
    const hasScreen = tiles.some(({ isScreen }) => isScreen);
    const main = this.view === 'speaker' || hasScreen ? featured(tiles, this.pinned) : null;
    const rest = tiles.filter((tile) => tile !== main);
    const isSplit = main !== null && rest.length > 0;
    this.element.dataset.view = main ? 'speaker' : 'grid';
    this.large.hidden = !main;
    if (main && main.element.parentElement !== this.large) this.large.replaceChildren(main.element);
    rest.forEach((tile, index) => {
      // Moved only when it must: a video that leaves the document stops for a moment.
      if (this.small.children[index] !== tile.element) this.small.insertBefore(tile.element, this.small.children[index] ?? null);
    });
    this.small.hidden = rest.length === 0;
    if (isSplit) {
      this.element.style.removeProperty('--tile-width');
      return;
    }
    const { width, height } = this.element.getBoundingClientRect();
    const size = grid(tiles.length, width, height, gap);
    this.element.style.setProperty('--tile-width', `${size.width}px`);
    this.element.style.setProperty('--columns', String(size.columns));
  }

  close() {
    this.observer.disconnect();
    for (const tile of this.tiles.values()) tile.remove();
    for (const voice of this.voices.values()) voice.srcObject = null;
  }
}
