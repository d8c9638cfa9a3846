/**
 * The trace of a simulated run: a running hash of everything that chance decided and of all bytes that moved.
 *
 * Two runs of one seed must have equal traces. If they have not, something in them reads the real world, iterates in an
 * order that depends on it, or keeps state from one run to the next.
 */
export class Trace {
  /** Number of notes. */
  length = 0
  #low = 0x811c9dc5
  #high = 0x1000193

  /** Adds one step of the run. */
  note(step: string | number): void {
    this.length++
    if (typeof step === 'number') {
      this.#mix(step)
      // Times have a fraction.
      this.#mix(step * 0x100000)
    } else {
      for (let i = 0; i < step.length; i++) this.#mix(step.charCodeAt(i))
      this.#mix(0x0a)
    }
  }

  /** Adds bytes that moved. */
  bytes(chunk: Uint8Array): void {
    this.length++
    for (const byte of chunk) this.#mix(byte)
    this.#mix(chunk.length)
  }

  /** The hash so far: 64 bits as hex. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low)
  }

  #mix(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193)
    this.#high = Math.imul(this.#high ^ value ^ (this.#low >>> 15), 0x85ebca6b)
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
