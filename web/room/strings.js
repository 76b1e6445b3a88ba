/**
 * Every English word of the room page, in one place.
 * @module
 */

export const strings = {
  title: (/** @type {string} */ room) => (room ? `${room} – Parley Room` : 'Parley Room'),
  door: {
    heading: 'Ready to join?',
    into: (/** @type {string} */ room) => `You are about to enter “${room}”.`,
    open: 'Open a room or enter one that is open already.',
    name: 'Your name', room: 'Room', user: 'User name', password: 'Password',
    accountHint: 'Your telephone account makes you a host.',
    join: 'Join', joining: 'Joining…', demo: (/** @type {string} */ name) => `Join as ${name} (demo)`,
    microphone: 'Microphone', camera: 'Camera', speaker: 'Speaker', none: 'None',
    cameraOff: 'The camera is off', cameraDenied: 'No camera. The browser or the system does not allow it.',
    microphoneDenied: 'No microphone. You can listen; others will not hear you.',
    insecure: 'Camera and microphone need https or localhost.',
    missingName: 'Say what you are called.', missingRoom: 'Name the room.', missingAccount: 'User name and password are needed.',
    level: 'Microphone level',
  },
  bar: {
    mute: 'Mute', unmute: 'Unmute', cameraOn: 'Start video', cameraOff: 'Stop video', share: 'Share screen', stopShare: 'Stop sharing',
    raise: 'Raise hand', lower: 'Lower hand', chat: 'Chat', people: 'People', leave: 'Leave', settings: 'Devices',
    grid: 'Grid view', speaker: 'Speaker view', invite: 'Invite', record: 'Record', stopRecording: 'Stop recording', light: 'Light', dark: 'Dark',
  },
  tile: {
    you: 'You', screen: (/** @type {string} */ name) => `${name}’s screen`, muted: 'Muted', hand: 'Hand raised',
    paused: 'Video paused: the connection is slow', pin: 'Show large', unpin: 'No longer large', phone: 'On the telephone',
    quality: /** @type {Record<string, string>} */ ({
      excellent: 'Connection is excellent', good: 'Connection is good', poor: 'Connection is poor', lost: 'Connection lost',
    }),
  },
  chat: {
    heading: 'Chat', placeholder: 'Message everyone', send: 'Send', empty: 'Nobody has written yet.', you: 'You',
    unread: (/** @type {number} */ n) => `${n} unread`,
  },
  people: {
    heading: (/** @type {number} */ n) => `People (${n})`, muteAll: 'Mute everyone', mute: 'Mute', remove: 'Remove', host: 'Host',
    removeSure: (/** @type {string} */ name) => `Remove ${name} from the room?`, you: '(you)',
  },
  invite: {
    heading: 'Invite others', lead: 'Whoever has this link may come in for the next seven days.', copy: 'Copy link', copied: 'Copied', close: 'Close',
  },
  notice: {
    connecting: 'Joining the room…', reconnecting: 'The connection was lost. Coming back…', muted: 'A host muted you.',
    recorded: 'Recording', recordedHint: 'What is said and shown in this room is being recorded.',
    alone: 'You are the only one here.', aloneHint: 'Others see you as soon as they come in.',
    failed: (/** @type {string} */ what) => `That did not work: ${what}`,
  },
  end: {
    again: 'Join again', elsewhere: 'Enter another room',
    reasons: /** @type {Record<string, [string, string]>} */ ({
      left: ['You left the room', ''],
      removed: ['You were removed', 'A host ended your visit.'],
      closed: ['The room was closed', 'A host ended the meeting for everyone.'],
      duplicate: ['You are in this room elsewhere', 'The same account joined from another window or device.'],
      shutdown: ['The server is going down for a moment', 'Join again in a minute.'],
      lost: ['The connection was lost', 'The server could not be reached for 45 seconds.'],
      failed: ['You could not join', ''],
      ended: ['The meeting has ended', ''],
    }),
  },
};
