// Runs before every page of the suite, whatever telephone the page is: keeps its peer connections and listens to what
// they receive. `ear.count()` and `ear.take(from, to)` give 16 kHz samples; recognising them is the tests' work.
(() => {
  const connections = [];
  const rate = 16000;
  const capacity = rate * 90;
  const ring = new Int16Array(capacity);
  let count = 0;
  let context;
  let mixer;

  // Sums what arrives and keeps every third sample's mean: 48 kHz to 16 kHz. Windows without input count as silence.
  const worklet = `registerProcessor('ear', class extends AudioWorkletProcessor {
    constructor() { super(); this.rest = []; }
    process([input]) {
      const channel = input[0] ?? new Float32Array(128);
      this.rest.push(...channel);
      const out = new Int16Array(Math.floor(this.rest.length / 3));
      for (let i = 0; i < out.length; i++) {
        const mean = (this.rest[3 * i] + this.rest[3 * i + 1] + this.rest[3 * i + 2]) / 3;
        out[i] = Math.max(-32768, Math.min(32767, Math.round(mean * 32767)));
      }
      this.rest = this.rest.slice(3 * out.length);
      this.port.postMessage(out, [out.buffer]);
      return true;
    }
  });`;

  async function open() {
    context = new AudioContext({ sampleRate: 48000 });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: 'text/javascript' })));
    mixer = new AudioWorkletNode(context, 'ear', { numberOfInputs: 1, channelCount: 1, channelCountMode: 'explicit' });
    mixer.port.onmessage = ({ data }) => {
      for (const sample of data) ring[count++ % capacity] = sample;
    };
    // Pulled by the destination, yet unheard.
    const gain = new GainNode(context, { gain: 0 });
    mixer.connect(gain).connect(context.destination);
  }
  let opening;

  async function listen(stream) {
    await (opening ??= open());
    // Chromium decodes a remote stream only while an element plays it.
    const element = new Audio();
    element.muted = true;
    element.srcObject = stream;
    element.play().catch(() => {});
    context.createMediaStreamSource(stream).connect(mixer);
  }

  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      connections.push(this);
      this.addEventListener('track', ({ track }) => track.kind === 'audio' && listen(new MediaStream([track])));
    }
  };

  const encode = (samples) => {
    const bytes = new Uint8Array(samples.buffer);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };

  window.ear = {
    connections,
    count: () => count,
    // Waits until `length` samples after `from` have come, or the limit (milliseconds) is over; base64 of Int16.
    async take(from, length, limit) {
      const end = performance.now() + limit;
      while (count < from + length && performance.now() < end) await new Promise((done) => setTimeout(done, 20));
      const have = Math.max(0, Math.min(length, count - from));
      const samples = new Int16Array(have);
      for (let i = 0; i < have; i++) samples[i] = ring[(from + i) % capacity];
      return encode(samples);
    },
    // Statistics of the newest connection, by type.
    async stats() {
      const connection = connections.at(-1);
      const report = connection ? [...(await connection.getStats()).values()] : [];
      const codec = (id) => report.find((entry) => entry.id === id)?.mimeType ?? '';
      const pick = (type) => report.filter((entry) => entry.type === type && (entry.kind ?? 'audio') === 'audio');
      const pair = report.find((entry) => entry.type === 'candidate-pair' && entry.nominated && entry.state === 'succeeded');
      const transport = pick('transport')[0] ?? {};
      return {
        state: connection?.connectionState,
        inbound: pick('inbound-rtp').map((entry) => ({ ...entry, codec: codec(entry.codecId) })),
        outbound: pick('outbound-rtp').map((entry) => ({ ...entry, codec: codec(entry.codecId) })),
        pair: pair ?? null,
        srtp: transport.srtpCipher ?? '',
        dtlsRole: transport.dtlsRole ?? '',
      };
    },
  };
})();
