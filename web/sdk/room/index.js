/**
 * Parley's room client for browsers: no dependency, no build step.
 *
 *     import { Room } from './sdk/room/index.js';
 *     const room = new Room('wss://meet.example.net');
 *     room.on('track', ({ track }) => { … });
 *     await room.connect(token);
 *     await room.publish(microphone, { source: 'MICROPHONE' });
 *
 * @module
 */

export { Room } from './room.js';
export { Participant, Publication } from './participant.js';

/** @typedef {import('./room.js').RoomState} RoomState */
/** @typedef {import('./room.js').ChatMessage} ChatMessage */
/** @typedef {import('./participant.js').Source} Source */
/** @typedef {import('./participant.js').Quality} Quality */
