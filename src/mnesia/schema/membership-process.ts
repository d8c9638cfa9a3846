/**
 * The process `mnesia_schema`: joins, leaves and removes, one after the other.
 *
 * A change of cluster is decided by this node's own disc alone (own-record.ts): a node that joins writes its own row of the schema, as a
 * member, and the other members learn it from its greeting. So there is no moment at which two nodes have to agree. Rows
 * that the node gives up are in a backup file before anything changes. The process also takes this node out when a member says
 * that it was removed, and joins seeds when it is new. It is restarted without loss: what it had decided is on disc.
 */
import { Exit } from '../../actors/errors.ts'
import { type GenServer, genServer, ok, reply } from '../../actors/gen-server.ts'
import type { ProcessContext } from '../../actors/process.ts'
import { nodeNetworkOf } from '../../dist/node-network.ts'
import { StoreError } from '../errors.ts'
import type { JoinRefusal, JoinResult, LeaveResult, Refusal, RemoveResult, TableRows } from '../membership.ts'
import { type Cluster, MNESIA } from './cluster.ts'
import { mismatchText, tablesIn } from './definitions.ts'
import { PROTOCOL } from './greeting.ts'
import { type JoinAnswer, joinAnswerOf, joinRequest } from './join-request.ts'
import { linkProcess } from './link-process.ts'
import { memberKey, statusIn } from './members.ts'
import { type Becoming, type Change, newClusterId } from './own-record.ts'
import type { RegistryRow } from './registry.ts'

/** Registered name of the process. */
export const MNESIA_SCHEMA = 'mnesia_schema'

export interface JoinOptions {
  /** Replaces rows that this node has in shared disc tables; a backup is written first in any case. @default false */
  readonly confirm?: boolean
  /** How long to wait for the rows of the cluster. @default 10000 */
  readonly syncTimeoutMs?: number
}

/** What membership needs of the tables of the node. */
export interface MembershipTables {
  /** Rows of shared disc tables that are not empty. */
  rowsToLose(): TableRows[]
  /** Saves the shared tables to a file; undefined when there is nothing to save. */
  backup(why: Change): Promise<string | undefined>
  /** Resolves with whether all rows of a member are here, after `timeoutMs` at most. */
  inSync(node: string, timeoutMs: number): Promise<boolean>
}

export interface MembershipArg {
  readonly cluster: Cluster
  readonly tables: MembershipTables
  /** Members of the cluster that a new node joins by itself. */
  readonly seeds: readonly string[]
  /** Whether that may replace rows of this node. */
  readonly confirmSeeds: boolean
}

type Calls = {
  join: (node: string, options: JoinOptions) => JoinResult
  leave: () => LeaveResult
  remove: (node: string) => RemoveResult
  adopt: () => AdoptResult
}

// biome-ignore lint/complexity/noBannedTypes: no casts at all
type Casts = {}

const ASK_TIMEOUT_MS = 5000
const SYNC_TIMEOUT_MS = 10_000
const SEED_PAUSE_MS = 2000
/** After a disc that would not take the backup. */
const REMOVED_PAUSE_MS = 60_000
/** What a process before this one had begun, which has crashed, goes on to its end. */
const BUSY_PAUSE_MS = 1000

const TRY_SEEDS = { tag: 'try_seeds' } as const
const TRY_REMOVED = { tag: 'try_removed' } as const

interface State extends MembershipArg {
  /** It has been said that no seed can be reached. */
  isMissed: boolean
}

/** The server. */
export const membership: GenServer<State, Calls, Casts, MembershipArg> = genServer<State, Calls, Casts, MembershipArg>({
  label: MNESIA_SCHEMA,
  init: (arg, self) => {
    arg.cluster.onRemoved = () => self.send(self.pid, TRY_REMOVED)
    self.onExit(() => {
      arg.cluster.onRemoved = undefined
    })
    self.send(self.pid, TRY_REMOVED)
    self.send(self.pid, TRY_SEEDS)
    return ok({ ...arg, isMissed: false })
  },
  calls: {
    join: async ({ state, self }, node, options) =>
      reply(await alone(state, () => join(self, state, node, options), node), state),
    leave: async ({ state }) => reply(await alone(state, () => leave(state), state.cluster.node), state),
    adopt: async ({ state }) => reply(await alone(state, () => adopt(state), state.cluster.node), state),
    remove: async ({ state }, node) => reply(await remove(state, node), state),
  },
  info: async ({ state, self }, message) => {
    if (message === TRY_SEEDS) await trySeeds(self, state)
    else if (message === TRY_REMOVED) await takeOut(self, state)
  },
  formatState: ({ cluster, seeds }) => ({ own: cluster.own, seeds }),
})

/** Nobody joins this node while it changes itself. */
async function alone<R>(
  { cluster }: MembershipArg,
  change: () => Promise<R>,
  node: string,
): Promise<R | Refusal<'busy'>> {
  if (cluster.isChanging)
    return refusal('busy', node, 'this node is joining or leaving a cluster; try again in a moment')
  if (cluster.runtime.clock.monotonic() < cluster.promisedUntilMs) {
    return refusal('busy', node, 'another node is joining this one; try again in a moment')
  }
  cluster.isChanging = true
  try {
    return await change()
  } finally {
    cluster.isChanging = false
  }
}

// Join

async function join(
  self: ProcessContext,
  { cluster, tables }: MembershipArg,
  node: string,
  { confirm = false, syncTimeoutMs = SYNC_TIMEOUT_MS }: JoinOptions,
): Promise<JoinResult> {
  if (node === cluster.node) return refusal('cannot_join_with_self', node, `${node} is this node itself`)
  const others = cluster.others()
  if (others.length > 0) {
    const text = `${cluster.node} is in a cluster with ${others.join(', ')}: leave it first (\`cluster leave\`)`
    return { ...refusal('already_in_cluster', node, text), members: cluster.links.members() }
  }
  const answer = await ask(self, cluster, node)
  if (answer.tag === 'refusal') return answer.refusal
  const lost = tables.rowsToLose()
  if (lost.length > 0 && !confirm) {
    const rows = lost.map(({ table, rows: count }) => `${table} (${count} rows)`).join(', ')
    const text = `joining ${node} replaces tables of this node: ${rows}; they will be saved to a backup file first; confirm with --yes`
    return { ...refusal('confirm', node, text), tables: lost }
  }
  const backup = await saved(tables, 'join')
  if (!backup.ok) return refusal('backup_failed', node, backup.problem)
  // Members count on nothing being written any more that is older than what all of them have seen.
  cluster.tables?.sawClock(answer.answer.clock ?? 0)
  const became = await cluster.become(becomingMember(cluster, answer.answer))
  if (!became.ok) return refusal('disc', node, became.problem)
  cluster.runtime.logger.info({ peer: node, backup: backup.file }, `joined the cluster of ${node}`)
  cluster.events.emit({ tag: 'cluster', why: 'join', backup: backup.file })
  await nodeNetworkOf(cluster.runtime)?.connect(node)
  const isInSync = await tables.inSync(node, syncTimeoutMs)
  return { ok: true, members: cluster.links.members(), backup: backup.file, replaced: lost, isInSync }
}

type Granted = Extract<JoinAnswer, { tag: 'granted' }>

type Asked =
  | { readonly tag: 'granted'; readonly answer: Granted }
  | { readonly tag: 'refusal'; readonly refusal: JoinRefusal }

async function ask(self: ProcessContext, cluster: Cluster, node: string): Promise<Asked> {
  const isUp = (await nodeNetworkOf(self.runtime)?.connect(node)) ?? false
  if (!isUp) return notGranted(refusal('node_down', node, `${node} cannot be reached`))
  let answer: JoinAnswer | undefined
  try {
    const to = { name: MNESIA, node }
    answer = joinAnswerOf(await linkProcess.callWithin(self, ASK_TIMEOUT_MS, to, 'join_request', joinRequest(cluster)))
  } catch (error) {
    if (!(error instanceof Exit)) throw error
    if (error.reason === 'noproc') {
      return notGranted(refusal('node_not_running', node, `${node} is there, but runs no tables`))
    }
    return notGranted(refusal('node_down', node, `${node} does not answer`))
  }
  if (answer?.tag === 'granted') return { tag: 'granted', answer }
  return notGranted(refusalOf(cluster, node, answer))
}

function notGranted(refused: JoinRefusal): Asked {
  return { tag: 'refusal', refusal: refused }
}

function refusalOf(cluster: Cluster, node: string, answer: Exclude<JoinAnswer, Granted> | undefined): JoinRefusal {
  switch (answer?.reason) {
    case 'busy':
      return refusal('busy', node, `${node} is joining or leaving a cluster itself; try again in a moment`)
    case 'already_in_cluster': {
      const text = `${cluster.node} is in the cluster of ${node} already`
      return { ...refusal('already_in_cluster', node, text), members: cluster.links.members() }
    }
    case 'definitions_differ': {
      const { mismatches } = answer
      const text = `this node and ${node} define tables in different ways: ${mismatches.map(mismatchText).join(', ')}`
      return { ...refusal('definitions_differ', node, text), mismatches }
    }
    default: {
      const own = `${PROTOCOL.least} to ${PROTOCOL.most}`
      const text = `${node} does not speak the table protocol of this node (versions ${own}): upgrade the older one`
      return refusal('incompatible_version', node, text)
    }
  }
}

/** The schema of the cluster with this node as a member; tables that only this node has are added to it. */
function becomingMember(cluster: Cluster, { cluster: id, rows, seen }: Granted): Becoming {
  const theirs = new Map(rows.map((row) => [row.key, row]))
  for (const own of cluster.registry.under('table/')) {
    const row = theirs.get(own.key)
    if (own.value.status === 'deleted' || (row !== undefined && row.value.status !== 'deleted')) continue
    theirs.set(own.key, { ...own, version: (row?.version ?? 0) + 1 })
  }
  const key = memberKey(cluster.node)
  theirs.set(key, { key, version: (theirs.get(key)?.version ?? 0) + 1, value: { status: 'member' } })
  return { why: 'join', cluster: id, rows: [...theirs.values()], epoch: nextEpoch(cluster, seen) }
}

/** Greater than all before it: entries of an epoch are numbered without holes, and those so far stay in the old cluster. */
function nextEpoch({ own, runtime }: Cluster, seen: number): number {
  return Math.max(own.epoch + 1, runtime.clock.now(), seen + 1)
}

// Leave, remove

async function leave({ cluster, tables }: MembershipArg): Promise<LeaveResult> {
  const { node } = cluster
  if (cluster.others().length === 0) return refusal('node_not_in_cluster', node, `${node} is in no cluster with others`)
  const backup = await saved(tables, 'leave')
  if (!backup.ok) return refusal('backup_failed', node, backup.problem)
  const removed = tables.rowsToLose()
  // Told first: members that hear it from a node that is gone would take it for one that crashed.
  cluster.write(memberKey(node), { status: 'left' })
  const became = await cluster.become(becomingAlone(cluster, 'leave'))
  if (!became.ok) {
    cluster.write(memberKey(node), { status: 'member' })
    return refusal('disc', node, became.problem)
  }
  cluster.runtime.logger.info({ backup: backup.file }, 'left the cluster')
  cluster.events.emit({ tag: 'cluster', why: 'leave', backup: backup.file })
  return { ok: true, backup: backup.file, removed }
}

async function remove({ cluster }: MembershipArg, node: string): Promise<RemoveResult> {
  if (node === cluster.node) {
    return refusal('cannot_remove_self', node, `${node} is this node itself: it leaves with \`cluster leave\``)
  }
  if (statusIn(cluster.registry, node) !== 'member') {
    return refusal('node_not_in_cluster', node, `${node} is no member of this cluster`)
  }
  const wasRunning = cluster.links.connected().some((member) => member.node === node)
  cluster.write(memberKey(node), { status: 'removed' })
  try {
    await cluster.store.flushed()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return refusal('disc', node, error.message)
  }
  return { ok: true, wasRunning }
}

/** Takes this node out of a cluster whose schema says that it is no member. */
async function takeOut(self: ProcessContext, { cluster, tables }: MembershipArg): Promise<undefined> {
  if (statusIn(cluster.registry, cluster.node) === 'member') return
  if (cluster.isChanging) {
    self.sendAfter(BUSY_PAUSE_MS, self.pid, TRY_REMOVED)
    return
  }
  cluster.isChanging = true
  try {
    const { logger } = cluster.runtime
    const backup = await saved(tables, 'removed')
    const became = backup.ok ? await cluster.become(becomingAlone(cluster, 'removed')) : backup
    if (backup.ok && became.ok) {
      logger.warn(
        { backup: backup.file },
        'removed from the cluster: its shared tables are empty now, and it runs alone',
      )
      cluster.events.emit({ tag: 'cluster', why: 'removed', backup: backup.file })
      return
    }
    const { problem } = became as { readonly problem: string }
    logger.error(`removed from the cluster, and apart from it; its tables stay until they can be saved: ${problem}`)
    self.sendAfter(REMOVED_PAUSE_MS, self.pid, TRY_REMOVED)
  } finally {
    cluster.isChanging = false
  }
}

export type AdoptResult =
  | { readonly ok: true; readonly backup: string | undefined }
  | Refusal<'busy' | 'backup_failed' | 'disc'>

/** Gives up this node's rows for those of the other members: it becomes what it is, with empty tables. */
async function adopt({ cluster, tables }: MembershipArg): Promise<AdoptResult> {
  const { node, own, registry } = cluster
  const backup = await saved(tables, 'adopt')
  if (!backup.ok) return refusal('backup_failed', node, backup.problem)
  const becoming: Becoming = { why: 'adopt', cluster: own.cluster, rows: registry.rows(), epoch: nextEpoch(cluster, 0) }
  const became = await cluster.become(becoming)
  if (!became.ok) return refusal('disc', node, became.problem)
  cluster.events.emit({ tag: 'cluster', why: 'adopt', backup: backup.file })
  return { ok: true, backup: backup.file }
}

/** A new cluster of this node alone, with the tables that are open. */
function becomingAlone(cluster: Cluster, why: Change): Becoming {
  const rows: RegistryRow[] = [...tablesIn(cluster.registry)].map(([name, value]) => ({
    key: `table/${name}`,
    version: 1,
    value,
  }))
  rows.push({ key: memberKey(cluster.node), version: 1, value: { status: 'member' } })
  return { why, cluster: newClusterId(cluster.runtime.system), rows, epoch: nextEpoch(cluster, 0) }
}

// Seeds

async function trySeeds(self: ProcessContext, arg: State): Promise<undefined> {
  const { cluster, seeds, confirmSeeds: confirm } = arg
  const others = seeds.filter((seed) => seed !== cluster.node)
  if (others.length === 0 || !cluster.own.mayAutoJoin || cluster.others().length > 0) return
  for (const seed of others) {
    const result = await alone(arg, () => join(self, arg, seed, { confirm }), seed)
    if (result.ok) return
    if (result.reason === 'node_down' || result.reason === 'node_not_running' || result.reason === 'busy') continue
    cluster.runtime.logger.error({ seed, reason: result.reason }, `the seed ${seed} is not joined: ${result.text}`)
    return
  }
  if (!arg.isMissed) {
    arg.isMissed = true
    const names = others.join(', ')
    cluster.runtime.logger.warn(
      { seeds: others },
      `${names} cannot be reached; trying until ${others.length === 1 ? 'it can' : 'one can'}`,
    )
  }
  self.sendAfter(SEED_PAUSE_MS * (0.5 + self.runtime.random()), self.pid, TRY_SEEDS)
}

type Saved = { readonly ok: true; readonly file: string | undefined } | { readonly ok: false; readonly problem: string }

async function saved(tables: MembershipTables, why: Change): Promise<Saved> {
  try {
    return { ok: true, file: await tables.backup(why) }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { ok: false, problem: `the backup cannot be written: ${error.message}` }
  }
}

function refusal<Reason extends string>(reason: Reason, node: string, text: string): Refusal<Reason> {
  return { ok: false, reason, node, text }
}
