/**
 * The agent desktop: puts the phone and the views together.
 * @module
 */

import { Conference, Phone, PhoneError } from '../sdk/index.js';
import { openMicrophone } from './devices.js';
import { DialView, keys } from './dial.js';
import { HelpDialog, SettingsDialog } from './dialogs.js';
import { h, setText } from './dom.js';
import { HandlingView } from './handling.js';
import { nameOf } from './format.js';
import { CallHistory, entryOf, fetchCalls, HistoryView } from './history.js';
import { IdleView } from './idle.js';
import { LoginView } from './login.js';
import { RecordingControl } from './recording.js';
import { loadSession, loadSettings, saveSession, saveSettings } from './settings.js';
import { ShellView } from './shell.js';
import { StageView } from './stage.js';
import { endedWords, strings } from './strings.js';
import { setSink, Tones } from './tones.js';

/** @typedef {import('../sdk/index.js').Call} Call */
/** @typedef {import('./login.js').Account} Account */

/**
 * `GET /desk/config.json`, as far as it is there.
 * @typedef {object} ServerConfig
 * @property {string} domain
 * @property {string} websocket path or URL
 * @property {RTCIceServer[]} iceServers
 * @property {{user: string, password: string, display: string}[]} demo
 */

/** Endings that need no explanation; their card closes by itself. */
const plainEndings = ['hung-up', 'hung-up-remote', 'transferred', 'cancelled', 'rejected', 'answered-elsewhere'];

export class Desk {
  /** @param {ServerConfig} config */
  constructor(config) {
    this.config = config;
    this.settings = loadSettings();
    this.tones = new Tones();
    this.tones.ringVolume = this.settings.ringVolume;
    this.tones.setSink('speaker', this.settings.speaker);
    this.tones.setSink('ringer', this.settings.ringer);
    /** @type {Phone | null} */
    this.phone = null;
    /** @type {Account | null} */
    this.account = null;
    /** @type {CallHistory | null} */
    this.history = null;
    /**
     * The call on the stage.
     * @type {Call | null}
     */
    this.focused = null;
    /** @type {Map<Call, HTMLAudioElement>} */
    this.speakers = new Map();
    /** @type {Map<Call, Notification>} */
    this.notifications = new Map();
    /**
     * Three and more who talk with each other.
     * @type {Conference | null}
     */
    this.conference = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.dismissal = undefined;
    this.root = /** @type {HTMLElement} */ (document.getElementById('desk'));
    this.announcer = h('div', { class: 'visually-hidden', 'aria-live': 'polite', testid: 'announcer' });
    this.audios = h('div', { hidden: true, testid: 'audio' });
    document.body.append(this.announcer, this.audios);

    this.login = new LoginView(this.settings, config, { defaultServer: this.defaultServer, submit: (account) => this.signIn(account) });
    this.dial = new DialView({ call: (target) => this.call(target), key: (key) => this.tones.key(key) });
    this.idle = new IdleView({ settings: this.settings, testSpeaker: () => this.tones.test('speaker') });
    this.historyView = new HistoryView({ call: (entry) => this.call(entry.user || entry.uri), clear: () => this.clearHistory() });
    this.stage = new StageView({
      answer: (call) => this.answer(call),
      decline: (call) => call.reject(),
      hangUp: (call) => call.hangUp(),
      mute: (call) => this.mute(call),
      hold: (call) => this.hold(call),
      focus: (call) => this.switchTo(call),
      dtmf: (call, key) => this.dtmf(call, key),
      again: (call) => this.call(call.remote.user || call.remote.uri),
      dismiss: () => this.dismiss(),
      audio: () => this.tones.open(),
      transfer: {
        blind: (call, target) => this.transfer(call, target),
        attended: (call, other) => this.transfer(call, other),
        consult: (_, target) => this.call(target),
        conference: (calls) => this.meet(calls),
      },
    });
    // Only where the pages come from the telephone's own server: the password is for that one.
    this.recording = new RecordingControl(() => (this.account?.server === this.defaultServer ? this.account : null));
    this.stage.controls.append(this.recording.button, this.recording.pauseButton);
    this.stage.controls.before(this.recording.sign);
    this.help = new HelpDialog();
    this.settingsDialog = new SettingsDialog(this.settings, this.tones, (name) => this.settingChanged(name),
      new HandlingView(() => (this.account?.server === this.defaultServer ? this.account : null)));
    this.shell = new ShellView({
      dial: this.dial.element, idle: this.idle.element, stage: this.stage.element, history: this.historyView.element,
    }, {
      help: () => this.help.open(this.settings.shortcuts),
      settings: () => this.settingsDialog.open(),
      theme: () => this.toggleTheme(),
      signOut: () => this.signOut(),
      retry: () => this.phone?.retryNow(),
    });
    document.body.append(this.help.element, this.settingsDialog.element);
    this.listen();
  }

  get defaultServer() {
    const base = new URL(this.config.websocket, location.href);
    if (!/^wss?:$/.test(base.protocol)) base.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:';
    return base.href;
  }

  /** @returns {Call[]} */
  get calls() {
    return this.phone?.calls ?? [];
  }

  start() {
    this.shell.showTheme(currentTheme());
    const session = loadSession();
    this.showLogin();
    if (!session) return;
    this.login.remember.checked = true;
    this.login.enter(session);
  }

  listen() {
    addEventListener('keydown', (event) => this.onKey(event));
    addEventListener('pointerdown', () => this.tones.unlock().then(() => this.refresh()));
    addEventListener('beforeunload', (event) => {
      if (!this.calls.some(({ state }) => state === 'active')) return;
      event.preventDefault();
      event.returnValue = strings.leave;
    });
    addEventListener('pagehide', () => {
      // A running call waits for this page to come back; without a session there is nobody to come back.
      const stays = loadSession() !== null;
      for (const call of [...this.calls]) {
        if (!stays || call.state !== 'active') call.hangUp();
      }
    });
    for (const type of ['online', 'offline']) addEventListener(type, () => this.refresh());
    navigator.mediaDevices?.addEventListener('devicechange', () => this.devicesChanged());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.shell.showTheme(currentTheme()));
    setInterval(() => this.tick(), 500);
  }

  // ---- signing in and out

  showLogin() {
    this.root.replaceChildren(this.login.element);
    this.login.focus();
  }

  /** @param {Account} account */
  async signIn(account) {
    this.tones.unlock();
    await this.phone?.stop();
    this.account = account;
    this.login.setBusy(true);
    const { user, password, server, domain, displayName } = account;
    const phone = new Phone({
      server, user, password, domain, displayName, iceServers: this.config.iceServers, dtmf: this.settings.dtmf,
      microphone: () => openMicrophone(this.settings),
    });
    this.phone = phone;
    publish(phone);
    this.history = new CallHistory(`${user}@${domain}`);
    this.historyView.show(this.history.entries);
    phone.on('state', () => { if (phone === this.phone) this.phoneChanged(phone); });
    phone.on('call', (call) => { if (phone === this.phone) this.receive(call); });
    phone.on('restored', (call) => { if (phone === this.phone) this.restore(call); });
    phone.on('warning', ({ text, error }) => console.warn(text, error));
    await phone.start();
    if (server !== this.defaultServer) return; // the password is for that server only
    fetchCalls(user, password).then((entries) => {
      if (phone !== this.phone || !this.history) return;
      this.history.merge(entries);
      this.historyView.show(this.history.entries);
    });
  }

  async signOut() {
    saveSession(null);
    const { phone } = this;
    this.phone = null;
    publish(null);
    this.account = null;
    this.focused = null;
    this.login.password.value = '';
    this.login.setBusy(false);
    this.showLogin();
    this.refresh();
    await phone?.stop();
  }

  /** @param {Phone} phone */
  phoneChanged(phone) {
    const { state, error } = phone.status;
    const { account } = this;
    if (!account) return;
    if (state === 'registered') {
      if (account.remember) saveSession({ user: account.user, password: account.password, displayName: account.displayName });
      if (!this.shell.element.isConnected) this.enterDesk(account);
    }
    const onLogin = this.login.element.isConnected;
    if (onLogin && error) {
      this.login.setBusy(false);
      this.login.showError(error.code);
    }
    if (state === 'rejected' && !onLogin && this.calls.length === 0) {
      saveSession(null);
      this.showLogin();
      this.login.setBusy(false);
      this.login.showError(error?.code ?? 'forbidden');
    }
    this.refresh();
  }

  /** @param {Account} account */
  enterDesk(account) {
    // What worked is remembered; a mistyped server is not.
    this.settings.user = account.user;
    this.settings.server = account.server === this.defaultServer ? '' : account.server;
    this.settings.domain = account.domain === this.config.domain ? '' : account.domain;
    saveSettings(this.settings);
    this.login.setBusy(false);
    this.login.password.value = '';
    setText(this.shell.who, account.displayName ? `${account.displayName} · ${account.user}` : account.user);
    this.root.replaceChildren(this.shell.element);
    this.idle.refreshDevices();
    if (matchMedia('(min-width: 720px)').matches) this.dial.input.focus();
  }

  // ---- calls

  /** @param {string} target */
  call(target) {
    const { phone } = this;
    if (!phone) return;
    this.tones.unlock();
    try {
      const call = phone.call(target);
      for (const other of this.calls) {
        if (other !== call && other.state === 'active' && !other.onHold) other.hold().catch(() => {});
      }
      this.dial.set('');
      this.lastDialled = call.remote.user;
      this.follow(call);
      this.focus(call);
    } catch (error) {
      const words = endedWords(error instanceof PhoneError ? error.code : 'internal');
      this.dial.say(`${words.title}. ${words.text}`, true);
    }
  }

  /** @param {Call} call that comes in */
  receive(call) {
    this.follow(call);
    this.focus(call); // a running call goes to the strip above it, and on
    const name = nameOf(call.remote);
    this.announce(strings.announce.incoming(name));
    this.notify(call, name);
    const active = document.activeElement;
    const isTyping = active instanceof HTMLInputElement && active.value !== '';
    if (!isTyping && !document.querySelector('dialog[open]')) this.stage.answer.focus();
  }

  /** @param {Call} call that the page before this one had */
  restore(call) {
    this.follow(call);
    this.focus(call);
    this.announce(strings.announce.restored(nameOf(call.remote)));
  }

  /**
   * Hands a call on, to a number or to another call.
   * @param {Call} call
   * @param {string | Call} target
   */
  async transfer(call, target) {
    await call.transfer(target);
    this.announce(strings.announce.transferred(typeof target === 'string' ? target : nameOf(target.remote)));
  }

  /** @param {Call[]} calls */
  async meet(calls) {
    this.conference?.end();
    this.conference = new Conference(this.tones.open());
    for (const call of calls) await this.conference.add(call);
    this.refresh();
  }

  /** @param {Call} call */
  follow(call) {
    let announced = '';
    call.on('change', () => {
      if (call.state === 'active' && announced !== 'active') {
        announced = 'active';
        this.announce(strings.announce.active(nameOf(call.remote)));
        this.closeNotification(call);
        this.idle.refreshDevices();
      }
      this.refresh();
    });
    call.on('media', (stream) => {
      const element = new Audio();
      element.autoplay = true;
      element.srcObject = stream;
      setSink(element, this.settings.speaker);
      this.speakers.get(call)?.remove();
      this.speakers.set(call, element);
      this.audios.append(element);
      element.play().catch(() => {});
      this.refresh();
    });
    call.on('quality', (quality) => {
      if (call === this.focused) this.stage.quality.show(quality);
    });
    call.on('dtmf', ({ digit }) => {
      if (call !== this.focused) return;
      this.stage.receivedDigits = (this.stage.receivedDigits + digit).slice(-16);
      this.refresh();
    });
    call.on('ended', () => this.ended(call));
  }

  /** @param {Call} call */
  ended(call) {
    const speaker = this.speakers.get(call);
    if (speaker) {
      speaker.srcObject = null;
      speaker.remove();
      this.speakers.delete(call);
    }
    this.closeNotification(call);
    this.history?.add(entryOf(call));
    this.historyView.show(this.history?.entries ?? []);
    if (!this.phone) return;
    const failed = !plainEndings.includes(call.cause) && call.direction === 'outgoing';
    this.refreshTones();
    if (call.answeredAt) this.tones.end();
    else if (failed) this.tones.busy();
    const next = this.calls[0];
    if (call === this.focused && next) this.focus(next);
    else if (call === this.focused && plainEndings.includes(call.cause)) {
      clearTimeout(this.dismissal);
      this.dismissal = setTimeout(() => { if (this.focused === call) this.dismiss(); }, 4000);
    }
    const words = endedWords(call.cause);
    this.announce(`${words.title}. ${words.text}`);
    this.refresh();
  }

  /** @param {Call} call */
  focus(call) {
    clearTimeout(this.dismissal);
    this.focused = call;
    this.stage.quality.show(call.quality);
    this.refresh();
  }

  dismiss() {
    const hadFocus = this.stage.element.contains(document.activeElement);
    this.focused = this.calls[0] ?? null;
    this.refresh();
    if (hadFocus && !this.focused) this.dial.input.focus();
  }

  /** @param {Call} call */
  async answer(call) {
    await this.tones.unlock();
    for (const other of this.calls) {
      if (other !== call && other.state === 'active' && !other.onHold) other.hold().catch(() => {});
    }
    try {
      await call.answer();
      this.stage.mute.focus();
    } catch (error) {
      if (call.isEnded) return;
      const words = endedWords(error instanceof PhoneError ? error.code : 'internal');
      this.stage.warn(words.title, words.text.replace('call again', 'answer'));
    }
  }

  /** @param {Call} call */
  mute(call) {
    call.setMuted(!call.muted);
    this.announce(call.muted ? strings.announce.muted : strings.announce.unmuted);
  }

  /** @param {Call} call */
  async hold(call) {
    const wanted = !call.onHold;
    this.stage.warn('', '');
    if (!wanted) await this.holdOthers(call);
    try {
      await call.setHold(wanted);
      this.announce(wanted ? strings.announce.held : strings.announce.resumed);
    } catch {
      this.stage.warn('', strings.call.holdFailed);
    }
  }

  /** @param {Call} call */
  async switchTo(call) {
    this.focus(call);
    await this.holdOthers(call);
    if (call.onHold) await this.hold(call);
  }

  /** @param {Call} call */
  async holdOthers(call) {
    const others = this.calls.filter((other) => other !== call && other.state === 'active' && !other.onHold);
    await Promise.all(others.map((other) => other.hold().catch(() => {})));
  }

  /**
   * @param {Call} call
   * @param {string} key
   */
  dtmf(call, key) {
    this.tones.key(key);
    this.stage.addSent(key);
    call.sendDtmf(key).catch(() => this.stage.warn('', strings.call.dtmfFailed));
  }

  // ---- the rest

  /**
   * @param {Call} call
   * @param {string} name
   */
  notify(call, name) {
    if (globalThis.Notification?.permission !== 'granted' || document.visibilityState === 'visible') return;
    try {
      const notification = new Notification(strings.notification.title(name), {
        body: strings.notification.body, tag: call.id, icon: '/favicon.svg', requireInteraction: true,
      });
      notification.onclick = () => {
        window.focus();
        notification.close();
        if (!call.isEnded) this.focus(call);
      };
      this.notifications.set(call, notification);
    } catch {
      // Android wants a service worker for it; the ring tone must do
    }
  }

  /** @param {Call} call */
  closeNotification(call) {
    this.notifications.get(call)?.close();
    this.notifications.delete(call);
  }

  /** @param {string} text */
  announce(text) {
    setText(this.announcer, text);
  }

  clearHistory() {
    this.history?.clear();
    this.historyView.show([]);
    this.dial.input.focus();
  }

  toggleTheme() {
    this.settings.theme = currentTheme() === 'dark' ? 'light' : 'dark';
    this.settingChanged('theme');
  }

  /** @param {string} name */
  settingChanged(name) {
    saveSettings(this.settings);
    const { settings } = this;
    this.tones.ringVolume = settings.ringVolume;
    if (name === 'theme') {
      dispatchEvent(new Event('parley-theme'));
      this.shell.showTheme(currentTheme());
      this.settingsDialog.showTheme();
    }
    if (name === 'speaker' || name === 'ringer') this.tones.setSink(name, settings[name]);
    if (name === 'speaker') for (const element of this.speakers.values()) setSink(element, settings.speaker);
    if (name === 'dtmf' && this.phone) this.phone.options.dtmf = settings.dtmf;
    if (['microphone', 'echoCancellation', 'noiseSuppression', 'autoGainControl'].includes(name)) this.replaceMicrophones();
    this.idle.refreshDevices();
  }

  async replaceMicrophones() {
    for (const call of this.calls) {
      if (!call.media) continue;
      try {
        await call.replaceMicrophone(await openMicrophone(this.settings));
      } catch {
        // the old one goes on
      }
    }
    this.refresh();
  }

  devicesChanged() {
    this.idle.refreshDevices();
    if (this.settingsDialog.element.open) this.settingsDialog.fill();
    // A headset that was pulled out ends its track: go on with what is there.
    if (this.calls.some(({ localStream }) => localStream?.getAudioTracks().every(({ readyState }) => readyState === 'ended'))) {
      this.replaceMicrophones();
    }
  }

  tick() {
    this.stage.tick();
    if (this.phone) this.shell.showStatus(this.phone.status, this.calls.some(({ state }) => state === 'active'));
  }

  refresh() {
    const { phone, focused } = this;
    const others = this.calls.filter((call) => call !== focused);
    this.stage.show(focused, others);
    this.recording.watch(focused);
    this.idle.element.hidden = focused !== null;
    document.body.classList.toggle('in-call', focused !== null);
    const state = phone?.state ?? 'stopped';
    this.dial.setReady(state === 'registered');
    this.idle.sound.hidden = !this.tones.isBlocked;
    if (phone) {
      this.shell.showStatus(phone.status, this.calls.some((call) => call.state === 'active'));
      this.idle.showConnection({
        ready: state === 'registered', lost: state === 'reconnecting' || state === 'rejected',
        address: `${phone.options.user}@${phone.domain}`,
        connection: state === 'registered' ? new URL(phone.options.server).host : strings.state[state],
      });
    }
    this.refreshTones();
    const ringing = this.calls.find((call) => call.direction === 'incoming' && call.state === 'ringing');
    document.title = ringing ? strings.notification.title(nameOf(ringing.remote))
      : focused && !focused.isEnded ? `${nameOf(focused.remote)} · ${strings.pageTitle}` : strings.pageTitle;
  }

  /** Ring, ringback, or neither. */
  refreshTones() {
    const { calls } = this;
    const ringing = calls.find((call) => call.direction === 'incoming' && call.state === 'ringing' && !call.isAnswering);
    const calling = calls.find((call) => call.direction === 'outgoing' && call.state === 'ringing' && !call.earlyMedia);
    if (ringing) this.tones.ring(calls.some((call) => call.state === 'active'));
    else if (calling) this.tones.ringback();
    else this.tones.silence();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.shell.element.isConnected || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!this.settings.shortcuts || document.querySelector('dialog[open]')) return;
    const { target } = event;
    if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) return;
    if (this.shortcut(event.key)) event.preventDefault();
  }

  /**
   * @param {string} key
   * @returns {boolean} whether it meant something
   */
  shortcut(key) {
    const call = this.focused;
    const isActive = call?.state === 'active';
    const isIncoming = call?.direction === 'incoming' && call.state === 'ringing';
    if (keys.includes(key)) {
      if (call && isActive) this.dtmf(call, key);
      else this.dial.press(key);
      return true;
    }
    if (key === 'E') {
      if (call && !call.isEnded && !isIncoming) call.hangUp();
      return true;
    }
    switch (key.toLowerCase()) {
      case '?': this.help.open(this.settings.shortcuts); return true;
      case '/': this.dial.input.focus(); return true;
      case 'r': this.dial.set(this.lastDialled ?? this.history?.entries[0]?.user ?? ''); this.dial.input.focus(); return true;
      case 'a': if (call && isIncoming) this.answer(call); return isIncoming;
      case 'd': if (call && isIncoming) call.reject(); return isIncoming;
      case 'm': if (call && isActive) this.mute(call); return isActive;
      case 'h': if (call && isActive) this.hold(call); return isActive;
      case 'k': if (isActive) this.stage.toggleKeypad(); return isActive;
      case 't': if (isActive) this.stage.toggleTransfer(); return isActive;
      case 's': {
        const other = this.calls.find((candidate) => candidate !== call && candidate.state === 'active');
        if (other) this.switchTo(other);
        return other !== undefined;
      }
      default: return false;
    }
  }
}

/** @returns {'light' | 'dark'} what is shown now */
function currentTheme() {
  return document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light';
}

/**
 * For tests and for the curious: `parley.phone` in the console.
 * @param {Phone | null} phone
 */
function publish(phone) {
  /** @type {any} */ (window).parley = { phone };
}

/** @returns {Promise<ServerConfig>} */
async function loadConfig() {
  /** @type {any} */
  let json = {};
  try {
    const response = await fetch(new URL('config.json', import.meta.url), { cache: 'no-store' });
    if (response.ok) json = await response.json();
  } catch {
    // a server without it: defaults
  }
  const demo = Array.isArray(json?.demo) ? json.demo : [];
  return {
    domain: typeof json?.domain === 'string' && json.domain ? json.domain : 'localhost',
    websocket: typeof json?.websocket === 'string' && json.websocket ? json.websocket : '/sip',
    iceServers: Array.isArray(json?.iceServers) ? json.iceServers : [],
    demo: demo.filter((/** @type {any} */ account) => typeof account?.user === 'string' && typeof account?.password === 'string')
      .map((/** @type {any} */ { user, password, display }) => ({ user, password, display: String(display ?? '') })),
  };
}

publish(null);
new Desk(await loadConfig()).start();
