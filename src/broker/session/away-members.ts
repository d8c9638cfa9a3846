/**
 * The members whose sessions are not there, and since when: a member is away until it says that its sessions are there, which are read from its disc after it
 * has become a member again, and from the moment at which it is lost.
 *
 * A node that starts without a member counts from its own start: it cannot know when the member went down.
 */
import type { Clock } from '../../actors/system.ts'
import type { Tables } from '../../mnesia/table.ts'
import { STORED_SESSION } from '../tables.ts'
import type { Members } from './home.ts'

export class AwayMembers {
  readonly #members: Members
  readonly #clock: Pick<Clock, 'monotonic'>
  /** By member that is away; monotonic clock, ms. */
  readonly #sinceMs = new Map<string, number>()
  /** Members that have said that their sessions are there, and have not been lost since. */
  readonly #ready = new Set<string>()
  readonly #listeners = new Set<(node: string) => void>()

  constructor(members: Members & Tables, clock: Pick<Clock, 'monotonic'>) {
    this.#members = members
    this.#clock = clock
    this.#look()
    members.subscribe((event) => {
      if (event.tag === 'mnesia_down') this.lost(event.node)
      else if (event.tag === 'mnesia_up' || event.tag === 'members' || event.tag === 'cluster') this.#look()
    })
    // Its rows are hidden before anybody is told of its loss.
    members.open(STORED_SESSION).subscribe((event) => {
      if (event.type === 'hidden') this.lost(event.owner)
    })
  }

  /** Since when a member is away, by the monotonic clock; undefined when it is not, or is no member. */
  sinceMs(node: string): number | undefined {
    return this.#sinceMs.get(node)
  }

  /** Whether the sessions of a node are there. */
  isReady(node: string): boolean {
    return this.#ready.has(node)
  }

  /** A member says that its sessions are there. */
  ready(node: string): void {
    this.#ready.add(node)
    this.#release(node)
  }

  /** A member is lost, whatever it has said before. */
  lost(node: string): void {
    this.#ready.delete(node)
    this.#look()
  }

  /** Calls `listener` when a member that was away has its sessions, or is no member any more; returns what ends that. */
  onRelease(listener: (node: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #look(): void {
    const { node, running, stopped, partitioned } = this.#members.status()
    const members = new Set([...running, ...stopped, ...partitioned])
    for (const other of members) {
      if (other === node || this.#ready.has(other) || this.#sinceMs.has(other)) continue
      this.#sinceMs.set(other, this.#clock.monotonic())
    }
    for (const other of [...this.#sinceMs.keys()]) if (!members.has(other)) this.#release(other)
  }

  #release(node: string): void {
    if (!this.#sinceMs.delete(node)) return
    for (const listener of [...this.#listeners]) listener(node)
  }
}
