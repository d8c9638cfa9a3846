/**
 * `trace`: what a client does, or what happens on topics, in a file of the node. It sees what happens on this node: a publish where its client is
 * connected, a delivery where the session is.
 */
import { resolve } from 'node:path'
import { TRACE, type Trace, type TraceKind, trace as traceServer } from '../../broker/monitor/trace.ts'
import { type Command, type CtlContext, done, type Outcome, refused } from '../command.ts'

export const trace: Command = {
  name: 'trace',
  usages: [
    { syntax: 'trace list', text: 'All traces of this node' },
    { syntax: 'trace client <ClientId> <LogFile>', text: 'Trace a client' },
    { syntax: 'trace client <ClientId> off', text: 'Stop tracing a client' },
    { syntax: 'trace topic <Topic> <LogFile>', text: 'Trace a topic filter' },
    { syntax: 'trace topic <Topic> off', text: 'Stop tracing a topic filter' },
    { syntax: 'trace off', text: 'Stop all traces' },
  ],
  async run(context, [action, name, file, ...more]) {
    if (name === undefined) {
      if (action === 'list') return list(await all(context))
      return action === 'off' ? stopAll(context) : undefined
    }
    if ((action !== 'client' && action !== 'topic') || file === undefined || more.length > 0) return undefined
    if (file === 'off') return stop(context, action, name)
    return start(context, { kind: action, name, path: resolve(context.program?.dataDir ?? '.', file) })
  },
}

function all({ runtime }: CtlContext): Promise<readonly Trace[]> {
  return traceServer.call(runtime, TRACE, 'list')
}

function list(traces: readonly Trace[]): Outcome {
  return done(
    traces.map(({ kind, name, path }) => `trace ${kind} ${name} -> ${path}`),
    traces,
  )
}

async function start({ runtime }: CtlContext, wanted: Trace): Promise<Outcome> {
  const { kind, name } = wanted
  const started = await traceServer.call(runtime, TRACE, 'start', wanted)
  if (started.ok) return done([`trace ${kind} ${name} successfully.`], wanted)
  return refused(`trace ${kind} ${name} error: ${started.reason}`, started.reason)
}

async function stop({ runtime }: CtlContext, kind: TraceKind, name: string): Promise<Outcome> {
  const wasThere = await traceServer.call(runtime, TRACE, 'stop', kind, name)
  if (wasThere) return done([`stop tracing ${kind} ${name} successfully.`], { kind, name })
  return refused(`stop tracing ${kind} ${name} error: not_found.`, 'not_found')
}

async function stopAll(context: CtlContext): Promise<Outcome> {
  const stopped = await all(context)
  const outcomes: Outcome[] = []
  for (const { kind, name } of stopped) outcomes.push(await stop(context, kind, name))
  return done(
    outcomes.flatMap(({ lines }) => lines),
    stopped,
  )
}
