/** Where sessions are and were: one that moves to the node of its client keeps its name. */
import type { Pid } from '../../../src/actors/pid.ts'
import type { SessionSnapshot } from '../../../src/broker/session/session-snapshot.ts'

interface Stay {
  readonly node: string
  readonly fromMs: number
}

/** A session is on its way from one node to another, and of both, for this long before it is opened there, and for this long after. */
const MOVE_MS = 6000

export class Places {
  readonly #nowMs: () => number
  readonly #mayMove: boolean
  readonly #names = new Map<string, string>()
  readonly #stays = new Map<string, Stay[]>()

  constructor(nowMs: () => number, mayMove: boolean) {
    this.#nowMs = nowMs
    this.#mayMove = mayMove
  }

  /** What a session is called, also when it has been restored from the disc, or has moved: by where it was first seen. */
  nameOf({ node }: Pid, { clientId, createdAtMs }: SessionSnapshot): string {
    const name = `${node}/${clientId}/${createdAtMs}`
    if (!this.#mayMove) return name
    const key = `${clientId}/${createdAtMs}`
    const known = this.#names.get(key)
    if (known !== undefined) return known
    this.#names.set(key, name)
    return name
  }

  /** A client has its session on a node. */
  opened(name: string, node: string): void {
    const stays = this.#stays.get(name) ?? [{ node: homeOf(name), fromMs: 0 }]
    this.#stays.set(name, stays)
    if (stays.at(-1)!.node !== node) stays.push({ node, fromMs: this.#nowMs() })
  }

  /** The node of a session. */
  nodeOf(name: string): string {
    return this.#stays.get(name)?.at(-1)?.node ?? homeOf(name)
  }

  /** The nodes that a session may have been on within a time. */
  nodesOf(name: string, fromMs: number, toMs = this.#nowMs()): string[] {
    return [...new Set(this.#staysOf(name, fromMs, toMs, MOVE_MS).map(({ node }) => node))]
  }

  /** Its stays on nodes within a time, the earliest first: it was there for all of each. */
  staysOf(name: string, fromMs: number, toMs: number): { node: string; fromMs: number; toMs: number }[] {
    return this.#staysOf(name, fromMs, toMs, 0)
  }

  /** Each begins earlier and ends later by `moreMs`. */
  #staysOf(name: string, fromMs: number, toMs: number, moreMs: number) {
    const stays = this.#stays.get(name) ?? [{ node: homeOf(name), fromMs: 0 }]
    const all = stays.map(({ node, fromMs: beganMs }, i) => {
      const endMs = stays[i + 1]?.fromMs ?? Number.POSITIVE_INFINITY
      return { node, fromMs: beganMs - moreMs, toMs: endMs + moreMs }
    })
    return all
      .filter((stay) => stay.fromMs <= toMs && stay.toMs >= fromMs)
      .map((stay) => ({ node: stay.node, fromMs: Math.max(stay.fromMs, fromMs), toMs: Math.min(stay.toMs, toMs) }))
  }
}

/** The node on which a session was first seen. */
function homeOf(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf('@')))
}
