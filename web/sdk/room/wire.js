/**
 * The few protobuf messages that travel over data channels, which carry no JSON: chat as LiveKit's clients send it (text
 * streams with the topic lk.chat), and small packets of an application's own topic.
 * @module
 */

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Field numbers of signaling/livekit/data.proto. */
const PACKET = { user: 2, sender: 4, streamHeader: 13, streamChunk: 14, streamTrailer: 15, senderSid: 17 };

/** Appends protobuf fields. */
class Writer {
  constructor() {
    /** @type {number[]} */
    this.bytes = [];
  }

  /** @param {number | bigint} value */
  varint(value) {
    let rest = BigInt(value);
    while (rest > 127n) {
      this.bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.bytes.push(Number(rest));
    return this;
  }

  /**
   * @param {number} field
   * @param {number | bigint} value 0 is left out
   */
  number(field, value) {
    if (!value) return this;
    return this.varint(field << 3).varint(value);
  }

  /**
   * @param {number} field
   * @param {Uint8Array | string} value
   */
  data(field, value) {
    const bytes = typeof value === 'string' ? utf8.encode(value) : value;
    this.varint((field << 3) | 2).varint(bytes.length);
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  done() {
    return Uint8Array.from(this.bytes);
  }
}

/**
 * The fields of a message, in order. Groups and broken lengths end the walk.
 * @param {Uint8Array} bytes
 * @returns {{field: number, number: number, data: Uint8Array}[]}
 */
export function fields(bytes) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw new RangeError('cut');
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new RangeError('too long');
  };
  try {
    while (at < bytes.length) {
      const key = varint();
      const field = Math.floor(key / 8);
      let number = 0;
      let data = bytes.subarray(0, 0);
      const length = { 0: () => ((number = varint()), 0), 1: () => 8, 2: varint, 5: () => 4 }[key & 7];
      if (!length) break;
      const size = length();
      if (at + size > bytes.length) break;
      data = bytes.subarray(at, at + size);
      at += size;
      found.push({ field, number, data });
    }
  } catch {
    return found;
  }
  return found;
}

/**
 * @typedef {object} Packet
 * @property {string} identity who sent it; the server sets it
 * @property {'user' | 'header' | 'chunk' | 'trailer' | 'other'} kind
 * @property {string} topic
 * @property {string} stream the stream's id, of header, chunk and trailer
 * @property {number} timestamp milliseconds since 1970, of a header
 * @property {Uint8Array} content of a user packet or a chunk; a header's inline content
 */

/**
 * @param {Uint8Array} bytes
 * @returns {Packet}
 */
export function readPacket(bytes) {
  /** @type {Packet} */
  const packet = { identity: '', kind: 'other', topic: '', stream: '', timestamp: 0, content: new Uint8Array() };
  for (const { field, data } of fields(bytes)) {
    if (field === PACKET.sender) packet.identity = text.decode(data);
    if (field === PACKET.user) {
      packet.kind = 'user';
      for (const inner of fields(data)) {
        if (inner.field === 2) packet.content = inner.data;
        if (inner.field === 4) packet.topic = text.decode(inner.data);
      }
    }
    if (field === PACKET.streamHeader) {
      packet.kind = 'header';
      for (const inner of fields(data)) {
        if (inner.field === 1) packet.stream = text.decode(inner.data);
        if (inner.field === 2) packet.timestamp = inner.number;
        if (inner.field === 3) packet.topic = text.decode(inner.data);
        if (inner.field === 11) packet.content = inner.data;
      }
    }
    if (field === PACKET.streamChunk || field === PACKET.streamTrailer) {
      packet.kind = field === PACKET.streamChunk ? 'chunk' : 'trailer';
      for (const inner of fields(data)) {
        if (inner.field === 1) packet.stream = text.decode(inner.data);
        if (inner.field === 3 && packet.kind === 'chunk') packet.content = inner.data;
      }
    }
  }
  return packet;
}

/**
 * A packet of an application's own.
 * @param {string} topic
 * @param {Uint8Array} content
 */
export function userPacket(topic, content) {
  return new Writer().data(PACKET.user, new Writer().data(2, content).data(4, topic).done()).done();
}

/**
 * A text as a stream: header, chunks, trailer. Each is one message on the reliable channel.
 * @param {string} topic
 * @param {string} content
 * @param {string} id
 * @param {number} timestamp milliseconds since 1970
 */
export function textStream(topic, content, id, timestamp) {
  const bytes = utf8.encode(content);
  const header = new Writer()
    .data(1, id).number(2, timestamp).data(3, topic).data(4, 'text/plain').number(5, bytes.length).data(9, new Uint8Array())
    .done();
  const packets = [new Writer().data(PACKET.streamHeader, header).done()];
  for (let at = 0, index = 0; at < bytes.length; at += 15_000, index++) {
    const chunk = new Writer().data(1, id).number(2, index).data(3, bytes.subarray(at, at + 15_000)).done();
    packets.push(new Writer().data(PACKET.streamChunk, chunk).done());
  }
  packets.push(new Writer().data(PACKET.streamTrailer, new Writer().data(1, id).done()).done());
  return packets;
}

/** Puts the streams of several senders together again. */
export class TextStreams {
  constructor() {
    /** @type {Map<string, {identity: string, topic: string, timestamp: number, parts: Uint8Array[], size: number}>} */
    this.open = new Map();
  }

  /**
   * @param {Packet} packet
   * @returns {{identity: string, topic: string, timestamp: number, id: string, text: string} | null} a text that is complete
   */
  take(packet) {
    const key = `${packet.identity} ${packet.stream}`;
    if (packet.kind === 'header') {
      // A bound for senders that never end what they begin.
      if (this.open.size >= 256) this.open.delete(/** @type {string} */ (this.open.keys().next().value));
      const parts = packet.content.length ? [packet.content] : [];
      this.open.set(key, { identity: packet.identity, topic: packet.topic, timestamp: packet.timestamp, parts, size: 0 });
      return null;
    }
    const stream = this.open.get(key);
    if (!stream) return null;
    if (packet.kind === 'chunk') {
      stream.size += packet.content.length;
      if (stream.size > 1_000_000) this.open.delete(key);
      else stream.parts.push(packet.content);
      return null;
    }
    this.open.delete(key);
    const decoder = new TextDecoder();
    const whole = stream.parts.map((part) => decoder.decode(part, { stream: true })).join('') + decoder.decode();
    return { identity: stream.identity, topic: stream.topic, timestamp: stream.timestamp, id: packet.stream, text: whole };
  }
}
