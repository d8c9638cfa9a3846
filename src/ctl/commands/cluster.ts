/**
 * `cluster`: who is in the cluster of this node, and changes of that. Works on every member.
 *
 * The first line of an answer is emqttd's. What follows it, where there is something to tell, says what became of rows that this
 * node had, or what to do about a refusal; a refusal has changed nothing.
 */
import type { Runtime } from '../../actors/runtime.ts'
import { nodeNetworkOf } from '../../dist/node-network.ts'
import * as rpc from '../../dist/rpc.ts'
import { isTuple, text } from '../../dist/term.ts'
import type { ClusterStatus, JoinRefusal, TableRows } from '../../mnesia/membership.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import { CONFIRM, type Command, type CtlContext, done, type Outcome, YES } from '../command.ts'
import { atomList, atomText } from '../format.ts'
import { fullName } from '../node-argument.ts'
import { CTL_MODULE } from '../server.ts'

/** How long `join` and `heal` wait until members are linked. */
const LINK_MS = 10_000

export const cluster: Command = {
  name: 'cluster',
  usages: [
    { syntax: `cluster join <Node> [${YES}]`, text: 'Join the cluster of a node' },
    { syntax: 'cluster leave', text: 'Leave the cluster' },
    { syntax: 'cluster remove <Node>', text: 'Remove a member from the cluster, which may be down' },
    { syntax: 'cluster force-leave <Node>', text: 'The same' },
    { syntax: 'cluster heal [<Node>]', text: 'Merge with members that are held apart after a partition' },
    { syntax: 'cluster status', text: 'Members of the cluster' },
  ],
  run(context, [action, name, ...more]) {
    const { runtime, services } = context
    const node = name === undefined ? undefined : fullName(runtime, name)
    if (action === 'join' && node !== undefined) {
      const isConfirmed = more[0] === YES
      return more.length > (isConfirmed ? 1 : 0) ? undefined : join(context, node, isConfirmed)
    }
    if (more.length > 0) return undefined
    if (action === 'heal') return heal(services.mnesia, node)
    if ((action === 'remove' || action === 'force-leave') && node !== undefined) return remove(services.mnesia, node)
    if (name !== undefined) return undefined
    if (action === 'leave') return leave(services.mnesia)
    return action === 'status' ? statusOf(services.mnesia) : undefined
  },
}

/** `Cluster status: [{running_nodes,['n1@h','n2@h']}]`, in one line, names sorted. */
function statusLine({ running, stopped, partitioned, stale }: ClusterStatus): string {
  const apart = new Set(partitioned)
  const parts = [
    ['running_nodes', running],
    ['stopped_nodes', stopped.filter((node) => !apart.has(node))],
    ['partitioned_nodes', partitioned],
    ['stale_nodes', stale],
  ] as const
  const shown = parts.filter(([name, nodes]) => name === 'running_nodes' || nodes.length > 0)
  return `Cluster status: [${shown.map(([name, nodes]) => `{${name},${atomList(nodes)}}`).join(',')}]`
}

function statusOf(mnesia: Mnesia): Outcome {
  const status = mnesia.status()
  return done([statusLine(status)], status)
}

function changed(mnesia: Mnesia, sentence: string, notes: readonly string[], data: object): Outcome {
  const status = mnesia.status()
  return done([sentence, statusLine(status), ...notes], { ...data, status })
}

/** `what`: as emqttd puts it, after "Failed to". `reason`: a term of Erlang. */
function failed(what: string, reason: string, data: { reason: string; text?: string }, notes: readonly string[] = []) {
  const lines = [`Failed to ${what}: ${reason}`, ...notes]
  return { ok: false, lines, data: { error: data.reason, message: data.text ?? lines[0], ...data } }
}

async function join({ runtime, services: { mnesia } }: CtlContext, node: string, confirm: boolean): Promise<Outcome> {
  const what = 'join the cluster'
  // Without this, a member of a cluster would be told to leave it for a node that is not there.
  const isThere = node === runtime.node.name || (await nodeNetworkOf(runtime)?.connect(node)) === true
  if (!isThere) return failed(what, `{node_not_running,${atomText(node)}}`, { reason: 'node_not_running' })
  const result = await mnesia.join(node, { confirm })
  if (!result.ok) return joinRefusal(node, result)
  await linked(mnesia, await runningOf(runtime, node))
  const { backup, replaced, isInSync } = result
  const notes = [
    ...(backup === undefined ? [] : [`Replaced: ${rowsText(replaced)}. Saved to ${backup}`, bringBack(backup)]),
    ...(isInSync ? [] : ['Rows of the cluster are still on their way.']),
  ]
  return changed(mnesia, 'Join the cluster successfully.', notes, { backup: backup ?? null, replaced, isInSync })
}

/** Members that run, as a member knows them: links with the others come up one after the other, and the status is to show them all. */
async function runningOf(runtime: Runtime, node: string): Promise<readonly string[]> {
  const result = await rpc.call(runtime, node, CTL_MODULE, 'run', [['cluster', 'status']], LINK_MS)
  const json = result.ok && isTuple(result.value, 3) ? text(result.value.elements[2]) : undefined
  return json === undefined ? [] : (JSON.parse(json) as ClusterStatus).running
}

function joinRefusal(node: string, refusal: JoinRefusal): Outcome {
  const { reason, text: sentence } = refusal
  const name = atomText(node)
  const fail = (term: string, ...notes: readonly string[]) =>
    failed('join the cluster', term, { ...refusal, reason, text: sentence }, notes)
  switch (refusal.reason) {
    case 'cannot_join_with_self':
      return fail(`{cannot_join_with_self,${name}}`)
    case 'node_down':
    case 'node_not_running':
      return fail(`{node_not_running,${name}}`)
    case 'already_in_cluster':
      if (refusal.members.includes(node)) return fail(`{already_clustered,${name}}`)
      return fail(`{already_in_other_cluster,${atomList(refusal.members)}}`, sentence)
    case CONFIRM: {
      const consequence = `joining ${node} replaces tables of this node: ${rowsText(refusal.tables)}; they are saved to a backup file first`
      const lines = [`Failed to join the cluster: {confirm,${name}}`, `${consequence}; confirm with ${YES}`]
      return { ok: false, lines, data: { error: CONFIRM, message: consequence, node, tables: refusal.tables } }
    }
    default:
      return fail(`{${reason},${name}}`, sentence)
  }
}

function rowsText(tables: readonly TableRows[]): string {
  return tables.map(({ table, rows }) => `${table} (${rows} rows)`).join(', ')
}

function bringBack(file: string): string {
  return `What the cluster does not have comes back with: bin/ctl data import ${file} --missing-only`
}

async function leave(mnesia: Mnesia): Promise<Outcome> {
  const result = await mnesia.leave()
  if (!result.ok) {
    const { reason, text } = result
    const notes = reason === 'node_not_in_cluster' ? [] : [text]
    return failed('leave the cluster', reason, result, notes)
  }
  const { backup, removed } = result
  const notes = backup === undefined ? [] : [`Emptied: ${rowsText(removed)}. Saved to ${backup}`]
  return changed(mnesia, 'Leave the cluster successfully.', notes, { backup: backup ?? null, removed })
}

async function remove(mnesia: Mnesia, node: string): Promise<Outcome> {
  const result = await mnesia.remove(node)
  const what = 'remove the node from cluster'
  if (result.ok) {
    return changed(mnesia, 'Remove the node from cluster successfully.', [], { wasRunning: result.wasRunning })
  }
  const { reason, text } = result
  if (reason === 'cannot_remove_self') return failed(what, `{cannot_remove_self,${atomText(node)}}`, result)
  return failed(what, reason, result, reason === 'node_not_in_cluster' ? [] : [text])
}

async function heal(mnesia: Mnesia, node: string | undefined): Promise<Outcome> {
  const healed = mnesia.heal(node)
  if (healed.length === 0) {
    const text = 'no member is held apart after a partition'
    return failed('heal the cluster', 'not_partitioned', { reason: 'not_partitioned', text })
  }
  await linked(mnesia, healed)
  return changed(mnesia, 'Heal the cluster successfully.', [], { healed })
}

/** Resolves when members are linked, or the time is over. */
function linked(mnesia: Mnesia, nodes: readonly string[]): Promise<void> {
  const { timers } = mnesia.runtime
  return new Promise((resolve) => {
    const look = () => {
      const { running } = mnesia.status()
      if (nodes.every((node) => running.includes(node))) end()
    }
    const end = () => {
      timers.clear(timer)
      unsubscribe()
      resolve()
    }
    const timer = timers.set(LINK_MS, end)
    const unsubscribe = mnesia.subscribe(({ tag }) => {
      if (tag === 'mnesia_up') look()
    })
    look()
  })
}
