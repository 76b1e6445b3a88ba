/**
 * Every English word of the desktop, in one place.
 * @module
 */

/** @param {number} seconds */
const inSeconds = (seconds) => (seconds <= 1 ? 'now' : `in ${seconds} s`);

export const strings = {
  product: 'Parley',
  pageTitle: 'Parley Desk',

  login: {
    title: 'Sign in',
    lead: 'Use the name and password of your phone account.',
    user: 'User name',
    password: 'Password',
    show: 'Show password',
    hide: 'Hide password',
    remember: 'Stay signed in until this tab is closed',
    advanced: 'Server',
    server: 'Server address',
    serverHint: 'A WebSocket address, such as wss://phone.example.net/sip',
    domain: 'SIP domain',
    submit: 'Sign in',
    busy: 'Signing in…',
    demo: 'Or look around with a demo account',
    demoAs: (/** @type {string} */ name, /** @type {string} */ user) => `${name}, ${user}`,
    pitch: 'Every call, clearly.',
    pitchLead: 'Your phone, in this browser tab. Nothing to install.',
    missing: 'Enter your user name and password.',
    badServer: 'The server address must begin with ws:// or wss://.',
    secureNeeded: 'This page was loaded over https, so the server address must begin with wss://.',
  },

  state: {
    stopped: 'Signed out',
    connecting: 'Connecting…',
    registering: 'Signing in…',
    registered: 'Ready for calls',
    reconnecting: 'Reconnecting…',
    reconnectingIn: (/** @type {number} */ seconds) => `Reconnecting ${inSeconds(seconds)}`,
    rejected: 'Not signed in',
    offline: 'This computer is offline',
    retry: 'Retry now',
    callsContinue: 'Your call goes on meanwhile.',
    lost: 'The connection to the server is lost.',
    lostText: 'You cannot be called until it is back.',
  },

  header: {
    help: 'Keyboard shortcuts',
    settings: 'Settings',
    dark: 'Switch to dark',
    light: 'Switch to light',
    signOut: 'Sign out',
    skip: 'Skip to the number field',
  },

  dial: {
    title: 'Keypad',
    number: 'Number or name',
    placeholder: 'Enter a number',
    erase: 'Erase the last digit',
    call: 'Call',
    echo: 'Echo test (600)',
    echoNumber: '600',
    pasted: (/** @type {string} */ number) => `Pasted as ${number}`,
    key: (/** @type {string} */ key) => ({ '*': 'Star', '#': 'Hash' }[key] ?? key),
    letters: { 2: 'ABC', 3: 'DEF', 4: 'GHI', 5: 'JKL', 6: 'MNO', 7: 'PQRS', 8: 'TUV', 9: 'WXYZ', 0: '+' },
  },

  idle: {
    title: 'Ready for calls',
    waiting: 'One moment…',
    lost: 'Connection lost',
    reachable: (/** @type {string} */ address) => `You can be reached at ${address}`,
    lostLead: 'Calls cannot reach you until the connection is back. It is tried again by itself.',
    checks: 'Before the first call',
    connection: 'Connection',
    microphone: 'Microphone',
    micUnknown: 'The browser will ask for it',
    micDenied: 'Blocked by the browser',
    micMissing: 'None found',
    micAllow: 'Allow',
    speaker: 'Speaker',
    speakerDefault: 'The computer’s default',
    speakerTest: 'Play a sound',
    notifications: 'Notifications',
    notificationsOn: 'On, for calls while you are in another tab',
    notificationsAsk: 'Off: calls in the background are easy to miss',
    notificationsDenied: 'Blocked by the browser',
    notificationsAllow: 'Turn on',
    soundBlocked: 'The browser keeps this page silent until you click somewhere.',
  },

  call: {
    incoming: 'Incoming call',
    incomingWaiting: 'Another call is waiting',
    answer: 'Answer',
    answerHold: 'Answer and hold the other',
    answering: 'Connecting…',
    decline: 'Decline',
    starting: 'Asking for the microphone…',
    calling: 'Calling…',
    ringing: 'Ringing…',
    earlyMedia: 'Ringing, audio from the network…',
    connecting: 'Connecting the audio…',
    active: 'In call',
    onHold: 'On hold',
    remoteHold: 'The other side put you on hold',
    bothHold: 'Both sides are on hold',
    recovering: 'The audio path was lost and is being mended…',
    mute: 'Mute',
    unmute: 'Unmute',
    hold: 'Hold',
    resume: 'Resume',
    keypad: 'Keypad',
    hangUp: 'Hang up',
    cancel: 'Cancel',
    duration: 'Duration of the call',
    you: 'You',
    them: 'Them',
    yourLevel: 'Your microphone’s level',
    theirLevel: 'The other side’s level',
    sent: 'Digits sent',
    received: (/** @type {string} */ digits) => `Digits received: ${digits}`,
    other: 'Other calls',
    swap: 'Switch to this call',
    holdFailed: 'The other side did not accept this. The call is unchanged.',
    dtmfFailed: 'The digit could not be sent.',
    again: 'Call again',
    dismiss: 'Close',
    anonymous: 'Unknown caller',
    echo: 'Echo test',
    echoHint: 'Say something: you should hear yourself a moment later.',
  },

  transfer: {
    title: 'Transfer',
    open: 'Transfer',
    to: 'Transfer to',
    placeholder: 'Number or name',
    blind: 'Transfer now',
    consult: 'Ask first',
    join: (/** @type {string} */ name) => `Connect with ${name}`,
    conference: 'Talk with all of them',
    busy: 'Transferring…',
    ringing: 'It rings there…',
    failed: (/** @type {string} */ why) => `Not transferred: ${why.toLowerCase()}. You still have the call.`,
    conferenceFailed: 'The calls could not be put together.',
  },

  quality: {
    unknown: 'Measuring the line…',
    good: 'Good line',
    fair: 'Fair line',
    poor: 'Poor line',
    /** @type {Record<string, (value: number) => string>} by reason; the value is a share in percent, or milliseconds */
    why: {
      'loss-in': (value) => `${value} % of what you should hear gets lost on the way`,
      'loss-out': (value) => `${value} % of what you say gets lost on the way`,
      gaps: () => 'What you hear has gaps',
      jitter: (value) => `Audio arrives unevenly, by ${value} ms`,
      delay: (value) => `Words take long to arrive, ${value} ms there and back`,
      'no-audio-in': () => 'No audio is arriving from the other side',
      'mic-silent': () => 'Your microphone gives no sound: is it switched off at the headset?',
    },
    detail: (/** @type {number} */ loss, /** @type {number} */ jitter, /** @type {number | null} */ delay) =>
      `Loss ${loss.toFixed(1)} % · jitter ${Math.round(jitter)} ms${delay === null ? '' : ` · delay ${Math.round(delay)} ms`}`,
  },

  /**
   * Why a call ended, or did not begin: a headline, and what to do.
   * @type {Record<string, {title: string, text: string}>}
   */
  ended: {
    'hung-up': { title: 'Call ended', text: '' },
    'hung-up-remote': { title: 'Call ended', text: 'The other side hung up.' },
    transferred: { title: 'Call transferred', text: '' },
    cancelled: { title: 'Call cancelled', text: '' },
    rejected: { title: 'Call declined', text: '' },
    missed: { title: 'Missed call', text: 'The caller gave up before you answered.' },
    'answered-elsewhere': { title: 'Answered elsewhere', text: 'The call was taken on another phone.' },
    busy: { title: 'Busy', text: 'The other side is on another call. Try again in a while.' },
    declined: { title: 'Declined', text: 'The other side did not take the call.' },
    'no-answer': { title: 'No answer', text: 'It rang, but nobody answered.' },
    unavailable: { title: 'Not available', text: 'The other side cannot be reached right now, or did not answer.' },
    'not-found': { title: 'Number not found', text: 'There is nobody at this number. Check the digits.' },
    'bad-number': { title: 'Number not complete', text: 'Some digits are missing. Check the number.' },
    forbidden: { title: 'Not allowed', text: 'Your account may not call this number. Ask your administrator.' },
    'wrong-password': { title: 'Not allowed', text: 'The server did not accept your sign-in for this call. Sign out and in again.' },
    'not-acceptable': { title: 'No common audio', text: 'The two phones could not agree on how to send sound.' },
    'server-error': { title: 'The server has a problem', text: 'The call could not be set up. Try again; if it stays so, tell your administrator.' },
    timeout: { title: 'The server did not respond', text: 'Check your network connection and try again.' },
    'not-connected': { title: 'Not connected', text: 'The call can be made when the connection is back.' },
    'media-failed': { title: 'No audio path', text: 'The call was answered, but sound could not get through. A firewall may block UDP: ask your administrator.' },
    'media-lost': { title: 'Connection lost', text: 'The audio broke off and did not come back.' },
    'mic-refused': { title: 'The microphone is blocked', text: 'Allow it: click the symbol left of the address bar, switch Microphone on, then call again.' },
    'mic-missing': { title: 'No microphone found', text: 'Plug in a headset or microphone, choose it in Settings, then call again.' },
    'mic-busy': { title: 'The microphone is in use', text: 'Another program holds it. Close that program, then call again.' },
    'mic-insecure': { title: 'No microphone on this page', text: 'Browsers give the microphone only to https pages and to localhost. Open this page by https.' },
    internal: { title: 'Something went wrong', text: 'The call could not be made. Reload the page and try again.' },
  },

  /**
   * Why signing in failed.
   * @type {Record<string, {title: string, text: string}>}
   */
  signIn: {
    'wrong-password': { title: 'Wrong user name or password', text: 'Check both, and whether Caps Lock is on.' },
    forbidden: { title: 'This account may not sign in', text: 'The server refused it. Ask your administrator.' },
    'not-found': { title: 'The server does not know this user', text: 'Check the user name, and the SIP domain under “Server”.' },
    'server-unreachable': {
      title: 'The server cannot be reached',
      text: 'Check your network connection, and the address under “Server”. With a self-signed certificate, open the '
        + 'server’s page once by https and accept it. Trying again…',
    },
    'server-error': { title: 'The server has a problem', text: 'It answered, but cannot sign you in right now. Trying again…' },
  },

  recording: {
    start: 'Record',
    stop: 'End recording',
    startTitle: 'Record this call',
    pause: 'Pause recording',
    resume: 'Go on recording',
    pauseTitle: 'Record nothing for a while, as for a card number',
    recording: 'This call is being recorded',
    paused: 'The recording is paused',
    failed: 'This call is not recorded any more: the server cannot write',
    all: 'Recordings',
  },

  history: {
    title: 'Recent calls',
    empty: 'No calls yet',
    emptyText: 'Calls that you make and take appear here.',
    clear: 'Clear',
    clearTitle: 'Clear the list of recent calls',
    all: 'All',
    missed: 'Missed',
    emptyMissed: 'No missed calls',
    callBack: (/** @type {string} */ name) => `Call ${name}`,
    today: 'Today',
    yesterday: 'Yesterday',
    /** @type {Record<string, string>} */
    kind: { outgoing: 'Outgoing', incoming: 'Incoming', missed: 'Missed', failed: 'Not reached', rejected: 'Declined', elsewhere: 'Answered elsewhere' },
  },

  settings: {
    title: 'Settings',
    close: 'Close',
    audio: 'Sound',
    microphone: 'Microphone',
    speaker: 'Speaker',
    ringer: 'Ring on',
    systemDefault: 'Computer’s default',
    device: (/** @type {number} */ number) => `Device ${number}`,
    noChoice: 'This browser cannot choose an output; set it in the operating system.',
    level: 'Microphone level',
    speak: 'Speak: the bar should move.',
    test: 'Test',
    testRing: 'Test ring',
    volume: 'Ring volume',
    processing: 'Microphone processing',
    echoCancellation: 'Remove echo',
    noiseSuppression: 'Suppress noise',
    autoGainControl: 'Even out loudness',
    look: 'Appearance',
    /** @type {Record<string, string>} */
    themes: { system: 'System', light: 'Light', dark: 'Dark' },
    keys: 'Keyboard',
    shortcuts: 'Single-key shortcuts',
    dtmf: 'Send digits as',
    /** @type {Record<string, string>} */
    dtmfModes: { auto: 'Telephone events (RFC 4733)', info: 'SIP INFO' },
    about: (/** @type {string} */ version) => `Parley Desk ${version}`,
  },

  handling: {
    title: 'Incoming calls',
    doNotDisturb: 'Do not disturb: callers hear that you are busy',
    forwardAlways: 'Forward every call to',
    forwardBusy: 'Forward to, while you are busy',
    forwardNoAnswer: 'Forward to, when you do not answer',
    after: 'Seconds of ringing before that',
    nobody: 'Nobody',
    saved: 'Saved for all your phones.',
    refused: 'Not saved: it must be a number or a user’s name.',
  },

  help: {
    title: 'Keyboard shortcuts',
    off: 'Single-key shortcuts are switched off in Settings.',
    /** @type {[keys: string[], what: string][]} */
    keys: [
      [['/'], 'Go to the number field'],
      [['Enter'], 'Call the number in the field'],
      [['A'], 'Answer'],
      [['D'], 'Decline'],
      [['M'], 'Mute, or unmute'],
      [['H'], 'Hold, or resume'],
      [['K'], 'Open the keypad in a call'],
      [['T'], 'Transfer the call, or join it with another'],
      [['S'], 'Switch to the other call'],
      [['0', '…', '9'], 'Send digits in a call, or dial; also * and #'],
      [['Shift', 'E'], 'Hang up'],
      [['R'], 'Put the last number into the field'],
      [['?'], 'This list'],
    ],
  },

  notification: {
    title: (/** @type {string} */ name) => `${name} is calling`,
    body: 'Click to go to the call.',
  },

  announce: {
    incoming: (/** @type {string} */ name) => `Incoming call from ${name}`,
    active: (/** @type {string} */ name) => `In call with ${name}`,
    muted: 'Muted',
    unmuted: 'Microphone on',
    held: 'On hold',
    resumed: 'Resumed',
    transferred: (/** @type {string} */ name) => `Transferred to ${name}`,
    restored: (/** @type {string} */ name) => `The call with ${name} goes on`,
  },

  leave: 'A call is running.',
};

/**
 * The words for a cause; unknown ones get the general words.
 * @param {string} cause
 */
export const endedWords = (cause) => strings.ended[cause] ?? strings.ended.internal;

/** @param {string} code */
export const signInWords = (code) => strings.signIn[code] ?? strings.signIn['server-error'];
