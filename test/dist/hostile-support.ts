/** A peer that is written here: it has the cookie, and sends what a test likes. */

import type { System } from '../../src/actors/system.ts'
import { Challenges } from '../../src/dist/challenge.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { ourFlags } from '../../src/dist/flags.ts'
import { initiate } from '../../src/dist/handshake.ts'
import { negotiate } from '../../src/dist/negotiate.ts'
import type { Address, ByteStream, Transport } from '../../src/dist/transport.ts'

export const PEER = { name: 'hostile@h.sim', creation: 3 }

export interface Hostile {
  readonly stream: ByteStream
  /** What the node has sent. */
  readonly received: Buffer[]
  /** Reasons; one when the connection has ended. */
  readonly closed: string[]
  /** Resolves when the node has sent something more, or the connection has ended. */
  heard(): Promise<void>
}

export interface HostileOptions {
  readonly transport: Transport
  readonly at: Address
  /** Name of the node that is dialled. */
  readonly node: string
  readonly system: Pick<System, 'timers' | 'randomFill'>
  readonly own?: { readonly name: string; readonly creation: number }
  readonly cookie?: string
  readonly flags?: bigint
}

/** Connects as a node; rejects with the reason when the handshake fails. */
export async function connectHostile(options: HostileOptions): Promise<Hostile> {
  const { transport, at, node, system, own = PEER, cookie = 'secret', flags = ourFlags(false) } = options
  const connected = await transport.connect(at)
  if (!connected.ok) throw new Error(connected.reason)
  const received: Buffer[] = []
  const closed: string[] = []
  let hear = (): void => {}
  const challenges = new Challenges((buffer) => system.randomFill(buffer))
  const handshakeOptions = { own: { ...own, flags }, cookie, challenges, headerBytes: 2 as const }
  const [handshake, first] = initiate(handshakeOptions, node)
  const stream = await new Promise<ByteStream>((resolve, reject) => {
    negotiate(connected.stream, handshake, first, system.timers, {
      decide: (_peer, answer) => answer('not_allowed'),
      askedIfNew: (answer) => answer(true),
      connected: (_peer, up) => {
        resolve(up)
        return {
          onData: (chunk) => {
            received.push(chunk)
            hear()
          },
          onDrain: () => {},
          onClose: (reason) => {
            closed.push(reason)
            hear()
          },
        }
      },
      failed: ({ reason }) => reject(new Error(reason)),
    })
  })
  const heard = (): Promise<void> =>
    new Promise((resolve) => {
      hear = resolve
    })
  return { stream, received, closed, heard }
}

/** The bytes of a frame of terms. */
export function frameOf(...terms: readonly unknown[]): Buffer {
  return framed(Buffer.concat([Buffer.of(112), ...terms.map((term) => encode(term))]))
}

/** The bytes of a whole message with a distribution header. */
export function headed(...terms: readonly unknown[]): Buffer {
  return framed(Buffer.concat([Buffer.of(131, 68, 0), ...terms.map((term) => encode(term).subarray(1))]))
}

/** Any bytes as a frame. */
export function framed(body: Uint8Array): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.length)
  return Buffer.concat([header, body])
}

export function send({ stream }: Pick<Hostile, 'stream'>, bytes: Buffer): void {
  stream.write([bytes], bytes.length)
}
