/**
 * Where tiles go: arithmetic only.
 * @module
 */

/** Width by height of a tile in the grid. */
export const ratio = 16 / 9;

/**
 * The number of columns that makes the tiles largest.
 * @param {number} count tiles
 * @param {number} width of the stage, CSS pixels
 * @param {number} height
 * @param {number} gap
 * @returns {{columns: number, rows: number, width: number, height: number}} of one tile
 */
export function grid(count, width, height, gap) {
  let best = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(Math.max(1, count) / columns);
    const w = (width - gap * (columns - 1)) / columns;
    const h = (height - gap * (rows - 1)) / rows;
    const tile = Math.min(w, h * ratio);
    if (tile > best.width) best = { columns, rows, width: Math.floor(tile), height: Math.floor(tile / ratio) };
  }
  return best;
}

/**
 * The order of tiles: screens first, then whoever raised a hand, speaks or spoke last, then in order of arrival. Ourselves
 * last, so that nobody else's place depends on it.
 * @template {{isScreen: boolean, isLocal: boolean, hand: number, spokeAt: number, joinedAt: number}} T
 * @param {T[]} tiles
 * @returns {T[]}
 */
export function ordered(tiles) {
  return [...tiles].sort((a, b) =>
    Number(b.isScreen) - Number(a.isScreen)
    || Number(a.isLocal) - Number(b.isLocal)
    || (a.hand || Infinity) - (b.hand || Infinity)
    || a.joinedAt - b.joinedAt);
}

/**
 * Whom the large tile shows: what was pinned, else a screen, else the last one who spoke, else anybody.
 * @template {{key: string, isScreen: boolean, isLocal: boolean, spokeAt: number}} T
 * @param {T[]} tiles
 * @param {string} pinned key, or empty
 * @returns {T | null}
 */
export function featured(tiles, pinned) {
  const others = tiles.filter(({ isLocal, isScreen }) => !isLocal || isScreen);
  return tiles.find(({ key }) => key === pinned)
    ?? others.find(({ isScreen }) => isScreen)
    ?? [...others].sort((a, b) => b.spokeAt - a.spokeAt)[0]
    ?? tiles[0] ?? null;
}
