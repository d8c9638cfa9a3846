/**
 * Message ids: 16 bytes as hex, unique in the cluster and over restarts, and in order of time.
 *
 *     48 bits  milliseconds since 1970, never going back within a generator
 *     48 bits  the generator: drawn at random when it is made, mixed with the node's name and creation
 *     32 bits  a counter
 *
 * So ids of one node compare as they were made, ids of several nodes as their clocks were. A publish makes one id per
 * message, which is why all but the last four digits are made once per millisecond (and once per 65,536 ids).
 */
import type { Runtime } from '../actors/runtime.ts'

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/**
 * Makes a generator: a function that returns a new id. Pass what a `Runtime` has. Who knows the time already (wall clock,
 * ms) gives it to the generator and spares it the look at the clock.
 */
export function guidGenerator({
  clock,
  system,
  node,
}: Pick<Runtime, 'clock' | 'system' | 'node'>): (nowMs?: number) => string {
  const random = new Uint8Array(6)
  system.randomFill(random)
  // Simulated nodes may draw the same numbers; their names still keep them apart.
  const name = `${node.name}/${node.creation}`
  for (let i = 0; i < name.length; i++) {
    const at = i % random.length
    random[at] = (random[at]! * 31 + name.charCodeAt(i)) & 0xff
  }
  const generator = [...random].map((byte) => HEX[byte]!).join('')
  let lastMs = -1
  /** Digits of the time and the generator. */
  let begin = ''
  /** The same with the upper half of the counter. */
  let prefix = ''
  let counter = 0
  return (atMs = clock.now()) => {
    const nowMs = Math.floor(atMs)
    if (nowMs > lastMs) {
      lastMs = nowMs
      // A counter that goes on from millisecond to millisecond might pass its end within one; it begins anew with each.
      counter = 0
      begin = lastMs.toString(16).padStart(12, '0') + generator
      prefix = `${begin}0000`
    } else {
      counter++
      if ((counter & 0xffff) === 0) prefix = begin + HEX[counter >>> 24]! + HEX[(counter >>> 16) & 0xff]!
    }
    return prefix + (HEX[(counter >>> 8) & 0xff]! + HEX[counter & 0xff]!)
  }
}

/** The part of an id that all ids of one generator share, and no others. */
export function generatorOf(id: string): string {
  return id.slice(12, 24)
}

/** When an id was made, by the clock of its node: ms since 1970. */
export function guidTimeMs(id: string): number {
  return Number.parseInt(id.slice(0, 12), 16)
}
