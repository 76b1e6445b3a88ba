/**
 * People in a room and what they publish.
 * @module
 */

/** @typedef {'CAMERA' | 'MICROPHONE' | 'SCREEN_SHARE' | 'SCREEN_SHARE_AUDIO' | 'UNKNOWN'} Source */
/** @typedef {'excellent' | 'good' | 'poor' | 'lost'} Quality */

/** A published track, ours or another's. */
export class Publication {
  /** @param {Record<string, any>} info TrackInfo */
  constructor(info) {
    this.sid = String(info.sid);
    this.info = info;
    /** @type {MediaStreamTrack | null} what is sent or received */
    this.track = null;
    /** The server pauses it for want of bandwidth. */
    this.isPaused = false;
  }

  /** @returns {Source} */
  get source() {
    return this.info.source ?? 'UNKNOWN';
  }

  /** @returns {'audio' | 'video'} */
  get kind() {
    return this.info.type === 'VIDEO' ? 'video' : 'audio';
  }

  get isMuted() {
    return Boolean(this.info.muted);
  }
}

export class Participant {
  /** @param {Record<string, any>} info ParticipantInfo */
  constructor(info) {
    /** @type {Map<string, Publication>} by sid */
    this.publications = new Map();
    this.info = info;
    /** 0…1, of the last report. */
    this.level = 0;
    this.isSpeaking = false;
    /** @type {Quality} */
    this.quality = 'excellent';
  }

  get identity() {
    return String(this.info.identity);
  }

  get sid() {
    return String(this.info.sid);
  }

  /** What to call them. */
  get name() {
    return String(this.info.name || this.info.identity);
  }

  /** A telephone, an encoder, a person … (ParticipantInfo.Kind). */
  get kind() {
    return String(this.info.kind ?? 'STANDARD');
  }

  /** @returns {Record<string, string>} */
  get attributes() {
    return this.info.attributes ?? {};
  }

  /** @param {Source} source */
  publication(source) {
    for (const publication of this.publications.values()) if (publication.source === source) return publication;
    return null;
  }

  /**
   * Takes a newer description; older ones change nothing.
   * @param {Record<string, any>} info
   * @returns {Publication[] | null} what is no longer published; null for an old description
   */
  update(info) {
    if (info.sid === this.info.sid && (info.version ?? 0) < (this.info.version ?? 0)) return null;
    this.info = info;
    const present = new Set();
    for (const track of info.tracks ?? []) {
      present.add(track.sid);
      const known = this.publications.get(track.sid);
      if (known) known.info = track;
      else this.publications.set(track.sid, new Publication(track));
    }
    const gone = [...this.publications.values()].filter(({ sid }) => !present.has(sid));
    for (const { sid } of gone) this.publications.delete(sid);
    return gone;
  }
}
