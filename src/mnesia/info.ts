/** What the tables tell of themselves [OTP mnesia:info/0, table_info/2, system_info/1]. */
import type { Copies, CopyKind, Replication, TableType } from './definition.ts'
import { TableError } from './errors.ts'
import { memoryOf } from './memory.ts'
import type { Cluster } from './schema/cluster.ts'
import { PROTOCOL } from './schema/greeting.ts'
import type { Loading } from './schema/loading.ts'
import type { Damage } from './store/damage.ts'
import type { TableSet } from './table-set.ts'

export interface TableInfo {
  readonly name: string
  readonly type: TableType
  readonly key: string
  readonly replication: Replication
  /** Of this node. */
  readonly copy: CopyKind
  /** Nodes that have a copy, sorted. */
  readonly copies: Readonly<Record<Copies, readonly string[]>>
  /** Visible rows; undefined without a copy here. */
  readonly size: number | undefined
  /** Bytes that they take, estimated; undefined without a copy here. */
  readonly memory: number | undefined
  readonly index: readonly string[]
  readonly loadState: 'loaded' | 'loading'
  /** Members that may have newer rows. */
  readonly stale: readonly string[]
}

export interface SystemInfo {
  readonly node: string
  readonly cluster: string
  readonly epoch: number
  readonly protocol: { readonly least: number; readonly most: number }
  readonly members: readonly string[]
  /** Members that are linked, this node included. */
  readonly running: readonly string[]
  /** Whether disc tables outlive the node. */
  readonly isDurable: boolean
  /** What the disc has lost. */
  readonly damage: readonly Damage[]
  readonly tables: readonly TableInfo[]
}

export function tableInfo(cluster: Cluster, tables: TableSet, loading: Loading, name: string): TableInfo {
  const table = tables.get(name)
  const copy = tables.copy(name)
  if (table === undefined || copy === undefined) throw new TableError('no_exists', `there is no table ${name}`)
  const { type, key, replication } = table.definition
  const isShared = replication === 'shared' && copy !== 'none'
  return {
    name,
    type,
    key: String(key),
    replication,
    copy,
    copies: tables.copiesOf(name),
    size: copy === 'none' ? undefined : table.size,
    memory: copy === 'none' ? undefined : memoryOf(table),
    index: table.indexes,
    loadState: loading.isLoaded(name) ? 'loaded' : 'loading',
    stale: isShared ? cluster.awaited : [],
  }
}

export function systemInfo(cluster: Cluster, tables: TableSet, loading: Loading): SystemInfo {
  const { node, own, links, store } = cluster
  return {
    node,
    cluster: own.cluster,
    epoch: own.epoch,
    protocol: PROTOCOL,
    members: links.members(),
    running: [node, ...links.connected().map((member) => member.node)].sort(),
    isDurable: store.isDurable,
    damage: store.damage,
    tables: tables.names().map((name) => tableInfo(cluster, tables, loading, name)),
  }
}
