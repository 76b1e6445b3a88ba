/**
 * Before the room: a look in the mirror, a word into the microphone, a name.
 * @module
 */

import { LevelMeter, listDevices } from '../desk/devices.js';
import { append, h, icon, setAttribute, setIcon, setText } from '../desk/dom.js';
import { AdmissionError, admit } from './admission.js';
import { strings } from './strings.js';

/** @typedef {import('./admission.js').Ticket} Ticket */
/** @typedef {import('./admission.js').Admission} Admission */
/** @typedef {{camera: MediaStreamTrack | null, microphone: MediaStreamTrack | null, speaker: string}} Devices */

const remembered = 'parley.room.name';

/** @type {MediaTrackConstraints} */
const picture = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

/**
 * @param {'camera' | 'microphone'} kind
 * @param {string} [device]
 * @returns {Promise<MediaStreamTrack | null>} null where there is none or it is not allowed
 */
export async function openDevice(kind, device) {
  const chosen = device ? { deviceId: { exact: device } } : {};
  const wanted = kind === 'camera' ? { video: { ...picture, ...chosen } } : { audio: { ...chosen } };
  const stream = await navigator.mediaDevices?.getUserMedia(wanted).catch(() => null);
  return stream?.getTracks()[0] ?? null;
}

export class Door {
  /**
   * @param {Ticket} ticket
   * @param {{user: string, password: string, display: string}[]} demo accounts that this machine may use
   * @param {(admission: Admission, devices: Devices) => Promise<void>} enter rejects when the room does not take us
   */
  constructor(ticket, demo, enter) {
    const { door } = strings;
    this.ticket = ticket;
    this.enter = enter;
    /** @type {Devices} */
    this.devices = { camera: null, microphone: null, speaker: '' };
    this.video = h('video', { autoplay: true, playsinline: true, class: 'mirror' });
    this.video.muted = true;
    this.note = h('p', { class: 'preview-note' }, door.cameraOff);
    this.cameraButton = this.toggle('camera', 'camera', () => this.switchCamera());
    this.microphoneButton = this.toggle('microphone', 'mic', () => this.switchMicrophone());
    const bar = h('div', { class: 'meter', role: 'meter', 'aria-label': door.level, 'aria-valuemin': '0', 'aria-valuemax': '100' }, h('div', { class: 'meter-fill' }));
    this.meter = new LevelMeter(bar);
    this.pickers = {
      videoinput: this.picker(door.camera, (device) => this.choose('camera', device)),
      audioinput: this.picker(door.microphone, (device) => this.choose('microphone', device)),
      audiooutput: this.picker(door.speaker, (device) => { this.devices.speaker = device; }),
    };
    /** @type {AudioContext | null} */
    this.context = null;
    this.isGone = false;
    /** @type {{name: HTMLInputElement, room: HTMLInputElement, user: HTMLInputElement, password: HTMLInputElement}} */
    this.inputs = /** @type {any} */ ({});
    this.form = this.fields(demo);
    this.problem = h('p', { class: 'notice bad', role: 'alert', hidden: true });
    this.button = h('button', { class: 'primary wide', testid: 'join' }, door.join);
    append(this.form, [this.problem, this.button]);
    this.element = h('main', { class: 'door' },
      h('section', { class: 'preview' },
        h('div', { class: 'preview-picture' }, this.video, this.note, h('div', { class: 'preview-buttons' }, this.microphoneButton, this.cameraButton)),
        bar,
        h('div', { class: 'preview-devices' }, ...Object.values(this.pickers).map(({ label }) => label))),
      h('section', { class: 'entry' },
        h('h1', {}, door.heading), h('p', { class: 'lead' }, ticket.room ? door.into(ticket.room) : door.open), this.form));
    void this.start();
  }

  /** @param {{user: string, password: string, display: string}[]} demo */
  fields(demo) {
    const { door } = strings;
    const isGuest = this.ticket.kind === 'invitation';
    const isKnown = this.ticket.kind === 'token';
    /** @param {string} label @param {Record<string, any>} attributes */
    const field = (label, attributes) => {
      const input = h('input', { autocomplete: 'off', ...attributes });
      return { input, element: h('label', { class: 'field' }, h('span', {}, label), input) };
    };
    const name = field(door.name, { name: 'name', value: localStorage.getItem(remembered) ?? '', maxlength: '64', testid: 'name', autocomplete: 'name' });
    const room = field(door.room, { name: 'room', value: this.ticket.room, maxlength: '64', testid: 'room-name' });
    const user = field(door.user, { name: 'user', testid: 'user', autocomplete: 'username' });
    const password = field(door.password, { name: 'password', type: 'password', testid: 'password', autocomplete: 'current-password' });
    this.inputs = { name: name.input, room: room.input, user: user.input, password: password.input };
    const form = h('form', { class: 'entry-form' });
    if (isGuest) append(form, [name.element]);
    if (!isGuest && !isKnown) {
      append(form, [room.element, user.element, password.element, h('p', { class: 'hint' }, door.accountHint)]);
      for (const { user: demoUser, password: secret, display } of demo.slice(0, 2)) {
        append(form, [h('button', {
          type: 'button', class: 'secondary wide', testid: 'demo-join', onclick: () => {
            user.input.value = demoUser;
            password.input.value = secret;
            room.input.value ||= 'demo';
            void this.submit();
          },
        }, door.demo(display))]);
      }
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.submit();
    });
    return form;
  }

  async start() {
    if (!navigator.mediaDevices) return this.complain(strings.door.insecure);
    // Asked for together first, so that the browser asks the person once.
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: picture }).catch(() => null);
    for (const track of stream?.getTracks() ?? []) {
      if (this.isGone) track.stop();
      else this.devices[track.kind === 'video' ? 'camera' : 'microphone'] = track;
    }
    if (!stream && !this.isGone) {
      this.devices.microphone = await openDevice('microphone');
      this.devices.camera = await openDevice('camera');
    }
    if (!this.devices.camera) setText(this.note, strings.door.cameraDenied);
    if (!this.devices.microphone) this.complain(strings.door.microphoneDenied);
    this.show();
    await this.listDevices();
  }

  async listDevices() {
    for (const kind of /** @type {('videoinput' | 'audioinput' | 'audiooutput')[]} */ (Object.keys(this.pickers))) {
      const found = await listDevices(kind);
      const { label, select } = this.pickers[kind];
      label.hidden = found.length < 2;
      select.replaceChildren(...found.map(({ deviceId, label: text }, index) => h('option', { value: deviceId }, text || `${index + 1}`)));
    }
  }

  /**
   * @param {string} text
   * @param {(device: string) => void} choose
   */
  picker(text, choose) {
    const select = h('select', { onchange: () => choose(select.value) });
    return { select, label: h('label', { class: 'field', hidden: true }, h('span', {}, text), select) };
  }

  /**
   * @param {string} name
   * @param {string} shape
   * @param {() => void} press
   */
  toggle(name, shape, press) {
    return h('button', { type: 'button', class: 'round', testid: `preview-${name}`, onclick: press }, icon(shape));
  }

  /**
   * @param {'camera' | 'microphone'} kind
   * @param {string} device
   */
  async choose(kind, device) {
    this.devices[kind]?.stop();
    this.devices[kind] = await openDevice(kind, device);
    this.show();
  }

  async switchCamera() {
    if (this.devices.camera) {
      this.devices.camera.stop();
      this.devices.camera = null;
      setText(this.note, strings.door.cameraOff);
    } else {
      this.devices.camera = await openDevice('camera', this.pickers.videoinput.select.value);
      if (!this.devices.camera) setText(this.note, strings.door.cameraDenied);
    }
    this.show();
  }

  switchMicrophone() {
    const { microphone } = this.devices;
    if (microphone) microphone.enabled = !microphone.enabled;
    this.show();
  }

  show() {
    const { camera, microphone } = this.devices;
    const { bar } = strings;
    this.video.srcObject = camera ? new MediaStream([camera]) : null;
    this.note.hidden = Boolean(camera);
    const isHeard = Boolean(microphone?.enabled);
    this.label(this.cameraButton, camera ? 'camera' : 'cameraoff', camera ? bar.cameraOff : bar.cameraOn, !camera);
    this.label(this.microphoneButton, isHeard ? 'mic' : 'micoff', isHeard ? bar.mute : bar.unmute, !isHeard);
    if (microphone) {
      this.context ??= new AudioContext();
      this.meter.watch(new MediaStream([microphone]), this.context);
    }
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {string} shape
   * @param {string} text
   * @param {boolean} isOff
   */
  label(button, shape, text, isOff) {
    setIcon(button, shape);
    button.title = text;
    button.setAttribute('aria-label', text);
    setAttribute(button, 'data-off', isOff);
  }

  /** @param {string} text */
  complain(text) {
    setText(this.problem, text);
    this.problem.hidden = !text;
  }

  async submit() {
    const { name, room, user, password } = this.inputs;
    const { door } = strings;
    if (this.ticket.kind === 'invitation' && !name.value.trim()) return this.complain(door.missingName);
    if (this.ticket.kind === 'none') {
      if (!room.value.trim()) return this.complain(door.missingRoom);
      if (!user.value || !password.value) return this.complain(door.missingAccount);
    }
    this.complain('');
    setText(this.button, door.joining);
    this.button.setAttribute('aria-busy', 'true');
    try {
      const given = name.value.trim();
      if (given) localStorage.setItem(remembered, given);
      const form = { name: this.ticket.kind === 'invitation' ? given : '', room: room.value.trim(), user: user.value, password: password.value };
      await this.enter(await admit(this.ticket, form), this.devices);
    } catch (error) {
      const refusal = /** @type {any} */ (error);
      this.complain(error instanceof AdmissionError ? error.message : refusal?.text || strings.end.reasons.failed[0]);
    } finally {
      setText(this.button, door.join);
      this.button.removeAttribute('aria-busy');
    }
  }

  /** The tracks live on; they are the room's now. */
  close() {
    this.isGone = true;
    this.meter.stop();
    void this.context?.close();
    this.video.srcObject = null;
    this.element.remove();
  }
}
