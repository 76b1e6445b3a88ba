/**
 * SIP messages (RFC 3261 §7) as values: parse, change, serialise. Strict where safety needs it, lenient where peers differ.
 * @module
 */

/** A message that cannot be used. `status` is what a request deserves as an answer. */
export class SipParseError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'SipParseError';
    this.status = 400;
  }
}

/**
 * Compact forms, RFC 3261 §7.3.3 and the IANA table.
 * @type {Record<string, string>}
 */
const compactForms = {
  i: 'Call-ID', m: 'Contact', e: 'Content-Encoding', l: 'Content-Length', c: 'Content-Type', f: 'From', s: 'Subject',
  k: 'Supported', t: 'To', v: 'Via', o: 'Event', r: 'Refer-To', b: 'Referred-By', x: 'Session-Expires', u: 'Allow-Events',
};

/** Headers whose value is a comma-separated list. Challenges are not: their parameters hold commas. */
const listHeaders = new Set(['via', 'route', 'record-route', 'contact', 'supported', 'require', 'allow', 'unsupported',
  'path', 'service-route', 'proxy-require', 'accept', 'allow-events', 'reason']);

const limits = { bytes: 65_536, headers: 256 };

/**
 * Standard phrases for the codes that this library sends.
 * @type {Record<number, string>}
 */
const phrases = {
  100: 'Trying', 180: 'Ringing', 183: 'Session Progress', 200: 'OK', 400: 'Bad Request', 405: 'Method Not Allowed',
  408: 'Request Timeout', 420: 'Bad Extension', 480: 'Temporarily Unavailable', 481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected', 486: 'Busy Here', 487: 'Request Terminated', 488: 'Not Acceptable Here', 491: 'Request Pending',
  500: 'Server Internal Error', 603: 'Decline',
};

/**
 * Splits at `separator` outside quotes and angle brackets; empty parts are dropped.
 * @param {string} text
 * @param {string} separator one character
 */
export function splitOutsideQuotes(text, separator) {
  /** @type {string[]} */
  const parts = [];
  let start = 0;
  let quoted = false;
  let bracketed = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') i += 1;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '<') bracketed = true;
    else if (c === '>') bracketed = false;
    else if (c === separator && !bracketed) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts.filter((part) => part !== '');
}

/** @param {string} text with or without its quotes */
export function unquote(text) {
  const value = text.trim();
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value;
  return value.slice(1, -1).replace(/\\(.)/g, '$1');
}

/**
 * `;name=value;flag` → Map; names in lower case, a flag's value is ''.
 * @param {string[]} parts without the semicolons
 */
function parameters(parts) {
  /** @type {Map<string, string>} */
  const map = new Map();
  for (const part of parts) {
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    if (name !== '' && !map.has(name)) map.set(name, equals < 0 ? '' : part.slice(equals + 1).trim());
  }
  return map;
}

/** A `sip:` or `sips:` URI; of other schemes (`tel:`) only `scheme` and `user` are told apart. */
export class SipUri {
  /**
   * @param {string} scheme
   * @param {string} user percent-escapes decoded; '' when absent
   * @param {string} host
   * @param {number | null} port
   * @param {Map<string, string>} params
   * @param {string} text as it came, so that it goes back unchanged
   */
  constructor(scheme, user, host, port, params, text) {
    this.scheme = scheme;
    this.user = user;
    this.host = host;
    this.port = port;
    this.params = params;
    this.text = text;
  }

  /**
   * @param {string} text
   * @returns {SipUri}
   * @throws {SipParseError}
   */
  static parse(text) {
    const trimmed = text.trim();
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(trimmed);
    if (!scheme || /[\s<>"]/.test(trimmed)) throw new SipParseError(`not a URI: ${trimmed.slice(0, 80)}`);
    const name = scheme[1].toLowerCase();
    const rest = trimmed.slice(scheme[0].length);
    if (name !== 'sip' && name !== 'sips') {
      const [user = '', ...params] = splitOutsideQuotes(rest, ';');
      return new SipUri(name, user, '', null, parameters(params), trimmed);
    }
    const at = rest.lastIndexOf('@');
    const account = at < 0 ? '' : rest.slice(0, at).split(':')[0];
    const [hostPort = '', ...params] = splitOutsideQuotes(rest.slice(at + 1).split('?')[0], ';');
    const host = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/i.exec(hostPort);
    if (!host) throw new SipParseError(`no host in URI: ${trimmed.slice(0, 80)}`);
    return new SipUri(name, decoded(account), host[1], host[2] ? Number(host[2]) : null, parameters(params), trimmed);
  }

  toString() {
    return this.text;
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `"Ada" <sip:ada@example.net>;tag=x` as in From, To, Contact, Route. */
export class NameAddress {
  /**
   * @param {string} displayName
   * @param {SipUri} uri
   * @param {Map<string, string>} params
   */
  constructor(displayName, uri, params) {
    this.displayName = displayName;
    this.uri = uri;
    this.params = params;
  }

  /**
   * @param {string} text
   * @returns {NameAddress}
   * @throws {SipParseError}
   */
  static parse(text) {
    const [head = '', ...params] = splitOutsideQuotes(text, ';');
    const open = bracketIndex(head);
    if (open < 0) return new NameAddress('', SipUri.parse(head), parameters(params));
    const close = head.indexOf('>', open);
    if (close < 0) throw new SipParseError('address without its closing bracket');
    return new NameAddress(unquote(head.slice(0, open)), SipUri.parse(head.slice(open + 1, close)), parameters(params));
  }

  get tag() {
    return this.params.get('tag') ?? '';
  }
}

/**
 * Where `<` opens outside the quoted display name.
 * @param {string} text
 */
function bracketIndex(text) {
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    if (quoted && text[i] === '\\') i += 1;
    else if (text[i] === '"') quoted = !quoted;
    else if (text[i] === '<' && !quoted) return i;
  }
  return -1;
}

/** Header fields in order, names without regard to case, compact forms expanded. */
export class Headers {
  constructor() {
    /** @type {[name: string, value: string][]} */
    this.fields = [];
  }

  /**
   * The first value, or ''.
   * @param {string} name
   */
  get(name) {
    const wanted = name.toLowerCase();
    return this.fields.find(([field]) => field.toLowerCase() === wanted)?.[1] ?? '';
  }

  /**
   * Every value; list headers are split at their commas.
   * @param {string} name
   */
  getAll(name) {
    const wanted = name.toLowerCase();
    const values = this.fields.filter(([field]) => field.toLowerCase() === wanted).map(([, value]) => value);
    return listHeaders.has(wanted) ? values.flatMap((value) => splitOutsideQuotes(value, ',')) : values;
  }

  /** @param {string} name */
  has(name) {
    const wanted = name.toLowerCase();
    return this.fields.some(([field]) => field.toLowerCase() === wanted);
  }

  /**
   * @param {string} name
   * @param {string | number} value
   */
  set(name, value) {
    this.delete(name);
    return this.append(name, value);
  }

  /**
   * @param {string} name
   * @param {string | number} value
   */
  append(name, value) {
    // A line break in a value would let the value write headers of its own.
    this.fields.push([name, String(value).replace(/[\r\n]+/g, ' ')]);
    return this;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  prepend(name, value) {
    this.fields.unshift([name, value]);
    return this;
  }

  /** @param {string} name */
  delete(name) {
    const wanted = name.toLowerCase();
    this.fields = this.fields.filter(([field]) => field.toLowerCase() !== wanted);
  }

  /**
   * True when a list header (Supported, Require, Allow) names this token.
   * @param {string} name
   * @param {string} token
   */
  includes(name, token) {
    return this.getAll(name).some((value) => value.toLowerCase() === token.toLowerCase());
  }
}

/** What requests and responses share. */
class SipMessage {
  constructor() {
    this.headers = new Headers();
    this.body = '';
  }

  get callId() {
    return this.headers.get('Call-ID');
  }

  get from() {
    return NameAddress.parse(this.headers.get('From'));
  }

  get to() {
    return NameAddress.parse(this.headers.get('To'));
  }

  /** @returns {{number: number, method: string}} */
  get cseq() {
    const match = /^(\d{1,10})\s+(\S+)$/.exec(this.headers.get('CSeq'));
    return match ? { number: Number(match[1]), method: match[2] } : { number: 0, method: '' };
  }

  /** The branch of the topmost Via; '' when there is none. */
  get branch() {
    const via = this.headers.getAll('Via')[0] ?? '';
    return parameters(splitOutsideQuotes(via, ';').slice(1)).get('branch') ?? '';
  }

  /** The body when it is a session description, else ''. */
  get sdp() {
    return /^application\/sdp\b/i.test(this.headers.get('Content-Type')) ? this.body : '';
  }

  /**
   * @param {string} type
   * @param {string} body
   */
  setBody(type, body) {
    this.headers.set('Content-Type', type);
    this.body = body;
    return this;
  }

  /** @param {string} startLine */
  serialized(startLine) {
    const lines = this.headers.fields
      .filter(([name]) => name.toLowerCase() !== 'content-length')
      .map(([name, value]) => `${name}: ${value}`);
    const length = new TextEncoder().encode(this.body).length;
    return `${startLine}\r\n${lines.join('\r\n')}\r\nContent-Length: ${length}\r\n\r\n${this.body}`;
  }
}

export class SipRequest extends SipMessage {
  /**
   * @param {string} method
   * @param {string} uri
   */
  constructor(method, uri) {
    super();
    this.method = method;
    this.uri = uri;
  }

  toString() {
    return this.serialized(`${this.method} ${this.uri} SIP/2.0`);
  }

  /** The same request to be sent again: no Via, own headers. */
  copy() {
    const copy = new SipRequest(this.method, this.uri);
    copy.headers.fields = this.headers.fields.filter(([name]) => name.toLowerCase() !== 'via');
    copy.body = this.body;
    return copy;
  }
}

export class SipResponse extends SipMessage {
  /**
   * @param {number} status
   * @param {string} [reason]
   */
  constructor(status, reason = phrases[status] ?? 'Unknown') {
    super();
    this.status = status;
    this.reason = reason;
  }

  /**
   * The response to `request` (RFC 3261 §8.2.6): Via, From, To, Call-ID, CSeq copied, To-tag added where there is none.
   * @param {SipRequest} request
   * @param {number} status
   * @param {string} [toTag]
   */
  static to(request, status, toTag = '') {
    const response = new SipResponse(status);
    for (const [name, value] of request.headers.fields) {
      const lower = name.toLowerCase();
      if (lower === 'to' && toTag && !/;\s*tag=/i.test(value.slice(value.lastIndexOf('>') + 1))) {
        response.headers.append('To', `${value};tag=${toTag}`);
      } else if (['via', 'from', 'to', 'call-id', 'cseq'].includes(lower)) {
        response.headers.append(name, value);
      } else if (lower === 'record-route' && status > 100 && status < 300) {
        response.headers.append(name, value);
      }
    }
    return response;
  }

  toString() {
    return this.serialized(`SIP/2.0 ${this.status} ${this.reason}`);
  }
}

/**
 * Parses one WebSocket message (RFC 7118 §5: one SIP message each).
 * @param {string} text
 * @returns {SipRequest | SipResponse}
 * @throws {SipParseError}
 */
export function parseMessage(text) {
  if (text.length > limits.bytes) throw new SipParseError('message too large');
  const start = text.search(/[^\r\n]/);
  const end = text.indexOf('\r\n\r\n', start);
  if (start < 0 || end < 0) throw new SipParseError('no end of headers');
  const [startLine, ...lines] = text.slice(start, end).replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  const message = parseStartLine(startLine);
  if (lines.length > limits.headers) throw new SipParseError('too many headers');
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim();
    if (!/^[a-z0-9.!%*_+`'~-]+$/i.test(name)) throw new SipParseError(`malformed header: ${line.slice(0, 60)}`);
    message.headers.append(compactForms[name.toLowerCase()] ?? name, line.slice(colon + 1).trim());
  }
  message.body = body(text.slice(end + 4), message.headers.get('Content-Length'));
  check(message);
  return message;
}

/** @param {string} line */
function parseStartLine(line) {
  const response = /^SIP\/2\.0 ([1-6]\d\d)(?: (.*))?$/i.exec(line);
  if (response) return new SipResponse(Number(response[1]), response[2] ?? '');
  const request = /^([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP\/2\.0$/i.exec(line);
  if (request) return new SipRequest(request[1], request[2]);
  throw new SipParseError(`malformed start line: ${line.slice(0, 60)}`);
}

/**
 * @param {string} text
 * @param {string} length value of Content-Length, '' when absent (it may be, on a WebSocket)
 */
function body(text, length) {
  if (length === '') return text;
  if (!/^\d{1,9}$/.test(length)) throw new SipParseError('malformed Content-Length');
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < Number(length)) throw new SipParseError('body shorter than Content-Length');
  return bytes.length === Number(length) ? text : new TextDecoder().decode(bytes.subarray(0, Number(length)));
}

/**
 * What every message must have (RFC 3261 §8.1.1).
 * @param {SipRequest | SipResponse} message
 */
function check(message) {
  for (const name of ['Via', 'From', 'To', 'Call-ID', 'CSeq']) {
    if (!message.headers.has(name)) throw new SipParseError(`no ${name}`);
  }
  const { number, method } = message.cseq;
  if (method === '' || number > 0xffff_ffff) throw new SipParseError('malformed CSeq');
  if (message instanceof SipRequest && message.method !== method) throw new SipParseError('CSeq names another method');
  NameAddress.parse(message.headers.get('From'));
  NameAddress.parse(message.headers.get('To'));
}
