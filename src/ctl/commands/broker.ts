/** `broker`: what the broker is, its statistics, its counters, and the processes through which subscriptions go. */
import { EMQTTD_METRICS, METRIC_NAMES } from '../../broker/monitor/metrics.ts'
import { formatDatetime, formatUptime } from '../../broker/monitor/sys-topics.ts'
import { DESCRIPTION } from '../../broker/sup.ts'
import { type Command, type CtlContext, done, type Outcome } from '../command.ts'
import { labelled } from '../format.ts'

const IDENTITY_WIDTH = 10
const STATS_WIDTH = 20
const METRICS_WIDTH = 24
const PROCESS_WIDTH = 18

export const broker: Command = {
  name: 'broker',
  usages: [
    { syntax: 'broker', text: 'Version, uptime and description of the broker' },
    { syntax: 'broker pubsub', text: 'The processes that subscribe and unsubscribe' },
    { syntax: 'broker stats', text: 'How many clients, topics, subscribers there are, and have been at most' },
    {
      syntax: 'broker metrics [all]',
      text: 'Counters since the start; with `all`, those that emqttd does not have too',
    },
  ],
  run(context, [what, ...more]) {
    if (what === undefined) return identity(context)
    if (what === 'stats' && more.length === 0) return stats(context)
    if (what === 'pubsub' && more.length === 0) return pubsub(context)
    if (what === 'metrics' && (more.length === 0 || (more.length === 1 && more[0] === 'all'))) {
      return metrics(context, more.length === 1)
    }
    return undefined
  },
}

function identity({ runtime, services }: CtlContext): Outcome {
  const nowMs = runtime.clock.now()
  const uptimeMs = nowMs - runtime.startedAtMs
  const entries = [
    ['sysdescr', DESCRIPTION],
    ['version', services.version],
    ['uptime', formatUptime(uptimeMs)],
    ['datetime', formatDatetime(nowMs)],
  ] as const
  return done(labelled(IDENTITY_WIDTH, entries), { ...Object.fromEntries(entries), uptimeMs })
}

function stats({ services }: CtlContext): Outcome {
  services.stats.sample()
  const entries = services.stats.entries()
  return done(labelled(STATS_WIDTH, entries), Object.fromEntries(entries))
}

function metrics({ services }: CtlContext, all: boolean): Outcome {
  const names = [...(all ? METRIC_NAMES : EMQTTD_METRICS)].sort()
  const entries = names.map((name) => [name, services.metrics[name]] as const)
  return done(labelled(METRICS_WIDTH, entries), Object.fromEntries(entries))
}

function pubsub({ runtime, services }: CtlContext): Outcome {
  const routers = services.routers.names.map((name, index) => {
    const process = runtime.registry.find(name)
    return {
      pubsub: index + 1,
      name,
      status: process?.status ?? 'restarting',
      message_queue_len: process?.mailbox.length ?? 0,
      reductions: process?.reductions ?? 0,
    }
  })
  const lines = routers.flatMap(({ pubsub: number, status, message_queue_len, reductions }) => [
    `pubsub: ${number}`,
    ...labelled(PROCESS_WIDTH, Object.entries({ status, message_queue_len, reductions })).map((line) => `  ${line}`),
  ])
  return done(lines, routers)
}
