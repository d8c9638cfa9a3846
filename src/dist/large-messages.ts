/**
 * Large messages that wait to be sent to one peer, each sender's in a lane of its own: fragments are taken from one lane after the
 * other, so nobody's large message waits for somebody else's to end.
 *
 * Whatever a process sends after a large message has to arrive after it, so it goes into the same lane, whole. A lane ends when
 * all that is in it has been taken.
 */
import type { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import { FragmentedMessage } from './fragments.ts'

/** What stands in a lane: a message in fragments, or frames as they are. */
type Item = FragmentedMessage | { readonly frame: readonly Buffer[]; readonly bytes: number }

interface Lane {
  readonly items: Item[]
  /** The sender, when it waits for the end of its lane. */
  blocked: Process | undefined
}

export class LargeMessages {
  /** By the key of the sender's pid, in the order of their turns. */
  readonly #lanes = new Map<string, Lane>()
  #lastSequence = 0
  /** Bytes that have not been taken. */
  bytes = 0

  get isEmpty(): boolean {
    return this.#lanes.size === 0
  }

  /** Whether what this process sends has to wait for a large message of its own. */
  holds(sender: Pid): boolean {
    return this.#lanes.size > 0 && this.#lanes.has(sender.key)
  }

  /** A message to be sent in fragments: its two terms, without version bytes. */
  add(sender: Pid, terms: readonly Buffer[], bytes: number): void {
    this.#push(sender, new FragmentedMessage(++this.#lastSequence, terms, bytes), bytes)
  }

  /** A whole frame that must not overtake what its sender has in its lane. */
  addFrame(sender: Pid, frame: readonly Buffer[], bytes: number): void {
    this.#push(sender, { frame, bytes }, bytes)
  }

  /** Blocks the sender until its lane has ended; false when it has none. */
  block(sender: Process): boolean {
    const lane = this.#lanes.get(sender.pid.key)
    if (lane === undefined) return false
    if (lane.blocked === undefined) sender.block()
    lane.blocked = sender
    return true
  }

  /** Takes frames of at least `least` bytes in all, or of all there is; unblocks those whose lane has ended. */
  take(least: number): { readonly frames: Buffer[]; readonly bytes: number } {
    const frames: Buffer[] = []
    let bytes = 0
    while (bytes < least && this.#lanes.size > 0) {
      const [key, lane] = this.#lanes.entries().next().value!
      // To the end of the row.
      this.#lanes.delete(key)
      bytes += this.#takeFrom(lane, frames)
      if (lane.items.length > 0) this.#lanes.set(key, lane)
      else lane.blocked?.unblock()
    }
    return { frames, bytes }
  }

  /** Forgets everything. */
  clear(): void {
    for (const { blocked } of this.#lanes.values()) blocked?.unblock()
    this.#lanes.clear()
    this.bytes = 0
  }

  #push(sender: Pid, item: Item, bytes: number): void {
    const { key } = sender
    const lane = this.#lanes.get(key) ?? { items: [], blocked: undefined }
    lane.items.push(item)
    this.#lanes.set(key, lane)
    this.bytes += bytes
  }

  /** Takes a fragment or a frame. */
  #takeFrom(lane: Lane, frames: Buffer[]): number {
    const item = lane.items[0]!
    if (!(item instanceof FragmentedMessage)) {
      lane.items.shift()
      frames.push(...item.frame)
      this.bytes -= item.bytes
      return item.bytes
    }
    const before = item.bytesLeft
    const bytes = item.next(frames)
    this.bytes -= before - item.bytesLeft
    if (item.bytesLeft === 0) lane.items.shift()
    return bytes
  }
}
