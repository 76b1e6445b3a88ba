/**
 * What a host may do to others, over the server API.
 * @module
 */

/** @typedef {import('../sdk/room/index.js').Participant} Participant */

export class Host {
  /**
   * @param {() => string} token the newest
   * @param {string} room
   */
  constructor(token, room) {
    this.token = token;
    this.room = room;
  }

  /**
   * @param {string} method of RoomService
   * @param {object} body
   */
  async call(method, body) {
    await this.post(`RoomService/${method}`, { room: this.room, ...body });
  }

  /**
   * @param {string} path service and method
   * @param {object} body
   * @returns {Promise<Record<string, any>>}
   */
  async post(path, body) {
    const answer = await fetch(`/twirp/livekit.${path}`, {
      method: 'POST', body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token()}` },
    });
    const message = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(message.msg ?? `status ${answer.status}`);
    return message;
  }

  /** Records all that is heard and seen, from now on. */
  async record() {
    await this.post('Egress/StartRoomCompositeEgress', { room_name: this.room });
  }

  /** Ends all recordings of the room. */
  async stopRecording() {
    const { items } = await this.post('Egress/ListEgress', { room_name: this.room, active: true });
    const running = (items ?? []).filter((/** @type {any} */ { status }) => status !== 'EGRESS_ENDING');
    await Promise.all(running.map((/** @type {any} */ item) => this.post('Egress/StopEgress', { egress_id: item.egress_id })));
  }

  /** @param {Participant} participant */
  async mute(participant) {
    const microphone = participant.publication('MICROPHONE');
    if (!microphone || microphone.isMuted) return;
    await this.call('MutePublishedTrack', { identity: participant.identity, track_sid: microphone.sid, muted: true });
  }

  /** @param {Iterable<Participant>} participants */
  async muteAll(participants) {
    await Promise.allSettled([...participants].map((participant) => this.mute(participant)));
  }

  /** @param {Participant} participant */
  async remove(participant) {
    await this.call('RemoveParticipant', { identity: participant.identity });
  }
}
