// Ears for Firefox: no worklet from a blob, which the pages' own security policy forbids. `ear.hear()` gives the loudest
// frequency (Hz) and its level (dBFS) of each stream that the page's connections receive.
(() => {
  const connections = [];
  const analysers = [];
  let context;

  function listen(stream) {
    context ??= new AudioContext();
    const element = new Audio();
    element.muted = true;
    element.srcObject = stream;
    element.play().catch(() => {});
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(stream).connect(analyser);
    analysers.push(analyser);
  }

  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      connections.push(this);
      this.addEventListener('track', ({ track }) => track.kind === 'audio' && listen(new MediaStream([track])));
    }
  };

  window.ear = {
    connections,
    hear: () => analysers.map((analyser) => {
      const bins = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(bins);
      const loudest = bins.indexOf(bins.reduce((a, b) => Math.max(a, b)));
      return { hertz: (loudest * context.sampleRate) / analyser.fftSize, level: bins[loudest] };
    }),
  };
})();
