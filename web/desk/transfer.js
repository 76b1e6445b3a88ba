/**
 * Handing a call on: to a number at once, to a number after asking there, or to another call of this phone; and three at one table.
 * @module
 */

import { h, icon, setText } from './dom.js';
import { nameOf } from './format.js';
import { endedWords, strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Call} Call */

/**
 * @typedef {object} TransferActions
 * @property {(call: Call, target: string) => Promise<void>} blind
 * @property {(call: Call, target: string) => void} consult holds the call and calls the target
 * @property {(call: Call, other: Call) => Promise<void>} attended
 * @property {(calls: Call[]) => Promise<void>} conference
 */

export class TransferView {
  /**
   * @param {TransferActions} actions
   * @param {() => void} close puts the focus back
   */
  constructor(actions, close) {
    this.actions = actions;
    this.close = close;
    /** @type {Call | null} */
    this.call = null;
    /** @type {Call[]} */
    this.others = [];
    const text = strings.transfer;
    this.input = h('input', {
      type: 'text', inputmode: 'tel', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', id: 'transfer-target',
      placeholder: text.placeholder, testid: 'transfer-target', 'aria-describedby': 'transfer-note', oninput: () => this.say(''),
    });
    this.blind = h('button', { class: 'secondary', testid: 'transfer-blind' }, text.blind);
    this.consult = h('button', { type: 'button', class: 'secondary', testid: 'transfer-consult', onclick: () => this.ask() }, text.consult);
    this.note = h('p', { class: 'transfer-note', id: 'transfer-note', role: 'status', testid: 'transfer-note' });
    this.joins = h('div', { class: 'transfer-joins', testid: 'transfer-joins', hidden: true });
    this.element = h('section', {
      class: 'transfer', 'aria-label': text.title, testid: 'transfer', hidden: true,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        this.close();
      },
    },
    h('form', { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); this.send(); } },
      h('label', { for: 'transfer-target', class: 'transfer-label' }, text.to),
      this.input, h('div', { class: 'transfer-buttons' }, this.blind, this.consult)),
    this.joins, this.note);
  }

  /** @param {boolean} open */
  toggle(open) {
    this.element.hidden = !open;
    if (!open) return;
    this.say('');
    this.input.value = '';
    (this.joins.querySelector('button') ?? this.input).focus();
  }

  /**
   * @param {Call} call
   * @param {Call[]} others that might be joined with it
   */
  show(call, others) {
    this.call = call;
    const busy = call.transferring !== null;
    for (const button of [this.blind, this.consult]) button.disabled = busy;
    this.input.readOnly = busy;
    if (busy) this.say(call.transferring?.status === 180 ? strings.transfer.ringing : strings.transfer.busy);
    const active = others.filter((other) => other.state === 'active' || (other.direction === 'outgoing' && other.state === 'ringing'));
    if (active.length !== this.others.length || active.some((other, index) => other !== this.others[index])) this.showJoins(active);
  }

  /** @param {Call[]} others */
  showJoins(others) {
    this.others = others;
    this.joins.hidden = others.length === 0;
    this.joins.replaceChildren(...others.map((other) => h('button', {
      type: 'button', class: 'secondary wide', testid: 'transfer-join', onclick: () => this.join(other),
    }, icon('link'), strings.transfer.join(nameOf(other.remote)))));
    if (others.length === 0) return;
    this.joins.append(h('button', {
      type: 'button', class: 'secondary wide', testid: 'conference', onclick: () => this.meet(),
    }, icon('people'), strings.transfer.conference));
  }

  /**
   * @param {string} text
   * @param {boolean} [bad]
   */
  say(text, bad = false) {
    setText(this.note, text);
    this.note.classList.toggle('bad', bad);
  }

  send() {
    const { call } = this;
    const target = this.input.value.trim();
    if (!call || call.transferring) return;
    if (target === '') this.input.focus();
    else this.watch(this.actions.blind(call, target));
  }

  ask() {
    const target = this.input.value.trim();
    if (target === '') this.input.focus();
    else if (this.call) this.actions.consult(this.call, target);
  }

  /** @param {Call} other */
  join(other) {
    if (this.call && !this.call.transferring) this.watch(this.actions.attended(this.call, other));
  }

  meet() {
    if (!this.call) return;
    this.actions.conference([this.call, ...this.others.filter(({ state }) => state === 'active')])
      .then(() => this.close(), () => this.say(strings.transfer.conferenceFailed, true));
  }

  /** @param {Promise<void>} transfer */
  watch(transfer) {
    this.say(strings.transfer.busy);
    transfer.catch((error) => {
      const words = endedWords(error?.code ?? 'internal');
      this.say(strings.transfer.failed(words.title), true);
      this.input.focus();
    });
  }
}
