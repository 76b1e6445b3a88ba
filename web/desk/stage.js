/**
 * The middle of the desk: the call that rings, runs or has just ended, and the other calls above it.
 * @module
 */

import { keypad } from './dial.js';
import { LevelMeter } from './devices.js';
import { h, icon, setAttribute, setIcon, setText } from './dom.js';
import { duration, initials, isoDuration, nameOf, numberOf } from './format.js';
import { endedWords, strings } from './strings.js';
import { TransferView } from './transfer.js';

/** @typedef {import('../sdk/index.js').Call} Call */
/** @typedef {import('../sdk/index.js').Quality} Quality */

/**
 * @typedef {object} StageActions
 * @property {(call: Call) => void} answer
 * @property {(call: Call) => void} decline
 * @property {(call: Call) => void} hangUp
 * @property {(call: Call) => void} mute
 * @property {(call: Call) => void} hold
 * @property {(call: Call) => void} focus
 * @property {(call: Call, key: string) => void} dtmf
 * @property {(call: Call) => void} again
 * @property {() => void} dismiss
 * @property {() => AudioContext} audio
 * @property {import('./transfer.js').TransferActions} transfer
 */

/**
 * What the call is doing, in words.
 * @param {Call} call
 */
export function stateWords(call) {
  const text = strings.call;
  if (call.state === 'ringing' && call.direction === 'incoming') return call.isAnswering ? text.answering : text.incoming;
  if (call.state === 'active') {
    if (call.isRecovering) return text.recovering;
    if (call.onHold) return call.remoteHold ? text.bothHold : text.onHold;
    if (call.remoteHold) return text.remoteHold;
    return call.wasConnected ? text.active : text.connecting;
  }
  if (call.state === 'ended') return endedWords(call.cause).title;
  return call.earlyMedia ? text.earlyMedia : text[call.state];
}

export class StageView {
  /** @param {StageActions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {Call | null} */
    this.call = null;
    /** @type {Map<Call, HTMLElement>} */
    this.rows = new Map();
    this.sentDigits = '';
    this.receivedDigits = '';
    const text = strings.call;
    this.avatar = h('div', { class: 'avatar', 'aria-hidden': 'true' });
    this.party = h('h2', { class: 'party', id: 'stage-title', testid: 'call-party' });
    this.number = h('p', { class: 'party-number', testid: 'call-number' });
    this.stateText = h('span', { testid: 'call-state-text' });
    this.timer = h('time', { class: 'timer', testid: 'call-timer', 'aria-label': text.duration });
    this.detail = h('p', { class: 'call-detail', testid: 'call-detail' });
    this.alert = h('div', { class: 'notice bad', role: 'alert', testid: 'call-alert', hidden: true }, icon('alert'), h('div', {}, h('strong'), h('span')));
    this.quality = new QualityView();
    this.you = meter('level-mic', text.you, text.yourLevel);
    this.them = meter('level-remote', text.them, text.theirLevel);
    this.yourLevel = new LevelMeter(this.you.bar);
    this.theirLevel = new LevelMeter(this.them.bar);
    this.meters = h('div', { class: 'meters' }, this.you.element, this.them.element);

    this.mute = this.toggle('mute', 'mic', text.mute, 'M', (call) => actions.mute(call));
    this.hold = this.toggle('hold', 'pause', text.hold, 'H', (call) => actions.hold(call));
    this.keys = this.toggle('keypad-toggle', 'grid', text.keypad, 'K', () => this.toggleKeypad());
    this.transfer = this.toggle('transfer-toggle', 'transfer', strings.transfer.open, 'T', () => this.toggleTransfer());
    this.transfer.setAttribute('aria-expanded', 'false');
    this.transfer.removeAttribute('aria-pressed');
    this.transferView = new TransferView(actions.transfer, () => {
      this.toggleTransfer(false);
      this.transfer.focus();
    });
    this.controls = h('div', { class: 'controls', role: 'group', 'aria-label': text.active }, this.mute, this.hold, this.keys, this.transfer);
    this.digits = h('output', { class: 'digits', testid: 'dtmf-sent', 'aria-label': text.sent });
    this.pad = h('div', { class: 'call-pad', testid: 'call-pad', hidden: true }, this.digits,
      keypad('dtmf', (key) => { if (this.call) actions.dtmf(this.call, key); }));

    this.answer = this.button('answer', 'good', 'phone', text.answer, 'A', (call) => actions.answer(call));
    this.decline = this.button('decline', 'bad-outline', 'hangup', text.decline, 'D', (call) => actions.decline(call));
    this.hangUp = this.button('hangup', 'bad', 'hangup', text.hangUp, 'Shift E', (call) => actions.hangUp(call));
    this.again = this.button('call-again', 'secondary', 'phone', text.again, '', (call) => actions.again(call));
    this.dismiss = h('button', { type: 'button', class: 'secondary', testid: 'call-dismiss', onclick: () => actions.dismiss() }, text.dismiss);
    this.endings = h('div', { class: 'endings' }, this.decline, this.answer, this.hangUp, this.again, this.dismiss);

    this.card = h('div', { class: 'call-card', testid: 'call-card' },
      this.avatar,
      h('div', { class: 'who' }, this.party, this.number),
      h('p', { class: 'call-state', testid: 'call-state' }, this.stateText, this.timer),
      this.detail, this.alert, this.quality.element, this.meters, this.controls, this.pad, this.transferView.element, this.endings);
    this.others = h('ul', { class: 'others', 'aria-label': text.other, testid: 'other-calls', hidden: true });
    this.element = h('section', { class: 'panel stage', 'aria-labelledby': 'stage-title', testid: 'stage', hidden: true }, this.others, this.card);
  }

  /**
   * @param {string} testid
   * @param {string} shape
   * @param {string} label
   * @param {string} key
   * @param {(call: Call) => void} action
   */
  toggle(testid, shape, label, key, action) {
    return h('button', {
      type: 'button', class: 'control', testid, 'aria-pressed': 'false', title: `${label} (${key})`, 'aria-keyshortcuts': key,
      onclick: () => { if (this.call) action(this.call); },
    }, h('span', { class: 'control-icon' }, icon(shape)), h('span', { class: 'control-label' }, label));
  }

  /**
   * @param {string} testid
   * @param {string} kind
   * @param {string} shape
   * @param {string} label
   * @param {string} key
   * @param {(call: Call) => void} action
   */
  button(testid, kind, shape, label, key, action) {
    return h('button', {
      type: 'button', class: `ending ${kind}`, testid, 'aria-keyshortcuts': key ? key.replace(' ', '+') : null, title: key ? `${label} (${key})` : null,
      onclick: () => { if (this.call) action(this.call); },
    }, icon(shape), h('span', {}, label));
  }

  /** @param {boolean} [open] */
  toggleKeypad(open = this.pad.hidden) {
    this.pad.hidden = !open;
    this.keys.setAttribute('aria-pressed', String(open));
    if (open) this.toggleTransfer(false);
    this.card.toggleAttribute('data-keypad', open);
  }

  /** @param {boolean} [open] */
  toggleTransfer(open = this.transferView.element.hidden) {
    if (open) this.toggleKeypad(false);
    this.transfer.setAttribute('aria-expanded', String(open));
    this.card.toggleAttribute('data-transfer', open);
    this.transferView.toggle(open);
  }

  /**
   * @param {Call | null} call
   * @param {Call[]} others
   */
  show(call, others) {
    if (call !== this.call) {
      this.call = call;
      this.sentDigits = '';
      this.receivedDigits = '';
      this.toggleKeypad(false);
      this.toggleTransfer(false);
      this.warn('', '');
      this.quality.show(null);
    }
    this.element.hidden = call === null;
    if (!call) {
      this.yourLevel.stop();
      this.theirLevel.stop();
      return;
    }
    this.showParty(call);
    this.showState(call, others);
    this.showControls(call);
    this.transferView.show(call, others);
    this.showOthers(others);
    this.tick();
  }

  /** @param {Call} call */
  showParty(call) {
    const name = nameOf(call.remote);
    setText(this.party, name);
    setText(this.number, numberOf(call.remote));
    const letters = initials(call.remote.displayName);
    if (this.avatar.dataset.letters !== letters) {
      this.avatar.dataset.letters = letters;
      this.avatar.replaceChildren(letters || icon(call.remote.user === strings.dial.echoNumber ? 'echo' : 'phone'));
    }
  }

  /**
   * @param {Call} call
   * @param {Call[]} others
   */
  showState(call, others) {
    const isRinging = call.state === 'ringing' && call.direction === 'incoming';
    this.card.dataset.state = isRinging ? 'incoming' : call.state;
    this.card.dataset.direction = call.direction;
    setAttribute(this.card, 'data-cause', call.cause || false);
    setAttribute(this.card, 'data-status', call.status ? String(call.status) : false);
    setAttribute(this.card, 'data-hold', call.onHold ? 'local' : call.remoteHold ? 'remote' : false);
    setAttribute(this.card, 'data-muted', call.muted);
    setAttribute(this.card, 'data-connection', call.connection);
    setAttribute(this.card, 'data-error', call.state === 'ended' && !['hung-up', 'hung-up-remote', 'transferred', 'cancelled', 'rejected', 'answered-elsewhere'].includes(call.cause));
    setText(this.stateText, isRinging && others.length > 0 && !call.isAnswering ? strings.call.incomingWaiting : stateWords(call));
    const isEcho = call.state === 'active' && call.remote.user === strings.dial.echoNumber && !call.onHold;
    setText(this.detail, call.state === 'ended' ? endedWords(call.cause).text
      : this.receivedDigits ? strings.call.received(this.receivedDigits) : isEcho ? strings.call.echoHint : '');
    if (isRinging && !call.isAnswering) setText(this.answer.querySelector('span') ?? this.answer, others.some((other) => other.state === 'active' && !other.onHold) ? strings.call.answerHold : strings.call.answer);
    if (call.isAnswering) setText(this.answer.querySelector('span') ?? this.answer, strings.call.answering);
  }

  /** @param {Call} call */
  showControls(call) {
    const text = strings.call;
    const isActive = call.state === 'active';
    const isIncoming = call.state === 'ringing' && call.direction === 'incoming';
    this.controls.hidden = !isActive;
    this.meters.hidden = !isActive;
    this.quality.element.hidden = !isActive || call.onHold || call.remoteHold;
    if (!isActive) {
      this.toggleKeypad(false);
      this.toggleTransfer(false);
    }
    this.answer.hidden = this.decline.hidden = !isIncoming;
    this.hangUp.hidden = isIncoming || call.state === 'ended';
    setText(this.hangUp.querySelector('span') ?? this.hangUp, isActive ? text.hangUp : text.cancel);
    this.again.hidden = this.dismiss.hidden = call.state !== 'ended';
    setToggle(this.mute, call.muted, call.muted ? 'micoff' : 'mic', call.muted ? text.unmute : text.mute);
    setToggle(this.hold, call.onHold, call.onHold ? 'play' : 'pause', call.onHold ? text.resume : text.hold);
    if (isActive) {
      const context = this.actions.audio();
      this.yourLevel.watch(call.muted || call.onHold ? null : call.localStream, context);
      this.theirLevel.watch(call.remoteStream, context);
    } else {
      this.yourLevel.stop();
      this.theirLevel.stop();
    }
  }

  /**
   * Rows stay the same elements while their call lasts: a button that is replaced between press and release gets no click.
   * @param {Call[]} others
   */
  showOthers(others) {
    this.others.hidden = others.length === 0;
    for (const [call, row] of this.rows) {
      if (others.includes(call)) continue;
      row.remove();
      this.rows.delete(call);
    }
    for (const call of others) {
      const row = this.rows.get(call) ?? this.addRow(call);
      row.dataset.state = call.state;
      setText(row.children[1], stateWords(call));
    }
  }

  /** @param {Call} call */
  addRow(call) {
    const row = h('li', { class: 'other', testid: 'other-call' },
      h('span', { class: 'other-name' }, nameOf(call.remote)), h('span', { class: 'other-state' }),
      h('button', { type: 'button', class: 'secondary small', testid: 'other-focus', onclick: () => this.actions.focus(call) }, strings.call.swap));
    this.rows.set(call, row);
    this.others.append(row);
    return row;
  }

  /** The clock, twice a second. */
  tick() {
    const { call } = this;
    if (!call) return;
    const shown = call.answeredAt > 0;
    this.timer.hidden = !shown;
    if (!shown) return;
    const elapsed = (call.endedAt || Date.now()) - call.answeredAt;
    setText(this.timer, duration(elapsed));
    this.timer.setAttribute('datetime', isoDuration(elapsed));
  }

  /** @param {string} key */
  addSent(key) {
    this.sentDigits = (this.sentDigits + key).slice(-24);
    setText(this.digits, this.sentDigits);
  }

  /**
   * @param {string} title
   * @param {string} text '' and '' hide it
   */
  warn(title, text) {
    this.alert.hidden = title === '' && text === '';
    const [strong, span] = this.alert.querySelectorAll('strong, span');
    setText(strong, title);
    setText(span, text);
    setText(this.digits, this.sentDigits);
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {boolean} pressed
 * @param {string} shape
 * @param {string} label
 */
function setToggle(button, pressed, shape, label) {
  setAttribute(button, 'aria-pressed', String(pressed));
  setIcon(button, shape);
  setText(button.querySelector('.control-label') ?? button, label);
}

/**
 * @param {string} testid
 * @param {string} label
 * @param {string} description
 */
export function meter(testid, label, description) {
  const bar = h('div', { class: 'meter', role: 'meter', 'aria-label': description, 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-valuenow': '0', testid }, h('div', { class: 'meter-fill' }));
  return { bar, element: h('div', { class: 'meter-row' }, h('span', { class: 'meter-label' }, label), bar) };
}

/** How the line is, in words. */
class QualityView {
  constructor() {
    this.dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
    this.word = h('strong', { testid: 'quality-word' });
    this.why = h('ul', { class: 'quality-why', testid: 'quality-why' });
    this.detail = h('p', { class: 'quality-detail', testid: 'quality-detail' });
    this.element = h('div', { class: 'quality', testid: 'quality', 'data-rating': 'unknown' },
      h('p', { class: 'quality-head', role: 'status' }, this.dot, this.word), this.why, this.detail);
  }

  /** @param {Quality | null} quality */
  show(quality) {
    const rating = quality?.rating ?? 'unknown';
    this.element.dataset.rating = rating;
    setText(this.word, strings.quality[rating]);
    const reasons = (quality?.why ?? []).slice(0, 2).map(({ code, text }) => strings.quality.why[code]?.(valueOf(code, quality)) ?? text);
    if (this.why.textContent !== reasons.join('')) this.why.replaceChildren(...reasons.map((reason) => h('li', {}, reason)));
    const sample = quality?.sample;
    setText(this.detail, sample ? strings.quality.detail(sample.lossIn * 100, sample.jitter, sample.roundTrip) : '');
  }
}

/**
 * @param {string} code
 * @param {Quality | null} quality
 */
function valueOf(code, quality) {
  const sample = quality?.sample;
  if (!sample) return 0;
  if (code === 'loss-in') return Math.max(1, Math.round(sample.lossIn * 100));
  if (code === 'loss-out') return Math.max(1, Math.round((sample.lossOut ?? 0) * 100));
  if (code === 'jitter') return Math.round(sample.jitter);
  return Math.round(sample.roundTrip ?? 0);
}
