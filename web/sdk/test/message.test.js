import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NameAddress, parseMessage, SipParseError, SipRequest, SipResponse, SipUri } from '../sip-message.js';
import { audioDirection, hasTelephoneEvent, isHold } from '../sdp.js';
import { cleanNumber, toUri } from '../numbers.js';
import { causeOf, reasonCause } from '../errors.js';
import { assess, difference } from '../quality.js';
import { parseSessionExpires } from '../session-timer.js';
import { refreshDelay } from '../registration.js';
import { backOff } from '../transport.js';

const invite = [
  'INVITE sip:abc@x.invalid;transport=ws SIP/2.0', 'v: SIP/2.0/WS p.invalid;branch=z9hG4bK1, SIP/2.0/UDP q;branch=z9hG4bK2',
  'f: "Ada, \\"the\\" <first>" <sip:ada@example.net>;tag=one', 't: <sip:bob@example.net>', 'i: call@1', 'CSeq: 7 INVITE',
  'Subject: folded', '  over two lines', 'c: application/sdp', 'l: 5', '', 'v=0\r\n',
].join('\r\n');

test('reads compact forms, folding, lists and quoted brackets', () => {
  const message = parseMessage(invite);
  assert(message instanceof SipRequest);
  assert.equal(message.uri, 'sip:abc@x.invalid;transport=ws');
  assert.deepEqual(message.headers.getAll('Via').length, 2);
  assert.equal(message.branch, 'z9hG4bK1');
  assert.equal(message.from.displayName, 'Ada, "the" <first>');
  assert.equal(message.from.tag, 'one');
  assert.deepEqual(message.cseq, { number: 7, method: 'INVITE' });
  assert.equal(message.headers.get('subject'), 'folded over two lines');
  assert.equal(message.sdp, 'v=0\r\n');
});

test('writes what it reads, with the length in bytes', () => {
  const message = parseMessage(invite);
  message.setBody('text/plain', 'grüße');
  const text = message.toString();
  assert.match(text, /\r\nContent-Length: 7\r\n\r\ngrüße$/);
  assert.equal(parseMessage(text).toString(), text);
});

test('refuses what it cannot trust', () => {
  const cases = ['', '\r\n\r\n', 'hello', invite.replace('l: 5', 'l: 50'), invite.replace('l: 5', 'l: -1'),
    invite.replace('7 INVITE', '7 BYE'), invite.replace('7 INVITE', 'INVITE'), invite.replace('i: call@1\r\n', ''),
    invite.replace('SIP/2.0\r\n', 'SIP/3.0\r\n'), invite.replace('f: "Ada', 'f "Ada'), `INVITE ${'x'.repeat(70_000)}`,
    invite.replace('<sip:bob@example.net>', '<sip:bob@example.net'), invite.replace('<sip:bob@example.net>', '<nonsense>')];
  for (const text of cases) assert.throws(() => parseMessage(text), SipParseError);
});

test('a body longer than Content-Length is cut, one without Content-Length taken whole', () => {
  assert.equal(parseMessage(invite.replace('l: 5', 'l: 3')).body, 'v=0');
  assert.equal(parseMessage(invite.replace('l: 5\r\n', '')).body, 'v=0\r\n');
});

test('never fails with anything but a SipParseError, whatever byte is damaged', () => {
  for (let i = 0; i < invite.length; i += 1) {
    for (const junk of ['\0', '<', '"', ';', '\r\n', '\\', '%', '']) {
      try {
        parseMessage(invite.slice(0, i) + junk + invite.slice(i + 1));
      } catch (error) {
        assert(error instanceof SipParseError, `${i} ${JSON.stringify(junk)}: ${error}`);
      }
    }
  }
});

test('a header value cannot smuggle in another header', () => {
  const request = new SipRequest('INVITE', 'sip:a@b');
  request.headers.append('Subject', 'hello\r\nVia: evil');
  assert(!request.toString().includes('\r\nVia: evil'));
});

test('a response copies the path and adds the tag once', () => {
  const message = parseMessage(invite);
  assert(message instanceof SipRequest);
  const response = SipResponse.to(message, 180, 'two');
  assert.equal(response.headers.getAll('Via').length, 2);
  assert.equal(response.to.tag, 'two');
  assert.equal(response.reason, 'Ringing');
  message.headers.set('To', '<sip:bob@example.net>;tag=kept');
  assert.equal(SipResponse.to(message, 200, 'two').to.tag, 'kept');
});

test('reads URIs', () => {
  const uri = SipUri.parse('sip:a%20b:pw@[2001:db8::1]:5070;transport=ws?subject=x');
  assert.deepEqual([uri.user, uri.host, uri.port, uri.params.get('transport')], ['a b', '[2001:db8::1]', 5070, 'ws']);
  assert.equal(SipUri.parse('tel:+49123').user, '+49123');
  assert.equal(NameAddress.parse('sip:x@y;tag=z').tag, 'z');
  assert.throws(() => SipUri.parse('sip:'), SipParseError);
  assert.throws(() => SipUri.parse('no uri'), SipParseError);
});

const sdp = (/** @type {string} */ lines) => `v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0 101\r\n${lines}`;

test('knows a hold in each of its forms', () => {
  assert.equal(audioDirection(sdp('')), 'sendrecv');
  assert.equal(audioDirection(sdp('a=inactive\r\n')), 'inactive');
  assert.equal(isHold(sdp('a=sendonly\r\n')), true);
  assert.equal(isHold(sdp('a=recvonly\r\n')), false);
  assert.equal(isHold(sdp('c=IN IP4 0.0.0.0\r\n')), true);
  assert.equal(isHold(sdp('').replace('m=', 'a=sendonly\r\nm=')), true, 'at session level');
  assert.equal(isHold(sdp('a=sendrecv\r\n').replace('m=', 'a=sendonly\r\nm=')), false, 'the stream overrides the session');
  assert.equal(isHold(sdp('m=video 1 RTP/AVP 96\r\na=sendonly\r\n')), false, 'video does not count');
  assert.equal(isHold(sdp('c=IN IP4 0.0.0.0\r\n').replace('4000', '9')), false, 'a browser without candidates yet');
  assert.equal(hasTelephoneEvent(sdp('a=rtpmap:101 telephone-event/8000\r\n')), true);
  assert.equal(hasTelephoneEvent(sdp('')), false);
});

test('cleans numbers as they are pasted', () => {
  const cases = {
    '+49 (0) 30 / 1234-5.67': '+49301234567', 'tel:+1-555-0100;ext=1': '+15550100', ' 600 ': '600', '*21#': '*21#',
    '(0711) 123': '0711123', '\u202a+1\u00a0555\u202c': '+1555', '٠١٢٣': '0123', '１２３': '123', 'alice': 'alice',
    'sip:bob@example.net': 'sip:bob@example.net', 'bob@example.net': 'bob@example.net', '0049 (0)30 1': '0049301', '': '',
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(cleanNumber(text), expected, text);
});

test('makes URIs of them', () => {
  assert.equal(toUri('+49 30', 'd'), 'sip:+4930@d');
  assert.equal(toUri('*21#', 'd'), 'sip:*21%23@d');
  assert.equal(toUri('ada lovelace', 'd'), 'sip:adalovelace@d');
  assert.equal(toUri('a@b', 'd'), 'sip:a@b');
  assert.equal(toUri('---', 'd'), '');
  assert.equal(toUri('+', 'd'), '');
});

test('tells why a call did not come about', () => {
  const cases = { 404: 'not-found', 486: 'busy', 408: 'no-answer', 480: 'unavailable', 503: 'server-error', 603: 'declined', 302: 'unavailable' };
  for (const [status, cause] of Object.entries(cases)) assert.equal(causeOf(new SipResponse(Number(status))), cause);
  const response = new SipResponse(480);
  response.headers.append('Reason', 'SIP;cause=480, Q.850 ;text="a;b" ; cause=19');
  assert.equal(causeOf(response), 'no-answer');
  assert.equal(reasonCause(response, 'SIP'), 480);
});

const quiet = { lossIn: 0, lossOut: 0, jitter: 5, roundTrip: 40, concealed: 0, packetsIn: 100, silentFor: 0, micSilentFor: 0 };

test('says good, fair or poor, and why', () => {
  assert.equal(assess(quiet).rating, 'good');
  assert.deepEqual(assess(quiet).why, []);
  assert.equal(assess({ ...quiet, lossIn: 0.03 }).rating, 'fair');
  const bad = assess({ ...quiet, jitter: 40, lossOut: 0.2 });
  assert.equal(bad.rating, 'poor');
  assert.deepEqual(bad.why.map(({ code }) => code), ['loss-out', 'jitter']);
  assert.equal(assess({ ...quiet, silentFor: 4000 }).why[0].code, 'no-audio-in');
  assert.equal(assess({ ...quiet, lossOut: null, roundTrip: null }).rating, 'good');
});

test('silence counts only while something is expected', () => {
  const counters = { time: 0, packetsIn: 10, lostIn: 0, concealedSamples: 0, totalSamples: 0, jitter: 0, roundTrip: null, lossOut: null, micEnergy: 1 };
  const later = { ...counters, time: 2000 };
  const durations = { silentFor: 2000, micSilentFor: 2000 };
  const open = difference(counters, later, durations, { hears: true, speaks: true });
  assert.deepEqual([open.silentFor, open.micSilentFor], [4000, 4000]);
  const held = difference(counters, later, durations, { hears: false, speaks: false });
  assert.deepEqual([held.silentFor, held.micSilentFor], [0, 0]);
  const lossy = difference(counters, { ...later, packetsIn: 100, lostIn: 10 }, durations, { hears: true, speaks: true });
  assert.equal(lossy.lossIn, 0.1);
});

test('reads session timers, refreshes registrations early, backs off with jitter', () => {
  assert.deepEqual(parseSessionExpires('90;refresher=UAS'), { seconds: 90, refresher: 'uas' });
  assert.deepEqual(parseSessionExpires('1800'), { seconds: 1800, refresher: '' });
  assert.equal(parseSessionExpires('soon'), null);
  assert.equal(refreshDelay(600), 510);
  assert.equal(refreshDelay(60), 30);
  assert.equal(refreshDelay(1), 1);
  assert.deepEqual([1, 2, 3, 9].map((n) => backOff(n, 0)), [500, 1000, 2000, 15_000]);
  assert.deepEqual([1, 2, 3, 99].map((n) => backOff(n, 1)), [1000, 2000, 4000, 30_000]);
});
