/** Text for a terminal: numbers in few columns, widths, and nothing that a terminal would obey. */

/** Columns of wide characters: East Asian ones and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
/** Combining marks, variation selectors, and what only directs. */
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
// eslint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** Without control characters: text of a program must not move the cursor or set the title. */
export function harmless(text: string): string {
  return text.replaceAll('\t', '  ').replaceAll(CONTROL, '');
}

function widthOfOne(character: string): number {
  if (ZERO_WIDTH.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += widthOfOne(character);
  return width;
}

/** As much of a text as fits. */
export function cut(text: string, width: number): string {
  let used = 0;
  let kept = '';
  for (const character of text) {
    used += widthOfOne(character);
    if (used > width) return kept;
    kept += character;
  }
  return kept;
}

/** Exactly `width` columns. */
export function fit(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const short = cut(text, width);
  const room = ' '.repeat(Math.max(0, width - widthOf(short)));
  return align === 'left' ? short + room : room + short;
}

/** Of a line; those with a high rank go first when there is no room. */
export interface Part {
  text: string;
  rank: number;
}

/** As many parts as fit, each of them whole: half a number is another number. */
export function partsThatFit(parts: readonly Part[], separator: string, width: number): string {
  let kept = [...parts];
  const joined = (): string => kept.map(({ text }) => text).join(separator);
  while (kept.length > 1 && widthOf(joined()) > width) {
    const highest = Math.max(...kept.map(({ rank }) => rank));
    const last = kept.map(({ rank }) => rank).lastIndexOf(highest);
    kept = kept.filter((_, index) => index !== last);
  }
  return cut(joined(), width);
}

export function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)}G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e5) return `${Math.round(value / 1e3)}k`;
  return String(Math.round(value));
}

/** Per second, or another mean: one decimal while it is small. */
export function rate(value: number | null): string {
  if (value === null) return '-';
  return value > 0 && value < 100 ? value.toFixed(1) : count(value);
}

export function percent(value: number): string {
  return `${Math.round(value * 100)}%`;
}

export function bytes(value: number): string {
  const units = ['B', 'K', 'M', 'G', 'T'];
  let unit = 0;
  let left = value;
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1024;
    unit++;
  }
  const text = left < 10 && unit > 0 ? left.toFixed(1) : String(Math.round(left));
  return `${text}${units[unit] ?? ''}`;
}

/** Two units at most: 3d04h, 2h07m, 5m30s, 12s. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (days > 0) return `${days}d${two(hours % 24)}h`;
  if (hours > 0) return `${hours}h${two(minutes % 60)}m`;
  return minutes > 0 ? `${minutes}m${two(seconds % 60)}s` : `${seconds}s`;
}

const BLOCKS = '▁▂▃▄▅▆▇█';
const ASCII_BLOCKS = '_.-=+*%#';

/** The newest values that fit, oldest first, as columns of 8 heights. */
export function sparkline(
  values: readonly number[],
  width: number,
  max: number,
  unicode = true,
): string {
  const blocks = unicode ? BLOCKS : ASCII_BLOCKS;
  const shown = values.slice(-Math.max(0, width) || values.length);
  if (width <= 0) return '';
  return shown
    .map((value) => {
      const height = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0;
      return blocks.charAt(Math.round(height * (blocks.length - 1)));
    })
    .join('')
    .padStart(width);
}
