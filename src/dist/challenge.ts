/**
 * Challenges of the handshake and their answers [OTP dist_util, gen_challenge, gen_digest].
 *
 * The answer to a challenge is the same whoever asks, so a stranger without the cookie could have his question answered by
 * asking us our own. `Challenges` remembers what a node has asked and not yet had answered; a peer that asks one of
 * those is refused.
 */
import { createHash, timingSafeEqual } from 'node:crypto'

/** Bytes of a digest: it is MD5, which the protocol fixes. */
const DIGEST_BYTES = 16

/** The answer to a challenge: MD5 of the cookie and the challenge in decimal. */
export function digestOf(cookie: string, challenge: number): Buffer {
  return createHash('md5').update(`${cookie}${challenge}`, 'utf8').digest()
}

/** Whether an answer is right; takes the same time for every wrong one. */
export function isDigestOf(digest: Uint8Array, cookie: string, challenge: number): boolean {
  return digest.length === DIGEST_BYTES && timingSafeEqual(digest, digestOf(cookie, challenge))
}

/** The challenges of one node that are not answered yet. All handshakes of a node share it. */
export class Challenges {
  readonly #fill: (buffer: Uint8Array) => void
  readonly #outstanding = new Set<number>()

  /** `fill` must give bytes that cannot be guessed: `runtime.system.randomFill`. */
  constructor(fill: (buffer: Uint8Array) => void) {
    this.#fill = fill
  }

  get size(): number {
    return this.#outstanding.size
  }

  /** A new challenge of 32 bits; to be given back by `retire`. */
  issue(): number {
    const bytes = Buffer.alloc(4)
    // Bounded, as a test's source may have nothing new to give.
    for (let tries = 0; tries < 8; tries++) {
      this.#fill(bytes)
      if (!this.#outstanding.has(bytes.readUInt32BE(0))) break
    }
    const challenge = bytes.readUInt32BE(0)
    this.#outstanding.add(challenge)
    return challenge
  }

  isOutstanding(challenge: number): boolean {
    return this.#outstanding.has(challenge)
  }

  /** The handshake of the challenge has ended. */
  retire(challenge: number): void {
    this.#outstanding.delete(challenge)
  }
}
