/**
 * What opens beside the stage: the chat, the people, the link that invites.
 * @module
 */

import { h, icon, setText } from '../desk/dom.js';
import { clock, initials } from '../desk/format.js';
import { invitationLink } from './admission.js';
import { strings } from './strings.js';

/** @typedef {import('../sdk/room/index.js').Room} Room */
/** @typedef {import('../sdk/room/index.js').Participant} Participant */
/** @typedef {import('./host.js').Host} Host */

export class ChatPanel {
  /**
   * @param {Room} room
   * @param {() => void} onChange of the number of unread messages
   */
  constructor(room, onChange) {
    this.room = room;
    this.onChange = onChange;
    this.unread = 0;
    this.list = h('ol', { class: 'messages', 'aria-live': 'polite', testid: 'messages' });
    this.empty = h('p', { class: 'faint panel-empty' }, strings.chat.empty);
    this.input = h('textarea', { rows: '1', maxlength: '4000', placeholder: strings.chat.placeholder, 'aria-label': strings.chat.placeholder, testid: 'chat-input' });
    const form = h('form', { class: 'composer' }, this.input, h('button', { class: 'primary small', testid: 'chat-send' }, strings.chat.send));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.send();
    });
    this.input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.send();
    });
    this.element = h('aside', { class: 'side', 'aria-label': strings.chat.heading, hidden: true }, h('h2', {}, strings.chat.heading), this.empty, this.list, form);
    room.on('chat', (message) => this.add(message));
  }

  async send() {
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = '';
    await this.room.sendChat(text);
  }

  /** @param {import('../sdk/room/index.js').ChatMessage} message */
  add({ identity, name, text, at }) {
    const isOwn = identity === this.room.local?.identity;
    const isNear = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 80;
    this.empty.hidden = true;
    this.list.append(h('li', { class: isOwn ? 'own' : '' },
      h('p', { class: 'message-head' }, h('strong', {}, isOwn ? strings.chat.you : name), h('time', {}, clock(at.getTime()))),
      h('p', { class: 'message-text' }, text)));
    if (isNear || isOwn) this.list.scrollTop = this.list.scrollHeight;
    if (this.element.hidden && !isOwn) {
      this.unread += 1;
      this.onChange();
    }
  }

  opened() {
    this.unread = 0;
    this.onChange();
    this.list.scrollTop = this.list.scrollHeight;
    this.input.focus();
  }
}

export class PeoplePanel {
  /**
   * @param {Room} room
   * @param {Host | null} host
   * @param {(text: string) => void} complain
   */
  constructor(room, host, complain) {
    this.room = room;
    this.host = host;
    this.complain = complain;
    this.heading = h('h2', {});
    this.list = h('ul', { class: 'people', testid: 'people' });
    this.muteAll = h('button', { class: 'secondary small wide', testid: 'mute-all', onclick: () => host?.muteAll(room.participants.values()) }, icon('micoff'), strings.people.muteAll);
    this.muteAll.hidden = !host;
    this.element = h('aside', { class: 'side', 'aria-label': 'People', hidden: true }, this.heading, this.list, this.muteAll);
  }

  update() {
    const people = [...this.room.participants.values()];
    if (this.room.local) people.unshift(this.room.local);
    setText(this.heading, strings.people.heading(people.length));
    this.list.replaceChildren(...people.map((participant) => this.row(participant)));
  }

  /** @param {Participant} participant */
  row(participant) {
    const isLocal = participant === this.room.local;
    const microphone = participant.publication('MICROPHONE');
    const isMuted = !microphone || microphone.isMuted;
    const { people, tile } = strings;
    const actions = !isLocal && this.host ? [
      !isMuted && h('button', { class: 'quiet', onclick: () => this.attempt(this.host?.mute(participant)) }, people.mute),
      h('button', { class: 'quiet bad', testid: 'remove', onclick: () => this.removal(participant) }, people.remove),
    ] : [];
    return h('li', { class: 'person' },
      h('span', { class: 'person-face', 'aria-hidden': 'true' }, initials(participant.name)),
      h('span', { class: 'person-name' }, participant.name, isLocal && h('span', { class: 'faint' }, ` ${people.you}`),
        h('span', { class: 'person-detail' }, participant.kind === 'SIP' ? tile.phone : tile.quality[participant.quality] ?? '')),
      Number(participant.attributes.hand ?? 0) > 0 && h('span', { class: 'person-hand', title: tile.hand }, icon('hand')),
      isMuted && h('span', { class: 'person-muted', title: tile.muted }, icon('micoff')),
      ...actions);
  }

  /** @param {Participant} participant */
  removal(participant) {
    if (confirm(strings.people.removeSure(participant.name))) this.attempt(this.host?.remove(participant));
  }

  /** @param {Promise<void> | undefined} work */
  attempt(work) {
    work?.catch((error) => this.complain(strings.notice.failed(error.message)));
  }
}

/** The link that lets guests in. */
export class InviteDialog {
  /** @param {() => string} token a host's */
  constructor(token) {
    this.token = token;
    this.link = h('input', { readonly: true, 'aria-label': 'Link', testid: 'invite-link' });
    this.copy = h('button', { class: 'primary', type: 'button', onclick: () => this.copied() }, strings.invite.copy);
    this.element = h('dialog', { class: 'invite' },
      h('h2', {}, strings.invite.heading), h('p', { class: 'lead' }, strings.invite.lead), this.link,
      h('div', { class: 'dialog-actions' }, h('button', { class: 'secondary', type: 'button', onclick: () => this.element.close() }, strings.invite.close), this.copy));
  }

  async open() {
    this.link.value = await invitationLink(this.token());
    setText(this.copy, strings.invite.copy);
    this.element.showModal();
    this.link.select();
  }

  async copied() {
    await navigator.clipboard?.writeText(this.link.value).catch(() => {});
    this.link.select();
    setText(this.copy, strings.invite.copied);
  }
}
