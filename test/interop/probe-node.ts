/** A node of ours as far as the handshake: registered, listening, and keeping the connections that it gets open. */
import { onTestFinished } from 'vitest'
import { decide, type PeerState } from '../../src/dist/accept-decision.ts'
import { Challenges } from '../../src/dist/challenge.ts'
import { ourFlags } from '../../src/dist/flags.ts'
import { FrameSplitter } from '../../src/dist/frame.ts'
import { accept, initiate } from '../../src/dist/handshake.ts'
import { type FailureReport, reportFailure } from '../../src/dist/handshake-report.ts'
import type { HandshakeOptions, HandshakePeer } from '../../src/dist/handshake-types.ts'
import { type Negotiation, type Negotiator, negotiate } from '../../src/dist/negotiate.ts'
import { listenHostOf, parseNodeName } from '../../src/dist/node-name.ts'
import type { ByteStream, Transport } from '../../src/dist/transport.ts'
import { epmdClient, registered, system, transport as tcp } from '../dist/epmd-support.ts'

export interface Link {
  readonly peer: HandshakePeer
  readonly frames: Buffer[]
  readonly stream: ByteStream
}

export interface ProbeOptions {
  readonly name: string
  readonly epmdPort: number
  readonly cookie?: string
  readonly isHidden?: boolean
  readonly transport?: Transport
}

export async function probe(options: ProbeOptions): Promise<Probe> {
  const { name, epmdPort, isHidden = false, transport = tcp } = options
  const probe = new Probe(options)
  const listening = await transport.listen({ host: listenHostOf(name), port: 0 }, (stream) => probe.accepted(stream))
  if (!listening.ok) throw new Error(listening.reason)
  onTestFinished(() => listening.listener.close())
  onTestFinished(() => probe.close())
  const registration = await registered(epmdClient(epmdPort), parseNodeName(name)!.short, {
    port: listening.listener.address.port,
    nodeType: isHidden ? 72 : 77,
  })
  probe.creation = registration.creation
  return probe
}

export class Probe {
  readonly name: string
  creation = 1
  /** Connections by the name of the peer. */
  readonly links = new Map<string, Link>()
  readonly reports: FailureReport[] = []
  /** Every connection that has come up. */
  connects = 0
  readonly #options: ProbeOptions
  readonly #transport: Transport
  readonly #challenges = new Challenges(system.randomFill)
  /** Attempts of our own, and who waits for them. */
  readonly #dialling = new Map<string, { negotiation: Negotiation; done: (outcome: string) => void }>()
  readonly #streams = new Set<ByteStream>()

  constructor(options: ProbeOptions) {
    this.name = options.name
    this.#options = options
    this.#transport = options.transport ?? tcp
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy()
  }

  accepted(stream: ByteStream): void {
    this.#streams.add(stream)
    negotiate(stream, accept(this.#handshakeOptions), [], system.timers, this.#negotiator('acceptor'))
  }

  /** Connects to a node; resolves when the attempt has been made, with what became of it. */
  async dial(peer: string): Promise<string> {
    const { short, host } = parseNodeName(peer)!
    const found = await epmdClient(this.#options.epmdPort).portPlease(short, host)
    if (!found.ok) return found.reason
    const connected = await this.#transport.connect({ host, port: found.node.port })
    if (!connected.ok) return connected.reason
    this.#streams.add(connected.stream)
    const [handshake, first] = initiate(this.#handshakeOptions, peer)
    return new Promise((resolve) => {
      const done = (outcome: string) => {
        this.#dialling.delete(peer)
        resolve(outcome)
      }
      const negotiator = this.#negotiator('initiator', done, peer)
      const negotiation = negotiate(connected.stream, handshake, first, system.timers, negotiator)
      this.#dialling.set(peer, { negotiation, done })
    })
  }

  get #handshakeOptions(): HandshakeOptions {
    const { cookie = 'x', isHidden = false } = this.#options
    return {
      own: { name: this.name, creation: this.creation, flags: ourFlags(isHidden) },
      cookie,
      challenges: this.#challenges,
      headerBytes: this.#transport.proto === 'inet_tls' ? 4 : 2,
    }
  }

  #stateOf(peer: string): PeerState {
    if (this.links.has(peer)) return 'connected'
    return this.#dialling.has(peer) ? 'connecting' : 'none'
  }

  #negotiator(
    role: 'initiator' | 'acceptor',
    done: (outcome: string) => void = () => {},
    dialled: string | undefined = undefined,
  ): Negotiator {
    return {
      decide: ({ name }, answer) => {
        const decision = decide(this.name, name, this.#stateOf(name))
        if (decision === 'ok_simultaneous') {
          const attempt = this.#dialling.get(name)
          attempt?.negotiation.cancel()
          attempt?.done('cancelled')
        }
        answer(decision)
      },
      // Not new when the peer's own attempt has come up meanwhile: the peer would drop that one for this one.
      askedIfNew: (answer) => answer(dialled === undefined || !this.links.has(dialled)),
      failed: (failure) => {
        this.reports.push(reportFailure(this.name, role, failure))
        done(failure.reason)
      },
      connected: (peer, stream) => {
        this.links.get(peer.name)?.stream.destroy()
        const splitter = new FrameSplitter()
        const link: Link = { peer, stream, frames: [] }
        this.links.set(peer.name, link)
        this.connects++
        done('connected')
        return {
          onData: (chunk) => {
            splitter.push(chunk)
            for (let frame = splitter.next(); frame instanceof Buffer; frame = splitter.next()) link.frames.push(frame)
          },
          onDrain: () => {},
          onClose: () => {
            if (this.links.get(peer.name) === link) this.links.delete(peer.name)
          },
        }
      },
    }
  }
}
