/**
 * A TCP listener: accepts sockets and starts one connection process for each, linked to it.
 *
 * The listener is the supervisor of its connections, which are temporary: it counts why they end, as emqttd's
 * `listeners` command shows, and takes them down with it, in an orderly way, when it is shut down itself. Sockets are
 * accepted paused, so nothing is read before a process owns them. Who may not connect, or would be one too many, is
 * closed without a byte: at that point nobody knows what version of MQTT an answer would have to be in.
 *
 * In: `accepted` from its server socket, EXIT of its connections. Started by the broker's supervisor.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { ExitReason } from '../../actors/errors.ts'
import { genServer, initStop, noreply, ok, reply } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { type ExitMessage, isExitMessage } from '../../actors/signal.ts'
import { isInCidr, parseAddress, plainAddress } from '../../dist/ip.ts'
import { SocketStream } from '../../dist/transport-socket.ts'
import type { AccessRule } from '../config.ts'
import { connection } from './connection.ts'
import type { ConnectionEnvironment } from './connection-environment.ts'
import { RateLimit } from './rate-limit.ts'

/** Settings of one listener; the names are those of the `[listeners.tcp]` table. */
export interface TcpListenerOptions {
  /** Address to listen on. */
  readonly host: string
  /** 0 takes any free port; `info` tells which. */
  readonly port: number
  /** Connections at a time. */
  readonly maxConnections: number
  /** New connections a second; as many more wait, the rest is closed. */
  readonly maxConnPerSec: number
  /** Connections that the kernel holds until they are accepted. */
  readonly backlog: number
  /** The first rule that matches decides; none means no. */
  readonly access: readonly AccessRule[]
  /** How long the connections may take to end when the listener does. */
  readonly shutdownMs: number
  readonly environment: ConnectionEnvironment
}

/** What `listeners` shows. */
export interface ListenerInfo {
  readonly protocol: 'mqtt'
  readonly host: string
  /** The port that is open. */
  readonly port: number
  readonly maxClients: number
  readonly currentClients: number
  /** The most there have been at a time. */
  readonly peakClients: number
  /** Connections that have ended, by reason. */
  readonly shutdownCount: Readonly<Record<string, number>>
}

interface ListenerState {
  readonly options: TcpListenerOptions
  readonly server: Server
  readonly host: string
  readonly port: number
  /** Processes of open connections; removed at their EXIT. */
  readonly connections: Set<Pid>
  readonly shutdownCount: Map<string, number>
  readonly rate: RateLimit
  /** Accepted sockets for which it is not yet time. */
  readonly waiting: Socket[]
  /** True while the message `admit` is on its way. */
  isAdmitting: boolean
  peak: number
}

type ListenerMessage = { readonly tag: 'accepted'; readonly socket: Socket } | { readonly tag: 'admit' } | ExitMessage

/** The requests that a listener answers. */
export type ListenerCalls = {
  info: () => ListenerInfo
}

/** The listener process; ends with the error of the operating system when it cannot listen. */
export const tcpListener = genServer<ListenerState, ListenerCalls, Record<never, never>, TcpListenerOptions>({
  label: 'listener_tcp',

  init: async (options: TcpListenerOptions, self: ProcessContext) => {
    self.processFlag('trap_exit', true)
    // Half-open, since what a client has sent before it closed its half is still to be answered. No delay, since packets
    // leave when a turn ends, and Nagle's algorithm would hold the last of them back for the peer's delayed ACK.
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true })
    const failure = await listen(server, options)
    if (failure !== undefined) return initStop({ error: failure.code ?? failure.message })
    const { pid, runtime } = self
    server.on('connection', (socket) => runtime.send(pid, { tag: 'accepted', socket } satisfies ListenerMessage))
    // Accepting may fail for want of file descriptors; those that are open go on.
    server.on('error', (error) => runtime.logger.warn({ err: error, port: options.port }, 'cannot accept'))
    const address = server.address() as { address: string; port: number }
    const state: ListenerState = {
      options,
      server,
      host: address.address,
      port: address.port,
      connections: new Set(),
      shutdownCount: new Map(),
      rate: new RateLimit(options.maxConnPerSec, runtime.clock.monotonic()),
      waiting: [],
      isAdmitting: false,
      peak: 0,
    }
    self.onExit(() => {
      server.close()
      for (const socket of state.waiting) socket.destroy()
    })
    return ok(state)
  },

  calls: {
    info: ({ state }) => reply(infoOf(state), state),
  },

  info: ({ state, self }, message) => {
    const known = message as ListenerMessage
    if (isExitMessage(known)) takeExit(state, known)
    else if (known.tag === 'accepted') accepted(state, self, known.socket)
    else if (known.tag === 'admit') {
      state.isAdmitting = false
      admitWaiting(state, self)
    }
    return noreply(state)
  },

  terminate: ({ state, self }) => shutDown(state, self),

  formatState: infoOf,
})

function infoOf(state: ListenerState): ListenerInfo {
  return {
    protocol: 'mqtt',
    host: state.host,
    port: state.port,
    maxClients: state.options.maxConnections,
    currentClients: state.connections.size,
    peakClients: state.peak,
    shutdownCount: Object.fromEntries(state.shutdownCount),
  }
}

/** Resolves with the error when the address cannot be had. */
function listen(
  server: Server,
  { host, port, backlog }: TcpListenerOptions,
): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host, port, backlog }, () => {
      server.off('error', resolve)
      resolve(undefined)
    })
  })
}

function accepted(state: ListenerState, self: ProcessContext, socket: Socket): void {
  const { metrics } = state.options.environment
  if (!isAllowed(state.options.access, socket)) {
    metrics['connections/refused/access'] += 1
    socket.destroy()
  } else if (state.connections.size + state.waiting.length >= state.options.maxConnections) {
    metrics['connections/refused/max_connections'] += 1
    socket.destroy()
  } else if (state.waiting.length === 0 && state.rate.take(self.runtime.clock.monotonic())) {
    admit(state, self, socket)
  } else if (state.waiting.length >= state.options.maxConnPerSec) {
    metrics['connections/refused/rate'] += 1
    socket.destroy()
  } else {
    // Nobody else listens to it yet, and an error without a listener would end the node.
    socket.on('error', () => {})
    state.waiting.push(socket)
    admitLater(state, self)
  }
}

function isAllowed(rules: readonly AccessRule[], socket: Socket): boolean {
  const address = parseAddress(plainAddress(socket.remoteAddress ?? ''))
  if (address === undefined) return false
  for (const { permission, cidr } of rules) {
    if (cidr === undefined || isInCidr(address, cidr)) return permission === 'allow'
  }
  return false
}

function admit(state: ListenerState, self: ProcessContext, socket: Socket): void {
  const { environment } = state.options
  environment.metrics['connections/accepted'] += 1
  const pid = self.spawnLink(connection(environment, new SocketStream(socket)), { label: 'connection' })
  state.connections.add(pid)
  if (state.connections.size > state.peak) state.peak = state.connections.size
}

function admitWaiting(state: ListenerState, self: ProcessContext): void {
  const nowMs = self.runtime.clock.monotonic()
  let taken = 0
  while (taken < state.waiting.length && state.rate.take(nowMs)) {
    const socket = state.waiting[taken++]!
    if (!socket.destroyed) admit(state, self, socket)
  }
  state.waiting.splice(0, taken)
  if (state.waiting.length > 0) admitLater(state, self)
}

function admitLater(state: ListenerState, self: ProcessContext): void {
  if (state.isAdmitting) return
  state.isAdmitting = true
  self.sendAfter(state.rate.waitMs(self.runtime.clock.monotonic()), self.pid, {
    tag: 'admit',
  } satisfies ListenerMessage)
}

function takeExit(state: ListenerState, { from, reason }: ExitMessage): void {
  if (!state.connections.delete(from)) return
  const name = reasonName(reason)
  state.shutdownCount.set(name, (state.shutdownCount.get(name) ?? 0) + 1)
}

/** The word under which an end is counted. */
function reasonName(reason: ExitReason): string {
  if (typeof reason === 'string') return reason
  if (typeof reason === 'object' && reason !== null && 'shutdown' in reason) return String(reason.shutdown)
  return 'crashed'
}

/** Stops accepting, tells every connection to end and waits for them; those that take too long are killed. */
async function shutDown(state: ListenerState, self: ProcessContext): Promise<void> {
  const { runtime } = self
  state.server.close()
  for (const socket of state.waiting) socket.destroy()
  const process = runtime.process(self.pid)!
  const ends: Promise<void>[] = []
  for (const pid of state.connections) {
    ends.push(new Promise((resolve) => runtime.monitor(process, pid, () => resolve())))
    self.exit(pid, 'shutdown')
  }
  let timer: object | undefined
  const tooLong = new Promise<void>((resolve) => {
    timer = runtime.timers.set(state.options.shutdownMs, resolve)
  })
  await Promise.race([Promise.all(ends), tooLong])
  if (timer !== undefined) runtime.timers.clear(timer)
  for (const pid of state.connections) runtime.exit(pid, 'kill')
}
