import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Dialog } from '../dialog.js';
import { parseMessage, SipRequest, SipResponse } from '../sip-message.js';
import { TransactionLayer } from '../transactions.js';

/** A layer and all that it sends. */
function setUp() {
  /** @type {string[]} */
  const sent = [];
  const layer = new TransactionLayer({
    send: (text) => {
      sent.push(text);
      return true;
    },
    via: () => 'SIP/2.0/WS here.invalid',
  });
  const starts = () => sent.map((text) => text.split(' ').slice(0, 2).join(' ').replace(/ sip:.*/, ''));
  return { layer, sent, starts };
}

/** @param {string} method */
function outline(method) {
  const request = new SipRequest(method, 'sip:bob@example.net');
  request.headers.append('From', '<sip:ada@example.net>;tag=a').append('To', '<sip:bob@example.net>')
    .append('Call-ID', 'c').append('CSeq', `1 ${method}`);
  return request;
}

/**
 * @param {SipRequest} request
 * @param {number} status
 * @param {string} [tag]
 */
const answer = (request, status, tag = 'b') => SipResponse.to(request, status, tag);

/**
 * Runs a test under a virtual clock.
 * @param {() => void} body
 */
const timed = (body) => () => {
  mock.timers.enable(['setTimeout', 'setInterval']);
  try {
    body();
  } finally {
    mock.timers.reset();
  }
};

const ignore = { final() {}, timeout() {} };

test('a refusal is acknowledged on the branch of the INVITE, and again when it comes again', timed(() => {
  const { layer, sent, starts } = setUp();
  /** @type {number[]} */
  const finals = [];
  const { request } = layer.request(outline('INVITE'), { final: ({ status }) => finals.push(status), timeout() {} });
  layer.receive(answer(request, 486));
  layer.receive(answer(request, 486));
  assert.deepEqual(finals, [486]);
  assert.deepEqual(starts(), ['INVITE', 'ACK', 'ACK']);
  const ack = parseMessage(sent[1]);
  assert.equal(ack.branch, request.branch);
  assert.equal(ack.to.tag, 'b');
}));

test('each 2xx reaches the user, since each wants its ACK', timed(() => {
  const { layer, starts } = setUp();
  /** @type {string[]} */
  const tags = [];
  const { request } = layer.request(outline('INVITE'), { final: ({ to }) => tags.push(to.tag), timeout() {} });
  layer.receive(answer(request, 200, 'one'));
  layer.receive(answer(request, 200, 'one'));
  layer.receive(answer(request, 200, 'two'));
  assert.deepEqual(tags, ['one', 'one', 'two']);
  assert.deepEqual(starts(), ['INVITE']);
}));

test('CANCEL waits for the first provisional answer', timed(() => {
  const { layer, sent, starts } = setUp();
  const transaction = layer.request(outline('INVITE'), ignore);
  transaction.cancel('SIP;cause=200');
  assert.deepEqual(starts(), ['INVITE']);
  layer.receive(answer(transaction.request, 100, ''));
  assert.deepEqual(starts(), ['INVITE', 'CANCEL']);
  const cancel = parseMessage(sent[1]);
  assert.equal(cancel.branch, transaction.request.branch);
  assert.equal(cancel.headers.get('Reason'), 'SIP;cause=200');
  transaction.cancel();
  assert.deepEqual(starts(), ['INVITE', 'CANCEL']);
}));

test('a 200 that crosses the CANCEL still reaches the user', timed(() => {
  const { layer } = setUp();
  let finals = 0;
  const transaction = layer.request(outline('INVITE'), { final: () => { finals += 1; }, timeout() {} });
  layer.receive(answer(transaction.request, 180));
  transaction.cancel();
  layer.receive(answer(transaction.request, 200));
  assert.equal(finals, 1);
}));

test('silence ends after 32 s; an INVITE that rings may ring on', timed(() => {
  const { layer } = setUp();
  /** @type {string[]} */
  const lost = [];
  layer.request(outline('BYE'), { final() {}, timeout: () => lost.push('BYE') });
  layer.request(outline('INVITE'), { final() {}, timeout: () => lost.push('INVITE') });
  const ringing = layer.request(outline('INVITE'), { final() {}, timeout: () => lost.push('ringing') });
  layer.receive(answer(ringing.request, 180));
  mock.timers.tick(31_999);
  assert.deepEqual(lost, []);
  mock.timers.tick(120_000);
  assert.deepEqual(lost, ['BYE', 'INVITE']);
}));

test('after the loss of a flow the unanswered requests go again, but no old REGISTER', timed(() => {
  const { layer, starts } = setUp();
  layer.request(outline('REGISTER'), ignore);
  const { request } = layer.request(outline('INVITE'), ignore);
  layer.request(outline('BYE'), ignore);
  layer.receive(answer(request, 486));
  layer.resume();
  assert.deepEqual(starts(), ['REGISTER', 'INVITE', 'BYE', 'ACK', 'BYE']);
}));

test('a request that comes twice is answered twice and handled once', timed(() => {
  const { layer, sent } = setUp();
  let handled = 0;
  layer.on('request', (transaction) => {
    handled += 1;
    transaction.respond(200);
  });
  const options = outline('OPTIONS');
  options.headers.prepend('Via', 'SIP/2.0/WS there.invalid;branch=z9hG4bKx');
  layer.receive(options);
  layer.receive(options);
  assert.equal(handled, 1);
  assert.equal(sent.length, 2);
  assert.equal(sent[0], sent[1]);
}));

/** An INVITE that came in, with what the user sees of it. */
function incoming() {
  const setting = setUp();
  /** @type {import('../transactions.js').ServerTransaction[]} */
  const transactions = [];
  setting.layer.on('request', (transaction) => transactions.push(transaction));
  const request = outline('INVITE');
  request.headers.prepend('Via', 'SIP/2.0/WS there.invalid;branch=z9hG4bKx');
  setting.layer.receive(request);
  const cancel = outline('CANCEL');
  cancel.headers.prepend('Via', 'SIP/2.0/WS there.invalid;branch=z9hG4bKx');
  cancel.headers.set('CSeq', '1 CANCEL');
  return { ...setting, transaction: transactions[0], request, cancel };
}

test('CANCEL is answered by the layer; the INVITE is left to the user', timed(() => {
  const { layer, starts, transaction, cancel } = incoming();
  let cancelled = 0;
  transaction.onCancel = () => {
    cancelled += 1;
    transaction.respond(487);
  };
  transaction.respond(180);
  layer.receive(cancel);
  assert.equal(cancelled, 1);
  assert.deepEqual(starts(), ['SIP/2.0 180', 'SIP/2.0 200', 'SIP/2.0 487']);
}));

test('a CANCEL after the answer changes nothing, one for nothing gets 481', timed(() => {
  const { layer, starts, transaction, cancel } = incoming();
  transaction.onCancel = () => assert(false, 'not after a final response');
  transaction.respond(200);
  layer.receive(cancel);
  const stray = cancel.copy();
  stray.headers.prepend('Via', 'SIP/2.0/WS there.invalid;branch=z9hG4bKy');
  layer.receive(stray);
  assert.deepEqual(starts(), ['SIP/2.0 200', 'SIP/2.0 200', 'SIP/2.0 481']);
}));

test('the ACK of a refusal is absorbed, that of a 2xx is passed on, a second final response is ignored', timed(() => {
  const { layer, starts, transaction, request } = incoming();
  /** @type {string[]} */
  const acks = [];
  layer.on('ack', (ack) => acks.push(ack.branch));
  transaction.respond(486);
  transaction.respond(200);
  const ack = outline('ACK');
  ack.headers.prepend('Via', request.headers.getAll('Via')[0]);
  layer.receive(ack);
  assert.deepEqual(acks, []);
  const other = outline('ACK');
  other.headers.prepend('Via', 'SIP/2.0/WS there.invalid;branch=z9hG4bKother');
  layer.receive(other);
  assert.deepEqual(acks, ['z9hG4bKother']);
  assert.deepEqual(starts(), ['SIP/2.0 486']);
}));

test('dialogs: routes turn round for the caller, numbers rise, strangers and old numbers are told apart', () => {
  const invite = outline('INVITE');
  const ok = answer(invite, 200);
  ok.headers.append('Record-Route', '<sip:p1;lr>, <sip:p2;lr>').append('Contact', '<sip:bob@b.invalid;transport=ws>');
  const dialog = Dialog.ofCaller(invite, ok);
  const bye = dialog.makeRequest('BYE');
  assert.deepEqual(bye.headers.getAll('Route'), ['<sip:p2;lr>', '<sip:p1;lr>']);
  assert.equal(bye.uri, 'sip:bob@b.invalid;transport=ws');
  assert.deepEqual(bye.cseq, { number: 2, method: 'BYE' });
  assert.equal(dialog.makeAck(1).cseq.number, 1);

  invite.headers.append('Contact', '<sip:ada@a.invalid;transport=ws>').append('Record-Route', '<sip:p1;lr>, <sip:p2;lr>');
  const callee = Dialog.ofCallee(invite, 'b');
  const theirs = new SipRequest('INVITE', 'sip:x');
  theirs.headers.append('From', '<sip:ada@example.net>;tag=a').append('To', '<sip:bob@example.net>;tag=b')
    .append('Call-ID', 'c').append('CSeq', '2 INVITE').append('Contact', '<sip:moved@a.invalid>');
  assert(callee.matches(theirs));
  assert(callee.accept(theirs));
  assert(!callee.accept(theirs), 'the same number again');
  assert.equal(callee.makeRequest('BYE').uri, 'sip:moved@a.invalid');
  assert.deepEqual(callee.makeRequest('BYE').headers.getAll('Route'), ['<sip:p1;lr>', '<sip:p2;lr>']);
  theirs.headers.set('From', '<sip:ada@example.net>;tag=other');
  assert(!callee.matches(theirs));
});
