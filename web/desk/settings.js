/**
 * What is remembered on this computer. The password only in sessionStorage, and only when asked to.
 * @module
 */

/**
 * @typedef {object} Settings
 * @property {string} user
 * @property {string} server '' for the server that the page came from
 * @property {string} domain '' for the server's own
 * @property {'system' | 'light' | 'dark'} theme
 * @property {string} microphone device ids, '' for the default
 * @property {string} speaker
 * @property {string} ringer
 * @property {number} ringVolume 0…1
 * @property {boolean} echoCancellation
 * @property {boolean} noiseSuppression
 * @property {boolean} autoGainControl
 * @property {boolean} shortcuts
 * @property {'auto' | 'info'} dtmf
 */

const key = 'parley.settings';
const passwordKey = 'parley.session';

/** @type {Settings} */
const defaults = {
  user: '', server: '', domain: '', theme: 'system', microphone: '', speaker: '', ringer: '', ringVolume: 0.6,
  echoCancellation: true, noiseSuppression: true, autoGainControl: true, shortcuts: true, dtmf: 'auto',
};

/** @returns {Settings} */
export function loadSettings() {
  /** @type {any} */
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(key) ?? '{}') ?? {};
  } catch {
    // refused or damaged: defaults
  }
  /** @type {any} */
  const settings = { ...defaults };
  for (const [name, value] of Object.entries(defaults)) {
    if (typeof stored[name] === typeof value) settings[name] = stored[name];
  }
  return settings;
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(key, JSON.stringify(settings));
  } catch {
    // a private window may refuse; the page works without
  }
}

/** @typedef {{user: string, password: string, displayName: string}} Session */

/** @returns {Session | null} */
export function loadSession() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(passwordKey) ?? 'null');
    if (typeof stored?.user !== 'string' || typeof stored?.password !== 'string') return null;
    return { user: stored.user, password: stored.password, displayName: String(stored.displayName ?? '') };
  } catch {
    return null;
  }
}

/** @param {Session | null} session null forgets it */
export function saveSession(session) {
  try {
    if (session) sessionStorage.setItem(passwordKey, JSON.stringify(session));
    else sessionStorage.removeItem(passwordKey);
  } catch {
    // then it is asked for again
  }
}
