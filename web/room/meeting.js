/**
 * Inside the room: the stage, the bar below it and what opens beside it.
 * @module
 */

import { h, icon, setAttribute, setIcon, setText } from '../desk/dom.js';
import { openDevice } from './door.js';
import { Host } from './host.js';
import { ChatPanel, InviteDialog, PeoplePanel } from './panels.js';
import { Stage } from './stage.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/room/index.js').Room} Room */
/** @typedef {import('./admission.js').Admission} Admission */
/** @typedef {import('./door.js').Devices} Devices */

export class Meeting {
  /**
   * @param {Room} room connected
   * @param {Admission} admission
   * @param {Devices} devices
   */
  constructor(room, admission, devices) {
    const { bar } = strings;
    this.room = room;
    this.devices = devices;
    this.host = admission.isHost ? new Host(() => room.token, admission.room) : null;
    this.stage = new Stage(room);
    this.stage.setSpeaker(devices.speaker);
    this.chat = new ChatPanel(room, () => this.badge());
    this.people = new PeoplePanel(room, this.host, (text) => this.say(text));
    this.invite = new InviteDialog(() => room.token);
    this.status = h('p', { class: 'status', role: 'status', hidden: true });
    this.buttons = {
      microphone: this.button('mic', bar.mute, 'M', () => this.toggleMicrophone()),
      camera: this.button('camera', bar.cameraOff, 'V', () => this.toggleCamera()),
      screen: this.button('screen', bar.share, 'S', () => this.toggleScreen()),
      hand: this.button('hand', bar.raise, 'H', () => this.toggleHand()),
      chat: this.button('chat', bar.chat, 'C', () => this.open(this.chat)),
      people: this.button('people', bar.people, 'P', () => this.open(this.people)),
      leave: this.button('hangup', bar.leave, '', () => room.leave()),
    };
    this.buttons.leave.classList.add('leave');
    this.buttons.screen.hidden = !navigator.mediaDevices?.getDisplayMedia;
    this.count = h('span', { class: 'badge', hidden: true, testid: 'unread' });
    this.buttons.chat.append(this.count);
    this.viewButton = h('button', { class: 'quiet', testid: 'view', onclick: () => this.toggleView() }, bar.speaker);
    this.head = h('span', { class: 'head-count', testid: 'count' });
    this.recording = h('span', { class: 'recording', role: 'status', testid: 'recording', hidden: true, title: strings.notice.recordedHint });
    this.recordButton = this.host && h('button', { class: 'secondary small', testid: 'record', onclick: () => this.toggleRecording() }, bar.record);
    const top = h('header', { class: 'room-top' },
      h('h1', {}, admission.room), this.head, this.recording, this.status, h('span', { class: 'spacer' }), this.viewButton, this.recordButton,
      this.host && h('button', { class: 'secondary small', testid: 'invite', onclick: () => this.inviteOthers() }, icon('invite'), bar.invite));
    this.element = h('main', { class: 'meeting' }, top,
      h('div', { class: 'middle' }, this.stage.element, this.chat.element, this.people.element),
      h('footer', { class: 'room-bar', 'aria-label': 'Controls' }, ...Object.values(this.buttons)), this.invite.element);
    /** @type {(() => void)[]} */
    this.ends = [
      room.on('participants', () => this.update()),
      room.on('track', () => this.update()),
      room.on('speakers', () => this.stage.update()),
      room.on('room', () => this.showRecording()),
      room.on('muted', () => this.mutedByHost()),
      room.on('state', ({ state }) => this.say(state === 'reconnecting' ? strings.notice.reconnecting : '')),
    ];
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.key(event);
    addEventListener('keydown', this.onKey);
    this.update();
    this.showRecording();
    void this.publish();
  }

  async publish() {
    const { camera, microphone } = this.devices;
    try {
      if (microphone) await this.room.publish(microphone, { source: 'MICROPHONE' });
      if (camera) await this.room.publish(camera, { source: 'CAMERA' });
    } catch (error) {
      this.say(strings.notice.failed(/** @type {Error} */ (error).message));
    }
  }

  // ---- the bar

  /**
   * @param {string} shape
   * @param {string} text
   * @param {string} key
   * @param {() => void} press
   */
  button(shape, text, key, press) {
    return h('button', {
      class: 'bar-button', testid: `bar-${shape}`, title: key ? `${text} (${key})` : text, onclick: press, 'aria-keyshortcuts': key || null,
    }, h('span', { class: 'bar-icon' }, icon(shape)), h('span', { class: 'bar-text' }, text));
  }

  /**
   * @param {HTMLElement} button
   * @param {string} shape
   * @param {string} text
   * @param {'on' | 'off' | 'active'} state
   */
  label(button, shape, text, state) {
    setIcon(button, shape);
    const words = button.querySelector('.bar-text');
    if (words) setText(words, text);
    button.setAttribute('aria-label', text);
    button.dataset.state = state;
  }

  update() {
    const { room, buttons } = this;
    const { bar } = strings;
    const microphone = room.local?.publication('MICROPHONE');
    const camera = room.local?.publication('CAMERA');
    const screen = room.local?.publication('SCREEN_SHARE');
    const isHeard = Boolean(microphone && !microphone.isMuted);
    const isSeen = Boolean(camera && !camera.isMuted);
    this.label(buttons.microphone, isHeard ? 'mic' : 'micoff', isHeard ? bar.mute : bar.unmute, isHeard ? 'on' : 'off');
    this.label(buttons.camera, isSeen ? 'camera' : 'cameraoff', isSeen ? bar.cameraOff : bar.cameraOn, isSeen ? 'on' : 'off');
    this.label(buttons.screen, 'screen', screen ? bar.stopShare : bar.share, screen ? 'active' : 'on');
    const isRaised = Number(room.local?.attributes.hand ?? 0) > 0;
    this.label(buttons.hand, 'hand', isRaised ? bar.lower : bar.raise, isRaised ? 'active' : 'on');
    setText(this.head, String(room.participants.size + 1));
    this.stage.update();
    if (!this.people.element.hidden) this.people.update();
  }

  async toggleMicrophone() {
    const known = this.room.local?.publication('MICROPHONE');
    if (known) return this.room.setMuted(known, !known.isMuted);
    const track = await openDevice('microphone');
    if (!track) return this.say(strings.door.microphoneDenied);
    await this.room.publish(track, { source: 'MICROPHONE' });
  }

  /** A camera that is off is released, so that its light goes out. */
  async toggleCamera() {
    const known = this.room.local?.publication('CAMERA');
    if (known && !known.isMuted) {
      this.room.setMuted(known, true);
      known.track?.stop();
      return;
    }
    const track = await openDevice('camera');
    if (!track) return this.say(strings.door.cameraDenied);
    if (!known) {
      await this.room.publish(track, { source: 'CAMERA' });
      return;
    }
    await this.room.replace(known, track);
    this.room.setMuted(known, false);
  }

  async toggleScreen() {
    const { room } = this;
    const shared = room.local?.publication('SCREEN_SHARE');
    if (shared) return this.stopScreen();
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 15 }, audio: true }).catch(() => null);
    const picture = stream?.getVideoTracks()[0];
    if (!picture) return;
    picture.contentHint = 'detail';
    picture.addEventListener('ended', () => this.stopScreen());
    await room.publish(picture, { source: 'SCREEN_SHARE' });
    const sound = stream?.getAudioTracks()[0];
    if (sound) await room.publish(sound, { source: 'SCREEN_SHARE_AUDIO' });
  }

  async stopScreen() {
    for (const source of /** @type {const} */ (['SCREEN_SHARE', 'SCREEN_SHARE_AUDIO'])) {
      const publication = this.room.local?.publication(source);
      if (!publication) continue;
      publication.track?.stop();
      await this.room.unpublish(publication);
    }
  }

  toggleHand() {
    const isRaised = Number(this.room.local?.attributes.hand ?? 0) > 0;
    this.room.setAttributes({ hand: isRaised ? '' : String(Date.now()) });
  }

  /** Everybody sees that the room is recorded. */
  showRecording() {
    const isRecorded = Boolean(this.room.info?.activeRecording);
    setText(this.recording, isRecorded ? strings.notice.recorded : '');
    this.recording.hidden = !isRecorded;
    if (this.recordButton) setText(this.recordButton, isRecorded ? strings.bar.stopRecording : strings.bar.record);
  }

  async toggleRecording() {
    try {
      await (this.room.info?.activeRecording ? this.host?.stopRecording() : this.host?.record());
    } catch (error) {
      this.say(strings.notice.failed(/** @type {Error} */ (error).message));
    }
  }

  toggleView() {
    const next = this.stage.view === 'grid' ? 'speaker' : 'grid';
    this.stage.setView(next);
    setText(this.viewButton, next === 'grid' ? strings.bar.speaker : strings.bar.grid);
  }

  // ---- beside the stage

  /** @param {ChatPanel | PeoplePanel} panel */
  open(panel) {
    const isOpening = panel.element.hidden;
    for (const each of [this.chat, this.people]) each.element.hidden = !(each === panel && isOpening);
    setAttribute(this.buttons.chat, 'aria-pressed', !this.chat.element.hidden ? 'true' : false);
    setAttribute(this.buttons.people, 'aria-pressed', !this.people.element.hidden ? 'true' : false);
    if (!isOpening) return;
    if (panel === this.chat) this.chat.opened();
    else this.people.update();
  }

  badge() {
    this.count.hidden = this.chat.unread === 0;
    setText(this.count, String(Math.min(this.chat.unread, 99)));
    this.count.setAttribute('aria-label', strings.chat.unread(this.chat.unread));
  }

  async inviteOthers() {
    try {
      await this.invite.open();
    } catch (error) {
      this.say(strings.notice.failed(/** @type {Error} */ (error).message));
    }
  }

  mutedByHost() {
    this.say(strings.notice.muted);
    setTimeout(() => this.status.textContent === strings.notice.muted && this.say(''), 6000);
    this.update();
  }

  /** @param {string} text */
  say(text) {
    setText(this.status, text);
    this.status.hidden = !text;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, textarea, select, dialog[open]')) return;
    const actions = {
      m: () => this.toggleMicrophone(), v: () => this.toggleCamera(), s: () => this.toggleScreen(), h: () => this.toggleHand(),
      c: () => this.open(this.chat), p: () => this.open(this.people), g: () => this.toggleView(),
    };
    const action = actions[/** @type {keyof typeof actions} */ (event.key.toLowerCase())];
    if (!action) return;
    event.preventDefault();
    void action();
  }

  close() {
    removeEventListener('keydown', this.onKey);
    for (const end of this.ends) end();
    for (const publication of this.room.local?.publications.values() ?? []) publication.track?.stop();
    for (const track of [this.devices.camera, this.devices.microphone]) track?.stop();
    this.stage.close();
    this.element.remove();
  }
}
