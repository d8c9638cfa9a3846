/**
 * The memberships that a scope of pg knows: who is in which group, and which scope has told so. Pure: no processes.
 *
 * A process may be in a group several times. Groups without members do not exist. Who told is the key of the scope's pid, of
 * this node or another, so that what one scope has told can be replaced or taken back whole.
 */
import type { Pid } from '../actors/pid.ts'
import { termKey } from './term-key.ts'

/** A change of a group's membership. */
export interface Change {
  readonly change: 'join' | 'leave'
  /** Of the group; equal for equal groups. */
  readonly key: string
  readonly group: unknown
  readonly pids: readonly Pid[]
}

/** A group and its members, or those of them that one scope has told of. */
export interface Membership {
  readonly group: unknown
  readonly pids: readonly Pid[]
}

interface Group {
  readonly group: unknown
  pids: Pid[]
}

export class PgGroups {
  readonly #all = new Map<string, Group>()
  /** By scope, then by group. */
  readonly #told = new Map<string, Map<string, Group>>()

  keyOf(group: unknown): string {
    return termKey(group)
  }

  members(group: unknown): readonly Pid[] {
    return this.#all.get(termKey(group))?.pids ?? []
  }

  all(): { readonly group: unknown; readonly members: readonly Pid[] }[] {
    return Array.from(this.#all.values(), ({ group, pids }) => ({ group, members: pids }))
  }

  /** What a scope has told. */
  of(scope: string): Membership[] {
    return [...(this.#told.get(scope)?.values() ?? [])]
  }

  /** Whether a scope has a process in any group. */
  isMember(scope: string, pid: Pid): boolean {
    return this.of(scope).some(({ pids }) => pids.some((one) => one.equals(pid)))
  }

  join(scope: string, group: unknown, pids: readonly Pid[]): Change | undefined {
    if (pids.length === 0) return undefined
    const key = termKey(group)
    let told = this.#told.get(scope)
    if (told === undefined) {
      told = new Map()
      this.#told.set(scope, told)
    }
    add(told, key, group, pids)
    add(this.#all, key, group, pids)
    return { change: 'join', key, group, pids }
  }

  /** Undefined when none of the processes was in the group. */
  leave(scope: string, group: unknown, pids: readonly Pid[]): Change | undefined {
    const key = termKey(group)
    const told = this.#told.get(scope)
    const left = told === undefined ? [] : remove(told, key, pids)
    if (left.length === 0) return undefined
    if (told!.size === 0) this.#told.delete(scope)
    remove(this.#all, key, left)
    return { change: 'leave', key, group, pids: left }
  }

  /** A process has ended. */
  leaveAll(scope: string, pid: Pid): Change[] {
    return this.of(scope).flatMap(({ group, pids }) => {
      const its = pids.filter((one) => one.equals(pid))
      return its.length === 0 ? [] : [this.leave(scope, group, its)!]
    })
  }

  /** What a scope has told is now this; the groups that differ change. */
  replace(scope: string, memberships: readonly Membership[]): Change[] {
    const changes: Change[] = []
    const wanted = new Map<string, Group>()
    for (const { group, pids } of memberships) add(wanted, termKey(group), group, pids)
    for (const { group, pids } of this.of(scope)) {
      const left = without(pids, wanted.get(termKey(group))?.pids ?? [])
      const change = left.length === 0 ? undefined : this.leave(scope, group, left)
      if (change !== undefined) changes.push(change)
    }
    for (const [key, { group, pids }] of wanted) {
      const change = this.join(scope, group, without(pids, this.#told.get(scope)?.get(key)?.pids ?? []))
      if (change !== undefined) changes.push(change)
    }
    return changes
  }
}

function add(groups: Map<string, Group>, key: string, group: unknown, pids: readonly Pid[]): void {
  const known = groups.get(key)
  if (known !== undefined) known.pids = [...known.pids, ...pids]
  else if (pids.length > 0) groups.set(key, { group, pids: [...pids] })
}

/** Removes each process once for each time that it is named; returns those that were there. */
function remove(groups: Map<string, Group>, key: string, pids: readonly Pid[]): Pid[] {
  const known = groups.get(key)
  if (known === undefined) return []
  const rest = without(known.pids, pids)
  const removed = without(known.pids, rest)
  if (rest.length === 0) groups.delete(key)
  else known.pids = rest
  return removed
}

/** The difference of lists in which a process may stand several times: Erlang's `--`. */
function without(pids: readonly Pid[], others: readonly Pid[]): Pid[] {
  const counts = new Map<string, number>()
  for (const { key } of others) counts.set(key, (counts.get(key) ?? 0) + 1)
  return pids.filter(({ key }) => {
    const count = counts.get(key) ?? 0
    counts.set(key, count - 1)
    return count <= 0
  })
}
