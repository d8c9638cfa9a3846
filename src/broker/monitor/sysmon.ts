/**
 * Watches the node itself: long garbage collections, long turns of the event loop, a large heap, long mailboxes
 * [OTP erlang:system_monitor/2, emqttd_sysmon].
 *
 * A server named `sysmon`, started by the broker's supervisor. Each report is logged and published to
 * $SYS/brokers/NODE/sysmon/KIND, the same kind at most once a second; what lasts, a large heap and long mailboxes, is an
 * alarm until it is over. A turn is long when a timer of this server comes
 * late by that much. Mailboxes are looked at in slices, so that a node with a hundred thousand processes is not held up
 * by its own monitor. What only the JavaScript engine can tell is asked of `vm`, which a simulation leaves out.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { Process, ProcessContext } from '../../actors/process.ts'
import type { BrokerConfig } from '../config.ts'
import type { Alarms } from './alarm.ts'
import type { SysPublish } from './sys-events.ts'

/** What is reported. */
export type SysmonKind = 'long_gc' | 'long_schedule' | 'large_heap' | 'long_mailbox'

/** The JavaScript engine, as far as it can be watched. */
export interface VmProbe {
  heapUsedBytes(): number
  /** Calls back after each garbage collection with its length; returns what ends that. */
  onGc(callback: (pauseMs: number) => void): () => void
}

/** What the server watches, and where it reports. */
export interface SysmonOptions {
  readonly config: BrokerConfig['sysmon']
  readonly publish: SysPublish
  readonly alarms: Pick<Alarms, 'alert' | 'clear'>
  readonly vm: VmProbe | undefined
}

interface State {
  readonly options: SysmonOptions
  readonly topic: string
  /** Monotonic time at which the last tick was due. */
  dueMs: number
  /** Kinds reported within the current second. */
  readonly reported: Set<SysmonKind>
  ticks: number
  processes: Iterator<Process>
  /** A long mailbox was seen since the iteration began. */
  isSomeLong: boolean
}

const TICK_MS = 100
const TICKS_PER_SECOND = 10
/** Some tens of microseconds of each tick. */
const PROCESSES_PER_TICK = 2000
const TICK = 'tick'

/** The server; its argument is what it watches. */
export const sysmon = genServer<State, Record<never, never>, Record<never, never>, SysmonOptions>({
  label: 'sysmon',
  init: (options, self) => {
    const { runtime, pid } = self
    const { longGcMs, longScheduleMs, largeHeapBytes, longMailbox } = options.config
    if (options.vm !== undefined && longGcMs > 0) {
      // The engine reports outside of any process; the report becomes a message, and only a long pause does.
      self.onExit(options.vm.onGc((ms) => ms >= longGcMs && runtime.send(pid, { tag: 'gc', ms })))
    }
    if (longScheduleMs > 0 || largeHeapBytes > 0 || longMailbox > 0) self.sendAfter(TICK_MS, pid, TICK)
    return ok({
      options,
      topic: `$SYS/brokers/${runtime.node.name}/sysmon/`,
      dueMs: runtime.clock.monotonic() + TICK_MS,
      reported: new Set<SysmonKind>(),
      ticks: 0,
      processes: runtime.processes[Symbol.iterator](),
      isSomeLong: false,
    })
  },
  info: ({ state, self }, message) => {
    if (message === TICK) tick(state, self)
    else if (isGc(message))
      report(state, self, 'long_gc', `a garbage collection stopped the node for ${ms(message.ms)}`)
  },
})

function tick(state: State, self: ProcessContext): void {
  const { longScheduleMs, largeHeapBytes } = state.options.config
  const nowMs = self.runtime.clock.monotonic()
  const lateMs = nowMs - state.dueMs
  if (state.ticks++ % TICKS_PER_SECOND === 0) {
    state.reported.clear()
    const heapBytes = largeHeapBytes > 0 ? (state.options.vm?.heapUsedBytes() ?? 0) : 0
    if (heapBytes <= largeHeapBytes) state.options.alarms.clear('large_heap')
    else lasting(state, self, 'large_heap', `the heap has ${heapBytes} bytes`)
  }
  if (longScheduleMs > 0 && lateMs >= longScheduleMs) {
    report(state, self, 'long_schedule', `a turn of the event loop took ${ms(lateMs)} too long`)
  }
  lookAtMailboxes(state, self)
  state.dueMs = nowMs + TICK_MS
  self.sendAfter(TICK_MS, self.pid, TICK)
}

function lookAtMailboxes(state: State, self: ProcessContext): void {
  const { longMailbox } = state.options.config
  if (longMailbox === 0) return
  for (let i = 0; i < PROCESSES_PER_TICK; i++) {
    const next = state.processes.next()
    if (next.done) {
      if (!state.isSomeLong) state.options.alarms.clear('long_mailbox')
      state.isSomeLong = false
      state.processes = self.runtime.processes[Symbol.iterator]()
      return
    }
    const { mailbox, pid, name, label } = next.value
    if (mailbox.length > longMailbox) {
      const who = name ?? label ?? 'a process'
      state.isSomeLong = true
      lasting(state, self, 'long_mailbox', `${mailbox.length} messages wait for ${who} ${pid}`)
    }
  }
}

const TITLES = { large_heap: 'Large heap', long_mailbox: 'Long mailbox' } as const

function lasting(state: State, self: ProcessContext, kind: keyof typeof TITLES, what: string): void {
  report(state, self, kind, what)
  state.options.alarms.alert({ id: kind, severity: 'warning', title: TITLES[kind], summary: what })
}

function report(state: State, self: ProcessContext, kind: SysmonKind, what: string): void {
  if (state.reported.has(kind)) return
  state.reported.add(kind)
  self.runtime.logger.warn({ sysmon: kind }, what)
  state.options.publish(state.topic + kind, `${kind} warning: ${what}`, { retain: false })
}

function isGc(message: unknown): message is { tag: 'gc'; ms: number } {
  return typeof message === 'object' && message !== null && (message as { tag?: unknown }).tag === 'gc'
}

function ms(length: number): string {
  return `${Math.round(length)} ms`
}
