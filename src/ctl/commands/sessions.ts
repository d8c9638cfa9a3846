/** `sessions`: the sessions that live on this node, connected or not. */
import type { SessionSnapshot } from '../../broker/session/session-snapshot.ts'
import type { SessionRow } from '../../broker/tables.ts'
import { type Command, type CtlContext, done, NOT_FOUND, type Outcome } from '../command.ts'
import { atomText, record, tooMany, unixSeconds } from '../format.ts'

export const sessions: Command = {
  name: 'sessions',
  usages: [
    { syntax: 'sessions list', text: 'All sessions of this node, persistent ones first' },
    { syntax: 'sessions list persistent', text: 'Sessions that outlive their connection' },
    { syntax: 'sessions list transient', text: 'Sessions that end with their connection' },
    { syntax: 'sessions show <ClientId>', text: 'A session of this node, or the node that has it' },
  ],
  run(context, [action, which, ...more]) {
    if (more.length > 0) return undefined
    if (action === 'show' && which !== undefined) return show(context, which)
    if (action !== 'list') return undefined
    if (which === undefined) return list(context, [true, false])
    if (which === 'persistent') return list(context, [true])
    return which === 'transient' ? list(context, [false]) : undefined
  },
}

function list(context: CtlContext, kinds: readonly boolean[]): Outcome {
  const { runtime, services } = context
  const here = [...services.sessions.list()].filter(({ pid }) => pid.node === runtime.node.name)
  const chosen = kinds.flatMap((persistent) => here.filter((row) => row.persistent === persistent))
  const refusal = tooMany('sessions', chosen.length)
  if (refusal !== undefined) return refusal
  const snapshots = chosen.map((row) => snapshotOf(context, row)).filter((found) => found !== undefined)
  return done(snapshots.map(sessionLine), snapshots)
}

function show(context: CtlContext, clientId: string): Outcome {
  const row = context.services.sessions.lookup(clientId)
  if (row === undefined) return NOT_FOUND
  const { node } = row.pid
  if (node !== context.runtime.node.name) {
    return done([record('Session', clientId, [['node', atomText(node)]])], { clientId, node })
  }
  const found = snapshotOf(context, row)
  return found === undefined ? NOT_FOUND : done([sessionLine(found)], found)
}

/** What a session shows of itself, without a message to it: it may have many to handle first. */
function snapshotOf({ runtime }: CtlContext, { pid }: SessionRow): SessionSnapshot | undefined {
  return runtime.process(pid)?.behaviour.state as SessionSnapshot | undefined
}

function sessionLine(session: SessionSnapshot): string {
  return record('Session', session.clientId, [
    ['clean_sess', session.cleanSess],
    ['max_inflight', session.maxInflight],
    ['inflight_queue', session.inflightQueue],
    ['message_queue', session.messageQueue],
    ['message_dropped', session.messageDropped],
    ['awaiting_rel', session.awaitingRel],
    ['awaiting_ack', session.awaitingAck],
    ['awaiting_comp', session.awaitingComp],
    ['created_at', unixSeconds(session.createdAtMs)],
  ])
}
