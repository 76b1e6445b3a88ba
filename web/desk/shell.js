/**
 * The frame of the desk: header with the registration's state, the three columns, the tabs of the phone layout.
 * @module
 */

import { h, icon, mark, setAttribute, setIcon, setText } from './dom.js';
import { signInWords, strings } from './strings.js';

/** @typedef {import('../sdk/index.js').PhoneStatus} PhoneStatus */

export class ShellView {
  /**
   * @param {{dial: HTMLElement, idle: HTMLElement, stage: HTMLElement, history: HTMLElement}} panels
   * @param {{help: () => void, settings: () => void, theme: () => void, signOut: () => void, retry: () => void}} actions
   */
  constructor(panels, actions) {
    const text = strings.header;
    this.stateText = h('span', { 'aria-hidden': 'true', testid: 'registration-text' });
    this.spokenState = h('span', { class: 'visually-hidden' });
    this.state = h('div', { class: 'state', role: 'status', testid: 'registration', 'data-state': 'stopped' },
      h('span', { class: 'dot', 'aria-hidden': 'true' }), this.stateText, this.spokenState);
    this.who = h('span', { class: 'who-am-i', testid: 'account' });
    this.theme = button('theme-toggle', 'moon', text.dark, actions.theme);
    this.bannerTitle = h('strong');
    this.bannerText = h('span', { testid: 'banner-text' });
    this.retry = h('button', { type: 'button', class: 'secondary small', testid: 'retry', onclick: actions.retry }, strings.state.retry);
    this.banner = h('div', { class: 'banner', role: 'alert', testid: 'banner', hidden: true },
      icon('alert'), h('p', {}, this.bannerTitle, this.bannerText), this.retry);
    this.tabs = h('nav', { class: 'tabs', 'aria-label': strings.product },
      this.tab('dial', 'grid', strings.dial.title), this.tab('history', 'clock', strings.history.title));
    this.columns = h('main', { class: 'columns', 'data-tab': 'dial', testid: 'columns' },
      panels.dial, h('div', { class: 'middle' }, panels.stage, panels.idle), panels.history);
    this.element = h('div', { class: 'shell', testid: 'desk' },
      h('a', { class: 'skip', href: '#number' }, text.skip),
      h('header', { class: 'top' },
        h('div', { class: 'brand' }, mark(), h('span', {}, strings.product)),
        this.state, this.who,
        h('div', { class: 'top-actions' },
          button('help-open', 'help', text.help, actions.help), this.theme,
          button('settings-open', 'settings', text.settings, actions.settings),
          button('sign-out', 'leave', text.signOut, actions.signOut))),
      this.banner, this.columns, this.tabs);
  }

  /**
   * @param {'dial' | 'history'} name
   * @param {string} shape
   * @param {string} label
   */
  tab(name, shape, label) {
    return h('button', {
      type: 'button', testid: `tab-${name}`, 'aria-pressed': String(name === 'dial'), onclick: () => this.showTab(name),
    }, icon(shape), label);
  }

  /** @param {'dial' | 'history'} name */
  showTab(name) {
    this.columns.dataset.tab = name;
    for (const tab of this.tabs.children) tab.setAttribute('aria-pressed', String(tab.getAttribute('data-testid') === `tab-${name}`));
  }

  /** @param {'light' | 'dark'} theme */
  showTheme(theme) {
    const label = theme === 'dark' ? strings.header.light : strings.header.dark;
    setIcon(this.theme, theme === 'dark' ? 'sun' : 'moon');
    this.theme.setAttribute('aria-label', label);
    this.theme.title = label;
  }

  /**
   * @param {PhoneStatus} status
   * @param {boolean} inCall
   */
  showStatus({ state, error, retryAt }, inCall) {
    const text = strings.state;
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const waiting = state === 'reconnecting' && retryAt > Date.now();
    this.state.dataset.state = state;
    setAttribute(this.state, 'data-error', error?.code ?? false);
    // The countdown changes each second; a screen reader hears the state once.
    setText(this.spokenState, text[state]);
    setText(this.stateText, waiting ? text.reconnectingIn(seconds) : text[state]);
    const isLost = state === 'reconnecting' || state === 'rejected';
    this.banner.hidden = !isLost;
    if (!isLost) return;
    const words = signInWords(error?.code ?? 'server-unreachable');
    const offline = navigator.onLine === false;
    const unreachable = error?.code === 'server-unreachable';
    setText(this.bannerTitle, offline ? text.offline : unreachable ? text.lost : words.title);
    setText(this.bannerText, inCall ? text.callsContinue : offline || unreachable ? text.lostText : words.text);
    this.retry.hidden = state !== 'reconnecting';
  }
}

/**
 * @param {string} testid
 * @param {string} shape
 * @param {string} label
 * @param {() => void} onclick
 */
function button(testid, shape, label, onclick) {
  return h('button', { type: 'button', class: 'icon-button', testid, 'aria-label': label, title: label, onclick }, icon(shape));
}
