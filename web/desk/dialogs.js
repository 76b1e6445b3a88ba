/**
 * Settings and the list of shortcuts, as modal dialogs.
 * @module
 */

import { version } from '../sdk/index.js';
import { LevelMeter, listDevices, openMicrophone } from './devices.js';
import { h, icon } from './dom.js';
import { meter } from './stage.js';
import { strings } from './strings.js';
import { canChooseOutput } from './tones.js';

/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./tones.js').Tones} Tones */

/**
 * @param {string} testid
 * @param {string} title
 * @param {...(Node | string | null)} content
 */
function dialog(testid, title, ...content) {
  const id = `${testid}-title`;
  const element = h('dialog', {
    class: 'dialog', testid, 'aria-labelledby': id,
    // A click on the backdrop is a click on the dialog itself.
    onclick: (/** @type {MouseEvent} */ event) => { if (event.target === element) element.close(); },
  }, h('div', { class: 'dialog-body' },
    h('header', { class: 'dialog-head' }, h('h2', { id }, title),
      h('button', { type: 'button', class: 'icon-button', 'aria-label': strings.settings.close, testid: `${testid}-close`, onclick: () => element.close() }, icon('close'))),
    ...content.filter((node) => node !== null)));
  return element;
}

export class HelpDialog {
  constructor() {
    this.off = h('p', { class: 'notice' }, icon('alert'), h('span', {}, strings.help.off));
    this.element = dialog('help', strings.help.title, this.off,
      h('dl', { class: 'shortcuts' }, ...strings.help.keys.map(([keys, what]) => h('div', {},
        h('dt', {}, ...keys.map((key) => h('kbd', {}, key))), h('dd', {}, what)))));
  }

  /** @param {boolean} shortcuts switched on */
  open(shortcuts) {
    this.off.hidden = shortcuts;
    if (!this.element.open) this.element.showModal();
  }
}

export class SettingsDialog {
  /**
   * @param {Settings} settings
   * @param {Tones} tones
   * @param {(changed: keyof Settings) => void} onChange
   * @param {import('./handling.js').HandlingView} handling
   */
  constructor(settings, tones, onChange, handling) {
    this.handling = handling;
    this.settings = settings;
    this.tones = tones;
    this.onChange = onChange;
    /** @type {MediaStream | null} */
    this.stream = null;
    const text = strings.settings;
    this.microphone = this.select('microphone', text.microphone);
    this.speaker = this.select('speaker', text.speaker);
    this.ringer = this.select('ringer', text.ringer);
    this.level = meter('settings-level', text.level, text.level);
    this.meter = new LevelMeter(this.level.bar);
    const volume = h('input', {
      type: 'range', id: 'ring-volume', min: '0', max: '1', step: '0.05', value: settings.ringVolume, testid: 'settings-ring-volume',
      oninput: () => this.set('ringVolume', Number(volume.value)),
    });
    this.element = dialog('settings', text.title,
      h('h3', {}, text.audio),
      row('set-microphone', text.microphone, this.microphone),
      h('div', { class: 'setting' }, this.level.element, h('p', { class: 'hint' }, text.speak)),
      canChooseOutput ? null : h('p', { class: 'hint' }, text.noChoice),
      row('set-speaker', text.speaker, this.speaker, tester('settings-test-speaker', text.test, () => tones.test('speaker'))),
      row('set-ringer', text.ringer, this.ringer, tester('settings-test-ringer', text.testRing, () => tones.test('ringer'))),
      row('ring-volume', text.volume, volume),
      h('h3', {}, text.processing),
      this.checkbox('echoCancellation', text.echoCancellation),
      this.checkbox('noiseSuppression', text.noiseSuppression),
      this.checkbox('autoGainControl', text.autoGainControl),
      h('h3', {}, text.look),
      this.radios('theme', text.look, text.themes),
      h('h3', {}, text.keys),
      this.checkbox('shortcuts', text.shortcuts),
      row('set-dtmf', text.dtmf, this.choice('dtmf', text.dtmfModes)),
      handling.element,
      h('p', { class: 'faint about' }, text.about(version)));
    this.element.addEventListener('close', () => this.stopMeter());
  }

  async open() {
    if (!this.element.open) this.element.showModal();
    this.handling.load();
    await this.startMeter();
    await this.fill();
  }

  /**
   * @param {keyof Settings} name
   * @param {any} value
   */
  set(name, value) {
    /** @type {any} */ (this.settings)[name] = value;
    this.onChange(name);
    if (['microphone', 'echoCancellation', 'noiseSuppression', 'autoGainControl'].includes(name)) this.startMeter();
  }

  async fill() {
    await fillSelect(this.microphone, 'audioinput', this.settings.microphone);
    await fillSelect(this.speaker, 'audiooutput', this.settings.speaker);
    await fillSelect(this.ringer, 'audiooutput', this.settings.ringer);
    this.speaker.disabled = this.ringer.disabled = !canChooseOutput;
  }

  async startMeter() {
    this.stopMeter();
    if (!this.element.open) return;
    try {
      const stream = await openMicrophone(this.settings);
      this.stopMeter();
      if (!this.element.open) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
      await this.tones.unlock();
      this.meter.watch(stream, this.tones.open());
    } catch {
      // no microphone: the bar stays empty, the call says why
    }
    return undefined;
  }

  stopMeter() {
    this.meter.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  /**
   * @param {'microphone' | 'speaker' | 'ringer'} name
   * @param {string} label
   */
  select(name, label) {
    const select = h('select', {
      id: `set-${name}`, testid: `settings-${name}`, 'aria-label': label, onchange: () => this.set(name, select.value),
    });
    return select;
  }

  /**
   * @param {'dtmf'} name
   * @param {Record<string, string>} options
   */
  choice(name, options) {
    const select = h('select', { id: `set-${name}`, testid: `settings-${name}`, onchange: () => this.set(name, select.value) },
      ...Object.entries(options).map(([value, label]) => h('option', { value, selected: this.settings[name] === value }, label)));
    return select;
  }

  /**
   * @param {'echoCancellation' | 'noiseSuppression' | 'autoGainControl' | 'shortcuts'} name
   * @param {string} label
   */
  checkbox(name, label) {
    const input = h('input', {
      type: 'checkbox', role: 'switch', testid: `settings-${name}`, checked: this.settings[name], onchange: () => this.set(name, input.checked),
    });
    return h('label', { class: 'check setting' }, input, h('span', {}, label));
  }

  /**
   * @param {'theme'} name
   * @param {string} label
   * @param {Record<string, string>} options
   */
  radios(name, label, options) {
    return h('div', { class: 'radios', role: 'radiogroup', 'aria-label': label }, ...Object.entries(options).map(([value, text]) =>
      h('label', {}, h('input', {
        type: 'radio', name, value, testid: `settings-${name}-${value}`, checked: this.settings[name] === value, onchange: () => this.set(name, value),
      }), h('span', {}, text))));
  }

  /** The header's switch changes the theme too. */
  showTheme() {
    for (const input of this.element.querySelectorAll('input[name=theme]')) {
      const radio = /** @type {HTMLInputElement} */ (input);
      radio.checked = radio.value === this.settings.theme;
    }
  }
}

/**
 * @param {string} id
 * @param {string} label
 * @param {HTMLElement} control
 * @param {HTMLElement} [extra]
 */
function row(id, label, control, extra) {
  return h('div', { class: 'setting' }, h('label', { for: id }, label), h('div', { class: 'setting-control' }, control, extra));
}

/**
 * @param {string} testid
 * @param {string} label
 * @param {() => void} onclick
 */
function tester(testid, label, onclick) {
  return h('button', { type: 'button', class: 'secondary small', testid, onclick }, label);
}

/**
 * @param {HTMLSelectElement} select
 * @param {MediaDeviceKind} kind
 * @param {string} chosen
 */
async function fillSelect(select, kind, chosen) {
  const devices = await listDevices(kind);
  select.replaceChildren(h('option', { value: '' }, strings.settings.systemDefault),
    ...devices.map(({ deviceId, label }, index) => h('option', { value: deviceId }, label || strings.settings.device(index + 1))));
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : '';
}
