/**
 * The schema: who is a member, and which tables there are, as rows that every member holds and that merge by themselves.
 *
 * It replicates apart from the tables, since links need it before any table can be replicated: a node that was down learns from the
 * first member that greets it who has joined and who was removed meanwhile, and only then do the two decide whether they are
 * members of one cluster. So a greeting carries all rows; they are few. A change goes to all links, and whoever learns something new from
 * one link tells the others.
 *
 * A row has a version that grows by one with each change. Of two rows of a key the greater version stays; of equal versions the
 * greater value, in an order in which a removed member comes after all others. No clock takes part, so no wrong clock can
 * bring a removed node back. Deleted rows stay, as values that say so.
 */

/** What a row says: plain data. Fields that this version does not know are kept. */
export type RegistryValue = Readonly<Record<string, unknown>>

export interface RegistryRow {
  readonly key: string
  /** From 1 on. */
  readonly version: number
  readonly value: RegistryValue
}

/** A node that sends more rows, or longer ones, is damaged or means no good. */
const MAX_ROWS = 100_000
const MAX_KEY_LENGTH = 1000

export class Registry {
  readonly #rows = new Map<string, RegistryRow>()
  readonly #changed: (rows: readonly RegistryRow[]) => void
  #version = 0

  /** `changed` is called with rows that are new, after each change: they go to the disc. */
  constructor(rows: Iterable<RegistryRow>, changed: (rows: readonly RegistryRow[]) => void) {
    for (const row of rows) this.#rows.set(row.key, row)
    this.#changed = changed
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version
  }

  get(key: string): RegistryValue | undefined {
    return this.#rows.get(key)?.value
  }

  row(key: string): RegistryRow | undefined {
    return this.#rows.get(key)
  }

  /** All rows, sorted by key. */
  rows(): RegistryRow[] {
    return [...this.#rows.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Rows whose key begins so, sorted. */
  under(prefix: string): RegistryRow[] {
    return this.rows().filter(({ key }) => key.startsWith(prefix))
  }

  /** Changes a row; does nothing when it says so already. */
  write(key: string, value: RegistryValue): void {
    const old = this.#rows.get(key)
    if (old !== undefined && canonical(old.value) === canonical(value)) return
    this.#apply([{ key, version: (old?.version ?? 0) + 1, value }])
  }

  /** Takes over what is newer; returns the rows that were. */
  merge(rows: readonly RegistryRow[]): RegistryRow[] {
    const newer = rows.filter((row) => {
      const own = this.#rows.get(row.key)
      return own === undefined || isNewer(row, own)
    })
    this.#apply(newer)
    return newer
  }

  /** Takes these rows in place of all. */
  replace(rows: readonly RegistryRow[]): void {
    this.#rows.clear()
    this.#version++
    this.#apply(rows)
  }

  #apply(rows: readonly RegistryRow[]): void {
    if (rows.length === 0) return
    for (const row of rows) this.#rows.set(row.key, row)
    this.#version++
    this.#changed(rows)
  }
}

/** Whether two registries, once merged, agree; what they would hold is not changed. */
export function merged(a: readonly RegistryRow[], b: readonly RegistryRow[]): Map<string, RegistryRow> {
  const rows = new Map(a.map((row) => [row.key, row]))
  for (const row of b) {
    const own = rows.get(row.key)
    if (own === undefined || isNewer(row, own)) rows.set(row.key, row)
  }
  return rows
}

function isNewer(a: RegistryRow, b: RegistryRow): boolean {
  if (a.version !== b.version) return a.version > b.version
  const [rankA, rankB] = [rankOf(a.value), rankOf(b.value)]
  return rankA === rankB ? canonical(a.value) > canonical(b.value) : rankA > rankB
}

/** Of rows that were written without knowledge of each other the one stays that takes something away. */
function rankOf({ status }: RegistryValue): number {
  return status === 'removed' || status === 'deleted' ? 2 : status === 'left' ? 1 : 0
}

/** Text that is equal for values that are equal, whatever the order of their fields. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join()}}`
}

/** The rows in something that another node has sent; undefined when they are none. */
export function registryRowsOf(value: unknown): RegistryRow[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_ROWS || !value.every(isRegistryRow)) return undefined
  return value
}

function isRegistryRow(row: unknown): row is RegistryRow {
  if (typeof row !== 'object' || row === null) return false
  const { key, version, value } = row as Partial<RegistryRow>
  return (
    typeof key === 'string' &&
    key.length <= MAX_KEY_LENGTH &&
    Number.isSafeInteger(version) &&
    version! > 0 &&
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value)
  )
}
