/**
 * What is known of all members, down ones included, and what follows from it: which tombstones are needed no longer, and which origins
 * are settled.
 *
 * Each member reports what it has on disc, and its *low*: a clock up to which it has had every operation, and up to which it will write none.
 * Reports are passed on, so they reach members that are not connected to each other. What all members' lows have passed is *stable*:
 * nothing with a clock up to it can come any more, so a tombstone below it has nothing to hold off.
 *
 * An origin is *dead* when its node has begun a later epoch, or is a member no longer. It is *settled* when all members have as much
 * of it, in every copy: then it goes from the vectors, which would grow with each restart otherwise. The last report of a member that is down
 * counts, since what it had on disc is there when it returns; one that has never reported holds everything up.
 */
import type { Core } from './core.ts'
import { Coverage } from './coverage.ts'
import type { Report } from './messages.ts'
import { compareOrigins, type Origin } from './origin.ts'
import type { PeerState } from './peer-state.ts'
import type { Replica } from './replica.ts'
import { Vector } from './vector.ts'

interface Known {
  readonly report: Report
  readonly vector: Vector
  readonly copies: ReadonlyMap<string, Coverage>
  readonly settled: ReadonlyMap<string, number>
}

export class Members {
  readonly #core: Core
  readonly #known = new Map<string, Known>()
  /** Latest epoch that has been heard of, by node. */
  readonly #epochs = new Map<string, number>()
  /** How much of an origin each member said that it has, when it last spoke of it. */
  readonly #votes = new Map<Origin, Map<string, number>>()
  /** Which report of a node each peer has been sent: epoch and number. */
  readonly #sent = new Map<PeerState, Map<string, string>>()
  #own: Report | undefined
  /** What the last report of this node says, as text. */
  #said = ''

  constructor(core: Core) {
    this.#core = core
    this.#epochs.set(core.self.node, core.self.epoch)
    for (const origin of core.vector.origins()) this.sawEpoch(origin.node, origin.epoch)
  }

  sawEpoch(node: string, epoch: number): void {
    if (epoch > (this.#epochs.get(node) ?? -1)) this.#epochs.set(node, epoch)
  }

  /** Takes in a report, unless a later one of that node is known. */
  took(report: Report): void {
    const { node, epoch } = report
    const { self, origins, vector, disc } = this.#core
    const held = this.#known.get(node)?.report
    if (node === self.node || (held !== undefined && !isLater(report, held))) return
    this.sawEpoch(node, epoch)
    this.#core.knowStart(origins.of(node, epoch), report.startClock)
    const reported = new Vector()
    for (const [of, ofEpoch, seq, clock] of report.vector) {
      const origin = origins.of(of, ofEpoch)
      reported.set(origin, seq, clock)
      this.sawEpoch(of, ofEpoch)
      vector.learn(origin, seq, clock)
      disc.durable.learn(origin, seq, clock)
      let votes = this.#votes.get(origin)
      if (votes === undefined) {
        votes = new Map()
        this.#votes.set(origin, votes)
      }
      votes.set(node, seq)
    }
    const copies = new Map(
      report.copies.map(([table, lacksSettled, holes]) => [table, Coverage.fromSent(holes, lacksSettled, origins)]),
    )
    this.#known.set(node, {
      report,
      vector: reported,
      copies,
      settled: new Map(report.settled.map(([of, floor]) => [of, floor])),
    })
  }

  /** The nodes that are known to have a copy of a table, this one included, sorted. */
  holders(table: string): string[] {
    const { self, replicas, tables, links } = this.#core
    const members = links.members()
    const isHolder = ([node, { copies }]: [string, Known]) => members.includes(node) && copies.has(table)
    const holders = [...this.#known].filter(isHolder).map(([node]) => node)
    if (tables.has(table) && replicas.has(table)) holders.push(self.node)
    return holders.sort()
  }

  /** A clock up to which a copy has had every operation; for all copies when none is given. */
  low(vector: Vector, copies: Iterable<Coverage>): number {
    const { links, origins, settled, self } = this.#core
    for (const member of links.members()) {
      if (member === self.node) continue
      const epoch = this.#epochs.get(member)
      if (epoch === undefined) return 0
      const origin = origins.of(member, epoch)
      if (!vector.has(origin) && !settled.has(origin)) return 0
    }
    let low = Number.MAX_SAFE_INTEGER
    for (const [origin, { clock }] of vector.entries()) if (origin !== self) low = Math.min(low, clock)
    for (const { lacksSettled, holes } of copies) {
      if (lacksSettled) return 0
      for (const { covered } of holes.values()) low = Math.min(low, covered.clock)
    }
    return low
  }

  lowOf(replica: Replica<unknown>): number {
    return this.low(this.#core.vector, [replica.coverage])
  }

  /** The reports that a peer has not been sent, this node's own included when it has one. */
  news(peer: PeerState): Report[] {
    let sent = this.#sent.get(peer)
    if (sent === undefined) {
      sent = new Map()
      this.#sent.set(peer, sent)
    }
    const news: Report[] = []
    const reports = [...this.#known.values()].map(({ report }) => report)
    if (this.#own !== undefined) reports.push(this.#own)
    for (const report of reports) {
      const id = `${report.epoch}/${report.number}`
      if (report.node === peer.node || sent.get(report.node) === id) continue
      sent.set(report.node, id)
      news.push(report)
    }
    return news
  }

  down(peer: PeerState): void {
    this.#sent.delete(peer)
  }

  /** Makes a new report of this node, if there is something to say. */
  report(): void {
    const { self, disc, settled, origins } = this.#core
    const { durableCopies } = disc
    const hasTombstones = this.#hasTombstones()
    if (hasTombstones || [...this.#known.values()].some(({ report }) => report.hasTombstones)) this.#promise()
    const { durable } = disc
    const copies = durableCopies.map(([, lacks, holes]) => Coverage.fromSent(holes, lacks, origins))
    // What is kept for tables that are yet to be created must not hold what others have forgotten.
    const kept = [...this.#core.replicas.values()].filter(({ isKept }) => isKept).map(({ coverage }) => coverage)
    const low = Math.min(this.low(durable, [...copies, ...kept]), durable.get(self).clock)
    const content = {
      vector: durable.toSent(),
      copies: durableCopies,
      settled: settled.toSent(),
      low,
      hasTombstones,
      dead: [...durable.origins()]
        .filter((origin) => this.#isDead(origin) && this.#isOnDisc(origin))
        .map(({ node, epoch }) => [node, epoch] as const),
    }
    const said = JSON.stringify(content)
    if (said === this.#said) return
    this.#said = said
    const number = (this.#own?.number ?? 0) + 1
    this.#own = { node: self.node, epoch: self.epoch, number, startClock: this.#core.startClock, ...content }
  }

  /** Finds what is stable now. */
  refresh(): void {
    const { links, self } = this.#core
    let stable = this.#own?.low ?? 0
    for (const member of links.members()) {
      if (member !== self.node) stable = Math.min(stable, this.#known.get(member)?.report.low ?? 0)
    }
    // A member that comes later has nothing that is older.
    this.#core.stableClock = Math.max(this.#core.stableClock, stable)
  }

  /** Settles what can be settled. Returns whether there was something. */
  settle(): boolean {
    const { vector, settled } = this.#core
    const dead = [...vector.origins()].filter((origin) => this.#isDead(origin)).sort(compareOrigins)
    let any = false
    const heldUp = new Set<string>()
    for (const origin of dead) {
      // Floors speak of all epochs before them, so epochs of a node are settled in order.
      const agreement = heldUp.has(origin.node) ? undefined : this.#agreement(origin)
      if (agreement === undefined) heldUp.add(origin.node)
      else {
        this.#settle(origin, agreement === 'blind')
        any = true
      }
    }
    for (const { report } of this.#known.values()) {
      for (const [node, epoch, clock] of report.settled) {
        const isOpen = [...vector.origins()].some((origin) => origin.node === node && origin.epoch < epoch)
        if (!isOpen && settled.raise(node, epoch, clock)) this.#core.disc.writeSettled(node, settled.get(node)!)
      }
    }
    return any
  }

  #promise(): void {
    const { self, vector, disc, clock } = this.#core
    const promised = clock.promise()
    const { seq } = vector.get(self)
    if (vector.learn(self, seq, promised)) disc.moved(self)
    disc.durable.learn(self, seq, promised)
  }

  #hasTombstones(): boolean {
    for (const replica of this.#core.replicas.values()) if (replica.cells.tombstones.size > 0) return true
    return false
  }

  #isDead(origin: Origin): boolean {
    if (origin === this.#core.self) return false
    return origin.epoch < this.#epochs.get(origin.node)! || !this.#core.links.members().includes(origin.node)
  }

  /** Whether all that this node has of an origin is on disc, so that what it reports is all that it can pass on. */
  #isOnDisc(origin: Origin): boolean {
    const { disc, vector, coverages, origins } = this.#core
    const seq = vector.seqOf(origin)
    if (disc.durable.seqOf(origin) !== seq) return false
    const durable = new Map(
      disc.durableCopies.map(([table, lacks, holes]) => [table, Coverage.fromSent(holes, lacks, origins)]),
    )
    for (const [table, coverage] of coverages) {
      const before = durable.get(table)
      if (before !== undefined && extentOf(before, origin, seq) !== extentOf(coverage, origin, seq)) return false
    }
    return true
  }

  /** Whether all members have as much of an origin; `blind` when some of them have settled it without having told how much that was. */
  #agreement(origin: Origin): 'all' | 'blind' | undefined {
    const { links, self, disc, vector } = this.#core
    const seq = disc.durable.seqOf(origin)
    if (vector.seqOf(origin) !== seq) return undefined
    let isBlind = false
    const open: Known[] = []
    for (const member of links.members()) {
      if (member === self.node) continue
      const known = this.#known.get(member)
      if (known === undefined || known.report.epoch < this.#epochs.get(member)!) return undefined
      if ((known.settled.get(origin.node) ?? 0) > origin.epoch) {
        if (this.#votes.get(origin)?.get(member) !== seq) isBlind = true
      } else if (known.vector.seqOf(origin) !== seq || !saysDead(known.report, origin)) return undefined
      else open.push(known)
    }
    if (!this.#copiesAgree(origin, seq, open)) return undefined
    return isBlind ? 'blind' : 'all'
  }

  /** No copy has more of the origin than another one of the same table. */
  #copiesAgree(origin: Origin, seq: number, open: readonly Known[]): boolean {
    const covered = new Map<string, string>()
    const agrees = (table: string, coverage: Coverage): boolean => {
      const has = extentOf(coverage, origin, seq)
      const other = covered.get(table)
      covered.set(table, has)
      return other === undefined || other === has
    }
    for (const [name, coverage] of this.#core.coverages) if (!agrees(name, coverage)) return false
    for (const { copies } of open) {
      for (const [table, coverage] of copies) if (!agrees(table, coverage)) return false
    }
    return true
  }

  #settle(origin: Origin, isBlind: boolean): void {
    const { vector, settled, disc, log, replicas, unopened } = this.#core
    settled.raise(origin.node, origin.epoch + 1, vector.get(origin).clock)
    disc.writeSettled(origin.node, settled.get(origin.node)!)
    vector.delete(origin)
    disc.durable.delete(origin)
    disc.moved(origin)
    log.drop(origin)
    this.#votes.delete(origin)
    for (const replica of replicas.values()) {
      const { holes } = replica.coverage
      const hole = holes.get(origin)
      holes.delete(origin)
      if (isBlind) replica.coverage.lacksSettled = true
      if (hole !== undefined || isBlind) this.#core.coverageChanged(replica)
      if (hole !== undefined) this.#core.gone(replica.name, origin, hole)
    }
    for (const [name, coverage] of unopened) {
      const hadHole = coverage.holes.delete(origin)
      if (isBlind) coverage.lacksSettled = true
      if (hadHole || isBlind) this.#core.unopenedChanged(name, coverage)
    }
  }
}

/** How much a copy has of an origin of whom the node has had `seq` operations. */
function extentOf({ holes }: Coverage, origin: Origin, seq: number): string {
  const hole = holes.get(origin)
  return hole === undefined ? `${seq}` : `${hole.covered.seq} ${hole.until}`
}

/** What a member had of an origin while that was alive is not all that it may have by now. */
function saysDead({ dead }: Report, { node, epoch }: Origin): boolean {
  return dead.some(([of, ofEpoch]) => of === node && ofEpoch === epoch)
}

function isLater(a: Report, b: Report): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.number > b.number)
}
