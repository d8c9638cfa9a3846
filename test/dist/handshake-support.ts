/** Handshakes without a network: both ends are machines, and the test carries the bytes. */

import { Challenges } from '../../src/dist/challenge.ts'
import { ourFlags } from '../../src/dist/flags.ts'
import { accept, type Handshake, handle, initiate } from '../../src/dist/handshake.ts'
import type {
  Decision,
  HandshakeEffect,
  HandshakeEvent,
  HandshakeFailure,
  HandshakeOptions,
  HandshakePeer,
} from '../../src/dist/handshake-types.ts'
import { SeededRandom } from '../../src/testing/random.ts'

export function optionsOf(
  name: string,
  cookie: string,
  seed = 1,
  more: Partial<HandshakeOptions> = {},
): HandshakeOptions {
  const random = new SeededRandom(seed)
  return {
    own: { name, creation: 17, flags: ourFlags(false) },
    cookie,
    challenges: new Challenges((buffer) => random.fill(buffer)),
    headerBytes: 2,
    ...more,
  }
}

/** One end: performs the effects of its machine on itself. */
export class End {
  readonly handshake: Handshake
  /** Bytes for the other end. */
  readonly sent: Buffer[] = []
  connected: { peer: HandshakePeer; rest: Buffer } | undefined
  failed: { reason: HandshakeFailure; peer: string | undefined; detail: string } | undefined
  /** How often `connected` or `failed` was said. */
  ends = 0
  decision: Decision = 'ok'
  isNew = true

  constructor(options: HandshakeOptions, peer?: string) {
    if (peer === undefined) {
      this.handshake = accept(options)
    } else {
      const [handshake, effects] = initiate(options, peer)
      this.handshake = handshake
      this.#perform(effects)
    }
  }

  get hasEnded(): boolean {
    return this.ends > 0
  }

  take(event: HandshakeEvent): void {
    this.#perform(handle(this.handshake, event))
  }

  receive(chunk: Buffer): void {
    this.take({ tag: 'bytes', chunk })
  }

  #perform(effects: readonly HandshakeEffect[]): void {
    for (const effect of effects) {
      switch (effect.tag) {
        case 'send':
          this.sent.push(effect.bytes)
          break
        case 'decide':
          this.take({ tag: 'decision', decision: this.decision })
          break
        case 'asked_if_new':
          this.take({ tag: 'is_new', isNew: this.isNew })
          break
        case 'connected':
          this.connected = effect
          this.ends++
          break
        case 'failed':
          this.failed = effect
          this.ends++
          break
      }
    }
  }
}

/** Carries bytes both ways until nothing is left; `cut` says how long the next chunk is, `spoil` may change it. */
export function carry(
  a: End,
  b: End,
  cut: () => number = () => Number.MAX_SAFE_INTEGER,
  spoil: (chunk: Buffer) => Buffer = (chunk) => chunk,
): void {
  while (a.sent.length + b.sent.length > 0) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const bytes = Buffer.concat(from.sent.splice(0))
      if (bytes.length === 0) continue
      const length = Math.min(bytes.length, Math.max(1, cut()))
      if (length < bytes.length) from.sent.push(bytes.subarray(length))
      if (!to.hasEnded) to.receive(spoil(bytes.subarray(0, length)))
    }
  }
}
