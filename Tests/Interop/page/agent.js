// A telephone without a face on the server's own SDK: what the tests press, as `window.agent`.
const { Conference, Phone } = await import('/sdk/index.js');

const calls = [];
const log = [];
const digits = [];
const transfers = [];

function follow(call) {
  calls.push(call);
  log.push(`${call.direction} ${call.remote.user}`);
  call.on('change', () => log.push(`${call.remote.user}: ${call.state} ${call.cause} ${call.status}`));
  call.on('dtmf', ({ digit }) => digits.push(digit));
}

window.agent = {
  calls,
  log,
  digits,
  transfers,
  trace: [],
  start({ user, password, domain, dtmf, url, instanceId, iceServers = [] }) {
    url ??= `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/sip`;
    // The filters are made to remove tones.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.phone = new Phone({ server: url, user, password, domain, dtmf: dtmf ?? 'auto', audio, iceServers, instanceId: instanceId ?? crypto.randomUUID() });
    this.phone.on('call', follow);
    this.phone.on('restored', follow);
    this.phone.on('state', ({ state, error }) => log.push(`phone: ${state} ${error?.code ?? ''}`));
    this.phone.on('message', ({ direction, text }) => {
      this.trace.push(`${direction} ${text}`);
      if (this.trace.length > 400) this.trace.shift();
    });
    this.phone.on('warning', ({ text, error }) => log.push(`warning: ${text} ${error ?? ''}`));
    return this.phone.start();
  },
  call(number) {
    follow(this.phone.call(number));
  },
  // Outcomes are kept: 'transferred', or the code of the error.
  transfer(target, call = this.current) {
    call.transfer(target).then(() => transfers.push('transferred'), ({ code }) => transfers.push(code));
  },
  attended(call, consultation) {
    this.transfer(consultation, call);
  },
  async conference() {
    this.table = new Conference();
    for (const call of this.phone.calls) await this.table.add(call);
  },
  get current() {
    return calls.at(-1);
  },
  state() {
    const call = this.current;
    if (!call) return null;
    const { state, cause, status, onHold, remoteHold, earlyMedia, direction, remote, connection } = call;
    return { state, cause, status, onHold, remoteHold, earlyMedia, direction, from: remote.user, name: remote.displayName, connection };
  },
};
