/**
 * A room: joins, publishes, subscribes, talks by data, and comes back after a loss. Speaks LiveKit's protocol with two peer
 * connections, so it works with any server of that protocol that takes JSON frames.
 * @module
 */

import { Emitter } from '../events.js';
import { Participant, Publication } from './participant.js';
import { PublisherConnection, SubscriberConnection } from './connections.js';
import { RoomSignal } from './signal.js';
import { TextStreams, readPacket, textStream, userPacket } from './wire.js';

/** @typedef {import('./participant.js').Source} Source */
/** @typedef {'connecting' | 'connected' | 'reconnecting' | 'disconnected'} RoomState */
/** @typedef {{identity: string, name: string, text: string, at: Date, id: string}} ChatMessage */

/** Why a room ended, by LiveKit's DisconnectReason. */
const endings = {
  DUPLICATE_IDENTITY: 'duplicate', PARTICIPANT_REMOVED: 'removed', ROOM_DELETED: 'closed', ROOM_CLOSED: 'closed',
  SERVER_SHUTDOWN: 'shutdown', CLIENT_INITIATED: 'left',
};

const patience = 45_000;

/** @typedef {{state: RoomState, reason: string}} StateChange */
/** @typedef {{identity: string, topic: string, content: Uint8Array}} Data */
/** @typedef {{state: StateChange, participants: null, track: Publication, speakers: null, chat: ChatMessage, data: Data, muted: Publication, room: Record<string, any>}} RoomEvents */

/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter {
  /**
   * @param {string} url ws: or wss:, or http: and https: likewise
   * @param {{iceServers?: RTCIceServer[]}} [options] besides those that the server names
   */
  constructor(url, options = {}) {
    super();
    this.options = options;
    this.signal = new RoomSignal(url.replace(/^http/, 'ws'));
    this.signal.on('message', (message) => void this.receive(message));
    this.signal.on('lost', () => void this.comeBack());
    /** @type {RoomState} */
    this.state = 'disconnected';
    this.token = '';
    /** @type {Record<string, any>} Room of the protocol */
    this.info = {};
    /** @type {Participant | null} */
    this.local = null;
    /** @type {Map<string, Participant>} the others, by identity */
    this.participants = new Map();
    /** @type {PublisherConnection | null} */
    this.publisher = null;
    /** @type {SubscriberConnection | null} */
    this.subscriber = null;
    this.streams = new TextStreams();
    /** @type {Map<string, {resolve: (info: Record<string, any>) => void, timer: ReturnType<typeof setTimeout>}>} by cid */
    this.publishing = new Map();
    /** @type {((error: unknown) => void) | null} ends a connect that waits for its join */
    this.refuseJoin = null;
    /** @type {(() => void) | null} */
    this.acceptJoin = null;
  }

  /** @param {string} token an access token with the room's name in it */
  async connect(token) {
    this.token = token;
    this.become('connecting');
    try {
      await this.join();
    } catch (error) {
      this.end('failed');
      throw error;
    }
    this.become('connected');
  }

  /** Opens the socket and waits for the first message and a connection that stands. */
  async join() {
    const joined = new Promise((resolve, reject) => {
      this.acceptJoin = () => resolve(null);
      this.refuseJoin = reject;
    });
    joined.catch(() => {});
    await this.signal.open(this.token);
    const timer = setTimeout(() => this.refuseJoin?.({ kind: 'unreachable', text: '' }), 15_000);
    try {
      await joined;
    } finally {
      clearTimeout(timer);
      this.acceptJoin = this.refuseJoin = null;
    }
  }

  /** Says goodbye. */
  leave() {
    this.signal.send({ leave: { reason: 'CLIENT_INITIATED', action: 'DISCONNECT' } });
    this.end('left');
  }

  /** @param {string} reason */
  end(reason) {
    if (this.state === 'disconnected') return;
    this.signal.close();
    this.closeConnections();
    for (const { timer } of this.publishing.values()) clearTimeout(timer);
    this.publishing.clear();
    this.participants.clear();
    this.become('disconnected', reason);
  }

  closeConnections() {
    this.publisher?.close();
    this.subscriber?.close();
    this.publisher = this.subscriber = null;
  }

  /**
   * @param {RoomState} state
   * @param {string} [reason]
   */
  become(state, reason = '') {
    if (this.state === state) return;
    this.state = state;
    this.emit('state', { state, reason });
  }

  // ---- what the server says

  /** @param {Record<string, any>} message SignalResponse */
  async receive(message) {
    if (message.join) this.joined(message.join);
    if (message.reconnect) await this.resumed();
    if (message.offer) await this.subscriber?.offered(message.offer);
    if (message.answer) await this.publisher?.answered(message.answer);
    if (message.trickle) {
      const target = message.trickle.target === 'SUBSCRIBER' ? this.subscriber : this.publisher;
      await target?.addCandidate(message.trickle.candidateInit);
    }
    if (message.update) this.updated(message.update.participants ?? []);
    if (message.trackPublished) this.published(message.trackPublished);
    if (message.mute) this.mutedByServer(message.mute);
    if (message.speakersChanged) this.speak(message.speakersChanged.speakers ?? []);
    if (message.roomUpdate) this.described(message.roomUpdate.room);
    if (message.connectionQuality) this.rated(message.connectionQuality.updates ?? []);
    if (message.streamStateUpdate) this.streamStates(message.streamStateUpdate.streamStates ?? []);
    if (message.subscribedQualityUpdate) this.publisher?.keepLayers(message.subscribedQualityUpdate);
    if (message.refreshToken) this.token = message.refreshToken;
    if (message.leave) this.sentAway(message.leave);
  }

  /** @param {Record<string, any>} join */
  joined(join) {
    this.closeConnections();
    this.participants.clear();
    this.described(join.room);
    this.local = new Participant(join.participant);
    for (const info of join.otherParticipants ?? []) this.take(info);
    const servers = (join.iceServers ?? []).map((/** @type {any} */ { urls, username, credential }) => ({ urls, username, credential }));
    const configuration = { iceServers: [...servers, ...(this.options.iceServers ?? [])] };
    const send = (/** @type {Record<string, any>} */ message) => this.signal.send(message);
    this.publisher = new PublisherConnection(configuration, send);
    this.subscriber = new SubscriberConnection(configuration, send);
    this.subscriber.on('track', ({ sid, track }) => this.received(sid, track));
    for (const connection of [this.publisher, this.subscriber]) {
      connection.on('packet', (bytes) => this.packet(bytes));
      connection.on('failed', () => void this.comeBack(true));
    }
    const ready = join.subscriberPrimary ? this.subscriber : this.publisher;
    ready.on('connected', () => this.acceptJoin?.());
    if (!join.subscriberPrimary) void this.publisher.negotiate();
    this.emit('participants', null);
  }

  /** @param {Record<string, any> | undefined} info */
  described(info) {
    if (!info) return;
    this.info = info;
    this.emit('room', info);
  }

  /** @param {Record<string, any>} info */
  take(info) {
    const known = this.participants.get(info.identity);
    if (known && known.sid === info.sid) {
      for (const gone of known.update(info) ?? []) this.lostTrack(gone);
      return;
    }
    if (known) for (const publication of known.publications.values()) this.lostTrack(publication);
    const participant = new Participant(info);
    participant.update(info);
    this.participants.set(info.identity, participant);
    for (const publication of participant.publications.values()) this.attach(publication);
  }

  /** @param {Record<string, any>[]} infos */
  updated(infos) {
    for (const info of infos) {
      if (info.identity === this.local?.identity) {
        if (info.sid === this.local?.sid) this.updateLocal(info);
      } else if (info.state === 'DISCONNECTED') {
        const known = this.participants.get(info.identity);
        if (!known || known.sid !== info.sid) continue;
        for (const publication of known.publications.values()) this.lostTrack(publication);
        this.participants.delete(info.identity);
      } else {
        this.take(info);
        const participant = this.participants.get(info.identity);
        for (const publication of participant?.publications.values() ?? []) this.attach(publication);
      }
    }
    this.emit('participants', null);
  }

  /** @param {Record<string, any>} info */
  updateLocal(info) {
    if (!this.local) return;
    // What we publish is known from our own requests; the server's list lags behind them.
    this.local.info = { ...info, tracks: [] };
    for (const track of info.tracks ?? []) {
      const publication = this.local.publications.get(track.sid);
      if (publication) publication.info = { ...track, muted: publication.info.muted };
    }
  }

  // ---- subscribing

  /**
   * @param {string} sid
   * @param {MediaStreamTrack} track
   */
  received(sid, track) {
    const publication = this.find(sid);
    if (publication) {
      publication.track = track;
      this.emit('track', publication);
      this.emit('participants', null);
    }
  }

  /**
   * A track that came before its description.
   * @param {Publication} publication
   */
  attach(publication) {
    const track = this.subscriber?.tracks.get(publication.sid);
    if (track && publication.track !== track) this.received(publication.sid, track);
  }

  /** @param {Publication} publication */
  lostTrack(publication) {
    publication.track = null;
    this.emit('track', publication);
  }

  /** @param {string} sid */
  find(sid) {
    for (const participant of this.participants.values()) {
      const publication = participant.publications.get(sid);
      if (publication) return publication;
    }
    return null;
  }

  /**
   * Says how large a track is shown, so that no larger picture is sent.
   * @param {string} sid
   * @param {{disabled?: boolean, width?: number, height?: number}} settings
   */
  setTrackSettings(sid, settings) {
    this.signal.send({ trackSetting: { trackSids: [sid], ...settings } });
  }

  // ---- publishing

  /**
   * @param {MediaStreamTrack} track
   * @param {{source: Source, name?: string}} options
   * @returns {Promise<Publication>}
   */
  async publish(track, { source, name = '' }) {
    const { publisher, local } = this;
    if (!publisher || !local) throw new Error('not in a room');
    const { width, height } = track.getSettings();
    const simulcast = track.kind === 'video' && source === 'CAMERA';
    const cid = track.id;
    /** @type {Promise<Record<string, any>>} */
    const answer = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.publishing.delete(cid);
        reject(new Error('the server did not take the track'));
      }, 10_000);
      this.publishing.set(cid, { resolve, timer });
    });
    this.signal.send({
      addTrack: {
        cid, name, source, type: track.kind === 'video' ? 'VIDEO' : 'AUDIO', muted: !track.enabled, width, height,
        layers: track.kind === 'video' ? layers(width ?? 1280, height ?? 720, simulcast) : [],
        stream: source === 'SCREEN_SHARE' || source === 'SCREEN_SHARE_AUDIO' ? 'screen' : 'camera',
      },
    });
    const info = await answer;
    publisher.add(track, { simulcast, isScreen: source === 'SCREEN_SHARE' });
    await publisher.negotiate();
    const publication = new Publication({ ...info, source, muted: !track.enabled });
    publication.track = track;
    local.publications.set(publication.sid, publication);
    this.emit('participants', null);
    return publication;
  }

  /** @param {Record<string, any>} message TrackPublishedResponse */
  published({ cid, track }) {
    const waiting = this.publishing.get(cid);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.publishing.delete(cid);
    waiting.resolve(track);
  }

  /** @param {Publication} publication */
  async unpublish(publication) {
    this.local?.publications.delete(publication.sid);
    if (publication.track) this.publisher?.remove(publication.track);
    this.emit('participants', null);
    await this.publisher?.negotiate();
  }

  /**
   * Another device for what is published already.
   * @param {Publication} publication
   * @param {MediaStreamTrack} track
   */
  async replace(publication, track) {
    track.enabled = !publication.isMuted;
    if (publication.track) await this.publisher?.replace(publication.track, track);
    publication.track = track;
    this.emit('participants', null);
  }

  /**
   * @param {Publication} publication
   * @param {boolean} muted
   */
  setMuted(publication, muted) {
    if (publication.track) publication.track.enabled = !muted;
    publication.info = { ...publication.info, muted };
    this.signal.send({ mute: { sid: publication.sid, muted } });
    this.emit('participants', null);
  }

  /** @param {Record<string, any>} message MuteTrackRequest */
  mutedByServer({ sid, muted = false }) {
    const publication = this.local?.publications.get(sid);
    if (!publication || publication.isMuted === muted) return;
    this.setMuted(publication, muted);
    this.emit('muted', publication);
  }

  // ---- the room

  /** @param {Record<string, any>[]} speakers only what changed */
  speak(speakers) {
    for (const { sid, level = 0, active = false } of speakers) {
      const who = this.bySid(sid);
      if (!who) continue;
      who.level = level;
      who.isSpeaking = active;
    }
    this.emit('speakers', null);
  }

  /** @param {Record<string, any>[]} updates */
  rated(updates) {
    for (const { participantSid, quality = 'POOR' } of updates) {
      const who = this.bySid(participantSid);
      if (who) who.quality = quality.toLowerCase();
    }
    this.emit('participants', null);
  }

  /** @param {Record<string, any>[]} states */
  streamStates(states) {
    for (const { trackSid, state = 'ACTIVE' } of states) {
      const publication = this.find(trackSid);
      if (publication) publication.isPaused = state === 'PAUSED';
    }
    this.emit('participants', null);
  }

  /** @param {string} sid */
  bySid(sid) {
    if (this.local?.sid === sid) return this.local;
    for (const participant of this.participants.values()) if (participant.sid === sid) return participant;
    return null;
  }

  /** @param {Record<string, string>} attributes an empty value removes one */
  setAttributes(attributes) {
    this.signal.send({ updateMetadata: { attributes, requestId: 1 } });
  }

  // ---- data

  /** @param {string} text */
  async sendChat(text) {
    const id = crypto.randomUUID();
    const at = new Date();
    for (const packet of textStream('lk.chat', text, id, at.getTime())) await this.publisher?.send(packet);
    this.emit('chat', { identity: this.local?.identity ?? '', name: this.local?.name ?? '', text, at, id });
  }

  /**
   * @param {string} topic
   * @param {Uint8Array} content
   */
  async sendData(topic, content) {
    await this.publisher?.send(userPacket(topic, content));
  }

  /** @param {Uint8Array} bytes */
  packet(bytes) {
    const packet = readPacket(bytes);
    if (packet.kind === 'user') {
      this.emit('data', { identity: packet.identity, topic: packet.topic, content: packet.content });
      return;
    }
    const whole = this.streams.take(packet);
    if (whole?.topic !== 'lk.chat') return;
    const name = this.participants.get(whole.identity)?.name ?? whole.identity;
    this.emit('chat', { identity: whole.identity, name, text: whole.text, at: new Date(whole.timestamp), id: whole.id });
  }

  // ---- loss and return

  /** @param {Record<string, any>} leave LeaveRequest */
  sentAway({ reason = 'UNKNOWN_REASON', action = 'DISCONNECT' }) {
    if (this.refuseJoin) this.refuseJoin({ kind: 'refused', text: reason });
    else if (action === 'DISCONNECT') this.end(endings[/** @type {keyof typeof endings} */ (reason)] ?? 'ended');
    else void this.comeBack(action === 'RECONNECT');
  }

  /**
   * Takes the session up again, or joins anew and publishes again where that fails.
   * @param {boolean} [anew]
   */
  async comeBack(anew = false) {
    if (this.state !== 'connected') return;
    this.become('reconnecting');
    const end = Date.now() + patience;
    for (let attempt = 0; this.isReturning(); attempt++) {
      if (Date.now() > end) {
        this.end('lost');
        return;
      }
      if (attempt) await new Promise((done) => setTimeout(done, Math.min(300 * 1.6 ** attempt, 5000) * (0.7 + Math.random() * 0.6)));
      try {
        if (anew || attempt > 4) await this.rejoin();
        else await this.resume();
        this.become('connected');
        return;
      } catch (error) {
        if (/** @type {any} */ (error)?.kind === 'refused') anew = true;
      }
    }
  }

  /** Asked anew each time: `end` may have come meanwhile. */
  isReturning() {
    return this.state === 'reconnecting';
  }

  async resume() {
    const back = new Promise((resolve, reject) => {
      this.acceptJoin = () => resolve(null);
      this.refuseJoin = reject;
      setTimeout(() => reject({ kind: 'unreachable', text: '' }), 10_000);
    });
    back.catch(() => {});
    try {
      await this.signal.open(this.token, { sid: this.local?.sid, reason: 1 });
      await back;
    } finally {
      this.acceptJoin = this.refuseJoin = null;
    }
  }

  /** The server has the session still. */
  async resumed() {
    const tracks = [...(this.local?.publications.values() ?? [])].map(({ track, info }) => ({ cid: track?.id, track: info }));
    this.signal.send({ syncState: { ...(await this.subscriber?.syncState()), publishTracks: tracks } });
    await this.publisher?.restart();
    this.acceptJoin?.();
  }

  /** A new session with the same tracks. */
  async rejoin() {
    const tracks = [...(this.local?.publications.values() ?? [])];
    this.closeConnections();
    await this.join();
    for (const { track, source, info } of tracks) {
      if (track?.readyState === 'live') await this.publish(track, { source, name: info.name });
    }
  }
}

/**
 * The layers of a camera or screen, small ones first.
 * @param {number} width
 * @param {number} height
 * @param {boolean} simulcast
 */
export function layers(width, height, simulcast) {
  const whole = { quality: 'HIGH', width, height, bitrate: 1_700_000 };
  if (!simulcast) return [whole];
  return [
    { quality: 'LOW', width: Math.round(width / 4), height: Math.round(height / 4), bitrate: 150_000 },
    { quality: 'MEDIUM', width: Math.round(width / 2), height: Math.round(height / 2), bitrate: 500_000 },
    whole,
  ];
}
