/**
 * Recording of the call that is shown: two buttons, and a state that nobody can overlook.
 * @module
 */

import { h, icon, setAttribute, setIcon, setText } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Call} Call */
/** @typedef {{user: string, password: string}} Credentials */
/** @typedef {'off' | 'recording' | 'paused' | 'failed'} RecordingState */

/** How often the state is asked for, in milliseconds: others may begin or end the recording too. */
const interval = 3000;

/**
 * The value of an Authorization header.
 * @param {Credentials} account
 */
export function authorization({ user, password }) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/**
 * @param {any} answer of `/v1/me/calls/{id}/recording`
 * @returns {RecordingState | null} null when it is not understood
 */
export function stateOf(answer) {
  return ['off', 'recording', 'paused', 'failed'].includes(answer?.state) ? answer.state : null;
}

/**
 * What a press of the record button asks for.
 * @param {RecordingState} state
 */
export function nextAction(state) {
  return state === 'recording' || state === 'paused' ? 'stop' : 'start';
}

export class RecordingControl {
  /** @param {() => Credentials | null} account null where the server of the pages is not the telephone's */
  constructor(account) {
    this.account = account;
    /** @type {Call | null} */
    this.call = null;
    /** @type {RecordingState | null} */
    this.state = null;
    this.timer = 0;
    const text = strings.recording;
    this.button = h('button', {
      type: 'button', class: 'control', testid: 'record', 'aria-pressed': 'false', title: text.startTitle,
      onclick: () => { if (this.state) this.ask(nextAction(this.state)); },
    }, h('span', { class: 'control-icon' }, icon('record')), h('span', { class: 'control-label' }, text.start));
    this.pauseButton = h('button', {
      type: 'button', class: 'control', testid: 'record-pause', 'aria-pressed': 'false', title: text.pauseTitle, hidden: true,
      onclick: () => this.ask(this.state === 'paused' ? 'resume' : 'pause'),
    }, h('span', { class: 'control-icon' }, icon('recordpause')), h('span', { class: 'control-label' }, text.pause));
    this.sign = h('p', { class: 'recording-sign', role: 'status', testid: 'recording-state', hidden: true },
      h('span', { class: 'recording-dot', 'aria-hidden': 'true' }), h('span', { class: 'recording-words' }));
    this.show(null);
  }

  /** @param {Call | null} call that is shown, from now on */
  watch(call) {
    const active = call && call.state === 'active' && this.account() ? call : null;
    if (active === this.call) return;
    this.call = active;
    clearTimeout(this.timer);
    this.show(null);
    if (active) this.poll(active);
  }

  /** @param {Call} call */
  async poll(call) {
    const state = await this.request(call, null);
    if (call !== this.call) return;
    this.show(state);
    this.timer = window.setTimeout(() => this.poll(call), interval);
  }

  /** @param {'start' | 'pause' | 'resume' | 'stop'} action */
  async ask(action) {
    const { call } = this;
    if (!call) return;
    const state = await this.request(call, action);
    if (call === this.call && state) this.show(state);
  }

  /**
   * @param {Call} call
   * @param {string | null} action null asks for the state only
   * @returns {Promise<RecordingState | null>}
   */
  async request(call, action) {
    const account = this.account();
    if (!account) return null;
    try {
      const response = await fetch(`/v1/me/calls/${encodeURIComponent(call.id)}/recording`, {
        method: action ? 'POST' : 'GET',
        headers: { Authorization: authorization(account), ...(action ? { 'Content-Type': 'application/json' } : {}) },
        body: action ? JSON.stringify({ action }) : undefined,
        credentials: 'omit',
      });
      return response.ok ? stateOf(await response.json()) : null;
    } catch {
      return null;
    }
  }

  /** @param {RecordingState | null} state null where recording is not to be had */
  show(state) {
    this.state = state;
    const text = strings.recording;
    const isOn = state === 'recording' || state === 'paused';
    this.button.hidden = state === null;
    this.pauseButton.hidden = !isOn;
    setAttribute(this.button, 'aria-pressed', String(isOn));
    setText(this.button.querySelector('.control-label') ?? this.button, isOn ? text.stop : text.start);
    setAttribute(this.pauseButton, 'aria-pressed', String(state === 'paused'));
    setIcon(this.pauseButton, state === 'paused' ? 'record' : 'recordpause');
    setText(this.pauseButton.querySelector('.control-label') ?? this.pauseButton, state === 'paused' ? text.resume : text.pause);
    this.sign.hidden = !isOn && state !== 'failed';
    setAttribute(this.sign, 'data-state', state ?? 'off');
    setText(this.sign.querySelector('.recording-words') ?? this.sign,
      state === 'paused' ? text.paused : state === 'failed' ? text.failed : text.recording);
  }
}
