/**
 * The client of epmd: registers this node, asks where others listen.
 *
 * A registration is a socket that stays open. When it closes, epmd has died or was started anew, and the node registers
 * again, with growing pauses, until it is closed itself: without that a node that runs could no longer be found. The
 * creation stays that of the first registration, since it is part of every pid there is. Every question has a time limit.
 */
import type { System, TimerHandle } from '../actors/system.ts'
import {
  encodeAlive2,
  encodePortPlease2,
  encodeStop,
  KILL_REQUEST,
  MAX_NAMES_REPLY_BYTES,
  MAX_PORT_REPLY_BYTES,
  NAMES_REQUEST,
  type NamePort,
  type NodeEntry,
  type NodeType,
  parseAlive2Reply,
  parseNamesReply,
  parsePort2Reply,
} from './epmd-protocol.ts'
import { isLoopback } from './ip.ts'
import type { ByteStream, Transport } from './transport.ts'

/** What a client works with. */
export interface EpmdClientOptions {
  /** Plain TCP, also for nodes that talk over TLS. */
  readonly transport: Transport
  readonly system: Pick<System, 'timers' | 'random'>
  readonly port: number
  /** Of this machine's epmd. @default 127.0.0.1 */
  readonly host?: string
  /** For one question, from connecting to the answer. @default 5000 */
  readonly timeoutMs?: number
  /** Starts an epmd when none answers on this machine; resolves when it listens or cannot be had. */
  readonly startEpmd?: () => Promise<void>
}

/** Why there is no answer: nobody listens there, it took too long, or what listens is no epmd. */
export type EpmdFailure = {
  readonly ok: false
  readonly reason: 'unreachable' | 'timeout' | 'bad_reply'
  /** A code of the system, such as `ECONNREFUSED`. */
  readonly detail: string
}

/** Where a node listens. `noport`: epmd answers, and knows no such node. */
export type PortResult =
  | { readonly ok: true; readonly node: NodeEntry }
  | { readonly ok: false; readonly reason: 'noport'; readonly detail: string }
  | EpmdFailure

/** The names of a host, the newest first. */
export type NamesResult =
  | { readonly ok: true; readonly epmdPort: number; readonly nodes: readonly NamePort[] }
  | EpmdFailure

/** What a node registers. */
export interface RegisterOptions {
  /** Before the `@`. */
  readonly name: string
  readonly port: number
  readonly nodeType: NodeType
  readonly onEvent?: (event: RegistrationEvent) => void
}

/** What becomes of a registration. */
export type RegistrationEvent =
  /** epmd is gone; it is tried again from now on. */
  | { readonly tag: 'lost'; readonly reason: string }
  /** An attempt has failed; `name_in_use` when another node has taken the name meanwhile. */
  | { readonly tag: 'retry'; readonly reason: string; readonly inMs: number }
  | { readonly tag: 'restored' }

/** A registration that lasts until `close`. */
export interface Registration {
  /** For the node's pids and references; never 0. */
  readonly creation: number
  readonly isRegistered: boolean
  close(): void
}

/** A registration, or why there is none. */
export type RegisterResult =
  | { readonly ok: true; readonly registration: Registration }
  | { readonly ok: false; readonly reason: 'name_in_use'; readonly detail: string }
  | EpmdFailure

/** An open socket to epmd, and its end. */
interface Line {
  readonly stream: ByteStream
  /** Resolves with the reason when the socket has closed. */
  readonly closed: Promise<string>
}

type Alive = { readonly ok: true; readonly creation: number; readonly line: Line }
type AliveResult = Alive | { readonly ok: false; readonly reason: 'name_in_use'; readonly detail: string } | EpmdFailure

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 10_000

/** Asks and registers. It keeps no state but its options. */
export class EpmdClient {
  readonly #options: EpmdClientOptions

  constructor(options: EpmdClientOptions) {
    this.#options = options
  }

  /** Registers a node at this machine's epmd, starting one if none answers and it is known how. */
  async register(options: RegisterOptions): Promise<RegisterResult> {
    const first = await this.#alive(options)
    if (!first.ok) return first
    return {
      ok: true,
      registration: new KeptRegistration(() => this.#alive(options), first, options, this.#options.system),
    }
  }

  /** Asks the epmd of `host` where its node `name` (the part before the `@`) listens. */
  async portPlease(name: string, host: string): Promise<PortResult> {
    const reply = await this.#ask(host, encodePortPlease2(name), MAX_PORT_REPLY_BYTES)
    if (!reply.ok) return reply
    const node = parsePort2Reply(reply.bytes)
    if (node === 'noport') return { ok: false, reason: 'noport', detail: `${name} is not registered` }
    return node === 'bad' ? badReply() : { ok: true, node }
  }

  /** Asks the epmd of a host, of this machine unless told, for all names. */
  async names(host: string = this.#localHost): Promise<NamesResult> {
    const reply = await this.#ask(host, NAMES_REQUEST, MAX_NAMES_REPLY_BYTES)
    if (!reply.ok) return reply
    const names = parseNamesReply(reply.bytes)
    return names === 'bad' ? badReply() : { ok: true, ...names }
  }

  /** Asks this machine's epmd to end; resolves with its word, `OK` or `NO`, undefined when there is none. */
  async kill(): Promise<string | undefined> {
    return this.#command(KILL_REQUEST)
  }

  /** Asks this machine's epmd to forget a name; resolves with `STOPPED`, `NOEXIST` or, when it may not be asked, ''. */
  async stop(name: string): Promise<string | undefined> {
    return this.#command(encodeStop(name))
  }

  async #command(request: Buffer): Promise<string | undefined> {
    const reply = await this.#exchange(this.#localHost, request, 16)
    return reply.ok ? reply.bytes.toString('latin1') : undefined
  }

  get #localHost(): string {
    return this.#options.host ?? '127.0.0.1'
  }

  async #alive(options: RegisterOptions): Promise<AliveResult> {
    const { startEpmd } = this.#options
    const first = await this.#tryAlive(options)
    if (first.ok || first.reason !== 'unreachable' || startEpmd === undefined) return first
    await startEpmd()
    return this.#tryAlive(options)
  }

  async #tryAlive({ name, port, nodeType }: RegisterOptions): Promise<AliveResult> {
    const request = encodeAlive2({ name, port, nodeType, protocol: 0, highest: 6, lowest: 5, extra: Buffer.alloc(0) })
    const answer = await this.#exchange(this.#localHost, request, 6, (bytes) => parseAlive2Reply(bytes) !== 'more')
    if (!answer.ok) return answer
    const reply = parseAlive2Reply(answer.bytes)
    if (typeof reply !== 'string') return { ok: true, creation: reply.creation, line: answer.line }
    answer.line.stream.destroy()
    return reply === 'refused' ? { ok: false, reason: 'name_in_use', detail: `epmd has a node ${name}` } : badReply()
  }

  /** A loopback address other than 127.0.0.1 is this machine too, and its epmd need not listen there. */
  async #ask(host: string, request: Buffer, maxBytes: number): Promise<Answer | EpmdFailure> {
    const answer = await this.#exchange(host, request, maxBytes)
    if (answer.ok || answer.reason !== 'unreachable' || !isLoopback(host) || host === this.#localHost) return answer
    return this.#exchange(this.#localHost, request, maxBytes)
  }

  /** Sends a request and gathers the answer until `isWhole` or the server closes. */
  async #exchange(
    host: string,
    request: Buffer,
    maxBytes: number,
    isWhole?: (bytes: Buffer) => boolean,
  ): Promise<Answer | EpmdFailure> {
    const { transport, port, system, timeoutMs = 5000 } = this.#options
    const giveUp = new AbortController()
    const timer = system.timers.set(timeoutMs, () => giveUp.abort())
    try {
      const connected = await transport.connect({ host, port }, giveUp.signal)
      if (connected.ok) return await converse(connected.stream, request, maxBytes, isWhole, giveUp.signal)
      return connected.reason === 'aborted' ? tooLate() : failure('unreachable', connected.reason)
    } finally {
      system.timers.clear(timer)
    }
  }
}

interface Answer {
  readonly ok: true
  readonly bytes: Buffer
  readonly line: Line
}

function converse(
  stream: ByteStream,
  request: Buffer,
  maxBytes: number,
  isWhole: ((bytes: Buffer) => boolean) | undefined,
  signal: AbortSignal,
): Promise<Answer | EpmdFailure> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    let isSettled = false
    const settle = (result: Answer | EpmdFailure) => {
      if (isSettled) return
      isSettled = true
      signal.removeEventListener('abort', onAbort)
      if (!result.ok) stream.destroy()
      resolve(result)
    }
    const onAbort = () => settle(tooLate())
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    const closed = new Promise<string>((onClosed) => {
      stream.start({
        onData: (chunk) => {
          if (isSettled) return
          chunks.push(chunk)
          length += chunk.length
          if (length > maxBytes) return settle(badReply())
          if (isWhole === undefined) return
          const bytes = Buffer.concat(chunks)
          if (isWhole(bytes)) settle({ ok: true, bytes, line: { stream, closed } })
        },
        onDrain: () => {},
        onClose: (reason) => {
          onClosed(reason)
          if (reason === 'closed') settle({ ok: true, bytes: Buffer.concat(chunks), line: { stream, closed } })
          else settle(failure('unreachable', reason))
        },
      })
    })
    stream.write([request], request.length)
  })
}

/** Registers again whenever its socket closes. */
class KeptRegistration implements Registration {
  readonly creation: number
  readonly #register: () => Promise<AliveResult>
  readonly #options: RegisterOptions
  readonly #system: Pick<System, 'timers' | 'random'>
  #line: Line | undefined
  #timer: TimerHandle | undefined
  #isClosed = false

  constructor(
    register: () => Promise<AliveResult>,
    first: Alive,
    options: RegisterOptions,
    system: Pick<System, 'timers' | 'random'>,
  ) {
    this.creation = first.creation
    this.#register = register
    this.#options = options
    this.#system = system
    this.#keep(first.line)
  }

  get isRegistered(): boolean {
    return this.#line !== undefined
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== undefined) this.#system.timers.clear(this.#timer)
    this.#line?.stream.destroy()
    this.#line = undefined
  }

  #keep(line: Line): void {
    this.#line = line
    void line.closed.then((reason) => {
      if (this.#isClosed) return
      this.#line = undefined
      this.#options.onEvent?.({ tag: 'lost', reason })
      this.#retryAfter(FIRST_RETRY_MS)
    })
  }

  /** Pauses are spread, so that the nodes of a machine do not all come at once. */
  #retryAfter(pauseMs: number): void {
    const inMs = pauseMs * (0.5 + this.#system.random() / 2)
    this.#timer = this.#system.timers.set(inMs, () => void this.#retry(pauseMs))
  }

  async #retry(pauseMs: number): Promise<void> {
    const result = await this.#register()
    if (this.#isClosed) {
      if (result.ok) result.line.stream.destroy()
    } else if (result.ok) {
      this.#keep(result.line)
      this.#options.onEvent?.({ tag: 'restored' })
    } else {
      const inMs = Math.min(2 * pauseMs, LAST_RETRY_MS)
      this.#options.onEvent?.({ tag: 'retry', reason: result.reason, inMs })
      this.#retryAfter(inMs)
    }
  }
}

function tooLate(): EpmdFailure {
  return failure('timeout', 'no answer in time')
}

function badReply(): EpmdFailure {
  return failure('bad_reply', 'what answered is no epmd')
}

function failure(reason: EpmdFailure['reason'], detail: string): EpmdFailure {
  return { ok: false, reason, detail }
}
