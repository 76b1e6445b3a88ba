/**
 * The number field and the dial pad.
 * @module
 */

import { cleanNumber } from '../sdk/index.js';
import { h, icon, setText } from './dom.js';
import { strings } from './strings.js';

export const keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];

/**
 * A grid of twelve keys.
 * @param {string} prefix of the test ids
 * @param {(key: string) => void} press
 * @param {(key: string) => void} [long] after half a second
 */
export function keypad(prefix, press, long) {
  const letters = /** @type {Record<string, string>} */ (strings.dial.letters);
  return h('div', { class: 'keypad', role: 'group', 'aria-label': strings.dial.title, testid: prefix }, ...keys.map((key) => {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let wasLong = false;
    return h('button', {
      type: 'button', class: 'key', testid: `${prefix}-${key === '*' ? 'star' : key === '#' ? 'hash' : key}`, 'data-key': key,
      'aria-label': strings.dial.key(key),
      onpointerdown: () => {
        wasLong = false;
        if (long) timer = setTimeout(() => { wasLong = true; long(key); }, 500);
      },
      onpointerup: () => clearTimeout(timer),
      onpointerleave: () => clearTimeout(timer),
      onclick: () => { if (!wasLong) press(key); },
    }, h('span', { class: 'digit' }, key), h('span', { class: 'letters' }, letters[key] ?? ''));
  }));
}

export class DialView {
  /** @param {{call: (target: string) => void, key: (key: string) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    const text = strings.dial;
    this.input = h('input', {
      id: 'number', type: 'text', inputmode: 'tel', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', enterkeyhint: 'go',
      placeholder: text.placeholder, 'aria-label': text.number, testid: 'number', 'aria-describedby': 'dial-note',
      oninput: () => this.refresh(), onpaste: (/** @type {ClipboardEvent} */ event) => this.onPaste(event),
    });
    this.erase = h('button', {
      type: 'button', class: 'icon-button', 'aria-label': text.erase, title: text.erase, testid: 'erase', onclick: () => this.onErase(),
    }, icon('backspace'));
    this.callButton = h('button', { class: 'call-button', testid: 'call' }, icon('phone'), text.call);
    this.echo = h('button', {
      type: 'button', class: 'secondary wide', testid: 'echo-test', onclick: () => actions.call(text.echoNumber),
    }, icon('echo'), text.echo);
    this.note = h('p', { class: 'dial-note', id: 'dial-note', role: 'status', testid: 'dial-note' });
    this.element = h('section', { class: 'panel dial', 'aria-label': text.title, testid: 'dial' },
      h('form', { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.call(); } },
        h('div', { class: 'number-row' }, this.input, this.erase),
        this.note,
        keypad('dialpad', (key) => this.press(key), (key) => { if (key === '0') this.insert('+'); }),
        this.callButton, this.echo));
    this.refresh();
  }

  /** @param {boolean} ready */
  setReady(ready) {
    this.isReady = ready;
    this.refresh();
  }

  refresh() {
    const empty = this.input.value.trim() === '';
    this.erase.hidden = empty;
    // Not `disabled`: the button stays reachable, and says why it cannot.
    this.callButton.setAttribute('aria-disabled', String(empty || !this.isReady));
    this.echo.setAttribute('aria-disabled', String(!this.isReady));
    this.input.classList.toggle('long', this.input.value.length > 12);
    this.say('');
  }

  /**
   * @param {string} text
   * @param {boolean} [bad]
   */
  say(text, bad = false) {
    setText(this.note, text);
    this.note.classList.toggle('bad', bad);
  }

  /** @param {string} key */
  press(key) {
    this.actions.key(key);
    this.insert(key);
  }

  /** @param {string} text at the cursor */
  insert(text) {
    const { selectionStart, selectionEnd, value } = this.input;
    const start = selectionStart ?? value.length;
    this.input.value = value.slice(0, start) + text + value.slice(selectionEnd ?? start);
    this.input.setSelectionRange(start + text.length, start + text.length);
    this.refresh();
  }

  /** @param {string} value */
  set(value) {
    this.input.value = value;
    this.refresh();
  }

  onErase() {
    this.set(this.input.value.slice(0, -1));
    this.input.focus();
  }

  /** @param {ClipboardEvent} event */
  onPaste(event) {
    const pasted = event.clipboardData?.getData('text') ?? '';
    const number = cleanNumber(pasted);
    event.preventDefault();
    if (number === '') return;
    this.insert(number);
    if (number !== pasted.trim()) this.say(strings.dial.pasted(number));
  }

  call() {
    if (this.callButton.getAttribute('aria-disabled') === 'true' && this.input.value.trim() === '') return this.input.focus();
    return this.actions.call(this.input.value);
  }
}
