import { Phone } from './index.js';

/** @type {Phone | undefined} */
let phone;
/** @type {import('./call.js').Call | undefined} */
let call;

const status = /** @type {HTMLElement} */ (document.getElementById('status'));
const audio = /** @type {HTMLAudioElement} */ (document.getElementById('audio'));

/** @param {import('./call.js').Call} current */
function follow(current) {
  call = current;
  current.on('change', () => { status.textContent = `${current.remote.user}: ${current.state} ${current.cause}`; });
  current.on('media', (stream) => { audio.srcObject = stream; });
}

/**
 * @param {string} id
 * @param {(fields: Record<string, string>) => void} action
 */
function onSubmit(id, action) {
  const form = /** @type {HTMLFormElement} */ (document.getElementById(id));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    action(Object.fromEntries(/** @type {any} */ (new FormData(form))));
  });
}

onSubmit('account', async ({ user, password, domain }) => {
  await phone?.stop();
  const server = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/sip`;
  phone = new Phone({ server, user, password, domain });
  phone.on('state', ({ state, error }) => { status.textContent = `${state} ${error?.code ?? ''}`; });
  phone.on('call', (incoming) => {
    status.textContent = `${incoming.remote.displayName || incoming.remote.user} is calling`;
    follow(incoming);
  });
  await phone.start();
});

onSubmit('dial', ({ number }) => {
  if (phone) follow(phone.call(number));
});

document.getElementById('end')?.addEventListener('click', () => {
  if (call?.state === 'ringing' && call.direction === 'incoming') call.answer().catch((error) => { status.textContent = error.code; });
  else call?.hangUp();
});
