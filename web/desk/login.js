/**
 * The log-in page.
 * @module
 */

import { h, icon, mark, setIcon, setText } from './dom.js';
import { signInWords, strings } from './strings.js';

/** @typedef {import('./desk.js').ServerConfig} ServerConfig */
/** @typedef {import('./settings.js').Settings} Settings */

/** @typedef {{user: string, password: string, server: string, domain: string, remember: boolean, displayName: string}} Account */

export class LoginView {
  /**
   * @param {Settings} settings
   * @param {ServerConfig} config
   * @param {{defaultServer: string, submit: (account: Account) => void}} options
   */
  constructor(settings, config, { defaultServer, submit }) {
    this.submit = submit;
    this.defaultServer = defaultServer;
    const text = strings.login;
    const { demo } = config;
    this.user = h('input', {
      id: 'user', name: 'username', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true,
      testid: 'login-user', value: settings.user,
    });
    this.password = h('input', {
      id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true, testid: 'login-password',
    });
    this.reveal = h('button', {
      type: 'button', class: 'icon-button reveal', 'aria-label': text.show, 'aria-pressed': 'false', testid: 'login-show-password',
      onclick: () => this.toggleReveal(),
    }, icon('eye'));
    this.remember = h('input', { id: 'remember', type: 'checkbox', testid: 'login-remember' });
    this.server = h('input', {
      id: 'server', name: 'server', inputmode: 'url', autocapitalize: 'none', spellcheck: 'false', testid: 'login-server',
      value: settings.server || defaultServer, 'aria-describedby': 'server-hint',
    });
    this.domain = h('input', {
      id: 'domain', name: 'domain', autocapitalize: 'none', spellcheck: 'false', testid: 'login-domain',
      value: settings.domain || config.domain,
    });
    this.button = h('button', { class: 'primary wide', testid: 'login-submit' }, text.submit);
    this.errorTitle = h('strong');
    this.errorText = h('span', { testid: 'login-error-text' });
    this.error = h('div', { class: 'notice bad', role: 'alert', testid: 'login-error', hidden: true },
      icon('alert'), h('div', {}, this.errorTitle, this.errorText));
    this.advanced = h('details', { class: 'advanced', testid: 'login-advanced' },
      h('summary', {}, text.advanced),
      field('server', text.server, this.server, text.serverHint),
      field('domain', text.domain, this.domain));
    const form = h('form', { class: 'login-form', novalidate: true, testid: 'login-form', onsubmit: (/** @type {Event} */ event) => this.onSubmit(event) },
      h('h1', {}, text.title),
      h('p', { class: 'lead' }, text.lead),
      this.error,
      field('user', text.user, this.user),
      field('password', text.password, h('div', { class: 'with-button' }, this.password, this.reveal)),
      h('label', { class: 'check' }, this.remember, h('span', {}, text.remember)),
      this.advanced,
      this.button,
      demo.length > 0 && h('div', { class: 'demo' },
        h('p', {}, text.demo),
        h('div', { class: 'demo-buttons' }, ...demo.map((account) => h('button', {
          type: 'button', class: 'secondary', testid: `demo-${account.user}`,
          onclick: () => this.enterDemo(config, account),
        }, text.demoAs(account.display || account.user, account.user))))));
    this.element = h('main', { class: 'login', testid: 'login' },
      h('div', { class: 'login-pitch', 'aria-hidden': 'true' },
        h('div', { class: 'brand' }, mark(), h('span', {}, strings.product)),
        voices(),
        h('div', {}, h('p', { class: 'pitch' }, text.pitch), h('p', {}, text.pitchLead))),
      h('div', { class: 'login-side' },
        h('div', { class: 'brand brand-small' }, mark(), h('span', {}, strings.product)),
        form));
  }

  focus() {
    (this.user.value ? this.password : this.user).focus();
  }

  toggleReveal() {
    const shown = this.password.type === 'password';
    this.password.type = shown ? 'text' : 'password';
    this.reveal.setAttribute('aria-label', shown ? strings.login.hide : strings.login.show);
    this.reveal.setAttribute('aria-pressed', String(shown));
    setIcon(this.reveal, 'eye');
  }

  /** @param {Event} event */
  onSubmit(event) {
    event.preventDefault();
    this.enter({ user: this.user.value.trim(), password: this.password.value, displayName: '' });
  }

  /** @param {{user: string, password: string, displayName: string}} account */
  enter({ user, password, displayName }) {
    this.user.value = user;
    this.password.value = password;
    const server = this.server.value.trim() || this.defaultServer;
    if (!user || !password) return this.complain(strings.login.missing, '', user ? this.password : this.user);
    if (!/^wss?:\/\/[^/\s]+/i.test(server)) return this.complain(strings.login.badServer, '', this.server);
    if (location.protocol === 'https:' && /^ws:/i.test(server)) return this.complain(strings.login.secureNeeded, '', this.server);
    return this.submit({ user, password, displayName, server, domain: this.domain.value.trim() || 'localhost', remember: this.remember.checked });
  }

  /**
   * @param {string} title
   * @param {string} text
   * @param {HTMLElement} [where]
   */
  complain(title, text, where) {
    this.error.hidden = false;
    setText(this.errorTitle, title);
    setText(this.errorText, text);
    if (where === this.server) this.advanced.open = true;
    for (const input of [this.user, this.password, this.server]) input.toggleAttribute('aria-invalid', input === where);
    where?.focus();
  }

  /** @param {string} code */
  showError(code) {
    const { title, text } = signInWords(code);
    this.error.dataset.code = code;
    const credentials = code === 'wrong-password';
    this.complain(title, text, credentials ? this.password : undefined);
    if (credentials) this.password.select();
    if (code === 'server-unreachable' || code === 'not-found') this.advanced.open = true;
  }

  /**
   * The demo accounts are those of the server that this page came from.
   * @param {ServerConfig} config
   * @param {{user: string, password: string, display: string}} account
   */
  enterDemo(config, { user, password, display }) {
    this.server.value = this.defaultServer;
    this.domain.value = config.domain;
    this.enter({ user, password, displayName: display });
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.button.setAttribute('aria-busy', String(busy));
    setText(this.button, busy ? strings.login.busy : strings.login.submit);
    if (busy) this.error.hidden = true;
  }
}

/**
 * @param {string} id
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint]
 */
function field(id, label, control, hint = '') {
  return h('div', { class: 'field' },
    h('label', { for: id }, label), control, hint && h('p', { class: 'hint', id: `${id}-hint` }, hint));
}

/** Two voices that take turns: the picture beside the form. */
function voices() {
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  svg.setAttribute('viewBox', '0 0 440 200');
  svg.setAttribute('class', 'voices');
  for (const [row, phase] of [[0, 0], [1, Math.PI]]) {
    for (let index = 0; index < 44; index += 1) {
      const turn = Math.max(0.06, Math.sin((index / 44) * Math.PI * 2 + Number(phase)));
      const size = 4 + 62 * turn * (0.45 + 0.55 * Math.abs(Math.sin(index * 1.7 + row)));
      const line = document.createElementNS(namespace, 'line');
      const x = 5 + index * 10;
      const middle = row === 0 ? 62 : 138;
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: middle - size / 2, y2: middle + size / 2 })) line.setAttribute(name, value.toFixed(1));
      line.setAttribute('class', row === 0 ? 'voice-one' : 'voice-two');
      svg.append(line);
    }
  }
  return svg;
}
