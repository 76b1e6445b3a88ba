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
    const answer = await fetch(`/twirp/livekit.RoomService/${method}`, {
      method: 'POST', body: JSON.stringify({ room: this.room, ...body }),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${this.token()}` },
    });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).msg ?? `status ${answer.status}`);
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
