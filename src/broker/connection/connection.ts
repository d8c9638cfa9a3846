/**
 * The process that owns one socket: emqttd_client.
 *
 * It decodes what the client sends, lets the protocol machine decide (protocol.ts), performs its effects, and writes
 * what the session and the machine have for the client, once per turn of the scheduler. Started by a listener, linked to
 * it; it monitors its session, which may live on another node, and the session monitors it. It traps exits, so that
 * whatever ends it ends the protocol first: DISCONNECT, the session let go, the socket flushed and closed.
 *
 * In: chunks of the socket (plain Buffers), `ToConnection` of the session, `ConnectionMessage` of everyone else.
 * Out: `ToSession`.
 *
 * Two things slow a client that sends faster than the broker takes: bytes that wait in the mailbox of this process, and
 * messages that its session has not confirmed. Either stops the reading of the socket. What comes behind CONNECT before that
 * is answered waits undecoded, however many packets it is; its bytes are those that wait in the mailbox.
 */

import type { Pid } from '../../actors/pid.ts'
import type { Behaviour, BehaviourFactory, ProcessContext } from '../../actors/process.ts'
import type { Ref } from '../../actors/ref.ts'
import type { Flushable } from '../../actors/scheduler.ts'
import type { TimeoutMessage } from '../../actors/signal.ts'
import { Decoder } from '../codec.ts'
import type { SubscribeEntry } from '../packet.ts'
import type { ClientInfo, ToConnection, ToSession } from '../process-messages.ts'
import { RC } from '../reason-codes.ts'
import { ClientAuth, credentialsOf } from './client-auth.ts'
import type { ConnectionEnvironment, ConnectionMessage, OpenAnswer } from './connection-environment.ts'
import { Outbound } from './outbound.ts'
import { countProtocol, countReceived } from './packet-metrics.ts'
import { createProtocol, handle } from './protocol.ts'
import type {
  ProtocolCounter,
  ProtocolEffect,
  ProtocolEnvironment,
  ProtocolEvent,
  ProtocolLimits,
  ProtocolState,
  ProtocolTimer,
} from './protocol-state.ts'
import type { Transport, TransportEvents } from './transport.ts'

const DRAINED: ConnectionMessage = { tag: 'drained' }
const SOCKET_ENDED: ConnectionMessage = { tag: 'socket_ended' }

type SocketEnd = Extract<ConnectionMessage, { tag: 'socket_ended' | 'socket_closed' }>

/**
 * Whether nothing that the client sends can be looked at before somebody has answered. One that authenticates step by step
 * goes on talking.
 */
function isAnswerAwaited({ phase, authMethod }: ProtocolState): boolean {
  return (phase === 'authenticating' || phase === 'opening') && authMethod === undefined
}

/** Makes the process of one accepted connection; it is spawned linked to its listener, and ends `{ shutdown: reason }`. */
export function connection(environment: ConnectionEnvironment, transport: Transport): BehaviourFactory {
  return { create: (self) => new Connection(self, environment, transport) }
}

/** It is its own listener to the socket and what its machine asks: closures for that take 600 bytes a connection (measured). */
class Connection implements Behaviour, Flushable, TransportEvents, ProtocolEnvironment {
  readonly #self: ProcessContext
  readonly #environment: ConnectionEnvironment
  readonly #transport: Transport
  readonly #protocol: ProtocolState
  readonly #decoder: Decoder
  readonly #outbound: Outbound
  #session: Pid | undefined = undefined
  #sessionMonitor: Ref | undefined = undefined
  #client: ClientInfo | undefined = undefined
  readonly #auth: ClientAuth
  #isConnected = false
  /** Timers that run, by name. */
  readonly #timers: Record<ProtocolTimer | 'linger', Ref | undefined> = {
    connect: undefined,
    keep_alive: undefined,
    slow_consumer: undefined,
    linger: undefined,
  }
  /** A flush at the end of this turn has been asked for. */
  #isDirty = false
  #isPausedByProtocol = false
  #isPausedByMailbox = false
  #unhandledBytes = 0
  /** What came behind CONNECT, in order, until that is answered; undefined when nothing waits. */
  #held: (Buffer | SocketEnd)[] | undefined = undefined
  #writtenBytes = 0
  /** Unsent bytes when the session was told to wait. */
  #congestedBytes = 0
  /** Bytes that the client had taken when the slow consumer timer was armed. */
  #takenBytes = 0
  #closeReason: string | undefined = undefined
  #isSocketClosed = false
  /** The process is no more; a flush that it asked for may still come. */
  #isEnded = false

  constructor(self: ProcessContext, environment: ConnectionEnvironment, transport: Transport) {
    this.#self = self
    this.#environment = environment
    this.#transport = transport
    this.#outbound = new Outbound(environment.metrics)
    this.#auth = new ClientAuth(environment, transport.peer.host, self)
    const { maxPacketBytes } = environment.limits
    this.#decoder = new Decoder({ maxPacketBytes, frames: environment.frames, stopsBehindConnect: true })
    this.#protocol = createProtocol(this)
    self.processFlag('trap_exit', true)
    self.onExit(() => {
      this.#isEnded = true
      transport.destroy()
    })
    transport.start(this)
    this.#run({ tag: 'start' })
  }

  /** For observers. */
  get state(): unknown {
    return {
      peer: this.#transport.peer,
      phase: this.#protocol.phase,
      client: this.#client,
      session: this.#session,
      unsentBytes: this.#outbound.bytes + this.#transport.writableLength,
      closeReason: this.#closeReason,
    }
  }

  // ProtocolEnvironment: called by the machine

  get limits(): ProtocolLimits {
    return this.#environment.limits
  }

  assignClientId(): string {
    return this.#environment.assignClientId()
  }

  authorize(action: 'publish' | 'subscribe', topic: string): boolean {
    return this.#auth.isAllowed(this.#protocol.client!, action, topic)
  }

  subscribing(entries: readonly SubscribeEntry[]): readonly (SubscribeEntry | 'deny')[] | undefined {
    return this.#environment.subscribing?.(this.#client!, entries)
  }

  unsubscribing(filters: readonly string[]): readonly string[] | undefined {
    return this.#environment.unsubscribing?.(this.#client!, filters)
  }

  count(counter: ProtocolCounter): void {
    countProtocol(this.#environment.metrics, counter)
  }

  // TransportEvents: called by the socket, outside of the process

  onData(chunk: Buffer): void {
    this.#unhandledBytes += chunk.length
    if (!this.#isPausedByMailbox && this.#unhandledBytes > this.#environment.settings.maxUnhandledBytes) {
      this.#isPausedByMailbox = true
      this.#transport.pause()
    }
    this.#self.runtime.send(this.#self.pid, chunk)
  }

  onDrain(): void {
    if (this.#protocol.isCongested) this.#self.runtime.send(this.#self.pid, DRAINED)
  }

  onEnd(): void {
    this.#self.runtime.send(this.#self.pid, SOCKET_ENDED)
  }

  onClose(reason: string): void {
    this.#isSocketClosed = true
    this.#self.runtime.send(this.#self.pid, { tag: 'socket_closed', reason } satisfies ConnectionMessage)
  }

  // The process

  receive(message: unknown): void {
    if (Buffer.isBuffer(message)) this.#takeChunk(message)
    else this.#take(message as ToConnection | ConnectionMessage)
    if (this.#held !== undefined && !isAnswerAwaited(this.#protocol)) this.#takeHeld(this.#held)
    if (this.#closeReason !== undefined && this.#isSocketClosed) this.#self.stop({ shutdown: this.#closeReason })
    if (!this.#isDirty && !this.#outbound.isEmpty) {
      this.#isDirty = true
      this.#self.atTurnEnd(this)
    }
  }

  /** Called by the scheduler at the end of a turn in which there was something to send. */
  flush(): void {
    this.#isDirty = false
    if (this.#isEnded) return
    this.#write()
    const unsentBytes = this.#transport.writableLength
    const { highWatermarkBytes, maxUnsentBytes } = this.#environment.settings
    if (unsentBytes <= highWatermarkBytes || this.#closeReason !== undefined) return
    if (!this.#protocol.isCongested) {
      this.#congestedBytes = unsentBytes
      this.#run({ tag: 'congested', on: true })
    } else if (unsentBytes > this.#congestedBytes + maxUnsentBytes) {
      this.#run({ tag: 'timer', timer: 'slow_consumer', nowMs: this.#nowMs() })
    }
  }

  #takeChunk(chunk: Buffer): void {
    // Undecoded: a chunk of the smallest packets takes fifty times its size when it is decoded.
    if (isAnswerAwaited(this.#protocol)) {
      this.#hold(chunk)
      return
    }
    this.#unhandledBytes -= chunk.length
    if (this.#isPausedByMailbox && this.#unhandledBytes * 2 <= this.#environment.settings.maxUnhandledBytes) {
      this.#isPausedByMailbox = false
      if (!this.#isPausedByProtocol) this.#transport.resume()
    }
    if (this.#closeReason !== undefined) return
    const { packets, error } = this.#decoder.feed(chunk)
    const { rest } = this.#decoder
    const bytes = chunk.length - rest.length
    countReceived(this.#environment.metrics, packets, bytes)
    if (packets.length > 0) this.#run({ tag: 'packets', packets, bytes, nowMs: this.#nowMs() })
    if (error !== undefined) this.#run({ tag: 'malformed', error })
    if (rest.length === 0) return
    this.#unhandledBytes += rest.length
    this.#takeChunk(rest)
  }

  #hold(what: Buffer | SocketEnd): void {
    if (this.#held === undefined) this.#held = [what]
    else this.#held.push(what)
  }

  /** CONNECT has been answered: what came behind it is taken as if it came now [MQTT311-3.1.4-5] [MQTT5-3.1.4-5]. */
  #takeHeld(held: readonly (Buffer | SocketEnd)[]): void {
    this.#held = undefined
    for (const each of held) {
      if (Buffer.isBuffer(each)) this.#takeChunk(each)
      else this.#take(each)
    }
  }

  #take(message: ToConnection | ConnectionMessage): void {
    switch (message.tag) {
      case 'out':
      case 'synced':
      case 'close':
        this.#run({ tag: 'session', message })
        break
      case 'drained':
        this.#run({ tag: 'congested', on: false })
        break
      case 'timeout':
        this.#takeTimeout(message)
        break
      case 'auth':
        this.#auth.answered(message.result)
        this.#run(message)
        break
      case 'opened':
        this.#takeOpened(message)
        break
      case 'refused':
      case 'disconnect':
        this.#run(message)
        break
      case 'socket_ended':
      case 'socket_closed':
        // What a client sent before it left counts, also when its session is only being opened.
        if (this.#held !== undefined) this.#hold(message)
        else if (message.tag === 'socket_ended') {
          this.#run({ tag: 'socket_closed', reason: 'closed', isWritable: true })
        } else this.#run({ tag: 'socket_closed', reason: message.reason, isWritable: false })
        break
      case 'DOWN':
        if (!message.ref.equals(this.#sessionMonitor)) break
        this.#run({ tag: 'session_down', nodeDown: message.reason === 'noconnection' || message.reason === 'shutdown' })
        break
      case 'EXIT':
        if (message.reason === 'normal') break
        this.#run({ tag: 'disconnect', reasonCode: RC.server_shutting_down, reason: 'shutdown' })
        break
    }
  }

  #takeOpened(message: Extract<OpenAnswer, { tag: 'opened' }>): void {
    const { session, present } = message
    if (this.#closeReason === undefined) {
      this.#session = session
      this.#sessionMonitor = this.#self.monitor(session)
    }
    this.#run({ tag: 'opened', session, present, nowMs: this.#nowMs() })
    // The link may have been lost, and made anew, since it said so: then it answers that it knows nothing of this connection.
    if (this.#closeReason === undefined && this.#self.runtime.isForeign(session))
      this.#toSession({ tag: 'packets', from: this.#self.pid, packets: [], sync: false })
  }

  #takeTimeout({ ref, message }: TimeoutMessage): void {
    const timer = message as ProtocolTimer | 'linger'
    // One that was cancelled may have been in the mailbox already.
    if (this.#timers[timer] !== ref) return
    // Never deleted: an object that has lost a field takes three times the memory.
    this.#timers[timer] = undefined
    if (timer === 'linger') {
      this.#transport.destroy()
    } else if (timer === 'slow_consumer' && this.#bytesTaken() > this.#takenBytes) {
      // Slow, but alive: it has the same time again.
      this.#arm('slow_consumer', this.#environment.limits.slowConsumerMs)
    } else {
      this.#run({ tag: 'timer', timer, nowMs: this.#nowMs() })
    }
  }

  #run(event: ProtocolEvent): void {
    const effects = handle(this.#protocol, event)
    for (let i = 0; i < effects.length; i++) this.#perform(effects[i]!)
    if (this.#outbound.isStuck && this.#closeReason === undefined) {
      this.#outbound.isStuck = false
      this.#run({ tag: 'disconnect', reasonCode: RC.packet_too_large, reason: 'answer is too large for the client' })
    }
  }

  #perform(effect: ProtocolEffect): void {
    switch (effect.tag) {
      case 'deliver':
        this.#deliver(effect)
        break
      case 'to_session':
        this.#toSession({ tag: 'packets', from: this.#self.pid, packets: effect.packets, sync: effect.sync })
        break
      case 'send':
        this.#outbound.control(effect.packet)
        break
      case 'session_congested':
        this.#takenBytes = this.#bytesTaken()
        this.#toSession({ tag: 'congested', from: this.#self.pid, on: effect.on })
        break
      case 'version':
        this.#outbound.configure(effect)
        break
      case 'authenticate':
        this.#auth.authenticate(effect.connect, effect.clientId)
        break
      case 'auth_step':
        this.#auth.step(effect.method, effect.data, effect.isFirst, this.#isConnected)
        break
      case 'open':
        this.#open(effect)
        break
      case 'refused':
        this.#environment.refused(
          credentialsOf(effect.connect, effect.clientId, this.#transport.peer.host),
          effect.code,
        )
        break
      case 'connected':
        this.#auth.forget()
        this.#isConnected = true
        this.#environment.metrics['client/connected'] += 1
        this.#environment.connected(this.#client!, effect.present)
        break
      case 'detach':
        this.#self.send(effect.session, {
          tag: 'detach',
          from: this.#self.pid,
          publishWill: effect.publishWill,
          expirySec: effect.expirySec,
          reason: effect.reason,
        } satisfies ToSession)
        break
      case 'publish_will':
        this.#environment.publishWill(this.#client!, effect.will)
        break
      case 'arm':
        this.#arm(effect.timer, effect.delayMs)
        break
      case 'disarm':
        this.#disarm(effect.timer)
        break
      case 'pause':
        this.#isPausedByProtocol = true
        if (!this.#isPausedByMailbox) this.#transport.pause()
        break
      case 'resume':
        this.#isPausedByProtocol = false
        if (!this.#isPausedByMailbox) this.#transport.resume()
        break
      case 'close':
        this.#close(effect)
        break
    }
  }

  #deliver(effect: Extract<ProtocolEffect, { tag: 'deliver' }>): void {
    // Only 5.0 has message expiry, so only it needs the time.
    const nowMs = this.#protocol.version === 5 ? this.#self.runtime.clock.now() : 0
    const skipped = this.#outbound.deliver(effect.packets, nowMs)
    if (skipped !== undefined) {
      this.#toSession({ tag: 'packets', from: this.#self.pid, packets: skipped, sync: false })
    }
  }

  #toSession(message: ToSession): void {
    this.#self.send(this.#session!, message)
  }

  #open({ client }: Extract<ProtocolEffect, { tag: 'open' }>): void {
    const { pid, runtime } = this.#self
    const { host, port } = this.#transport.peer
    const peer = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    // Field by field: what is made by spreading gets a hidden class of its own each time, 430 bytes (measured).
    const info: ClientInfo = {
      clientId: client.clientId,
      username: client.username,
      peer,
      connection: pid,
      protocolVersion: client.protocolVersion,
      cleanStart: client.cleanStart,
      expirySec: client.expirySec,
      receiveMaximum: client.receiveMaximum,
      keepAliveSec: client.keepAliveSec,
      will: client.will,
      connectedAtMs: runtime.clock.now(),
    }
    this.#client = info
    this.#environment.openSession(info)
  }

  #arm(timer: ProtocolTimer | 'linger', delayMs: number): void {
    this.#disarm(timer)
    if (timer === 'slow_consumer') this.#takenBytes = this.#bytesTaken()
    if (delayMs !== Number.POSITIVE_INFINITY) {
      this.#timers[timer] = this.#self.startTimer(delayMs, this.#self.pid, timer)
    }
  }

  #disarm(timer: ProtocolTimer | 'linger'): void {
    const ref = this.#timers[timer]
    if (ref === undefined) return
    this.#timers[timer] = undefined
    this.#self.cancelTimer(ref)
  }

  #close({ reason, abort }: Extract<ProtocolEffect, { tag: 'close' }>): void {
    this.#closeReason = reason
    for (const timer of Object.keys(this.#timers)) this.#disarm(timer as ProtocolTimer)
    if (this.#sessionMonitor !== undefined) this.#self.demonitor(this.#sessionMonitor)
    if (this.#isConnected) {
      this.#environment.metrics['client/disconnected'] += 1
      this.#environment.disconnected(this.#client!, reason)
    }
    if (abort) {
      this.#transport.destroy()
      return
    }
    this.#write()
    this.#transport.end()
    this.#arm('linger', this.#environment.settings.lingerMs)
  }

  #write(): void {
    const { bytes } = this.#outbound
    if (bytes === 0) return
    const buffers = this.#outbound.take()
    if (this.#isSocketClosed) return
    this.#writtenBytes += bytes
    this.#environment.metrics['bytes/sent'] += bytes
    this.#transport.write(buffers, bytes)
  }

  #bytesTaken(): number {
    return this.#writtenBytes - this.#transport.writableLength
  }

  #nowMs(): number {
    return this.#self.runtime.clock.monotonic()
  }
}
