/**
 * Recent calls: what this browser saw, and what the server knows of calls on other phones.
 * @module
 */

import { clock, day, duration, nameOf, numberOf } from './format.js';
import { h, icon } from './dom.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/index.js').Call} Call */
/** @typedef {'outgoing' | 'incoming' | 'missed' | 'failed' | 'rejected' | 'elsewhere'} Kind */

/**
 * @typedef {object} Entry
 * @property {string} id
 * @property {Kind} kind
 * @property {string} user
 * @property {string} uri
 * @property {string} displayName
 * @property {number} at milliseconds since 1970
 * @property {number} duration milliseconds, 0 when it was not answered
 */

const limit = 200;

/**
 * @param {Call} call that has ended
 * @returns {Entry}
 */
export function entryOf(call) {
  const { id, remote, createdAt, answeredAt, endedAt, direction, cause } = call;
  /** @type {Kind} */
  let kind = direction;
  if (direction === 'outgoing' && !answeredAt) kind = cause === 'hung-up' ? 'outgoing' : 'failed';
  if (direction === 'incoming' && !answeredAt) {
    kind = cause === 'rejected' ? 'rejected' : cause === 'answered-elsewhere' ? 'elsewhere' : 'missed';
  }
  return { id, kind, ...remote, at: createdAt, duration: answeredAt ? endedAt - answeredAt : 0 };
}

export class CallHistory {
  /** @param {string} account one list for each */
  constructor(account) {
    this.key = `parley.history.${account}`;
    /**
     * Newest first.
     * @type {Entry[]}
     */
    this.entries = [];
    try {
      const stored = JSON.parse(localStorage.getItem(this.key) ?? '[]');
      if (Array.isArray(stored)) this.entries = stored.filter(isEntry).slice(0, limit);
    } catch {
      // refused or damaged: begins empty
    }
  }

  /** @param {Entry} entry */
  add(entry) {
    this.entries = [entry, ...this.entries].slice(0, limit);
    this.save();
  }

  clear() {
    this.entries = [];
    this.save();
  }

  save() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.entries));
    } catch {
      // then it lasts as long as the page
    }
  }

  /**
   * Adds calls that this browser did not see itself.
   * @param {Entry[]} others
   */
  merge(others) {
    const isKnown = (/** @type {Entry} */ other) => this.entries.some((own) => own.id === other.id
      || (own.user === other.user && Math.abs(own.at - other.at) < 15_000));
    const fresh = others.filter((other) => !isKnown(other));
    if (fresh.length === 0) return;
    this.entries = [...this.entries, ...fresh].sort((a, b) => b.at - a.at).slice(0, limit);
    this.save();
  }
}

/**
 * @param {any} value
 * @returns {value is Entry}
 */
function isEntry(value) {
  return typeof value?.id === 'string' && typeof value.kind === 'string' && typeof value.user === 'string'
    && typeof value.uri === 'string' && typeof value.displayName === 'string' && typeof value.at === 'number'
    && typeof value.duration === 'number';
}

/**
 * `GET /v1/me/calls`, if the server has it: `{ "calls": [{ id, direction, party, display, outcome, startedAt, answeredAt,
 * endedAt, duration }] }` with ISO times and seconds.
 * @param {string} user
 * @param {string} password
 * @returns {Promise<Entry[]>} empty when there is nothing to be had
 */
export async function fetchCalls(user, password) {
  try {
    const bytes = new TextEncoder().encode(`${user}:${password}`);
    const response = await fetch('/v1/me/calls?limit=100', {
      headers: { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` },
      credentials: 'omit', // a refusal must not open the browser's own password window
    });
    if (!response.ok) return [];
    const { calls } = await response.json();
    return Array.isArray(calls) ? calls.flatMap(serverEntry) : [];
  } catch {
    return [];
  }
}

/**
 * @param {any} call
 * @returns {Entry[]} none when it is not understood
 */
export function serverEntry(call) {
  const at = Date.parse(call?.startedAt ?? '');
  if (!Number.isFinite(at) || typeof call.id !== 'string' || typeof call.party !== 'string') return [];
  const isOutgoing = call.direction === 'outgoing';
  const wasAnswered = typeof call.answeredAt === 'string' && call.outcome !== 'answered-elsewhere';
  /** @type {Kind} */
  let kind = isOutgoing ? 'outgoing' : 'incoming';
  if (!wasAnswered && isOutgoing && call.outcome !== 'cancelled') kind = 'failed';
  if (!wasAnswered && !isOutgoing) {
    kind = call.outcome === 'answered-elsewhere' ? 'elsewhere' : call.outcome === 'rejected' || call.outcome === 'busy' ? 'rejected' : 'missed';
  }
  return [{
    id: call.id, kind, user: call.party.replace(/^sips?:/, '').split('@')[0], uri: call.party, at,
    displayName: typeof call.display === 'string' ? call.display : '',
    duration: wasAnswered && typeof call.duration === 'number' ? Math.round(call.duration * 1000) : 0,
  }];
}

/** @type {Record<Kind, string>} */
const icons = { outgoing: 'outgoing', incoming: 'incoming', missed: 'missed', failed: 'outgoing', rejected: 'close', elsewhere: 'incoming' };

export class HistoryView {
  /** @param {{call: (entry: Entry) => void, clear: () => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.onlyMissed = false;
    /** @type {Entry[]} */
    this.entries = [];
    this.list = h('div', { class: 'history-list', testid: 'history-list' });
    this.clearButton = h('button', {
      type: 'button', class: 'quiet', testid: 'history-clear', title: strings.history.clearTitle, onclick: () => actions.clear(),
    }, strings.history.clear);
    this.all = this.filterButton(strings.history.all, false);
    this.missed = this.filterButton(strings.history.missed, true);
    this.element = h('section', { class: 'panel history', 'aria-labelledby': 'history-title', testid: 'history' },
      h('header', { class: 'panel-head' },
        h('h2', { id: 'history-title' }, strings.history.title),
        h('div', { class: 'segmented', role: 'group', 'aria-label': strings.history.title }, this.all, this.missed),
        h('a', { class: 'quiet', href: '/recordings/', testid: 'recordings-link' }, strings.recording.all),
        this.clearButton),
      this.list);
  }

  /**
   * @param {string} label
   * @param {boolean} onlyMissed
   */
  filterButton(label, onlyMissed) {
    return h('button', {
      type: 'button', testid: onlyMissed ? 'history-missed' : 'history-all', 'aria-pressed': String(!onlyMissed),
      onclick: () => {
        this.onlyMissed = onlyMissed;
        this.all.setAttribute('aria-pressed', String(!onlyMissed));
        this.missed.setAttribute('aria-pressed', String(onlyMissed));
        this.show(this.entries);
      },
    }, label);
  }

  /** @param {Entry[]} entries newest first */
  show(entries) {
    this.entries = entries;
    const shown = this.onlyMissed ? entries.filter(({ kind }) => kind === 'missed') : entries;
    this.clearButton.hidden = entries.length === 0;
    if (shown.length === 0) {
      this.list.replaceChildren(h('div', { class: 'empty', testid: 'history-empty' },
        icon('clock'),
        h('p', {}, this.onlyMissed ? strings.history.emptyMissed : strings.history.empty),
        !this.onlyMissed && h('p', { class: 'faint' }, strings.history.emptyText)));
      return;
    }
    /** @type {HTMLElement[]} */
    const nodes = [];
    let heading = '';
    let list = h('ul');
    for (const entry of shown) {
      const label = day(entry.at, Date.now());
      if (label !== heading) {
        heading = label;
        list = h('ul', { 'aria-label': label });
        nodes.push(h('h3', {}, label), list);
      }
      list.append(this.row(entry));
    }
    this.list.replaceChildren(...nodes);
  }

  /** @param {Entry} entry */
  row(entry) {
    const name = nameOf(entry);
    const kind = strings.history.kind[entry.kind];
    const number = numberOf(entry);
    return h('li', { class: `entry ${entry.kind}`, testid: 'history-entry', 'data-kind': entry.kind, 'data-number': entry.user },
      h('button', {
        type: 'button', class: 'entry-button', testid: 'history-call', 'aria-label': `${strings.history.callBack(name)}. ${kind}, ${clock(entry.at)}`,
        title: strings.history.callBack(name), onclick: () => this.actions.call(entry),
      },
      h('span', { class: 'entry-icon' }, icon(icons[entry.kind])),
      h('span', { class: 'entry-text' },
        h('span', { class: 'entry-name' }, name),
        h('span', { class: 'entry-detail' }, [kind, number, entry.duration ? duration(entry.duration) : ''].filter(Boolean).join(' · '))),
      h('time', { class: 'entry-time', datetime: new Date(entry.at).toISOString() }, clock(entry.at)),
      h('span', { class: 'entry-call' }, icon('phone'))));
  }
}
