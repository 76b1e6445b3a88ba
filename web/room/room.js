/**
 * The room page: the door, the meeting, and the farewell.
 * @module
 */

import { h } from '../desk/dom.js';
import { Room } from '../sdk/room/index.js';
import { readTicket } from './admission.js';
import { Door } from './door.js';
import { Meeting } from './meeting.js';
import { strings } from './strings.js';

/** @typedef {import('./admission.js').Admission} Admission */
/** @typedef {import('./door.js').Devices} Devices */

const place = /** @type {HTMLElement} */ (document.getElementById('room'));
const ticket = readTicket(location);

/** @returns {Promise<{user: string, password: string, display: string}[]>} */
async function demoAccounts() {
  try {
    return (await (await fetch('/desk/config.json')).json()).demo ?? [];
  } catch {
    return [];
  }
}

async function open() {
  document.title = strings.title(ticket.room);
  /** @type {Door} */
  const door = new Door(ticket, ticket.kind === 'none' ? await demoAccounts() : [], (admission, devices) => enter(door, admission, devices));
  place.replaceChildren(door.element);
}

/**
 * @param {Door} door
 * @param {Admission} admission
 * @param {Devices} devices
 */
async function enter(door, admission, devices) {
  const room = new Room(location.origin);
  await room.connect(admission.token);
  // A reload asks for the way in again; the token does not stay in the address where others may read it.
  if (ticket.kind === 'token') history.replaceState(null, '', `/room/?room=${encodeURIComponent(admission.room)}`);
  ticket.room = admission.room;
  document.title = strings.title(admission.room);
  door.close();
  const meeting = new Meeting(room, admission, devices);
  place.replaceChildren(meeting.element);
  room.on('state', ({ state, reason }) => {
    if (state !== 'disconnected') return;
    meeting.close();
    farewell(reason);
  });
}

/** @param {string} reason */
function farewell(reason) {
  const { end } = strings;
  const [title, detail] = end.reasons[reason] ?? end.reasons.ended;
  place.replaceChildren(h('main', { class: 'farewell', testid: 'farewell' },
    h('h1', {}, title), h('p', { class: 'lead' }, detail),
    h('div', { class: 'dialog-actions' },
      h('button', { class: 'primary', testid: 'again', onclick: open }, end.again),
      h('a', { class: 'secondary', href: '/room/' }, end.elsewhere))));
}

void open();
