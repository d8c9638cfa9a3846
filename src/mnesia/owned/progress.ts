/**
 * What members tell each other of how far they have got with other owners' rows: what sources are chosen by.
 *
 * Of an owner that is connected to us it is enough that it is; of one that is not, members hear of each batch that we get of it. At
 * first they are told everything.
 */
import { type AnyRows, type AnyTable, type Core, keyOf, NOTHING } from './core.ts'
import type { Have } from './messages.ts'
import { comparePlaces } from './owner-rows.ts'
import type { PeerState } from './peer-state.ts'

export class Progress {
  readonly #core: Core
  /** What members have been told last, by OWNER/TABLE. */
  readonly #told = new Map<string, Have>()

  constructor(core: Core) {
    this.#core = core
  }

  /** All that a peer may want to know when its link comes up, or of a table of which it has a copy from now on. */
  allFor(state: PeerState, tables: Iterable<AnyTable>): Have[] {
    const list: Have[] = []
    for (const table of tables) {
      if (table.copy === 'none') continue
      for (const owner of this.#core.members) {
        if (owner === state.node) continue
        list.push(this.#haveOf(table, owner))
        // Whoever is told now may be told again what the others have heard last.
        this.#told.delete(keyOf(owner, table.definition.name))
      }
    }
    return list
  }

  /** Rows have advanced. */
  advanced(table: string, { owner }: AnyRows): void {
    const { tables, links, peers } = this.#core
    const known = tables.get(table)
    if (known !== undefined && owner !== links.node && !peers.has(owner)) this.tell(known, owner)
  }

  /** Tells all whom it may concern, if it is anything new. */
  tell(table: AnyTable, owner: string): void {
    const have = this.#haveOf(table, owner)
    const { name } = table.definition
    const key = keyOf(owner, name)
    const former = this.#told.get(key)
    if (former?.every((field, i) => field === have[i]) === true) return
    this.#told.set(key, have)
    for (const state of this.#core.peers.values()) {
      if (state.node !== owner && state.tables?.has(name) !== false)
        this.#core.send(state, { tag: 'have', have: [have] })
    }
  }

  /** Whether all that a member had when its link came up is here. */
  isCaughtUp(state: PeerState): boolean {
    if (state.tables === undefined) return false
    state.isCaughtUp ||= state.hadAtFirst.every((have) => this.#isHere(have, state))
    return state.isCaughtUp
  }

  /** Nobody has been told anything. */
  reset(): void {
    this.#told.clear()
  }

  #haveOf(table: AnyTable, owner: string): Have {
    const { peers, links } = this.#core
    const { name } = table.definition
    const { epoch, seq } = table.of(owner) ?? NOTHING
    // Through whom nothing of an owner's rows will come is not connected to it, as far as the table goes.
    const isConnected = owner === links.node || (peers.has(owner) && peers.get(owner)!.tables?.has(name) !== false)
    return [name, owner, epoch, seq, isConnected]
  }

  #isHere([name, owner, epoch, seq]: Have, state: PeerState): boolean {
    const { tables, links, peers } = this.#core
    const table = tables.get(name)
    if (table === undefined || table.copy === 'none' || !this.#core.isMember(owner)) return true
    // Who is connected here tells us itself.
    if (owner === links.node || (owner !== state.node && peers.has(owner))) return true
    const own = table.of(owner) ?? NOTHING
    if (comparePlaces(own, { epoch, seq }) >= 0) return true
    // It may have it no more.
    const now = state.have(name, owner)
    return (
      state.tables?.has(name) !== true || (now !== undefined && comparePlaces(own, { epoch: now[2], seq: now[3] }) >= 0)
    )
  }
}
