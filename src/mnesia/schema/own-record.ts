/**
 * What a node has on disc of itself: its name, its cluster, its epoch, the schema, and whom it was connected to.
 *
 * All of it is in the space `meta`. A change of cluster (join, leave, being removed) is decided by one commit, of the record with
 * `becoming`: what the node will be. Before that commit nothing has changed; after it the old tables are emptied and the record
 * without `becoming` is written, by the node itself or, when it crashes in between, at its next start.
 */
import type { System } from '../../actors/system.ts'
import { RowBytesError } from '../errors.ts'
import { termBytes } from '../row-bytes.ts'
import { isDamaged } from '../store/damage.ts'
import type { Store, StoreOperation } from '../store/store.ts'
import { memberKey, membersIn } from './members.ts'
import { Registry, type RegistryRow, registryRowsOf } from './registry.ts'

/** The space of these records. */
const META = 'meta'

const OWN = 'own'
const LINKED = 'linked'
const MASTERS = 'masters'
const REGISTRY = 'registry/'

/** Of what is written here; a record of a later version is refused. */
const FORMAT = 1

/** Departures that are told to members of the cluster that was left. */
const MOST_DEPARTURES = 8

/** Why a node changes its cluster. `adopt`: it stays, but takes the rows of the others in place of its own. */
export type Change = 'join' | 'leave' | 'removed' | 'adopt'

/** What a node is about to be. */
export interface Becoming {
  readonly why: Change
  readonly cluster: string
  /** The whole schema. */
  readonly rows: readonly RegistryRow[]
  readonly epoch: number
}

/** That this node left a cluster, and what it knew of its members then; they may not have heard. */
export interface Departure {
  readonly cluster: string
  readonly rows: readonly RegistryRow[]
}

export interface OwnRecord {
  readonly format: number
  readonly node: string
  /** Random; made at the first start, or adopted when joining. */
  readonly cluster: string
  readonly epoch: number
  readonly departures: readonly Departure[]
  /** Whether seeds may be joined without being told to: never after a node has left or was removed. */
  readonly mayAutoJoin: boolean
  readonly becoming?: Becoming
}

/** Whom the node was connected to. */
export interface Linked {
  /** Members that were connected when this was written. */
  readonly up: readonly string[]
  /** The greatest epoch that was seen of each node. */
  readonly seen: Readonly<Record<string, number>>
}

/** What was found, or the sentence that says why the node does not start. */
export type OpenResult =
  | {
      readonly ok: true
      readonly own: OwnRecord
      readonly linked: Linked
      readonly isRenamed: boolean
      /** The disc has lost the record: the node does not know any more whose member it was. */
      readonly isLost: boolean
    }
  | { readonly ok: false; readonly reason: 'other_node' | 'bad_format'; readonly problem: string }

export interface OpenOptions {
  readonly store: Store
  readonly node: string
  readonly system: Pick<System, 'clock' | 'randomFill'>
  /** Takes over the data of a node that had another name. */
  readonly rename?: boolean
}

/**
 * Reads the record, or makes one on an empty disc, and begins the next epoch. The caller has it flushed before the epoch is
 * used. Throws nothing.
 */
export function openOwnRecord({ store, node, system, rename = false }: OpenOptions): OpenResult {
  const nowMs = system.clock.now()
  let found: OwnRecord | undefined
  try {
    found = read(store, OWN) as OwnRecord | undefined
  } catch (error) {
    if (!(error instanceof RowBytesError)) throw error
    return badFormat(`the record of the node on this disc cannot be read: ${error.message}`)
  }
  if (found === undefined) {
    const own = freshRecord(node, newClusterId(system), nowMs)
    return { ok: true, own, linked: NONE, isRenamed: false, isLost: isDamaged(store.damage, META) }
  }
  if (found.format > FORMAT) {
    return badFormat(`this disc was written by a later version (format ${found.format}; this version reads ${FORMAT})`)
  }
  const linked = (read(store, LINKED) as Linked | undefined) ?? NONE
  // A disc that was put back from a copy, or a clock that went back: neither may bring an epoch back.
  const epoch = Math.max(found.epoch + 1, nowMs, (linked.seen[found.node] ?? 0) + 1)
  if (found.node === node) return { ok: true, own: { ...found, epoch }, linked, isRenamed: false, isLost: false }
  const others = membersIn(readRegistry(store, () => {})).filter((name) => name !== found.node)
  if (!rename) return { ok: false, reason: 'other_node', problem: renamedProblem(found.node, node, others) }
  const own = { ...freshRecord(node, newClusterId(system), nowMs), epoch, mayAutoJoin: false }
  return { ok: true, own, linked, isRenamed: true, isLost: false }
}

const NONE: Linked = { up: [], seen: {} }

function freshRecord(node: string, cluster: string, epoch: number): OwnRecord {
  return { format: FORMAT, node, cluster, epoch, departures: [], mayAutoJoin: true }
}

function badFormat(problem: string): OpenResult {
  return { ok: false, reason: 'bad_format', problem }
}

function renamedProblem(owner: string, node: string, others: readonly string[]): string {
  const remedy = `start with --rename to make it the data of ${node}`
  return others.length === 0
    ? `this data belongs to ${owner}; ${remedy}`
    : `this data belongs to ${owner}, which is a cluster member; run \`cluster remove ${owner}\` on ${others.join(' or ')}, then ${remedy}`
}

/** A new random id of a cluster. */
export function newClusterId(system: Pick<System, 'randomFill'>): string {
  const bytes = Buffer.alloc(16)
  system.randomFill(bytes)
  return bytes.toString('hex')
}

/** The schema on disc; what changes from now on is written there. `changed` is called as well. */
export function readRegistry(store: Store, changed: (rows: readonly RegistryRow[]) => void): Registry {
  const rows: RegistryRow[] = []
  for (const [key, bytes] of store.entries(META)) {
    if (!key.startsWith(REGISTRY)) continue
    const read = registryRowsOf([BYTES.decode(bytes)])
    if (read === undefined) throw new RowBytesError(`the schema on disc is damaged at ${key.slice(REGISTRY.length)}`)
    rows.push(...read)
  }
  return new Registry(rows, (newer) => {
    store.commit(newer.map(registryOperation))
    changed(newer)
  })
}

/** Makes the record and the schema those of a cluster of this node alone; its tables stay, with their rows. */
export function renameOperations(store: Store, own: OwnRecord): StoreOperation[] {
  const isKept = (key: string) => key.startsWith(`${REGISTRY}table/`)
  const gone = [...store.entries(META)].filter(([key]) => key.startsWith(REGISTRY) && !isKept(key))
  return [
    ...gone.map(([key]) => ({ space: META, key, value: undefined })),
    registryOperation({ key: memberKey(own.node), version: 1, value: { status: 'member' } }),
    ownOperation(own),
    { space: META, key: LINKED, value: undefined },
    { space: META, key: MASTERS, value: undefined },
  ]
}

export function ownOperation(own: OwnRecord): StoreOperation {
  return { space: META, key: OWN, value: BYTES.encode(own) }
}

export function linkedOperation(linked: Linked): StoreOperation {
  return { space: META, key: LINKED, value: BYTES.encode(linked) }
}

/** Members whose rows win at the next start [OTP mnesia:set_master_nodes/1]; undefined for none. */
export function mastersOperation(nodes: readonly string[] | undefined): StoreOperation {
  return { space: META, key: MASTERS, value: nodes && BYTES.encode(nodes) }
}

export function readMasters(store: Store): readonly string[] {
  return (read(store, MASTERS) as readonly string[] | undefined) ?? []
}

/**
 * Makes the node what it was becoming, on disc: the schema in place of the old one, and the record. The tables are emptied before, in order
 * with this.
 */
export function becomeOperations(
  store: Store,
  own: OwnRecord,
  becoming: Becoming,
): readonly [OwnRecord, StoreOperation[]] {
  const { becoming: _, ...before } = own
  const departure = becoming.cluster === own.cluster ? undefined : departureOf(store, own)
  const after: OwnRecord = {
    ...before,
    cluster: becoming.cluster,
    epoch: becoming.epoch,
    departures: departure === undefined ? own.departures : [...own.departures, departure].slice(-MOST_DEPARTURES),
    mayAutoJoin: false,
  }
  const kept = new Set(becoming.rows.map(({ key }) => `${REGISTRY}${key}`))
  const gone = [...store.entries(META)].filter(([key]) => key.startsWith(REGISTRY) && !kept.has(key))
  const { seen } = (read(store, LINKED) as Linked | undefined) ?? NONE
  const operations = [
    ...gone.map(([key]) => ({ space: META, key, value: undefined })),
    ...becoming.rows.map(registryOperation),
    ownOperation(after),
    linkedOperation({ up: [], seen }),
  ]
  return [after, operations]
}

/** Whoever is still in the cluster that is left is told when they meet, also that others have left or were removed. */
function departureOf(store: Store, { cluster, node }: OwnRecord): Departure | undefined {
  const rows = readRegistry(store, () => {}).under(memberKey(''))
  const key = memberKey(node)
  if (rows.length < 2) return undefined
  const left = rows.map((row) => {
    return row.key === key && row.value.status === 'member'
      ? { ...row, version: row.version + 1, value: { ...row.value, status: 'left' } }
      : row
  })
  return { cluster, rows: left }
}

function registryOperation(row: RegistryRow): StoreOperation {
  return { space: META, key: `${REGISTRY}${row.key}`, value: BYTES.encode(row) }
}

const BYTES = termBytes<unknown>()

function read(store: Store, key: string): unknown {
  const bytes = store.get(META, key)
  return bytes === undefined ? undefined : BYTES.decode(bytes)
}
