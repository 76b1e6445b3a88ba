import assert from 'node:assert/strict';
import { test } from 'node:test';

import { columns, seconds, title } from '../../recordings/model.js';
import { authorization, nextAction, stateOf } from '../recording.js';

test('the record button ends what runs, and begins it after a failure', () => {
  assert.equal(nextAction('off'), 'start');
  assert.equal(nextAction('failed'), 'start');
  assert.equal(nextAction('recording'), 'stop');
  assert.equal(nextAction('paused'), 'stop');
});

test('a state that is not known hides the buttons', () => {
  assert.equal(stateOf({ state: 'paused' }), 'paused');
  assert.equal(stateOf({ state: 'strange' }), null);
  assert.equal(stateOf(null), null);
});

test('a password may have any letters', () => {
  assert.equal(authorization({ user: 'a', password: 'ü' }), 'Basic YTrDvA==');
});

test('a waveform keeps its loudest moment at any width', () => {
  const peaks = Array.from({ length: 1000 }, (_, index) => (index === 777 ? 255 : 16));
  for (const width of [1, 7, 100, 1000, 2000]) {
    const bars = columns(peaks, width);
    assert.equal(bars.length, width);
    assert.equal(Math.max(...bars), 1);
  }
  assert.deepEqual(columns([], 3), [0, 0, 0]);
});

test('times are written as clocks write them', () => {
  assert.equal(seconds(5), '0:05');
  assert.equal(seconds(65.9), '1:05');
  assert.equal(seconds(3723), '1:02:03');
});

test('a recording is named by its room or by its parties', () => {
  const call = { id: '1', kind: 'call', call: 'c', state: /** @type {'saved'} */ ('saved'), reason: '', startedAt: '', files: [] };
  assert.equal(title({ ...call, from: '1001', to: '600' }), '1001 → 600');
  assert.equal(title({ ...call, room: 'sales' }), 'Room sales');
  assert.equal(title(call), 'Call');
});
