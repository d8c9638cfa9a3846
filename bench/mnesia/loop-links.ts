/** Links between nodes of one process, without a network: a message is handed over as it is, and a turn ends when `run` says so. */
import type { ConnectedMember, LinkHandler, Links, Peer } from '../../src/mnesia/link.ts'

export class Loop {
  readonly nodes: LoopLinks[] = []
  #queue: (() => void)[] = []

  add(name: string): LoopLinks {
    const links = new LoopLinks(this, name)
    this.nodes.push(links)
    return links
  }

  /** Links every two nodes. */
  connect(): void {
    for (const left of this.nodes) for (const right of this.nodes) if (left !== right) left.link(right)
  }

  later(callback: () => void): void {
    this.#queue.push(callback)
  }

  /** Goes on until nothing is left to be done. */
  run(): void {
    for (;;) {
      const queue = this.#queue
      this.#queue = []
      for (const callback of queue) callback()
      let flushed = 0
      for (const node of this.nodes) flushed += node.endTurn()
      if (this.#queue.length === 0 && flushed === 0) return
    }
  }
}

export class LoopLinks implements Links {
  readonly node: string
  readonly epoch = 1
  readonly #loop: Loop
  readonly #linked: ConnectedMember[] = []
  readonly #peers = new Map<string, Peer>()
  #handler: LinkHandler | undefined
  #dirty: { flush(): void }[] = []
  #members: readonly string[] = []

  constructor(loop: Loop, node: string) {
    this.#loop = loop
    this.node = node
  }

  members(): readonly string[] {
    if (this.#members.length !== this.#loop.nodes.length)
      this.#members = this.#loop.nodes.map(({ node }) => node).sort()
    return this.#members
  }

  connected(): readonly ConnectedMember[] {
    return this.#linked
  }

  handle(_part: string, handler: LinkHandler): void {
    this.#handler = handler
  }

  atTurnEnd(flushable: { flush(): void }): void {
    this.#dirty.push(flushable)
  }

  now(): number {
    return Date.now()
  }

  /** Only what is to be done in the next turn: nothing here waits. */
  setTimer(ms: number, callback: () => void): () => void {
    if (ms === 0) this.#loop.later(callback)
    return () => undefined
  }

  link(other: LoopLinks): void {
    const member = { node: other.node, epoch: other.epoch, protocol: 1 }
    const send = (message: { readonly tag: string }) => {
      this.#loop.later(() => other.#handler!.receive(other.#peers.get(this.node)!, message))
    }
    const peer = { ...member, send }
    this.#linked.push(member)
    this.#peers.set(other.node, peer)
    this.#loop.later(() => this.#handler!.up(peer))
  }

  endTurn(): number {
    const dirty = this.#dirty
    this.#dirty = []
    for (const flushable of dirty) flushable.flush()
    return dirty.length
  }
}
