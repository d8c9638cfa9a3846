/**
 * Tables as Erlang's observer asks for them: which there are, what they are like, and their rows, in pieces [OTP
 * observer_backend, ets:info, mnesia:table_info].
 *
 * The tables of ets are those of the runtime. Its viewer wants tuples with the key first, so a row `{ id: 1, name: 'x' }`
 * is shown as `{1, {name, <<"x">>}}`. The tables of Mnesia are those that a layer above shows by `Exports.showTables`; their rows
 * are shown as records, `{Table, Field1, Field2}`.
 */
import type { EtsInfo } from '../../actors/ets.ts'
import { Pid } from '../../actors/pid.ts'
import type { Process, ScriptContext } from '../../actors/process.ts'
import { Ref } from '../../actors/ref.ts'
import {
  badarg,
  type CallContext,
  ErlangError,
  type ExportedModule,
  functionClause,
  type TableInfo,
} from '../exports.ts'
import { presentable } from '../presentable.ts'
import { type Atom, atom, atomName, charlist, isTuple, Tuple, tuple } from '../term.ts'

/** Rows in one message of `get_table`; OTP sends about 20,000 words. */
const ROWS_PER_MESSAGE = 200

const IGNORE = atom('ignore')
const END_OF_TABLE = atom('$end_of_table')

/** The functions of `observer_backend` that are about tables. */
export const tableFunctions: ExportedModule = {
  'get_table_list/2': getTableList,
  'get_table/3': getTable,
}

export const etsExports: ExportedModule = {
  'info/1': (context, table) => {
    const info = findEts(context, table)
    return info === undefined
      ? undefined
      : Object.entries(etsItems(info)).map(([item, value]) => tuple(atom(item), value))
  },
  'info/2': (context, table, item) => {
    const info = findEts(context, table)
    if (info === undefined) return undefined
    const [items, name] = [etsItems(info), atomName(item)]
    if (name === undefined || !Object.hasOwn(items, name)) throw badarg()
    return items[name]
  },
}

export const mnesiaExports: ExportedModule = {
  'table_info/2': ({ exports }, table, item) => {
    const info = exports.tables()?.find(({ name }) => name === atomName(table))
    const items = info === undefined ? {} : mnesiaItems(info)
    const name = atomName(item)
    if (name !== undefined && Object.hasOwn(items, name)) return items[name]
    throw new ErlangError('exit', tuple(atom('aborted'), tuple(atom('no_exists'), table, item)))
  },
}

function getTableList(context: CallContext, kind: unknown, options: unknown): Tuple[][] {
  if (!Array.isArray(options)) throw badarg()
  const { runtime } = context.self
  switch (atomName(kind)) {
    case 'ets': {
      const isHidden = hides(options, 'unread_hidden')
      return runtime.ets
        .all()
        .filter(({ protection }) => !isHidden || protection !== 'private')
        .map((info) => listedEts(info, registeredName(runtime.process(info.owner))))
    }
    case 'mnesia': {
      const tables = context.exports.tables()
      if (tables === undefined) {
        throw new ErlangError('throw', tuple(atom('error'), charlist(`Mnesia is not running on: ${runtime.node.name}`)))
      }
      return tables.map((info) => listedTable(info, registeredName(runtime.process(info.owner))))
    }
    default:
      throw functionClause()
  }
}

/** An option of a proplist that is on unless it says otherwise. */
function hides(options: readonly unknown[], name: string): boolean {
  const option = options.find((item) => isTuple(item, 2) && atomName(item.elements[0]) === name)
  return !(isTuple(option) && option.elements[1] === false)
}

function registeredName(process: Process | undefined): Atom {
  return process?.name === undefined ? IGNORE : atom(process.name)
}

function listedEts({ id, name, type, protection, owner, heir, size, named }: EtsInfo, ownerName: Atom): Tuple[] {
  return [
    tuple(atom('name'), nameToTerm(name)),
    tuple(atom('id'), named ? IGNORE : id),
    tuple(atom('protection'), atom(protection)),
    tuple(atom('owner'), owner),
    tuple(atom('size'), size),
    tuple(atom('reg_name'), ownerName),
    tuple(atom('type'), atom(type)),
    tuple(atom('keypos'), 1),
    tuple(atom('heir'), heir ?? atom('none')),
    tuple(atom('memory'), 0),
    tuple(atom('compressed'), false),
    tuple(atom('fixed'), false),
  ]
}

function listedTable(info: TableInfo, ownerName: Atom): Tuple[] {
  return [
    tuple(atom('name'), nameToTerm(info.name)),
    tuple(atom('owner'), info.owner),
    tuple(atom('size'), info.size),
    tuple(atom('reg_name'), ownerName),
    tuple(atom('type'), atom(info.type)),
    tuple(atom('keypos'), 2),
    tuple(atom('memory'), info.memoryBytes),
    tuple(atom('storage'), atom(info.storage ?? 'ram_copies')),
    tuple(atom('index'), []),
    tuple(atom('fixed'), false),
    tuple(atom('compressed'), false),
  ]
}

function nameToTerm(name: string): unknown {
  return name.length <= 255 ? atom(name) : name
}

/** What `ets:info` tells, in OTP's order. */
function etsItems(info: EtsInfo): Readonly<Record<string, unknown>> {
  return {
    id: info.id,
    decentralized_counters: false,
    read_concurrency: false,
    write_concurrency: false,
    compressed: false,
    memory: 0,
    owner: info.owner,
    heir: info.heir ?? atom('none'),
    name: nameToTerm(info.name),
    size: info.size,
    node: atom(info.owner.node),
    named_table: info.named,
    type: atom(info.type),
    keypos: 1,
    protection: atom(info.protection),
  }
}

/** Of what `mnesia:table_info` tells, that which viewers ask for. */
function mnesiaItems(info: TableInfo): Readonly<Record<string, unknown>> {
  const storage = info.storage ?? 'ram_copies'
  return {
    attributes: info.attributes.map(nameToTerm),
    arity: info.attributes.length + 1,
    memory: info.memoryBytes,
    record_name: nameToTerm(info.name),
    size: info.size,
    storage_type: atom(storage),
    type: atom(info.type),
  }
}

function findEts({ self }: CallContext, table: unknown): EtsInfo | undefined {
  const id = table instanceof Ref ? table : atomName(table)
  if (id === undefined) throw badarg()
  return self.runtime.ets
    .all()
    .find((info) => (typeof id === 'string' ? info.named && info.name === id : info.id.equals(id)))
}

/** A process, linked to the one that asks, which gets the rows from it in messages `{Pid, Rows}` and `{Pid, '$end_of_table'}`. */
function getTable({ self, exports }: CallContext, parent: unknown, table: unknown, kind: unknown): Pid {
  if (!(parent instanceof Pid)) throw badarg()
  const name = atomName(table)
  let rows: Iterator<unknown>
  switch (atomName(kind)) {
    case 'ets':
      rows = etsRows(self, table)
      break
    case 'mnesia':
      rows = recordsOf(exports.tables()?.find((info) => info.name === name))
      break
    default:
      throw functionClause()
  }
  return self.spawn((sender) => sendRows(sender, parent, rows), { label: 'observer_backend:get_table/3' })
}

async function sendRows(self: ScriptContext, parent: Pid, rows: Iterator<unknown>): Promise<void> {
  self.link(parent)
  for (let piece = take(rows); piece.length > 0; piece = take(rows)) {
    self.send(parent, tuple(self.pid, piece))
    // The message comes when the link to the viewer's node has room again, and others have had their turn.
    self.send(self.pid, IGNORE)
    await self.receive()
  }
  self.send(parent, tuple(self.pid, END_OF_TABLE))
}

function take(rows: Iterator<unknown>): unknown[] {
  const piece: unknown[] = []
  while (piece.length < ROWS_PER_MESSAGE) {
    const next = rows.next()
    if (next.done) break
    piece.push(next.value)
  }
  return piece
}

/** As `ets:match(Table, '$1')` gives them: each in a list of its own. */
function* etsRows({ runtime }: ScriptContext, table: unknown): Generator<readonly [Tuple]> {
  const id = table instanceof Ref ? table : atomName(table)
  const found = id === undefined ? undefined : runtime.ets.find<Record<string, unknown>>(id)
  if (found === undefined) return
  const { key } = found.info()
  for (const { [key]: first, ...others } of found) {
    const properties = Object.entries(others).map(([name, value]) => tuple(nameToTerm(name), presentable(value)))
    yield [new Tuple([first, ...properties])]
  }
}

function* recordsOf(info: TableInfo | undefined): Generator<Tuple> {
  if (info === undefined) return
  const { attributes } = info
  const rows = info.rows()
  for (let next = rows.next(); !next.done; next = rows.next()) {
    const row = next.value as Readonly<Record<string, unknown>>
    yield new Tuple([nameToTerm(info.name), ...attributes.map((attribute) => presentable(row[attribute]))])
  }
}
