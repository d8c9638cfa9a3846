/** Figures as people read them. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** `2d 03:14:05`, or `00:14:05` within a day. */
export function duration(ms: number): string {
  const two = (part: number): string => String(Math.floor(part)).padStart(2, '0')
  const clock = [(ms % DAY) / HOUR, (ms % HOUR) / MINUTE, (ms % MINUTE) / SECOND].map(two).join(':')
  return ms >= DAY ? `${Math.floor(ms / DAY)}d ${clock}` : clock
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** `512 B`, `1.5 kB`, `212 MB`: of 1024 each. */
export function bytes(count: number): string {
  let [size, unit] = [count, 0]
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024
    unit++
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`
}
