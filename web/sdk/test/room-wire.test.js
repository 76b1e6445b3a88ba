import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layers } from '../room/room.js';
import { TextStreams, fields, readPacket, textStream, userPacket } from '../room/wire.js';

// Written by the protobuf library of LiveKit's Python package.
const wire = {
  user: '1207120268692201742203626f628001078a010450415f78',
  header: '2203626f626a240a02733110fbb0949caa331a076c6b2e63686174220a746578742f706c61696e28054a00',
  chunk: '2203626f62720b0a0273311a0568c3a9c3a9',
  trailer: '2203626f627a040a027331',
};
const bytes = (/** @type {string} */ hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

test('reads a user packet of another client', () => {
  const packet = readPacket(bytes(wire.user));
  assert.equal(packet.kind, 'user');
  assert.equal(packet.identity, 'bob');
  assert.equal(packet.topic, 't');
  assert.equal(new TextDecoder().decode(packet.content), 'hi');
});

test('puts a text stream of another client together', () => {
  const streams = new TextStreams();
  assert.equal(streams.take(readPacket(bytes(wire.header))), null);
  assert.equal(streams.take(readPacket(bytes(wire.chunk))), null);
  assert.deepEqual(streams.take(readPacket(bytes(wire.trailer))), {
    identity: 'bob', topic: 'lk.chat', timestamp: 1763680000123, id: 's1', text: 'héé',
  });
  assert.equal(streams.take(readPacket(bytes(wire.trailer))), null, 'a stream ends once');
});

test('streams of two senders with one id do not mix', () => {
  const streams = new TextStreams();
  const [header, chunk, trailer] = textStream('lk.chat', 'one', 'same', 1).map(readPacket);
  streams.take({ ...header, identity: 'a' });
  streams.take({ ...header, identity: 'b' });
  streams.take({ ...chunk, identity: 'a' });
  assert.equal(streams.take({ ...trailer, identity: 'a' })?.text, 'one');
  assert.equal(streams.take({ ...trailer, identity: 'b' })?.text, '');
});

test('its own packets come back as they were', () => {
  const own = readPacket(userPacket('hand', Uint8Array.of(1, 2, 3)));
  assert.equal(own.topic, 'hand');
  assert.deepEqual([...own.content], [1, 2, 3]);
  const text = 'ü'.repeat(20_000);
  const streams = new TextStreams();
  const parts = textStream('lk.chat', text, 'id', 1763680000123);
  assert.equal(parts.length, 5, 'header, three chunks of 15,000 bytes at most, trailer');
  const whole = parts.map((part) => streams.take(readPacket(part))).at(-1);
  assert.equal(whole?.text, text);
  assert.equal(whole?.timestamp, 1763680000123);
});

test('cut and broken packets are read as far as they go', () => {
  const header = bytes(wire.header);
  for (let length = 0; length < header.length; length++) readPacket(header.subarray(0, length));
  assert.deepEqual(fields(Uint8Array.from({ length: 12 }, () => 255)), []);
  assert.equal(readPacket(Uint8Array.of(0xff, 0xff)).kind, 'other');
});

test('a camera has three layers and a screen one', () => {
  assert.deepEqual(layers(1280, 720, true).map(({ width }) => width), [320, 640, 1280]);
  assert.deepEqual(layers(1920, 1080, false).map(({ quality }) => quality), ['HIGH']);
});
