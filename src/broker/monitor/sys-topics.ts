/**
 * Publishes what a node is and does under $SYS, on a schedule [emqttd]:
 *
 *     $SYS/brokers                      names of the running nodes      sys_interval, retained
 *     $SYS/brokers/NODE/version         …/sysdescr                      sys_interval, retained
 *     $SYS/brokers/NODE/uptime          …/datetime                      every second
 *     $SYS/brokers/NODE/stats/NAME      …/metrics/NAME                  sys_interval
 *
 * A server named `sys_topics`, started by the broker's supervisor; it also takes the sample of the statistics each
 * second, so that their maxima mean something. Differs from emqttd: the retained ones are published at the start too, so
 * that a young node has them. What is published when something happens is in sys-events.ts.
 */
import { genServer, ok } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { METRIC_NAMES, type Metrics } from './metrics.ts'
import type { Stats } from './stats.ts'
import type { SysPublish } from './sys-events.ts'

/** What the server publishes, and through what. */
export interface SysTopicsOptions {
  readonly publish: SysPublish
  readonly metrics: Metrics
  readonly stats: Stats
  /** Names of the running nodes of the cluster, this one among them. */
  readonly runningNodes: () => readonly string[]
  readonly version: string
  readonly description: string
  /** `broker.sys_interval`; 0 publishes nothing. */
  readonly sysIntervalMs: number
}

interface State {
  readonly options: SysTopicsOptions
  /** `$SYS/brokers/NODE`. */
  readonly prefix: string
  readonly startedAtMs: number
  /** Monotonic time of the next round of `sysIntervalMs`. */
  nextRoundMs: number
}

const TICK_MS = 1000
const TICK = 'tick'
const RETAIN = { retain: true }
const EVENT = { retain: false }

/** The server; its argument is what it publishes. */
export const sysTopics = genServer<State, Record<never, never>, Record<never, never>, SysTopicsOptions>({
  label: 'sys_topics',
  init: (options, self) => {
    const { clock, node } = self.runtime
    const nowMs = clock.monotonic()
    const state: State = {
      options,
      prefix: `$SYS/brokers/${node.name}`,
      startedAtMs: nowMs,
      nextRoundMs: nowMs + options.sysIntervalMs,
    }
    if (options.sysIntervalMs > 0) publishIdentity(state)
    self.sendAfter(TICK_MS, self.pid, TICK)
    return ok(state)
  },
  info: ({ state, self }, message) => {
    if (message !== TICK) return
    self.sendAfter(TICK_MS, self.pid, TICK)
    state.options.stats.sample()
    if (state.options.sysIntervalMs > 0) tick(state, self)
  },
})

function tick(state: State, self: ProcessContext): void {
  const { options, prefix } = state
  const { clock } = self.runtime
  const nowMs = clock.monotonic()
  options.publish(`${prefix}/uptime`, formatUptime(nowMs - state.startedAtMs), EVENT)
  options.publish(`${prefix}/datetime`, formatDatetime(clock.now()), EVENT)
  if (nowMs < state.nextRoundMs) return
  // After a pause of the whole process, such as a suspended laptop, rounds that were missed are not made up for.
  state.nextRoundMs = Math.max(state.nextRoundMs + options.sysIntervalMs, nowMs)
  publishIdentity(state)
  for (const [name, value] of options.stats.entries()) options.publish(`${prefix}/stats/${name}`, String(value), EVENT)
  for (const name of METRIC_NAMES) options.publish(`${prefix}/metrics/${name}`, String(options.metrics[name]), EVENT)
}

function publishIdentity({ options, prefix }: State): void {
  options.publish('$SYS/brokers', options.runningNodes().join(','), RETAIN)
  options.publish(`${prefix}/version`, options.version, RETAIN)
  options.publish(`${prefix}/sysdescr`, options.description, RETAIN)
}

/** A time as emqttd prints it: "1 hours, 25 minutes, 24 seconds". */
export function formatUptime(ms: number): string {
  const total = Math.floor(ms / 1000)
  const parts = [`${total % 60} seconds`]
  if (total >= 60) parts.unshift(`${Math.floor(total / 60) % 60} minutes`)
  if (total >= 3600) parts.unshift(`${Math.floor(total / 3600) % 24} hours`)
  if (total >= 86_400) parts.unshift(`${Math.floor(total / 86_400)} days`)
  return parts.join(', ')
}

/** Local time as `YYYY-MM-DD hh:mm:ss`; `ms` is since 1970. */
export function formatDatetime(ms: number): string {
  const date = new Date(ms)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
