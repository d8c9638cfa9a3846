/** Runs programs on our tables: each on a node of its own, with a disc of its own, alone. `TableNode` does what a node is asked. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stopRuntime } from '../../../src/actors/application.ts'
import { Runtime } from '../../../src/actors/runtime.ts'
import { backup } from '../../../src/mnesia/backup/backup.ts'
import { restore } from '../../../src/mnesia/backup/restore.ts'
import { dumpToText, loadText } from '../../../src/mnesia/backup/text.ts'
import { backupTo } from '../../../src/mnesia/backup-to.ts'
import type { TableDefinition } from '../../../src/mnesia/definition.ts'
import { NoCopyError, TableError } from '../../../src/mnesia/errors.ts'
import { type Mnesia, startMnesia } from '../../../src/mnesia/mnesia.ts'
import { openStore } from '../../../src/mnesia/store/open-store.ts'
import type { SystemEvent } from '../../../src/mnesia/system-events.ts'
import type { Table, TableEvent } from '../../../src/mnesia/table.ts'
import type { Transaction, TransactionResult } from '../../../src/mnesia/transaction/transaction.ts'
import { fullName, shortName } from '../../mnesia/mnesia-world.ts'
import { silentLogger } from '../../support/runtime.ts'
import { comparable, type Operation, type Pattern, type Program, type Row, type Step } from './program.ts'

export interface Record {
  readonly k: string
  readonly v: number
  readonly w: string
}

const recordOf = ([k, v, w]: Row): Record => ({ k, v, w })
const rowOf = ({ k, v, w }: Record): Row => [k, v, w]
const rowsOf = (records: Iterable<Record>): Row[] => [...records].map(rowOf)
const keyOf = (key: string | undefined): string | null => key ?? null
const greater =
  (than: number) =>
  ({ v }: Record): boolean =>
    v > than

function patternOf([k, v, w]: Pattern): Partial<Record> {
  return Object.fromEntries(Object.entries({ k, v, w }).filter(([, value]) => value !== null))
}

/** Results of a program's operations, as they are compared. */
export async function runOnOurs(program: Program, replication: 'shared' | 'owned' = 'shared'): Promise<unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), 'agner-conformance-'))
  const node = new TableNode(alone(directory), directory, replication)
  try {
    await node.start()
    const results: unknown[] = []
    for (const operation of program) results.push(await node.outside(operation))
    return comparable(program, results)
  } finally {
    await node.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** How the tables of a node come and go. */
export interface Host {
  start(tables: readonly TableDefinition<Record>[]): Promise<Mnesia>
  stop(mnesia: Mnesia): Promise<void>
}

function alone(directory: string): Host {
  return {
    async start(tables) {
      const runtime = new Runtime({ logger: silentLogger() })
      const { store } = await openStore({ directory: join(directory, 'tables'), system: runtime.system })
      const backup = backupTo(runtime, join(directory, 'given-up'))
      const started = await startMnesia(runtime, { store, tables, backup })
      if (!started.ok) throw new Error(started.problem)
      return started.mnesia
    },
    async stop(mnesia) {
      await mnesia.stop()
      await stopRuntime(mnesia.runtime)
      await mnesia.runtime.stop()
    },
  }
}

export class TableNode {
  readonly #host: Host
  readonly #directory: string
  /** Of tables that are not local_content. */
  readonly #replication: 'shared' | 'owned'
  #mnesia!: Mnesia
  #events: unknown[] = []
  #systemEvents: unknown[] = []
  readonly #subscriptions = new Map<string, () => void>()
  /** Code that uses a table opens it at each start. */
  readonly #definitions = new Map<string, TableDefinition<Record>>()

  /** `directory` is for the files of programs. */
  constructor(host: Host, directory: string, replication: 'shared' | 'owned') {
    this.#host = host
    this.#directory = directory
    this.#replication = replication
  }

  async start(): Promise<void> {
    this.#mnesia = await this.#host.start([...this.#definitions.values()])
  }

  stop(): Promise<void> {
    return this.#host.stop(this.#mnesia)
  }

  get #runtime(): Runtime {
    return this.#mnesia.runtime
  }

  async outside(operation: Operation): Promise<unknown> {
    try {
      return await this.#do(operation)
    } catch (error) {
      if (error instanceof TableError) return ['aborted', error.fault]
      if (error instanceof NoCopyError) return ['aborted', error.code]
      // Misuse.
      if (error instanceof TypeError) return ['aborted', 'badarg']
      throw error
    }
  }

  async #do(operation: Operation): Promise<unknown> {
    const mnesia = this.#mnesia
    switch (operation[0]) {
      case 'create_table': {
        const [, name, { type = 'set', copies = 'ram_copies', index = [], local_content = false, nodes }] = operation
        const replication = local_content ? 'local_content' : this.#replication
        const definition: TableDefinition<Record> = { name, type, key: 'k', replication, copies, index }
        mnesia.open(definition)
        this.#definitions.set(name, definition)
        for (const node of nodes === undefined ? [] : mnesia.systemInfo().members) {
          if (!nodes!.some((each) => fullName(each) === node)) mnesia.delTableCopy(name, node)
        }
        return 'ok'
      }
      case 'delete_table':
        mnesia.deleteTable(operation[1])
        this.#definitions.delete(operation[1])
        return 'ok'
      case 'clear_table':
        mnesia.clearTable(operation[1])
        return 'ok'
      case 'force_load_table':
        this.#table(operation[1])
        mnesia.forceLoadTable(operation[1])
        return 'ok'
      case 'add_table_index':
        mnesia.addTableIndex(operation[1], operation[2])
        return 'ok'
      case 'del_table_index':
        mnesia.delTableIndex(operation[1], operation[2])
        return 'ok'
      case 'change_table_copy_type':
        mnesia.changeTableCopyType(
          operation[1],
          operation[3] === undefined ? this.#runtime.node.name : fullName(operation[3]),
          operation[2],
        )
        return 'ok'
      case 'add_table_copy':
        mnesia.addTableCopy(operation[1], fullName(operation[2]), operation[3])
        return 'ok'
      case 'del_table_copy':
        mnesia.delTableCopy(operation[1], fullName(operation[2]))
        return 'ok'
      case 'move_table_copy': {
        const moved = await mnesia.moveTableCopy(operation[1], fullName(operation[2]), fullName(operation[3]))
        if (!moved.ok) return ['aborted', moved.reason]
        return 'ok'
      }
      case 'table_info':
        return infoOf(mnesia, operation[1], operation[2])
      case 'system_info':
        return (operation[1] === 'db_nodes' ? mnesia.systemInfo().members : mnesia.status().running).map(shortName)
      case 'memory_grows': {
        const before = mnesia.tableInfo(operation[1]).memory!
        this.#table(operation[1]).write(recordOf(operation[2]))
        return before > 0 && mnesia.tableInfo(operation[1]).memory! > before
      }
      case 'system_info_tables':
        return mnesia.systemInfo().tables.map(({ name }) => name)
      case 'wait_for_tables': {
        const waited = await mnesia.waitForTables(operation[1], operation[2])
        return waited.ok ? 'ok' : ['timeout', waited.tables]
      }
      case 'set_master_nodes':
        if (operation[1] !== undefined) {
          await mnesia.setMasterNodes(operation[1].map(fullName))
          return 'ok'
        }
        await mnesia.setMasterNodes([this.#runtime.node.name])
        await mnesia.setMasterNodes([])
        return 'ok'
      case 'transaction':
      case 'transaction_once':
      case 'sync_transaction':
        return outcomeOf(
          await mnesia.transaction(this.#runtime, (tx) => this.#steps(tx, operation[1]), {
            durable: operation[0] === 'sync_transaction',
            ...(operation[0] === 'transaction_once' ? { retries: 0 } : {}),
          }),
        )
      case 'together': {
        const [, times, transactions] = operation
        const runs = transactions.flatMap((steps) =>
          Array.from({ length: times }, () => mnesia.transaction(this.#runtime, (tx) => this.#steps(tx, steps))),
        )
        return (await Promise.all(runs)).map(({ ok }) => (ok ? 'ok' : 'aborted'))
      }
      case 'held':
        return this.held(operation[1], () => this.outside(['transaction_once', operation[2]]))
      case 'held_dirty':
        return this.held(operation[1], () => this.outside(operation[2]))
      case 'subscribe': {
        const end = this.#table(operation[1]).subscribe((event) => this.#event(event))
        this.#subscriptions.set(operation[1], end)
        return 'ok'
      }
      case 'unsubscribe':
        this.#subscriptions.get(operation[1])!()
        return 'ok'
      case 'events':
        return this.#events.splice(0)
      case 'subscribe_system':
        mnesia.subscribe((event) => this.#systemEvent(event))
        return 'ok'
      case 'system_events':
        return this.#systemEvents.splice(0)
      case 'backup': {
        const tables = operation[2].map((name) => this.#table(name))
        const { runtime } = mnesia
        await backup({ file: this.#file(operation[1]), tables, node: runtime.node.name, now: runtime.clock.now() })
        return 'ok'
      }
      case 'restore': {
        const table = (name: string) => mnesia.table(name)
        const { name: node } = this.#runtime.node
        await restore({ file: this.#file(operation[1]), table, node, defaultOp: operation[2] })
        return 'ok'
      }
      case 'dump_to_textfile': {
        const tables = mnesia.systemInfo().tables.map(({ name }) => this.#table(name))
        const { runtime } = mnesia
        await dumpToText({ file: this.#file(operation[1]), tables, node: runtime.node.name, now: runtime.clock.now() })
        return 'ok'
      }
      case 'load_textfile': {
        const table = (name: string) => mnesia.table(name)
        await loadText({
          file: this.#file(operation[1]),
          table,
          node: this.#runtime.node.name,
          defaultOp: 'keep_tables',
        })
        return 'ok'
      }
      case 'restart':
        await this.stop()
        await this.start()
        return 'ok'
      default:
        return this.#dirty(operation)
    }
  }

  #dirty(operation: Operation): unknown {
    const table = this.#table(String(operation[1]))
    switch (operation[0]) {
      case 'dirty_read':
        return rowsOf(table.read(operation[2]))
      case 'dirty_delete':
        table.delete(operation[2])
        return 'ok'
      case 'dirty_next':
        return keyOf(table.next(operation[2]))
      case 'dirty_prev':
        return keyOf(table.prev(operation[2]))
      case 'dirty_write':
        table.write(recordOf(operation[2]))
        return 'ok'
      case 'dirty_delete_object':
        table.deleteObject(recordOf(operation[2]))
        return 'ok'
      case 'dirty_match_object':
      case 'dirty_index_match_object':
        return rowsOf(table.match(patternOf(operation[2])))
      case 'dirty_select':
        return rowsOf(table.select(greater(operation[2])))
      case 'dirty_index_read':
        return rowsOf(table.indexRead(operation[3], operation[2] as never))
      case 'dirty_all_keys':
        return [...table.keys()]
      case 'dirty_first':
        return keyOf(table.first())
      case 'dirty_last':
        return keyOf(table.last())
      default:
        throw new Error(`unknown operation ${operation[0]}`)
    }
  }

  async #steps(tx: Transaction, steps: readonly Step[]): Promise<unknown[]> {
    const results: unknown[] = []
    for (const step of steps) results.push(await this.#step(tx, step))
    return results
  }

  async #step(tx: Transaction, step: Step): Promise<unknown> {
    if (step[0] === 'abort') return tx.abort(step[1])
    if (step[0] === 'crash') throw new Error('crash')
    if (step[0] === 'transaction') return outcomeOf(await tx.nested((inner) => this.#steps(inner, step[1])))
    const table = this.#table(step[1])
    switch (step[0]) {
      case 'read':
        return rowsOf(await tx.read(table, step[2]))
      case 'wread':
        return rowsOf(await tx.read(table, step[2], 'write'))
      case 'delete':
        await tx.delete(table, step[2])
        return 'ok'
      case 'next':
        return keyOf(await tx.next(table, step[2]))
      case 'prev':
        return keyOf(await tx.prev(table, step[2]))
      case 'write':
        await tx.write(table, recordOf(step[2]))
        return 'ok'
      case 'delete_object':
        await tx.deleteObject(table, recordOf(step[2]))
        return 'ok'
      case 'match_object':
        return rowsOf(await tx.match(table, patternOf(step[2])))
      case 'select':
        return rowsOf(await tx.select(table, greater(step[2])))
      case 'index_read':
        return rowsOf(await tx.indexRead(table, step[3], step[2] as never))
      case 'all_keys':
        return tx.keys(table)
      case 'first':
        return keyOf(await tx.first(table))
      case 'last':
        return keyOf(await tx.last(table))
      case 'foldl':
        return tx.fold(table, [] as string[], (keys, { k }) => [...keys, k])
      case 'read_lock_table':
        await tx.lockTable(table, 'read')
        return 'ok'
      case 'write_lock_table':
        await tx.lockTable(table, 'write')
        return 'ok'
      case 'add': {
        const [row] = await tx.read(table, step[2], 'write')
        await tx.write(table, { k: step[2], v: (row?.v ?? 0) + step[3], w: '' })
        return 'ok'
      }
    }
  }

  /** Runs something while a transaction that has done some steps is open. */
  async held(steps: readonly Step[], meanwhile: () => Promise<unknown>): Promise<[unknown, unknown]> {
    let hold!: () => void
    let goOn!: () => void
    const isHeld = new Promise<void>((resolve) => {
      hold = resolve
    })
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const held = this.#mnesia.transaction(this.#runtime, async (tx) => {
      const results = await this.#steps(tx, steps)
      hold()
      await mayGoOn
      return results
    })
    await isHeld
    const other = await meanwhile()
    goOn()
    return [outcomeOf(await held), other]
  }

  #event(event: TableEvent<Record>): void {
    if (event.type === 'write') {
      this.#events.push(['write', rowOf(event.row), event.old === undefined ? [] : [rowOf(event.old)]])
    } else if (event.type === 'delete') this.#events.push(['delete', rowOf(event.row)])
  }

  #systemEvent(event: SystemEvent): void {
    if (event.tag === 'mnesia_up' || event.tag === 'mnesia_down') {
      this.#systemEvents.push([event.tag, shortName(event.node)])
    } else if (event.tag === 'inconsistent_database') {
      this.#systemEvents.push([event.tag, event.context, shortName(event.node)])
    }
  }

  /** Throws as a table that does not exist does in an operation on all tables. */
  #table(name: string): Table<Record> {
    const table = this.#mnesia.table(name)
    if (table === undefined) throw new TableError('no_exists', `there is no table ${name}`)
    return table as Table<Record>
  }

  #file(name: string): string {
    return join(this.#directory, name)
  }
}

function infoOf(mnesia: Mnesia, name: string, item: (Operation & readonly ['table_info', ...unknown[]])[2]): unknown {
  const info = mnesia.tableInfo(name)
  const { copies } = info
  switch (item) {
    case 'storage_type':
      return info.copy
    case 'local_content':
      return info.replication === 'local_content'
    case 'ram_copies':
    case 'disc_copies':
      return copies[item].map(shortName)
    case 'where_to_write': {
      const { running } = mnesia.status()
      const all = [...copies.ram_copies, ...copies.disc_copies].sort()
      return all.filter((node) => running.includes(node)).map(shortName)
    }
    case 'where_to_read':
      return info.copy === 'none' ? null : shortName(mnesia.status().node)
    default:
      return info[item]
  }
}

function outcomeOf(result: TransactionResult<unknown>): [string, unknown] {
  if (result.ok) return ['atomic', result.value]
  const { reason } = result
  if (reason.tag === 'aborted') return ['aborted', reason.reason]
  if (reason.tag !== 'error') return ['aborted', reason.tag]
  if (reason.error instanceof NoCopyError) return ['aborted', reason.error.code]
  return ['aborted', reason.error instanceof TableError ? reason.error.fault : reason.tag]
}
