/**
 * Atoms: names that are compared by identity. `atom('ok') === atom('ok')`, in every runtime of the OS process.
 *
 * The table behind it is the one piece of state of this layer that belongs to no runtime, as `Symbol.for`'s does: identity has to
 * mean the same everywhere, and nothing can be read from the table but the atom of a name. It holds its atoms weakly. An
 * atom that nobody uses any more is collected, so that a peer which makes up names cannot fill the table for others, as it
 * can in Erlang; there is no limit in all. What one peer may hold at a time is bounded by its `AtomQuota`.
 */
import { BadArgError } from '../actors/errors.ts'
import { MAX_ATOM_CHARACTERS, MAX_ATOMS_PER_PEER } from './etf-limits.ts'

export class Atom {
  readonly name: string

  /** Only for the table: two atoms of one name would not be equal. Use `atom(name)`. */
  constructor(name: string) {
    this.name = name
  }

  /** The bare name. */
  toString(): string {
    return this.name
  }

  toJSON(): string {
    return this.name
  }

  /** As Erlang prints it: quoted unless it is a plain lower-case word. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return /^[a-z][\w@]*$/.test(this.name) ? this.name : `'${this.name.replace(/[\\']/g, '\\$&')}'`
  }
}

/** How many of the atoms that one peer brought in are still in use. Keep one per peer name, across its connections. */
export class AtomQuota {
  readonly limit: number
  /** Atoms that only this peer's messages brought in and that have not been collected yet. */
  used = 0

  constructor(limit: number = MAX_ATOMS_PER_PEER) {
    this.limit = limit
  }

  get isSpent(): boolean {
    return this.used >= this.limit
  }
}

interface Collected {
  readonly name: string
  readonly quota: AtomQuota | undefined
}

const table = new Map<string, WeakRef<Atom>>()
const collected = new FinalizationRegistry<Collected>(({ name, quota }) => {
  if (quota !== undefined) quota.used--
  // The name may have been used again before this was called.
  if (table.get(name)?.deref() === undefined) table.delete(name)
})

/** The atom of a name. Throws BadArgError for a name of more than 255 characters or with half a surrogate pair. */
export function atom(name: string): Atom {
  const known = table.get(name)?.deref()
  if (known !== undefined) return known
  if (!isAtomName(name)) throw new BadArgError(`not the name of an atom: ${JSON.stringify(name.slice(0, 300))}`)
  return intern(name, undefined)
}

/** The atom of a name that a peer sent and that has been checked; undefined when it is new and the quota is spent. */
export function atomFromPeer(name: string, quota: AtomQuota): Atom | undefined {
  const known = table.get(name)?.deref()
  if (known !== undefined) return known
  if (quota.isSpent) return undefined
  quota.used++
  return intern(name, quota)
}

/** Names in the table, of all runtimes of the OS process; some may be of atoms that nobody uses any more. */
export function atomCount(): number {
  return table.size
}

/** True for at most 255 code points of well-formed text. */
export function isAtomName(name: string): boolean {
  return (
    (name.length <= MAX_ATOM_CHARACTERS ||
      (name.length <= 2 * MAX_ATOM_CHARACTERS && [...name].length <= MAX_ATOM_CHARACTERS)) &&
    !/\p{Surrogate}/u.test(name)
  )
}

function intern(name: string, quota: AtomQuota | undefined): Atom {
  const made = new Atom(name)
  table.set(name, new WeakRef(made))
  collected.register(made, { name, quota })
  return made
}
