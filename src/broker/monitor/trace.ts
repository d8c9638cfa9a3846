/**
 * The process `trace`: writes what clients do, or what happens on topics, to files, a line for each event on this node [emqttd_trace].
 *
 *     ctl ─ start, stop, list ─▶ trace          hooks ─ events, in the process where they happen ─▶ files
 *
 * A trace is of one client id or of one topic filter. Hooks are in place only while there is a trace: without one, nothing costs anything.
 * Traces end with the process; nobody wants one to begin again by itself.
 */
import { genServer, ok, reply } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { HookCallback, HookName, Hooks } from '../hooks.ts'
import type { Message } from '../message.ts'
import { matches } from '../routing/topic.ts'
import { TraceFile } from './trace-file.ts'

/** Registered name of the process. */
export const TRACE = 'trace'

const MAX_TRACES = 50
/** Of a payload that are shown. */
const SHOWN_BYTES = 256

/** What is traced: a client id, or a topic filter. */
export type TraceKind = 'client' | 'topic'

export interface Trace {
  readonly kind: TraceKind
  readonly name: string
  readonly path: string
}

interface OpenTrace extends Trace {
  readonly file: TraceFile
}

type Calls = {
  list: () => readonly Trace[]
  /** `existed`: it is traced to another file. Else the error of the system, in small letters, such as `enoent`. */
  start: (trace: Trace) => { readonly ok: true } | { readonly ok: false; readonly reason: string }
  /** Resolves with whether there was one, when its file is whole. */
  stop: (kind: TraceKind, name: string) => boolean
}

class TraceState {
  readonly #self: ProcessContext
  readonly #hooks: Hooks
  readonly #traces = new Map<string, OpenTrace>()
  #unhook: (() => void) | undefined

  constructor(self: ProcessContext, hooks: Hooks) {
    this.#self = self
    this.#hooks = hooks
    self.processFlag('trap_exit', true)
    self.onExit(() => this.#unhook?.())
  }

  list(): readonly Trace[] {
    return [...this.#traces.values()].map(({ kind, name, path }) => ({ kind, name, path }))
  }

  async start({ kind, name, path }: Trace): Promise<ReturnType<Calls['start']>> {
    const key = keyOf(kind, name)
    const existing = this.#traces.get(key)
    if (existing !== undefined) return existing.path === path ? { ok: true } : { ok: false, reason: 'existed' }
    if (this.#traces.size >= MAX_TRACES) return { ok: false, reason: 'too_many_traces' }
    const opened = await TraceFile.open(path, (error) => this.#failed(key, error))
    if (!opened.ok) return { ok: false, reason: opened.code.toLowerCase() }
    this.#traces.set(key, { kind, name, path, file: opened.file })
    this.#unhook ??= this.#hook()
    return { ok: true }
  }

  async stop(kind: TraceKind, name: string): Promise<boolean> {
    const trace = this.#remove(keyOf(kind, name))
    await trace?.file.close()
    return trace !== undefined
  }

  async stopAll(): Promise<void> {
    for (const { kind, name } of this.list()) await this.stop(kind, name)
  }

  #remove(key: string): OpenTrace | undefined {
    const trace = this.#traces.get(key)
    this.#traces.delete(key)
    if (this.#traces.size === 0) {
      this.#unhook?.()
      this.#unhook = undefined
    }
    return trace
  }

  #failed(key: string, error: Error): void {
    const trace = this.#remove(key)
    this.#self.runtime.logger.warn({ err: error, path: trace?.path }, 'a trace ends: its file cannot be written')
  }

  /** Puts all hooks in place; returns what takes them away. */
  #hook(): () => void {
    const ends: (() => void)[] = []
    const on = <N extends HookName>(name: N, callback: HookCallback<N>) => {
      ends.push(this.#hooks.on(name, callback, LAST))
    }
    on('client.connect', ({ clientId, username, host, protocolVersion }) =>
      this.#client(clientId, 'connect', { username, host, protocolVersion }),
    )
    on('client.refused', ({ clientId }, code) => this.#client(clientId, 'refused', { code }))
    on('client.connected', ({ clientId, peer, cleanStart, expirySec, keepAliveSec }) =>
      this.#client(clientId, 'connected', { peer, cleanStart, expirySec, keepAliveSec }),
    )
    on('client.disconnected', ({ clientId }, reason) => this.#client(clientId, 'disconnected', { reason }))
    on('session.created', ({ clientId }) => this.#client(clientId, 'session.created', {}))
    on('session.resumed', ({ clientId }) => this.#client(clientId, 'session.resumed', {}))
    on('session.discarded', (clientId) => this.#client(clientId, 'session.discarded', {}))
    on('session.takenover', (clientId) => this.#client(clientId, 'session.takenover', {}))
    on('session.terminated', (clientId, reason) => this.#client(clientId, 'session.terminated', { reason }))
    on('session.subscribed', (clientId, { topic, qos }) => this.#client(clientId, 'subscribed', { topic, qos }))
    on('session.unsubscribed', (clientId, topic) => this.#client(clientId, 'unsubscribed', { topic }))
    on('message.publish', (message) => this.#message('publish', message.from, message, {}))
    on('message.delivered', (clientId, message) => this.#message('deliver', clientId, message, { to: clientId }))
    on('message.acked', (clientId, message) => this.#message('acked', clientId, message, { by: clientId }))
    on('message.dropped', (message, reason) => this.#message('dropped', message.from, message, { reason }))
    on('delivery.dropped', (clientId, message, reason) =>
      this.#message('delivery.dropped', clientId, message, { to: clientId, reason }),
    )
    return () => {
      for (const end of ends) end()
    }
  }

  #client(clientId: string, event: string, fields: Fields): void {
    const trace = this.#traces.get(keyOf('client', clientId))
    if (trace !== undefined) trace.file.add(this.#line(event, { clientId, ...fields }))
  }

  #message(event: string, clientId: string, message: Message, fields: Fields): void {
    let line: string | undefined
    for (const { kind, name, file } of this.#traces.values()) {
      if (!(kind === 'client' ? name === clientId : matches(message.topic, name))) continue
      line ??= this.#line(event, { ...fields, ...messageFields(message) })
      file.add(line)
    }
  }

  #line(event: string, fields: Fields): string {
    const time = new Date(this.#self.runtime.clock.now()).toISOString()
    const shown = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${JSON.stringify(value)}`],
    )
    return [time, event, ...shown].join(' ')
  }
}

type Fields = Readonly<Record<string, string | number | boolean | undefined>>

/** After all that may change a message. */
const LAST = Number.MIN_SAFE_INTEGER

function keyOf(kind: TraceKind, name: string): string {
  return `${kind} ${name}`
}

function messageFields({ id, from, topic, qos, retain, payload }: Message): Fields {
  const start = payload.subarray(0, SHOWN_BYTES).toString('utf8')
  return { from, topic, qos, retain, id, bytes: payload.length, payload: start }
}

/** The server. */
export const trace = genServer<TraceState, Calls, Record<never, never>, Hooks>({
  label: TRACE,
  init: (hooks, self) => ok(new TraceState(self, hooks)),
  calls: {
    list: ({ state }) => reply(state.list(), state),
    start: async ({ state }, wanted) => reply(await state.start(wanted), state),
    stop: async ({ state }, kind, name) => reply(await state.stop(kind, name), state),
  },
  terminate: ({ state }) => state.stopAll(),
  formatState: (state) => state.list(),
})
