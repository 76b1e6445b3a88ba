/**
 * Do-not-disturb and forwarding, in the settings. They are the server's: all phones of the user share them.
 * @module
 */

import { cleanNumber } from '../sdk/index.js';
import { h, setText } from './dom.js';
import { strings } from './strings.js';

/**
 * As `GET /v1/me/call-handling` tells it.
 * @typedef {{doNotDisturb: boolean, forwardAlways?: string, forwardBusy?: string, forwardNoAnswer?: string, noAnswerAfter: number}} Handling
 */

/** @typedef {{user: string, password: string}} Credentials */

/**
 * @param {Credentials} account
 * @param {Record<string, unknown>} [change] what is to be changed; without it the state is only read
 * @returns {Promise<Handling | null>} null when the server does not know it, or refuses
 */
export async function callHandling({ user, password }, change) {
  try {
    const bytes = new TextEncoder().encode(`${user}:${password}`);
    const response = await fetch('/v1/me/call-handling', {
      method: change ? 'PATCH' : 'GET',
      headers: { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}`, 'Content-Type': 'application/json' },
      credentials: 'omit', // a refusal must not open the browser's own password window
      body: change ? JSON.stringify(change) : undefined,
    });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** @typedef {'forwardAlways' | 'forwardBusy' | 'forwardNoAnswer'} Forward */

export class HandlingView {
  /** @param {() => Credentials | null} account null where the pages come from another server than the telephone's */
  constructor(account) {
    this.account = account;
    const text = strings.handling;
    this.disturb = h('input', {
      type: 'checkbox', role: 'switch', testid: 'handling-dnd', onchange: () => this.save({ doNotDisturb: this.disturb.checked }),
    });
    /** @type {Record<Forward, HTMLInputElement>} */
    this.forwards = {
      forwardAlways: this.field('forwardAlways'), forwardBusy: this.field('forwardBusy'), forwardNoAnswer: this.field('forwardNoAnswer'),
    };
    this.after = h('input', {
      type: 'number', min: '5', max: '300', step: '5', value: '20', id: 'handling-after', testid: 'handling-after',
      onchange: () => { if (this.after.checkValidity()) this.save({ noAnswerAfter: Number(this.after.value) }); },
    });
    this.note = h('p', { class: 'hint', role: 'status', testid: 'handling-note' });
    this.element = h('section', { class: 'handling', hidden: true, testid: 'handling', 'aria-label': text.title },
      h('h3', {}, text.title),
      h('label', { class: 'check setting' }, this.disturb, h('span', {}, text.doNotDisturb)),
      ...Object.entries(this.forwards).map(([name, input]) => h('div', { class: 'setting' },
        h('label', { for: input.id }, text[/** @type {Forward} */ (name)]), h('div', { class: 'setting-control' }, input))),
      h('div', { class: 'setting' }, h('label', { for: 'handling-after' }, text.after), h('div', { class: 'setting-control' }, this.after)),
      this.note);
  }

  /** @param {Forward} name */
  field(name) {
    const input = h('input', {
      type: 'text', inputmode: 'tel', autocomplete: 'off', spellcheck: 'false', maxlength: '128', id: `handling-${name}`, testid: `handling-${name}`,
      placeholder: strings.handling.nobody,
      onchange: () => {
        input.value = cleanNumber(input.value);
        this.save({ [name]: input.value === '' ? null : input.value });
      },
    });
    return input;
  }

  /** Asks the server how it is. */
  async load() {
    const account = this.account();
    this.show(account ? await callHandling(account) : null);
    setText(this.note, '');
  }

  /** @param {Record<string, unknown>} change */
  async save(change) {
    const account = this.account();
    if (!account) return;
    const handling = await callHandling(account, change);
    setText(this.note, handling ? strings.handling.saved : strings.handling.refused);
    if (handling) this.show(handling);
    else await callHandling(account).then((known) => { if (known) this.show(known); });
  }

  /** @param {Handling | null} handling */
  show(handling) {
    this.element.hidden = handling === null;
    if (!handling) return;
    this.disturb.checked = handling.doNotDisturb;
    this.forwards.forwardAlways.value = handling.forwardAlways ?? '';
    this.forwards.forwardBusy.value = handling.forwardBusy ?? '';
    this.forwards.forwardNoAnswer.value = handling.forwardNoAnswer ?? '';
    this.after.value = String(handling.noAnswerAfter);
  }
}
