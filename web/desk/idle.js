/**
 * The middle of the desk between calls: what is ready, and what still wants a click before the first call.
 * @module
 */

import { listDevices, microphoneState, openMicrophone } from './devices.js';
import { h, icon, setText } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('./settings.js').Settings} Settings */

export class IdleView {
  /** @param {{settings: Settings, testSpeaker: () => void}} actions */
  constructor(actions) {
    this.actions = actions;
    const text = strings.idle;
    this.title = h('h2', { id: 'idle-title', testid: 'idle-title' }, text.waiting);
    this.lead = h('p', { class: 'lead', testid: 'idle-lead' });
    this.connection = check('link', text.connection, 'check-connection');
    this.microphone = check('mic', text.microphone, 'check-microphone', text.micAllow, () => this.allowMicrophone());
    this.speaker = check('speaker', text.speaker, 'check-speaker', text.speakerTest, () => actions.testSpeaker());
    this.notifications = check('bell', text.notifications, 'check-notifications', text.notificationsAllow, () => this.allowNotifications());
    this.sound = h('p', { class: 'notice', hidden: true, testid: 'sound-blocked' }, icon('speaker'), h('span', {}, text.soundBlocked));
    this.element = h('section', { class: 'panel idle', 'aria-labelledby': 'idle-title', testid: 'idle' },
      h('div', { class: 'idle-head' }, this.title, this.lead),
      this.sound,
      h('h3', {}, text.checks),
      h('ul', { class: 'checks' }, this.connection.element, this.microphone.element, this.speaker.element, this.notifications.element));
  }

  /**
   * @param {{ready: boolean, lost: boolean, address: string, connection: string}} state
   */
  showConnection({ ready, lost, address, connection }) {
    const text = strings.idle;
    setText(this.title, ready ? text.title : lost ? text.lost : text.waiting);
    setText(this.lead, ready ? text.reachable(address) : lost ? text.lostLead : '');
    this.connection.set(ready ? 'good' : lost ? 'bad' : 'open', connection);
  }

  async refreshDevices() {
    const text = strings.idle;
    const { settings } = this.actions;
    const state = await microphoneState();
    const [microphones, speakers] = await Promise.all([listDevices('audioinput'), listDevices('audiooutput')]);
    const nameOf = (/** @type {MediaDeviceInfo[]} */ devices, /** @type {string} */ id) =>
      (devices.find(({ deviceId }) => deviceId === id) ?? devices[0])?.label.replace(/\s*\([0-9a-f]{4}:[0-9a-f]{4}\)$/i, '') ?? '';
    if (state === 'granted') this.microphone.set('good', nameOf(microphones, settings.microphone) || strings.settings.systemDefault);
    else if (state === 'prompt') this.microphone.set('open', text.micUnknown, true);
    else this.microphone.set('bad', state === 'denied' ? text.micDenied : text.micMissing);
    this.speaker.set('good', (settings.speaker && nameOf(speakers, settings.speaker)) || text.speakerDefault, true);
    const permission = globalThis.Notification?.permission ?? 'denied';
    if (permission === 'granted') this.notifications.set('good', text.notificationsOn);
    else if (permission === 'default') this.notifications.set('open', text.notificationsAsk, true);
    else this.notifications.set('bad', text.notificationsDenied);
  }

  async allowMicrophone() {
    try {
      const stream = await openMicrophone(this.actions.settings);
      for (const track of stream.getTracks()) track.stop();
    } catch {
      // the row then says that it is blocked
    }
    await this.refreshDevices();
  }

  async allowNotifications() {
    await globalThis.Notification?.requestPermission().catch(() => {});
    await this.refreshDevices();
  }
}

/**
 * @param {string} shape
 * @param {string} label
 * @param {string} testid
 * @param {string} [action] label of its button
 * @param {() => void} [onclick]
 */
function check(shape, label, testid, action, onclick) {
  const value = h('span', { class: 'check-value' });
  const button = action ? h('button', { type: 'button', class: 'secondary small', hidden: true, testid: `${testid}-action`, onclick }, action) : null;
  const element = h('li', { class: 'check-row', testid, 'data-status': 'open' },
    h('span', { class: 'check-icon' }, icon(shape)),
    h('span', { class: 'check-text' }, h('span', { class: 'check-label' }, label), value),
    button);
  return {
    element,
    /**
     * @param {'good' | 'bad' | 'open'} status
     * @param {string} text
     * @param {boolean} [offer] shows the button
     */
    set(status, text, offer = false) {
      element.dataset.status = status;
      setText(value, text);
      if (button) button.hidden = !offer;
    },
  };
}
