import assert from 'node:assert/strict';
import { test } from 'node:test';
import { day, duration, initials, nameOf, numberOf, spaced } from '../format.js';
import { serverEntry } from '../history.js';
import { endedWords, strings } from '../strings.js';

test('writes durations as a clock does', () => {
  assert.deepEqual([0, 999, 61_000, 3_729_000, -5].map(duration), ['0:00', '0:00', '1:01', '1:02:09', '0:00']);
});

test('names a day by its distance over midnight, not by hours', () => {
  const now = new Date(2026, 10, 20, 0, 5).getTime();
  assert.equal(day(now - 60_000, now), strings.history.today);
  assert.equal(day(now - 600_000, now), strings.history.yesterday);
  assert.match(day(now - 40 * 86_400_000, now), /October/);
  assert.match(day(now - 400 * 86_400_000, now), /2025/);
});

test('finds initials, in any script', () => {
  assert.deepEqual(['Ada Lovelace', 'grace', '1001', '', 'Łukasz van der Żak', '+49 30'].map(initials), ['AL', 'G', '', '', 'ŁŻ', '']);
});

test('shows the best name once', () => {
  const ada = { displayName: 'Ada', user: '1001', uri: 'sip:1001@x' };
  assert.deepEqual([nameOf(ada), numberOf(ada)], ['Ada', '1001']);
  const plain = { ...ada, displayName: '' };
  assert.deepEqual([nameOf(plain), numberOf(plain)], ['1001', '']);
  assert.equal(nameOf({ displayName: 'Anonymous', user: 'anonymous', uri: '' }), strings.call.anonymous);
});

test('groups long numbers behind their country code', () => {
  assert.deepEqual(['+15550100123', '+493012345678', '+35312345678', '600', 'alice', '0301234567'].map(spaced),
    ['+1 555 010 0123', '+49 301 234 5678', '+353 123 456 78', '600', 'alice', '0 301 234 567']);
});

test('has words for every ending', () => {
  const causes = ['busy', 'declined', 'no-answer', 'unavailable', 'not-found', 'bad-number', 'forbidden', 'wrong-password', 'not-acceptable',
    'server-error', 'timeout', 'cancelled', 'hung-up', 'hung-up-remote', 'rejected', 'missed', 'answered-elsewhere', 'media-failed',
    'media-lost', 'mic-refused', 'mic-missing', 'mic-busy', 'mic-insecure', 'not-connected', 'internal'];
  for (const cause of causes) assert(strings.ended[cause]?.title, cause);
  assert.equal(endedWords('unheard-of'), strings.ended.internal);
});

test('reads the history of the server', () => {
  const call = { id: 'a', direction: 'incoming', party: '+4930', display: 'Bo', outcome: 'answered', startedAt: '2026-11-20T10:00:00Z',
    answeredAt: '2026-11-20T10:00:05Z', duration: 61.5 };
  const entry = serverEntry(call)[0];
  assert.deepEqual([entry.kind, entry.user, entry.displayName, entry.duration], ['incoming', '+4930', 'Bo', 61_500]);
  const kinds = [['incoming', 'missed'], ['incoming', 'answered-elsewhere'], ['incoming', 'rejected'], ['outgoing', 'busy'], ['outgoing', 'cancelled']]
    .map(([direction, outcome]) => serverEntry({ ...call, direction, outcome, answeredAt: undefined })[0].kind);
  assert.deepEqual(kinds, ['missed', 'elsewhere', 'rejected', 'failed', 'outgoing']);
  assert.deepEqual([{}, null, { id: 1 }, { ...call, startedAt: 'soon' }].flatMap(serverEntry), []);
});
