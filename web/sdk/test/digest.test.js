import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials, DigestClient, parseChallenge, strongestChallenge } from '../digest.js';
import { md5, sha256 } from '../hash.js';
import { SipRequest, SipResponse, unquote } from '../sip-message.js';

test('MD5 gives the digests of RFC 1321 A.5', () => {
  assert.equal(md5(''), 'd41d8cd98f00b204e9800998ecf8427e');
  assert.equal(md5('abc'), '900150983cd24fb0d6963f7d28e17f72');
  assert.equal(md5('12345678901234567890123456789012345678901234567890123456789012345678901234567890'),
    '57edf4a22be3c955ac49da2e2107b67a');
});

test('SHA-256 gives the digests of FIPS 180-4', () => {
  assert.equal(sha256(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(sha256('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(sha256('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1');
});

test('hashes agree with WebCrypto at every length around a block', async () => {
  for (let length = 50; length < 135; length += 1) {
    const text = 'ä'.repeat(length >> 1) + 'x'.repeat(length & 1);
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
    assert.equal(sha256(text), Array.from(new Uint8Array(digest), (b) => b.toString(16).padStart(2, '0')).join(''));
  }
});

/** RFC 7616 §3.9.1 */
const example = {
  user: 'Mufasa', password: 'Circle of Life', method: 'GET', uri: '/dir/index.html', body: '',
  cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ', count: 1,
};
const challenge = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, '
  + 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';

test('answers as in RFC 7616 3.9.1, MD5 and SHA-256', () => {
  const weak = parseChallenge(challenge);
  const strong = parseChallenge(challenge.replace('=MD5', '=SHA-256'));
  assert(weak && strong);
  assert.match(credentials(weak, example), /response="8ca523f5e9506fed4657c9700eebdbec"/);
  assert.match(credentials(strong, example),
    /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"/);
});

test('a challenge without qop is answered as in RFC 2069', () => {
  const old = parseChallenge('Digest realm="a", nonce="b"');
  assert(old);
  const value = credentials(old, { ...example, user: 'u', password: 'p', method: 'REGISTER', uri: 'sip:x' });
  assert.match(value, new RegExp(`response="${md5(`${md5('u:a:p')}:b:${md5('REGISTER:sip:x')}`)}"`));
  assert(!value.includes('cnonce') && !value.includes('nc='));
});

test('auth-int covers the body', () => {
  const integrity = parseChallenge('Digest realm="a", nonce="b", qop="auth-int"');
  assert(integrity);
  const one = credentials(integrity, { ...example, body: 'v=0' });
  const other = credentials(integrity, { ...example, body: 'v=1' });
  assert.notEqual(one, other);
  assert.match(one, /qop=auth-int/);
});

test('the strongest challenge wins whatever the order, unknown ones are passed over', () => {
  const values = ['Digest realm="r", nonce="1", algorithm=MD5, qop="auth"', 'Basic realm="r"',
    'Digest realm="r", nonce="2", algorithm=SHA-512-256, qop="auth"',
    'Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth"'];
  assert.equal(strongestChallenge(values)?.nonce, '3');
  assert.equal(strongestChallenge([...values].reverse())?.nonce, '3');
  assert.equal(strongestChallenge(['Basic realm="r"']), null);
});

test('quotes and commas inside a realm survive', () => {
  assert.equal(parseChallenge('Digest realm="a \\"b\\", c", nonce="n"')?.realm, 'a "b", c');
  assert.equal(unquote('"a\\\\b"'), 'a\\b');
});

test('the nonce count rises, and starts again with a new nonce', () => {
  const client = new DigestClient('u', 'p');
  const response = new SipResponse(401);
  response.headers.append('WWW-Authenticate', 'Digest realm="r", nonce="1", qop="auth", stale=TRUE');
  assert.deepEqual(client.learn(response), { stale: true });
  const counts = [1, 2].map(() => {
    const request = new SipRequest('REGISTER', 'sip:x');
    client.sign(request);
    return /nc=(\w+)/.exec(request.headers.get('Authorization'))?.[1];
  });
  assert.deepEqual(counts, ['00000001', '00000002']);
  client.learn(response);
  const request = new SipRequest('REGISTER', 'sip:x');
  client.sign(request);
  client.sign(request);
  assert.equal(request.headers.getAll('Authorization').length, 1);
  assert.match(request.headers.get('Authorization'), /nc=00000002/);
});

test('a proxy challenge is answered in its own header', () => {
  const client = new DigestClient('u', 'p');
  const response = new SipResponse(407);
  response.headers.append('Proxy-Authenticate', 'Digest realm="r", nonce="1", qop="auth"');
  client.learn(response);
  const request = new SipRequest('INVITE', 'sip:x');
  client.sign(request);
  assert(request.headers.has('Proxy-Authorization') && !request.headers.has('Authorization'));
});
