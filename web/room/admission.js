/**
 * Who may come in, and how: a token in the link, an invitation, or the user's own telephone account.
 * @module
 */

/**
 * @typedef {object} Admission
 * @property {string} token
 * @property {string} room
 * @property {string} identity
 * @property {string} name
 * @property {boolean} isHost
 */

/**
 * @typedef {object} Ticket what the page's address holds
 * @property {'token' | 'invitation' | 'none'} kind
 * @property {string} value
 * @property {string} room
 * @property {string} name
 * @property {boolean} isHost
 */

export class AdmissionError extends Error {}

/**
 * What a token says. Nobody here checks its signature; the server does.
 * @param {string} token
 * @returns {Record<string, any>}
 */
export function claims(token) {
  try {
    const body = token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

/**
 * @param {{hash: string, search: string}} address
 * @returns {Ticket}
 */
export function readTicket({ hash, search }) {
  const fragment = new URLSearchParams(hash.replace(/^#/, ''));
  const room = new URLSearchParams(search).get('room') ?? '';
  for (const kind of /** @type {('token' | 'invitation')[]} */ (['token', 'invitation'])) {
    const value = fragment.get(kind);
    if (!value) continue;
    const { video = {}, name = '', sub = '' } = claims(value);
    return { kind, value, room: video.room ?? room, name: name || sub, isHost: Boolean(video.roomAdmin) };
  }
  return { kind: 'none', value: '', room, name: '', isHost: false };
}

/**
 * @param {string} path
 * @param {object} body
 * @param {Record<string, string>} [headers]
 */
async function post(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: 'POST', body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'fetch', ...headers },
    });
  } catch {
    throw new AdmissionError('The server cannot be reached.');
  }
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  throw new AdmissionError(json.error?.message ?? `The server answered ${answer.status}.`);
}

/**
 * @param {Ticket} ticket
 * @param {{name: string, room: string, user: string, password: string}} form
 * @returns {Promise<Admission>}
 */
export async function admit(ticket, { name, room, user, password }) {
  if (ticket.kind === 'token') {
    const { sub = '' } = claims(ticket.value);
    return { token: ticket.value, room: ticket.room, identity: sub, name: ticket.name, isHost: ticket.isHost };
  }
  if (ticket.kind === 'invitation') return post('/v1/invitations/accept', { invitation: ticket.value, name });
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(String.fromCharCode(...bytes));
  return post(`/v1/me/rooms/${encodeURIComponent(room)}`, name ? { name } : {}, { Authorization: `Basic ${basic}` });
}

/**
 * @param {string} token a host's
 * @returns {Promise<string>} a link that lets guests in
 */
export async function invitationLink(token) {
  const { invitation } = await post('/v1/invitations', { token });
  return `${location.origin}/room/#invitation=${invitation}`;
}
