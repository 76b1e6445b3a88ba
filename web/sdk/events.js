/**
 * A typed EventTarget: `emitter.on('state', (detail) => …)`; `addEventListener` works too, with a CustomEvent.
 * @module
 */

/**
 * @template {Record<string, any>} Events  event name → type of its detail
 */
export class Emitter extends EventTarget {
  /**
   * Calls `listener` with the detail of each event of this type.
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {(detail: Events[K]) => void} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    /** @param {Event} event */
    const handler = (event) => listener(/** @type {CustomEvent} */ (event).detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Events[K]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
