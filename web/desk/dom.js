/**
 * Making elements, without a framework. No inline style or handler is ever written, so that a strict
 * Content-Security-Policy may stand.
 * @module
 */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * `h('button', { class: 'primary', testid: 'call', onclick: … }, icon('phone'), 'Call')`. Keys that begin with `on` are
 * listeners, `testid` is `data-testid`, false and null leave an attribute out, true writes it empty.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name === 'testid' ? 'data-testid' : name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
export function append(element, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/**
 * Only when it differs, so that a live region speaks once.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | boolean} value false removes it
 */
export function setAttribute(element, name, value) {
  if (value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? '' : value);
}

/**
 * Outlines on a 24-unit grid, stroke 1.75.
 * @type {Record<string, string>}
 */
const shapes = {
  phone: 'M6.2 3.5h2.6l1.7 4.4-2.1 1.5a12 12 0 0 0 6.2 6.2l1.5-2.1 4.4 1.7v2.6a2.5 2.5 0 0 1-2.7 2.5C10.3 19.6 4.4 13.7 3.7 6.2A2.5 2.5 0 0 1 6.2 3.5Z',
  hangup: 'M2.9 13.3c5.1-5 13.1-5 18.2 0a1.8 1.8 0 0 1 0 2.5l-1 1a1.5 1.5 0 0 1-1.9.2l-2.5-1.7a1.5 1.5 0 0 1-.6-1.6l.3-1.4a11 11 0 0 0-6.8 0l.3 1.4a1.5 1.5 0 0 1-.6 1.6L5.8 17a1.5 1.5 0 0 1-1.9-.2l-1-1a1.8 1.8 0 0 1 0-2.5Z',
  mic: 'M12 3.5a2.8 2.8 0 0 1 2.8 2.8v5a2.8 2.8 0 0 1-5.6 0v-5A2.8 2.8 0 0 1 12 3.5ZM5.8 11.2a6.2 6.2 0 0 0 12.4 0M12 17.4v3.1M9 20.5h6',
  micoff: 'M9.2 9.2v2.1a2.8 2.8 0 0 0 4.6 2.1M14.8 10.8V6.3a2.8 2.8 0 0 0-5.4-1M5.8 11.2a6.2 6.2 0 0 0 10 4.9M18.2 11.2c0 .8-.1 1.5-.4 2.2M12 17.4v3.1M9 20.5h6M4 3.5l16 17',
  pause: 'M8.5 5v14M15.5 5v14',
  record: 'M12 7a5 5 0 1 1 0 10 5 5 0 0 1 0-10ZM12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17Z',
  recordpause: 'M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17ZM10 9v6M14 9v6',
  play: 'M7.5 4.8v14.4l11-7.2Z',
  grid: 'M6 5.5h.01M12 5.5h.01M18 5.5h.01M6 12h.01M12 12h.01M18 12h.01M6 18.5h.01M12 18.5h.01M18 18.5h.01',
  backspace: 'M9 5.5h10.5a1.5 1.5 0 0 1 1.5 1.5v10a1.5 1.5 0 0 1-1.5 1.5H9L3 12ZM11.5 9.5l5 5M16.5 9.5l-5 5',
  echo: 'M4 12h.01M8 9v6M12 5.5v13M16 9v6M20 12h.01',
  settings: 'M4 7h9M17.5 7H20M4 17h2.5M11 17h9M15.2 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4ZM8.8 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4Z',
  help: 'M4.5 6.5h15a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.5-1.5ZM7 10.2h.01M10.3 10.2h.01M13.7 10.2h.01M17 10.2h.01M8 14h8',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM12 2.8v1.7M12 19.5v1.7M2.8 12h1.7M19.5 12h1.7M5.5 5.5l1.2 1.2M17.3 17.3l1.2 1.2M5.5 18.5l1.2-1.2M17.3 6.7l1.2-1.2',
  moon: 'M19.8 14.2A8.3 8.3 0 0 1 9.8 4.2a8.3 8.3 0 1 0 10 10Z',
  leave: 'M14 4.5h4a1.5 1.5 0 0 1 1.5 1.5v12a1.5 1.5 0 0 1-1.5 1.5h-4M4 12h11M8 8l-4 4 4 4',
  outgoing: 'M7 17 17 7M9.5 7H17v7.5',
  incoming: 'M17 7 7 17M14.5 17H7V9.5',
  transfer: 'M4 8.500h14M14 4.500l4 4-4 4M20 15.500H6M10 11.500l-4 4 4 4',
  missed: 'M5 6.5l7 7 7-7M5 12V6.5h5.5',
  clock: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16ZM12 8v4.3l2.8 1.7',
  close: 'M6 6l12 12M18 6 6 18',
  speaker: 'M4 9.5v5h3.5l5 4v-13l-5 4ZM16 9.2a4 4 0 0 1 0 5.6M18.7 6.5a7.8 7.8 0 0 1 0 11',
  bell: 'M6.5 16.5V11a5.5 5.5 0 0 1 11 0v5.5l1.5 1.5H5ZM10 20.5h4',
  link: 'M4 17.5a11.3 11.3 0 0 1 16 0M7 13.5a7 7 0 0 1 10 0M12 18.5h.01',
  eye: 'M2.8 12S6 5.8 12 5.8 21.2 12 21.2 12 18 18.2 12 18.2 2.8 12 2.8 12ZM12 9.3a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4Z',
  alert: 'M12 4 2.8 19.5h18.4ZM12 10v4.5M12 17.1h.01',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  camera: 'M4.5 7h8A1.5 1.5 0 0 1 14 8.500v7a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 3 15.500v-7A1.5 1.5 0 0 1 4.500 7ZM14 11l6.5-3.500v9L14 13',
  cameraoff: 'M10 7h2.5A1.5 1.5 0 0 1 14 8.500V11l6.5-3.500v9L16 14M14 15.500a1.500 1.500 0 0 1-1.500 1.500h-8A1.500 1.500 0 0 1 3 15.500v-7c0-.6.4-1.100.9-1.400M4 3.500l16 17',
  screen: 'M4.500 5h15A1.500 1.500 0 0 1 21 6.500v9a1.500 1.500 0 0 1-1.500 1.500h-15A1.500 1.500 0 0 1 3 15.500v-9A1.500 1.500 0 0 1 4.500 5ZM8.500 20h7M12 14V8.500M9.500 10.800 12 8.300l2.500 2.500',
  hand: 'M8 12.500V6.200a1.300 1.300 0 0 1 2.600 0v4.800M10.600 10.500V4.800a1.300 1.300 0 0 1 2.600 0v5.700M13.200 10.700V6a1.300 1.300 0 0 1 2.600 0v6M15.800 11V8.500a1.300 1.300 0 0 1 2.600 0v5.700c0 3.600-2.400 6.300-6 6.300-2.700 0-4.300-1.200-5.600-3.500l-2.200-3.900a1.300 1.300 0 0 1 2.200-1.300L8 13.500',
  chat: 'M5 5.500h14a1.500 1.500 0 0 1 1.500 1.500v8.500A1.500 1.500 0 0 1 19 17h-7.500L7 20.500V17H5a1.500 1.500 0 0 1-1.500-1.500V7A1.500 1.500 0 0 1 5 5.500ZM8 10h8M8 13h5',
  invite: 'M10 11.500a3.200 3.200 0 1 0 0-6.400 3.200 3.200 0 0 0 0 6.400ZM4 19.500a6 6 0 0 1 12 0M19 8v6M16 11h6',
  people: 'M9 11.500a3.200 3.200 0 1 0 0-6.400 3.200 3.200 0 0 0 0 6.400ZM3 19.500a6 6 0 0 1 12 0M15.500 5.500a3.200 3.200 0 0 1 0 5.900M17.500 14.200a6 6 0 0 1 3.500 5.300',
};

/**
 * @param {string} name of a shape
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const namespace = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(namespace, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(namespace, 'path');
  path.setAttribute('d', shapes[name] ?? '');
  svg.append(path);
  svg.dataset.icon = name;
  return svg;
}

/**
 * Changes a button's icon in place.
 * @param {Element} parent
 * @param {string} name
 */
export function setIcon(parent, name) {
  const svg = parent.querySelector('svg');
  if (!svg || svg.dataset.icon === name) return;
  svg.dataset.icon = name;
  svg.querySelector('path')?.setAttribute('d', shapes[name] ?? '');
}

/** The mark: a voice's wave. */
export function mark() {
  const svg = icon('echo');
  svg.setAttribute('class', 'icon mark');
  svg.querySelector('path')?.setAttribute('d', 'M2.5 12h.01M7.250 8.5v7M12 4v16M16.750 8.5v7M21.5 11v2');
  return svg;
}
