/**
 * The rows of a table of an Erlang node, slot by slot [OTP ets:slot/2].
 *
 * A cursor of `ets:match/3` cannot leave its node, and `observer_backend:get_table/3` sends a table whole. A slot is a few rows,
 * and can be asked for by its number, so a page can begin where another has ended.
 */
import type { Ref } from '../actors/ref.ts'
import { atom, atomName, isTuple, type Tuple } from '../dist/term.ts'
import { inline } from './print/print.ts'
import { DEFAULT_ROWS, MAX_ROWS, type TablePage, type TableQuery } from './rows.ts'
import { ObserverError, type Target } from './target.ts'

const SLOTS_AT_ONCE = 32
/** Slots that one page looks at in search of rows that match. */
const MAX_SLOTS = 2048

/** A page of the rows; undefined when there is no such table or it is private. */
export async function tablePage(
  target: Target,
  table: string | Ref,
  query: TableQuery,
): Promise<TablePage | undefined> {
  const { limit = DEFAULT_ROWS, match, after = '0' } = query
  if (match !== undefined && typeof match !== 'string') {
    throw new ObserverError('rows of an Erlang node are tuples: match is text', 'badarg')
  }
  const id = typeof table === 'string' ? atom(table) : table
  const size = await target.rpc('ets', 'info', [id, atom('size')])
  const protection = atomName(await target.rpc('ets', 'info', [id, atom('protection')]))
  if (typeof size !== 'number' || protection === 'private') return undefined
  const rows: Tuple[] = []
  let scanned = 0
  const first = Number(after)
  for (let slot = first; slot - first < MAX_SLOTS; slot += SLOTS_AT_ONCE) {
    const slots = Array.from({ length: SLOTS_AT_ONCE }, (_, at) => slot + at)
    for (const [at, found] of (await Promise.all(slots.map((one) => rowsOfSlot(target, id, one)))).entries()) {
      if (found === undefined) return { rows, total: size, scanned }
      for (const row of found) {
        scanned++
        if (match === undefined || inline(row.elements[0]).includes(match)) rows.push(row)
      }
      if (rows.length >= Math.min(limit, MAX_ROWS)) return { rows, total: size, scanned, next: String(slot + at + 1) }
    }
  }
  return { rows, total: size, scanned, next: String(first + MAX_SLOTS) }
}

/** Undefined past the end. */
async function rowsOfSlot(target: Target, table: unknown, slot: number): Promise<Tuple[] | undefined> {
  try {
    const found = await target.rpc('ets', 'slot', [table, slot])
    return Array.isArray(found) ? found.filter((row) => isTuple(row)) : undefined
  } catch (error) {
    // Beyond the one past the end.
    if (error instanceof ObserverError && error.reason === 'badarg') return undefined
    throw error
  }
}
