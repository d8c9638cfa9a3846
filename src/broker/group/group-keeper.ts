/**
 * The group keeper: gives what is kept for groups (group-log.ts) to members that are there, and lets go of it when they have taken it over.
 *
 *     session ─ left ─▶ group_keeper                 it has ended, or its client has gone: what it held for its groups is on disc for them
 *     group_keeper ─ deliver ─▶ session of this node       which removes the row with the commit by which it has the message on disc
 *     session ─ returned ─▶ group_keeper             it had ended by then
 *     group_keeper ─ forward_to ─▶ session of another node (forward/forwarding.ts)
 *
 * A node that dies at any moment finds in the log what has not been taken over, and gives it again. So that it is not taken twice at QoS 2, it is noted on disc to
 * which other node a message is about to be sent: from then on that node alone is asked, in the way in which it gets what was kept for it, since it knows the
 * ids of what has come for a group. At QoS 1 any member may get it again.
 *
 * What nobody is there for waits as long as a member on another node outlives its connection, be that node away or not, and while a node that runs has not said yet
 * that its sessions are there. Then it is dropped, and counted.
 */
import { genServer, ignore, ok } from '../../actors/gen-server.ts'
import type { Pid } from '../../actors/pid.ts'
import type { ProcessContext } from '../../actors/process.ts'
import type { Mnesia } from '../../mnesia/mnesia.ts'
import type { Forwarding } from '../forward/forwarding.ts'
import type { Told } from '../forward/peer.ts'
import type { RecentIds } from '../forward/recent-ids.ts'
import { Batch, type Message } from '../message.ts'
import type { PubSub } from '../routing/pubsub.ts'
import { Receipt } from '../routing/receipt.ts'
import type { Routing } from '../routing/routing.ts'
import type { Member } from '../routing/shared-sub.ts'
import type { AwayMembers } from '../session/away-members.ts'
import type { Share } from '../session/delivery.ts'
import type { GroupLog } from './group-log.ts'
import { groupMessage, groupSpace, type KeptMessage } from './rows.ts'

/** Registered name of the process. */
export const GROUP_KEEPER = 'group_keeper'

export interface GroupKeeperOptions {
  /** Undefined: nothing is kept. */
  readonly log: GroupLog | undefined
  readonly pubsub: Pick<PubSub, 'memberFor' | 'give'>
  readonly routing: Pick<Routing, 'awaitedOn' | 'onMembers'>
  readonly forwarding: Pick<Forwarding, 'sendTo' | 'keep' | 'canKeep'>
  readonly mnesia: Pick<Mnesia, 'status'>
  readonly away: Pick<AwayMembers, 'isReady' | 'onRelease'>
  /** What other nodes have sent for groups. */
  readonly recent: Pick<RecentIds, 'forget'>
  /** Called with a message for a group that has no member any more. `clientId`: of the session that has just left it. */
  readonly onLost: (message: Message, clientId: string | undefined) => void
}

/** Messages of one group. */
export interface Left {
  readonly share: Share
  readonly ids: readonly string[]
}

export type ToGroupKeeper =
  /** What a session held for groups is on disc for them, or about to be. */
  | { readonly tag: 'left'; readonly from: Pid; readonly clientId: string; readonly left: readonly Left[] }
  /** A session that has ended has been given this. */
  | { readonly tag: 'returned'; readonly from: Pid; readonly share: Share; readonly id: string }

type Own =
  /** Members have come or gone, or there is room. */
  | { readonly tag: '$look' }
  /** Something has become of an attempt. */
  | { readonly tag: '$told'; readonly attempt: Attempt; readonly outcome: Outcome }

type Outcome =
  /** It is on disc to which node it goes. */
  | 'marked'
  /** The session of this node has it, or its process has ended. */
  | 'handled'
  /** It is kept for the node that may have it. */
  | 'asked'
  /** It has not been sent: the node has too much on its way, or is not ready. */
  | 'busy'
  | Parameters<Told>[0]

/** A message on its way to a member. */
interface Attempt extends KeptMessage {
  readonly share: Share
  /** Of this or another node; undefined: the node that may have it is asked. */
  readonly to: Member | undefined
}

/** What may be on its way at a time; more follows when that has been taken over. */
const MAX_ATTEMPTS = 256
const MAX_BYTES = 1_048_576
/** So long waits what does not fit in what is on its way to a node. */
const BUSY_MS = 100

class GroupKeeper {
  readonly #self: ProcessContext
  readonly #options: GroupKeeperOptions
  readonly #log: GroupLog
  /** By group and id. */
  readonly #attempts = new Map<string, Attempt>()
  #bytes = 0
  #isLooking = false

  constructor(self: ProcessContext, log: GroupLog, options: GroupKeeperOptions) {
    this.#self = self
    this.#options = options
    this.#log = log
    const look = () => this.#lookSoon()
    self.onExit(options.routing.onMembers(look))
    self.onExit(options.away.onRelease(look))
    look()
  }

  describe(): unknown {
    return { underWay: this.#attempts.size, kept: this.#log.status() }
  }

  handle(message: ToGroupKeeper | Own): void {
    switch (message.tag) {
      case 'left':
        this.#left(message)
        break
      case 'returned': {
        const { share, id, from } = message
        const attempt = this.#attempts.get(keyOf(share, id))
        if (attempt !== undefined) this.#end(attempt)
        this.#give(share, id, from)
        break
      }
      case '$look':
        this.#isLooking = false
        this.#look()
        break
      case '$told': {
        const { attempt, outcome } = message
        if (this.#attempts.get(keyOf(attempt.share, attempt.message.id)) !== attempt) break
        this.#told(attempt, outcome)
        break
      }
    }
  }

  #left({ left, from, clientId }: Extract<ToGroupKeeper, { tag: 'left' }>): void {
    for (const { share, ids } of left) {
      for (const id of ids) if (!this.#hasRoom || !this.#give(share, id, from, clientId)) break
    }
  }

  get #hasRoom(): boolean {
    return this.#attempts.size < MAX_ATTEMPTS && this.#bytes < MAX_BYTES
  }

  /** In whatever turn it is asked for. */
  #lookSoon(): void {
    if (this.#isLooking || this.#log.isEmpty) return
    this.#isLooking = true
    this.#self.runtime.send(this.#self.pid, { tag: '$look' } satisfies Own)
  }

  #look(): void {
    for (const share of this.#log.shares()) {
      for (const id of this.#log.idsFor(share)) {
        if (!this.#hasRoom) return
        if (!this.#give(share, id)) break
      }
    }
  }

  /**
   * Gives a message to a member, which is not `exclude`. Returns false when none is there for any message of the group. `clientId`: of the session
   * that has just left it.
   */
  #give(share: Share, id: string, exclude?: Pid, clientId?: string): boolean {
    if (this.#attempts.has(keyOf(share, id))) return true
    const kept = this.#log.read(share, id)
    if (kept === undefined) return true
    const { message, mayHave } = kept
    if (mayHave !== undefined && this.#canAsk(mayHave)) {
      this.#ask({ ...kept, share, to: undefined }, mayHave)
      return true
    }
    const { pubsub, away } = this.#options
    const to = pubsub.memberFor(message, share, exclude)
    if (to === undefined) {
      if (this.#isAwaited(share)) return false
      this.#log.remove(share, id)
      this.#options.onLost(message, clientId)
      return true
    }
    if (to.pid.node === this.#self.pid.node) {
      // It has ended.
      if (to.subscriber === undefined) return false
      this.#giveHere({ ...kept, share, to }, to)
    } else if (away.isReady(to.pid.node)) this.#giveThere({ ...kept, share, to }, to)
    else return false
    return true
  }

  /** To a session of this node, which removes the row with the commit by which it has the message. */
  #giveHere(attempt: Attempt, to: Member): void {
    const { share, message } = attempt
    const receipt = this.#options.pubsub.give(message, to)
    if (receipt === undefined) this.#log.remove(share, message.id)
    else {
      this.#begin(attempt)
      receipt.whenDone(() => this.#tell(attempt, 'handled'))
    }
  }

  #giveThere(attempt: Attempt, to: Member): void {
    const { share, message } = attempt
    this.#begin(attempt)
    if (message.qos < 2) this.#send(attempt, to)
    else void this.#log.mark(share, attempt, to.pid.node).then(() => this.#tell(attempt, 'marked'))
  }

  #send(attempt: Attempt, { pid, matched }: Member): void {
    const run = { batch: new Batch([attempt.message]), matched }
    if (this.#options.forwarding.sendTo(pid, run, undefined, (outcome) => this.#tell(attempt, outcome))) return
    this.#self.sendAfter(BUSY_MS, this.#self.pid, { tag: '$told', attempt, outcome: 'busy' } satisfies Own)
  }

  /** The node that may have a message is to give it to a member if it has not come there. */
  #ask(attempt: Attempt, node: string): void {
    this.#begin(attempt)
    const receipt = new Receipt()
    this.#options.forwarding.keep(node, [new Batch([attempt.message])], receipt, { share: attempt.share })
    receipt.whenDone(() => this.#tell(attempt, 'asked'))
  }

  #told(attempt: Attempt, outcome: Outcome): void {
    const { share, message, to } = attempt
    const { id, qos } = message
    if (outcome === 'marked') {
      this.#send(attempt, to!)
      return
    }
    this.#end(attempt)
    switch (outcome) {
      case 'taken':
        this.#log.remove(share, id, attempt)
        // It may come back.
        this.#options.recent.forget(groupMessage(share, id))
        break
      case 'asked':
        this.#log.remove(share, id, attempt)
        break
      case 'refused':
      case 'busy':
        // That node has not got it.
        if (qos === 2) void this.#log.mark(share, attempt, undefined)
        this.#give(share, id, outcome === 'refused' ? to!.pid : undefined)
        break
      case 'lost':
        this.#give(share, id, to!.pid)
        break
      case 'handled':
        // Unless a session that has not got round to it has ended, nothing of it is left.
        this.#log.settle(share, id)
        break
    }
    this.#lookSoon()
  }

  /** In whatever turn something becomes of an attempt. */
  #tell(attempt: Attempt, outcome: Outcome): void {
    this.#self.runtime.send(this.#self.pid, { tag: '$told', attempt, outcome } satisfies Own)
  }

  #begin(attempt: Attempt): void {
    this.#attempts.set(keyOf(attempt.share, attempt.message.id), attempt)
    this.#bytes += attempt.message.payload.length
  }

  #end(attempt: Attempt): void {
    this.#attempts.delete(keyOf(attempt.share, attempt.message.id))
    this.#bytes -= attempt.message.payload.length
  }

  #canAsk(node: string): boolean {
    const { forwarding, mnesia } = this.#options
    const { running, stopped, partitioned } = mnesia.status()
    return forwarding.canKeep && [...running, ...stopped, ...partitioned].includes(node)
  }

  /** A member may come with a node that is away, or that has not said yet that its sessions are there. */
  #isAwaited(share: Share): boolean {
    if (share.local === true) return false
    const { routing, mnesia, away } = this.#options
    const { node, running } = mnesia.status()
    return routing.awaitedOn(share).length > 0 || running.some((other) => other !== node && !away.isReady(other))
  }
}

function keyOf(share: Share, id: string): string {
  return `${groupSpace(share)} ${id}`
}

/** The server. */
export const groupKeeper = genServer<GroupKeeper, Record<never, never>, Record<never, never>, GroupKeeperOptions>({
  label: 'group_keeper',
  init: (options, self) => (options.log === undefined ? ignore() : ok(new GroupKeeper(self, options.log, options))),
  info: ({ state }, message) => state.handle(message as ToGroupKeeper | Own),
  formatState: (state) => state.describe(),
})
