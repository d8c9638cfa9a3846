/**
 * The signals between this node and one other: what our processes send there, and what comes in from there.
 *
 * A peer exists from the first signal on, before its connection is up. It holds what depends on the connection, the links and the
 * monitors in both directions, so that its loss is told to each of them exactly once. Nothing that a peer sends may throw,
 * and nothing that it sends counts for processes of others: a signal's sender must live on the peer.
 */
import type { ExitReason } from '../actors/errors.ts'
import type { CallMessage, Request } from '../actors/gen.ts'
import { Pid } from '../actors/pid.ts'
import type { Process } from '../actors/process.ts'
import { Ref } from '../actors/ref.ts'
import type { Incoming, Remote } from '../actors/remote.ts'
import type { Runtime } from '../actors/runtime.ts'
import type { RemoteName } from '../actors/signal.ts'
import { type ControlMessage, controlToTerms, type SpawnRequest } from './control.ts'
import { messageFromTerm, messageToTerm, replyFromTerm } from './envelope.ts'
import { UnsendableError } from './errors.ts'
import { shapeOfEventRequest } from './event-shapes.ts'
import { reasonFromTerm, reasonToTerm } from './exit-reason.ts'
import { setGroupLeader } from './group-leader.ts'
import { adapted, isAdaptable } from './incoming-message.ts'
import { LinkTable } from './link-state.ts'
import { type ReplyShape, replyFromTermOf, shapeOfSystemCall } from './otp-shapes.ts'
import type { Outbox } from './outbox.ts'
import { presentable } from './presentable.ts'
import { shapeOfSupervisorRequest } from './supervisor-shapes.ts'
import { Tuple } from './term.ts'

/** A monitor that a process of this node holds on one of the peer. */
interface OwnMonitor {
  readonly watcher: Pid
  readonly object: Pid | RemoteName
  readonly ref: Ref
  /** Of the answer to the call that the monitor belongs to. */
  shape: ReplyShape | undefined
}

/** A monitor that a process of the peer holds on one of ours. */
interface PeerMonitor {
  readonly watcher: Pid
  readonly ref: Ref
  /** The process of ours, also when it is monitored by its name. */
  readonly target: Pid | undefined
}

/** Starts a process for a peer. The peer's reply and links are the caller's care; throws nothing. */
export type SpawnForPeer = (request: SpawnRequest) => Process

/** How a spawn request of ours ended; `reason` is a term. */
export type SpawnEnd =
  /** The process that was started has ended. */
  | { readonly tag: 'down'; readonly reason: unknown }
  /** None was started: the peer says why, or it is out of reach. */
  | { readonly tag: 'error'; readonly reason: string }

/** A spawn request of a process of this node, until the new process has ended. */
interface OwnSpawn {
  readonly from: Pid
  readonly ref: Ref
  /** Undefined when nobody waits any more; the monitor is then taken back as soon as it is known of whom. */
  ended: ((end: SpawnEnd) => void) | undefined
  /** The new process, once the peer has told. */
  pid: Pid | undefined
}

/** Control messages that are no signal of one process to another, or of nobody in particular. */
type Anonymous = Extract<
  ControlMessage,
  { op: 'send' | 'send_name' | 'send_alias' | 'down' | 'spawn_reply' | 'group_leader' | 'none' }
>

export interface PeerOptions {
  readonly runtime: Runtime
  /** Name of the other node. */
  readonly name: string
  readonly outbox: Outbox
  readonly spawn: SpawnForPeer
}

export class Peer implements Remote {
  readonly name: string
  readonly outbox: Outbox
  readonly #runtime: Runtime
  readonly #spawn: SpawnForPeer
  readonly #links = new LinkTable()
  /** By the number of the reference, which is one of this node. */
  readonly #ownMonitors = new Map<number, OwnMonitor>()
  readonly #peerMonitors = new Map<string, PeerMonitor>()
  /** By the number of the reference. */
  readonly #ownSpawns = new Map<number, OwnSpawn>()

  constructor({ runtime, name, outbox, spawn }: PeerOptions) {
    this.#runtime = runtime
    this.name = name
    this.outbox = outbox
    this.#spawn = spawn
  }

  /** What depends on the connection, for tests and observers. */
  get counts(): Readonly<Record<'links' | 'ownMonitors' | 'peerMonitors' | 'ownSpawns', number>> {
    return {
      links: this.#links.size,
      ownMonitors: this.#ownMonitors.size,
      peerMonitors: this.#peerMonitors.size,
      ownSpawns: this.#ownSpawns.size,
    }
  }

  /**
   * Starts a process on the peer and tells how it ended, once, unless `ended` is undefined. Returns what gives up waiting. Throws
   * `UnsendableError` when the arguments are no terms.
   */
  spawnRequest(
    from: Pid,
    module: string,
    name: string,
    args: readonly unknown[],
    ended: ((end: SpawnEnd) => void) | undefined,
  ): () => void {
    const ref = this.#runtime.makeRef()
    const monitor = ended !== undefined
    this.#frame({
      op: 'spawn_request',
      ref,
      from,
      groupLeader: from,
      module,
      function: name,
      args,
      link: false,
      monitor,
    })
    if (ended === undefined) return () => {}
    const spawn: OwnSpawn = { from, ref, ended, pid: undefined }
    this.#ownSpawns.set(ref.id as number, spawn)
    return () => this.#abandon(spawn)
  }

  /** A process of this node has ended: it waits no more. */
  callerEnded(caller: Pid): void {
    for (const spawn of this.#ownSpawns.values()) if (spawn.from.equals(caller)) this.#abandon(spawn)
  }

  // Signals of processes of this node

  send(from: Pid, to: Pid | RemoteName | Ref, message: unknown): void {
    const isCall = isCallMessage(message)
    if (isCall) this.#noteShape(message)
    try {
      const term = messageToTerm(message)
      if (to instanceof Pid) this.#frame({ op: 'send', from, to, message: term })
      else if (to instanceof Ref) this.#frame({ op: 'send_alias', from, to, message: term })
      else this.#frame({ op: 'send_name', from, to: to.name, message: term })
    } catch (error) {
      if (!(error instanceof UnsendableError)) throw error
      this.#unsendable(from, to, message, error)
    }
    this.outbox.pressure(this.#waitable(from))
  }

  link(from: Pid, to: Pid): void {
    if (this.#links.link(from, to)) this.#frame({ op: 'link', from, to })
  }

  unlink(from: Pid, to: Pid): void {
    const id = this.#links.unlink(from, to)
    if (id !== undefined) this.#frame({ op: 'unlink_id', id, from, to })
  }

  exitLinked(from: Pid, to: Pid, reason: ExitReason): void {
    if (this.#links.localExited(from, to)) this.#frameReason({ op: 'exit_linked', from, to, reason })
  }

  exit(from: Pid, to: Pid, reason: ExitReason): void {
    this.#frameReason({ op: 'exit', from, to, reason })
  }

  monitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    this.#frame({ op: 'monitor', from, to: to instanceof Pid ? to : to.name, ref })
    this.#ownMonitors.set(ref.id as number, { watcher: from, object: to, ref, shape: undefined })
  }

  demonitor(from: Pid, to: Pid | RemoteName, ref: Ref): void {
    if (!this.#ownMonitors.delete(ref.id as number)) return
    this.#frame({ op: 'demonitor', from, to: to instanceof Pid ? to : to.name, ref })
  }

  down(object: Pid | string, watcher: Pid, ref: Ref, reason: ExitReason): void {
    const key = monitorKey(watcher, ref)
    const monitor = this.#peerMonitors.get(key)
    if (monitor === undefined) return
    this.#peerMonitors.delete(key)
    this.#frameReason({ op: 'down', from: object, to: watcher, ref, reason }, monitor.target)
  }

  // Signals of the peer

  /** Acts on a control message of the peer. A signal in the name of a process of another node is none. */
  receive(message: ControlMessage): void {
    const { incoming } = this.#runtime
    switch (message.op) {
      case 'send':
      case 'send_name':
      case 'send_alias':
        this.#deliver(message.to, message.message)
        break
      case 'down':
        this.#downReceived(message.to, message.ref, message.reason)
        break
      case 'spawn_reply':
        this.#spawnReplied(message.to, message.ref, message.result)
        break
      case 'group_leader': {
        const process = this.#runtime.process(message.to)
        if (process !== undefined) setGroupLeader(process, message.from)
        break
      }
      case 'none':
        break
      default:
        if (message.from.node === this.name) this.#signalled(message, incoming)
    }
  }

  #signalled(message: Exclude<ControlMessage, Anonymous>, incoming: Incoming): void {
    switch (message.op) {
      case 'link':
        this.#linkReceived(message.from, message.to)
        break
      case 'unlink':
        if (this.#links.unlinkReceived(message.from, message.to)) incoming.unlink(message.from, message.to)
        break
      case 'unlink_id':
        if (this.#links.unlinkReceived(message.from, message.to)) incoming.unlink(message.from, message.to)
        this.#frame({ op: 'unlink_id_ack', id: message.id, from: message.to, to: message.from })
        break
      case 'unlink_id_ack':
        this.#links.acknowledged(message.from, message.to, message.id)
        break
      case 'exit_linked':
        if (this.#links.exitReceived(message.from, message.to)) {
          incoming.exitLinked(message.from, message.to, reasonFromTerm(message.reason))
        }
        break
      case 'exit':
        incoming.exit(message.from, message.to, reasonFromTerm(message.reason))
        break
      case 'monitor':
        this.#monitorReceived(message.from, message.to, message.ref)
        break
      case 'demonitor':
        if (this.#peerMonitors.delete(monitorKey(message.from, message.ref))) {
          incoming.demonitor(message.from, message.ref)
        }
        break
      case 'spawn_request':
        this.#spawnRequested(message)
        break
    }
  }

  /** The connection is lost, or never came up: whatever depends on it ends. To be called once. */
  lost(): void {
    const { incoming } = this.#runtime
    const links = this.#links.clear()
    const own = [...this.#ownMonitors.values()]
    this.#ownMonitors.clear()
    const foreign = [...this.#peerMonitors.values()]
    this.#peerMonitors.clear()
    const spawns = [...this.#ownSpawns.values()]
    this.#ownSpawns.clear()
    this.outbox.close()
    for (const { watcher, ref } of foreign) incoming.demonitor(watcher, ref)
    for (const { local, remote } of links) incoming.exitLinked(remote, local, 'noconnection')
    for (const { watcher, ref } of own) incoming.down(watcher, ref, 'noconnection')
    for (const { ended } of spawns) ended?.({ tag: 'error', reason: 'noconnection' })
  }

  #linkReceived(from: Pid, to: Pid): void {
    if (!this.#links.linkReceived(from, to)) return
    if (this.#runtime.incoming.link(from, to)) return
    this.#links.refuse(from, to)
    this.#frameReason({ op: 'exit_linked', from: to, to: from, reason: 'noproc' })
  }

  #monitorReceived(watcher: Pid, to: Pid | string, ref: Ref): void {
    const key = monitorKey(watcher, ref)
    if (this.#peerMonitors.has(key)) return
    const target = to instanceof Pid ? to : this.#runtime.whereis(to)
    if (this.#runtime.incoming.monitor(watcher, to, ref)) this.#peerMonitors.set(key, { watcher, ref, target })
    else this.#frameReason({ op: 'down', from: to, to: watcher, ref, reason: 'noproc' })
  }

  #downReceived(watcher: Pid, ref: Ref, reason: unknown): void {
    if (!this.#runtime.isLocalRef(ref)) return
    const spawn = this.#ownSpawns.get(ref.id as number)
    if (spawn?.from.equals(watcher)) {
      this.#ownSpawns.delete(ref.id as number)
      spawn.ended?.({ tag: 'down', reason })
      return
    }
    const monitor = this.#ownMonitors.get(ref.id as number)
    if (monitor === undefined || !monitor.watcher.equals(watcher)) return
    this.#ownMonitors.delete(ref.id as number)
    this.#runtime.incoming.down(watcher, monitor.ref, reasonFromTerm(reason))
  }

  #deliver(to: Pid | string | Ref, term: unknown): void {
    const reply = typeof to === 'string' ? undefined : replyFromTerm(term, to)
    if (reply !== undefined && this.#runtime.isLocalRef(reply.alias)) {
      this.#deliverReply(reply.alias, reply.reply)
      return
    }
    const message = messageFromTerm(term)
    this.#runtime.deliverLocally(to, isAdaptable(message) ? adapted(message, this.#addressee(to)) : message)
  }

  #deliverReply(alias: Ref, term: unknown): void {
    const shape = this.#ownMonitors.get(alias.id as number)?.shape
    const reply = shape === undefined ? term : replyFromTermOf(shape, term)
    this.#runtime.deliverLocally(alias, { tag: '$gen_reply', to: alias, reply })
  }

  /** Whom a message is for; nobody tells for an alias. */
  #addressee(to: Pid | string | Ref): Process | undefined {
    if (to instanceof Ref) return undefined
    return to instanceof Pid ? this.#runtime.process(to) : this.#runtime.registry.find(to)
  }

  #spawnRequested(request: SpawnRequest): void {
    const { ref, from, link, monitor } = request
    const process = this.#spawn(request)
    if (request.groupLeader instanceof Pid) setGroupLeader(process, request.groupLeader)
    if (link && this.#links.linkReceived(from, process.pid)) this.#runtime.incoming.link(from, process.pid)
    // The answer has to come before any signal of the process.
    this.#frame({ op: 'spawn_reply', ref, to: from, linked: link, monitored: monitor, result: process.pid })
    if (monitor) this.#monitorReceived(from, process.pid, ref)
  }

  #spawnReplied(to: Pid, ref: Ref, result: Pid | string): void {
    if (!this.#runtime.isLocalRef(ref)) return
    const spawn = this.#ownSpawns.get(ref.id as number)
    if (!spawn?.from.equals(to)) return
    if (result instanceof Pid) {
      spawn.pid = result
      this.#takeBackAbandoned(spawn)
    } else {
      this.#ownSpawns.delete(ref.id as number)
      spawn.ended?.({ tag: 'error', reason: result })
    }
  }

  #abandon(spawn: OwnSpawn): void {
    spawn.ended = undefined
    this.#takeBackAbandoned(spawn)
  }

  #takeBackAbandoned({ from, ref, ended, pid }: OwnSpawn): void {
    if (ended !== undefined || pid === undefined || !this.#ownSpawns.delete(ref.id as number)) return
    this.#frame({ op: 'demonitor', from, to: pid, ref })
  }

  /** Remembers with a call's monitor what its answer will look like. */
  #noteShape({ tag, from, request }: CallMessage): void {
    const shape = SHAPE_OF[tag](request)
    if (shape === undefined || from.alias === undefined || !this.#runtime.isLocalRef(from.alias)) return
    const monitor = this.#ownMonitors.get(from.alias.id as number)
    if (monitor !== undefined) monitor.shape = shape
  }

  /** A message that is no plain data is the sender's mistake; nobody may wait for ever for the answer. */
  #unsendable(from: Pid, to: Pid | RemoteName | Ref, message: unknown, error: UnsendableError): void {
    this.#runtime.logger.error({ process: from, to: this.name, err: error }, 'message cannot be sent to another node')
    if (isCallMessage(message) && message.from.alias !== undefined) {
      const { pid, alias } = message.from
      const monitor = this.#ownMonitors.get(alias.id as number)
      if (monitor === undefined) return
      this.demonitor(pid, monitor.object, alias)
      this.#runtime.incoming.down(pid, alias, { badarg: error.message })
    } else if (isReplyMessage(message)) {
      this.send(from, to, { ...message, reply: presentable(message.reply) })
    }
  }

  /** Senders that can wait: all but those that answer for the node, to every peer, and those that have said so. */
  #waitable(from: Pid): Process | undefined {
    const process = this.#runtime.process(from)
    if (process?.asyncDist === true) return undefined
    return process?.name !== undefined && NEVER_BLOCKED.has(process.name) ? undefined : process
  }

  /** Sends a signal of `sender`, which arrives after all that it has sent before. */
  #frame(message: ControlMessage, sender: Pid | undefined = senderOf(message)): void {
    const { control, payload, hasPayload } = controlToTerms(message)
    this.outbox.frame(control, hasPayload, payload, sender)
  }

  /** A reason that cannot be sent is shown as text; the signal must arrive. */
  #frameReason(message: Extract<ControlMessage, { readonly reason: unknown }>, sender = senderOf(message)): void {
    try {
      this.#frame({ ...message, reason: reasonToTerm(message.reason) }, sender)
    } catch (error) {
      if (!(error instanceof UnsendableError)) throw error
      this.#frame({ ...message, reason: reasonToTerm(presentable(message.reason)) }, sender)
    }
  }
}

const SHAPE_OF: Readonly<Record<CallMessage['tag'], (request: Request) => ReplyShape | undefined>> = {
  $gen_call: () => undefined,
  $supervisor: shapeOfSupervisorRequest,
  $gen_event: shapeOfEventRequest,
  $system: shapeOfSystemCall,
}

/** `init` acts for code that is no process. */
const NEVER_BLOCKED: ReadonlySet<string> = new Set(['init', 'net_kernel', 'rex', 'global_name_server', 'agner_mesh'])

function senderOf(message: ControlMessage): Pid | undefined {
  return 'from' in message && message.from instanceof Pid ? message.from : undefined
}

function monitorKey(watcher: Pid, ref: Ref): string {
  return `${watcher.key} ${ref.key}`
}

function isCallMessage(message: unknown): message is CallMessage {
  if (typeof message !== 'object' || message === null || message instanceof Tuple) return false
  const { tag, from } = message as Partial<CallMessage>
  return tag !== undefined && Object.hasOwn(SHAPE_OF, tag) && from?.pid instanceof Pid
}

function isReplyMessage(message: unknown): message is { readonly tag: '$gen_reply'; readonly reply: unknown } {
  return typeof message === 'object' && message !== null && (message as { tag?: unknown }).tag === '$gen_reply'
}
