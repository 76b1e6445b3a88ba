import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Phone } from '../phone.js';
import { SipRequest, SipResponse } from '../sip-message.js';
import { FakeSocket, install, microphone, sdp, settle } from './fakes.js';

/** @typedef {import('../call.js').Call} Call */

/**
 * Runs under pretended timers.
 * @param {() => Promise<void>} body
 */
const timed = (body) => async () => {
  install();
  mock.timers.enable(['setTimeout', 'setInterval']);
  try {
    await body();
  } finally {
    mock.timers.reset();
  }
};

function makePhone() {
  const phone = new Phone({
    server: 'wss://pbx.example.net/sip', user: '1001', password: 'secret', domain: 'example.net', displayName: 'Ada "A"',
    instanceId: '00000000-0000-4000-8000-000000000001', microphone,
  });
  /** @type {string[]} */
  const states = [];
  phone.on('state', ({ state, error }) => states.push(error ? `${state}:${error.code}` : state));
  return { phone, states, socket: () => FakeSocket.all[FakeSocket.all.length - 1] };
}

/**
 * @param {SipRequest} request
 * @param {boolean} [stale]
 */
function challenge(request, stale = false) {
  const response = SipResponse.to(request, 401, 'server');
  response.headers.append('WWW-Authenticate', `Digest realm="r", nonce="${Math.random()}", algorithm=MD5, qop="auth"${stale ? ', stale=true' : ''}`);
  return response;
}

/**
 * @param {SipRequest} request
 * @param {number} [expires]
 */
function granted(request, expires = 600) {
  const response = SipResponse.to(request, 200, 'server');
  response.headers.append('Contact', request.headers.get('Contact').replace(/expires=\d+/, `expires=${expires}`));
  return response;
}

/** A phone that is registered. */
async function registered() {
  const setting = makePhone();
  setting.phone.start();
  await settle();
  const socket = setting.socket();
  socket.deliver(challenge(socket.request('REGISTER')));
  socket.deliver(granted(socket.request('REGISTER')));
  assert.equal(setting.phone.state, 'registered');
  socket.sent = [];
  return { ...setting, first: socket };
}

test('registers: challenge answered, outbound contact, refresh before the end', timed(async () => {
  const { phone, states, socket } = makePhone();
  phone.start();
  await settle();
  assert.equal(socket().protocol, 'sip');
  const plain = socket().request('REGISTER');
  assert(!plain.headers.has('Authorization'));
  assert.match(plain.headers.get('Contact'),
    /^<sip:\w+@\w+\.invalid;transport=ws;ob>;\+sip\.instance="<urn:uuid:00000000-0000-4000-8000-000000000001>";reg-id=1;expires=600$/);
  assert.match(plain.headers.get('Via'), /^SIP\/2\.0\/WSS \w+\.invalid;branch=z9hG4bK/);
  assert(plain.headers.includes('Supported', 'outbound') && plain.headers.includes('Supported', 'path'));
  assert.equal(plain.from.displayName, 'Ada "A"');
  socket().deliver(challenge(plain));
  const signed = socket().request('REGISTER');
  assert.equal(signed.cseq.number, plain.cseq.number + 1);
  assert.equal(signed.callId, plain.callId);
  assert.notEqual(signed.branch, plain.branch);
  assert.match(signed.headers.get('Authorization'), /username="1001".*uri="sip:example\.net".*nc=00000001/);
  socket().deliver(granted(signed, 120));
  assert.deepEqual(states, ['connecting', 'registering', 'registered']);
  socket().sent = [];
  mock.timers.tick(91_000);
  assert.match(socket().request('REGISTER').headers.get('Authorization'), /nc=00000002/);
}));

test('texts go out with credentials and come in as events', timed(async () => {
  const { phone, first } = await registered();
  /** @type {string[]} */
  const got = [];
  phone.on('text', ({ from, text }) => got.push(`${from.user}: ${text}`));
  const sent = phone.sendText('1002', 'Grüße');
  const request = first.request('MESSAGE');
  assert.equal(request.uri, 'sip:1002@example.net');
  assert.equal(request.body, 'Grüße');
  first.deliver(SipResponse.to(request, 200, 'server'));
  await sent;
  const refused = assert.rejects(phone.sendText('1003', 'x'), { code: 'unavailable', status: 480 });
  first.deliver(SipResponse.to(first.request('MESSAGE'), 480, 'server'));
  await refused;
  const incoming = new SipRequest('MESSAGE', phone.contact);
  incoming.headers.append('Via', 'SIP/2.0/WSS server;branch=z9hG4bKt1').append('From', '<sip:1002@example.net>;tag=a')
    .append('To', '<sip:1001@example.net>').append('Call-ID', 't1').append('CSeq', '1 MESSAGE');
  incoming.setBody('text/plain', 'hello');
  first.deliver(incoming);
  assert.equal(first.response().status, 200);
  assert.deepEqual(got, ['1002: hello']);
}));

test('a wrong password is tried once and not again', timed(async () => {
  const { phone, states, socket } = makePhone();
  phone.start();
  await settle();
  socket().deliver(challenge(socket().request('REGISTER')));
  socket().deliver(challenge(socket().request('REGISTER')));
  assert.deepEqual(states, ['connecting', 'registering', 'rejected:wrong-password']);
  mock.timers.tick(600_000);
  await settle();
  assert.equal(FakeSocket.all.length, 1);
  assert.deepEqual(socket().summary, []);
}));

test('a bare 403 to credentials is a wrong password, one with a reason of its own is not', timed(async () => {
  for (const [reason, cause] of [['Forbidden', 'wrong-password'], ['Too Many Contacts', 'forbidden']]) {
    const { phone, socket } = makePhone();
    phone.start();
    await settle();
    socket().deliver(challenge(socket().request('REGISTER')));
    const refusal = SipResponse.to(socket().request('REGISTER'), 403, 's');
    refusal.reason = reason;
    socket().deliver(refusal);
    assert.equal(phone.status.error?.code, cause);
  }
}));

test('a stale nonce is no wrong password', timed(async () => {
  const { phone, socket } = makePhone();
  phone.start();
  await settle();
  socket().deliver(challenge(socket().request('REGISTER')));
  socket().deliver(challenge(socket().request('REGISTER'), true));
  socket().deliver(granted(socket().request('REGISTER')));
  assert.equal(phone.state, 'registered');
}));

test('423 asks for longer, 503 is tried again later', timed(async () => {
  const { phone, states, socket } = makePhone();
  phone.start();
  await settle();
  const brief = SipResponse.to(socket().request('REGISTER'), 423, 's');
  brief.headers.append('Min-Expires', 1800);
  socket().deliver(brief);
  const longer = socket().request('REGISTER');
  assert.equal(longer.headers.get('Expires'), '1800');
  const busy = SipResponse.to(longer, 503, 's');
  busy.headers.append('Retry-After', 7);
  socket().deliver(busy);
  assert.equal(states[states.length - 1], 'reconnecting:server-error');
  mock.timers.tick(6900);
  assert.deepEqual(socket().summary, []);
  mock.timers.tick(200);
  socket().deliver(granted(socket().request('REGISTER')));
  assert.equal(phone.state, 'registered');
}));

test('comes back after a loss, and knocks ever more slowly while nobody is there', timed(async () => {
  const { phone, states, first, socket } = await registered();
  FakeSocket.reachable = false;
  first.drop();
  assert.equal(phone.state, 'reconnecting');
  for (let second = 0; second < 60; second += 1) {
    mock.timers.tick(1000);
    await settle();
  }
  const attempts = FakeSocket.all.length - 1;
  assert(attempts >= 4 && attempts <= 8, `${attempts} attempts in a minute`);
  FakeSocket.reachable = true;
  phone.retryNow();
  await settle();
  const again = socket().request('REGISTER');
  assert.match(again.headers.get('Contact'), /reg-id=1/);
  socket().deliver(granted(again));
  assert.equal(phone.state, 'registered');
  assert(states.includes('reconnecting:server-unreachable'));
}));

test('a registrar that says nothing is left for a new connection', timed(async () => {
  const { phone } = makePhone();
  phone.start();
  await settle();
  mock.timers.tick(10_001);
  assert.equal(phone.state, 'reconnecting');
}));

test('stop unregisters, then closes', timed(async () => {
  const { phone, first } = await registered();
  const stopped = phone.stop();
  const last = first.request('REGISTER');
  assert.match(last.headers.get('Contact'), /expires=0$/);
  first.deliver(SipResponse.to(last, 200, 's'));
  await stopped;
  assert.equal(first.readyState, 3);
  mock.timers.tick(600_000);
  assert.equal(FakeSocket.all.length, 1);
}));

/**
 * @param {string} method
 * @param {Record<string, string>} [headers]
 */
function fromServer(method, headers = {}) {
  const request = new SipRequest(method, 'sip:1001@x.invalid;transport=ws');
  const all = {
    Via: `SIP/2.0/WSS server;branch=z9hG4bK${Math.random()}`, From: '"Grace" <sip:1002@example.net>;tag=g', To: '<sip:1001@example.net>',
    'Call-ID': 'incoming', CSeq: `1 ${method}`, Contact: '<sip:server;transport=wss>', ...headers,
  };
  for (const [name, value] of Object.entries(all)) request.headers.append(name, value);
  return request;
}

test('answers what it does not know as the RFC wants it', timed(async () => {
  const { first } = await registered();
  /** @param {SipRequest} request */
  const ask = (request) => {
    first.deliver(request);
    return first.response();
  };
  const options = ask(fromServer('OPTIONS'));
  assert.equal(options.status, 200);
  assert(options.headers.includes('Allow', 'UPDATE'));
  assert.equal(ask(fromServer('NOTIFY')).status, 200);
  const message = ask(fromServer('PUBLISH'));
  assert.equal(message.status, 405);
  assert(message.headers.has('Allow'));
  assert.equal(ask(fromServer('BYE', { To: '<sip:1001@example.net>;tag=nobody' })).status, 481);
  assert.equal(ask(fromServer('INVITE', { To: '<sip:1001@example.net>;tag=nobody' })).status, 481);
  const required = ask(fromServer('INVITE', { Require: '100rel, timer' }));
  assert.equal(required.status, 420);
  assert.equal(required.headers.get('Unsupported'), '100rel');
  first.deliver('INVITE nonsense\r\n\r\n');
  first.deliver('\r\n\r\n');
  assert.deepEqual(first.sent.splice(0), ['\r\n'], 'a keep-alive is answered, nonsense is not');
}));

/**
 * @param {Phone} phone
 * @returns {{calls: Call[], causes: string[]}}
 */
function watch(phone) {
  /** @type {Call[]} */
  const calls = [];
  /** @type {string[]} */
  const causes = [];
  phone.on('call', (call) => {
    calls.push(call);
    call.on('ended', ({ cause }) => causes.push(cause));
  });
  return { calls, causes };
}

test('an incoming call rings once, also when it comes by two ways, and may be taken elsewhere', timed(async () => {
  const { phone, first } = await registered();
  const { calls, causes } = watch(phone);
  const invite = fromServer('INVITE').setBody('application/sdp', sdp('sendrecv'));
  first.deliver(invite);
  assert.equal(first.response().status, 180);
  assert.equal(calls[0].remote.displayName, 'Grace');
  const merged = invite.copy();
  merged.headers.prepend('Via', 'SIP/2.0/WSS server;branch=z9hG4bKother');
  first.deliver(merged);
  assert.equal(first.response().status, 482);
  assert.equal(calls.length, 1);
  const cancel = fromServer('CANCEL', { Via: invite.headers.get('Via'), Reason: 'SIP;cause=200;text="Call completed elsewhere"' });
  first.deliver(cancel);
  assert.deepEqual(first.summary, ['200', '487']);
  assert.deepEqual(causes, ['answered-elsewhere']);
  assert.equal(phone.calls.length, 0);
}));

test('an answer is repeated until its ACK, then hold from there, re-INVITE and BYE work', timed(async () => {
  const { phone, first } = await registered();
  const { calls, causes } = watch(phone);
  first.deliver(fromServer('INVITE', { 'Session-Expires': '90', Supported: 'timer' }).setBody('application/sdp', sdp('sendrecv')));
  await calls[0].answer();
  first.response();
  const ok = first.response();
  assert.equal(ok.status, 200);
  assert.equal(ok.headers.get('Session-Expires'), '90;refresher=uac');
  mock.timers.tick(500);
  mock.timers.tick(1000);
  assert.deepEqual(first.summary, ['200', '200']);
  first.sent = [];
  const inside = { To: ok.headers.get('To') };
  first.deliver(fromServer('ACK', inside));
  await settle();
  mock.timers.tick(4000);
  assert.deepEqual(first.summary, []);
  first.deliver(fromServer('INVITE', { ...inside, CSeq: '2 INVITE' }).setBody('application/sdp', sdp('sendonly')));
  await settle();
  const held = first.response();
  assert.match(held.body, /a=recvonly/);
  assert.equal(calls[0].remoteHold, true);
  first.deliver(fromServer('ACK', { ...inside, CSeq: '2 ACK' }));
  first.deliver(fromServer('INVITE', { ...inside, CSeq: '1 INVITE' }).setBody('application/sdp', sdp('sendrecv')));
  assert.equal(first.response().status, 500, 'an old number');
  first.deliver(fromServer('BYE', { ...inside, From: '<sip:1002@example.net>;tag=forged', CSeq: '3 BYE' }));
  assert.equal(first.response().status, 481, 'a stranger cannot end the call');
  assert.equal(calls[0].state, 'active');
  first.deliver(fromServer('BYE', { ...inside, CSeq: '3 BYE' }));
  assert.equal(first.response().status, 200);
  assert.deepEqual(causes, ['hung-up-remote']);
}));

test('an answer that is never acknowledged ends in a BYE', timed(async () => {
  const { phone, first } = await registered();
  const { calls } = watch(phone);
  first.deliver(fromServer('INVITE').setBody('application/sdp', sdp('sendrecv')));
  await calls[0].answer();
  for (let second = 0; second < 33; second += 1) mock.timers.tick(1000);
  first.request('BYE');
  assert.equal(calls[0].state, 'ended');
}));

test('an INVITE without an offer gets one, and the answer comes with the ACK', timed(async () => {
  const { phone, first } = await registered();
  const { calls } = watch(phone);
  first.deliver(fromServer('INVITE'));
  await calls[0].answer();
  first.response();
  const ok = first.response();
  assert.match(ok.body, /a=sendrecv/);
  first.deliver(fromServer('ACK', { To: ok.headers.get('To') }).setBody('application/sdp', sdp('sendrecv')));
  await settle();
  assert.equal(calls[0].media?.hasPendingOffer, false);
  assert.equal(calls[0].state, 'active');
}));

/** A call that has been sent. */
async function outgoing() {
  const setting = await registered();
  const call = setting.phone.call('+49 (0)30 1234');
  await settle();
  const invite = setting.first.request('INVITE');
  /**
   * @param {number} status
   * @param {string} tag
   * @param {string} [body]
   */
  const answer = (status, tag, body = '') => {
    const response = SipResponse.to(invite, status, tag);
    response.headers.append('Contact', '<sip:server;transport=wss>');
    if (body) response.setBody('application/sdp', body);
    setting.first.deliver(response);
    return response;
  };
  return { ...setting, call, invite, answer };
}

test('early media of a 183 is applied, and stands when the 200 brings nothing new', timed(async () => {
  const { call, invite, answer, first } = await outgoing();
  assert.equal(invite.uri, 'sip:+49301234@example.net');
  answer(180, 'b');
  assert.equal(call.state, 'ringing');
  answer(183, 'b', sdp('sendrecv'));
  await settle();
  assert.equal(call.earlyMedia, true);
  answer(200, 'b', sdp('sendrecv'));
  await settle();
  assert.equal(call.state, 'active');
  assert.equal(call.media?.hasPendingOffer, false);
  assert.equal(first.request('ACK').cseq.number, invite.cseq.number);
}));

test('a 200 that comes again gets its ACK again, one of another fork gets ACK and BYE', timed(async () => {
  const { call, answer, first } = await outgoing();
  answer(200, 'one', sdp('sendrecv'));
  await settle();
  answer(200, 'one', sdp('sendrecv'));
  answer(200, 'two', sdp('sendrecv'));
  answer(200, 'two', sdp('sendrecv'));
  assert.deepEqual(first.summary, ['ACK', 'ACK', 'ACK', 'BYE', 'ACK']);
  assert.equal(call.state, 'active');
  first.request('ACK');
  first.request('ACK');
  assert.equal(first.request('ACK').to.tag, 'two');
  assert.equal(first.request('BYE').to.tag, 'two');
}));

test('a 200 that crosses our CANCEL gets ACK and BYE', timed(async () => {
  const { call, answer, first } = await outgoing();
  answer(180, 'b');
  call.hangUp();
  assert.deepEqual(first.summary, ['CANCEL']);
  answer(200, 'b', sdp('sendrecv'));
  assert.deepEqual(first.summary, ['CANCEL', 'ACK', 'BYE']);
  assert.equal(call.cause, 'hung-up');
}));

test('a call hung up before any answer is cancelled with the first one', timed(async () => {
  const { call, answer, first } = await outgoing();
  call.hangUp();
  assert.deepEqual(first.summary, []);
  answer(100, '');
  assert.deepEqual(first.summary, ['CANCEL']);
}));

test('hold waits for its turn when both sides offer at once, and is undone when refused', timed(async () => {
  const { call, answer, first } = await outgoing();
  answer(200, 'b', sdp('sendrecv'));
  await settle();
  first.sent = [];
  const held = call.hold();
  await settle();
  const glare = first.request('INVITE');
  assert.match(glare.body, /a=sendonly/);
  assert.equal(call.localStream?.getAudioTracks()[0].enabled, false);
  first.deliver(SipResponse.to(glare, 491));
  await settle();
  mock.timers.tick(4100);
  await settle();
  const again = first.request('INVITE');
  assert(again.cseq.number > glare.cseq.number);
  first.deliver(SipResponse.to(again, 200).setBody('application/sdp', sdp('recvonly')));
  await held;
  assert.equal(call.onHold, true);
  assert.equal(call.remoteHold, false);
  const resumed = call.resume();
  await settle();
  first.deliver(SipResponse.to(first.request('INVITE'), 488));
  await assert.rejects(resumed, { code: 'not-acceptable' });
  assert.equal(call.onHold, true);
  assert.equal(call.media?.hasPendingOffer, false);
}));

test('a call outlives its WebSocket; a BYE said meanwhile is sent afterwards', timed(async () => {
  const { call, answer, first, phone, socket } = await outgoing();
  answer(200, 'b', sdp('sendrecv'));
  await settle();
  first.drop();
  assert.equal(phone.state, 'reconnecting');
  assert.equal(call.state, 'active');
  call.hangUp();
  mock.timers.tick(1000);
  await settle();
  socket().deliver(granted(socket().request('REGISTER')));
  assert.equal(socket().request('BYE').to.tag, 'b');
}));

test('we refresh a session that we were made the refresher of', timed(async () => {
  const { call, invite, first } = await outgoing();
  const ok = SipResponse.to(invite, 200, 'b').setBody('application/sdp', sdp('sendrecv'));
  ok.headers.append('Session-Expires', '90;refresher=uac').append('Contact', '<sip:server>');
  first.deliver(ok);
  await settle();
  mock.timers.tick(45_000);
  await settle();
  first.deliver(SipResponse.to(first.request('UPDATE'), 481));
  await settle();
  assert.equal(call.cause, 'hung-up-remote');
}));

test('digits go by INFO where no telephone events were agreed on', timed(async () => {
  const { call, answer, first } = await outgoing();
  answer(200, 'b', sdp('sendrecv'));
  await settle();
  const sent = call.sendDtmf('1x#');
  const one = first.request('INFO');
  assert.match(one.body, /^Signal=1\r\n/);
  first.deliver(SipResponse.to(one, 200));
  await settle();
  const hash = first.request('INFO');
  assert.match(hash.body, /^Signal=#\r\n/);
  first.deliver(SipResponse.to(hash, 200));
  await sent;
}));
