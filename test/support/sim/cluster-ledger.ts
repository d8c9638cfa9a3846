/**
 * What must reach whom when sessions are on several nodes, of which some fail.
 *
 * Who subscribes is a session, not a client: when its node dies, or another session of its client stays after a partition, what it had
 * is lost. A message that its publisher has seen acknowledged at QoS 1 or 2 must reach each session that had its SUBACK before the message was
 * sent, that is still there, and whose node was linked with the publisher's until the acknowledgement.
 */
import type { SimClient } from './client.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { type Interest, Ledger, type Published } from './ledger.ts'

/** A session that is not wanted any more has ended by then, while there is calm. */
const LEAVES_WITHIN_MS = 3000

/** After this a member that was chosen, and stands still, has been given up, and another one is chosen. */
const LATE_MS = 20_000

/** So long two nodes have to be linked after a subscription until both have it on disc. */
const KNOWN_MS = 1000

const SHARE = /^\$share\/([^/]+)\/(.*)$/

export class ClusterLedger extends Ledger {
  readonly #world: ClusterWorld
  /** When a session was first seen by its client. */
  readonly #knownAtMs = new Map<string, number>()

  constructor(world: ClusterWorld) {
    super(world.sim)
    this.#world = world
  }

  /** A client has found its session. */
  known(session: string): void {
    if (!this.#knownAtMs.has(session)) this.#knownAtMs.set(session, this.#world.nowMs)
  }

  /** When a client first found a session. */
  knownSinceMs(session: string): number {
    return this.#knownAtMs.get(session) ?? 0
  }

  /** Messages that should have reached sessions that are still there, as sentences. To be asked when nothing is under way any more. */
  lost(clients: readonly SimClient[]): string[] {
    const live = new Set(this.#world.liveSessions().keys())
    const accepted = [...this.published.values()].filter(
      ({ qos, acceptedAtMs }) => qos > 0 && acceptedAtMs !== undefined,
    )
    const isLive = ({ session }: Interest) => live.has(session)
    const plain = this.interests.filter(
      (interest) => interest.qos > 0 && isLive(interest) && !SHARE.test(interest.filter),
    )
    const lost: string[] = []
    for (const interest of plain) {
      const client = clients.find(({ id }) => id === interest.clientId)!
      for (const message of accepted) {
        const isDue = this.#mustReach(message, interest) || this.#mustBeKept(message, interest)
        if (!isDue || client.hasGot(message.key, interest.session)) continue
        const { clientId, filter, session } = interest
        lost.push(
          `${clientId} (${filter}, ${session}) never got ${message.key} of ${message.topic} from ${message.session}`,
        )
      }
    }
    for (const members of this.#groups().values()) {
      for (const message of accepted) {
        const count = clients.filter(({ id, receipts }) => {
          return (
            members.some(({ clientId }) => clientId === id) && receipts.some(({ counts }) => counts.has(message.key))
          )
        }).length
        const { filter } = members[0]!
        if (count === 0 && this.#mustReachGroup(message, members, isLive))
          lost.push(`nobody of ${filter} got ${message.key}`)
        if (count > 1 && message.qos === 2 && this.#world.isCalmSince(message.firstSentAtMs)) {
          const isAlwaysQoS2 = members.every(({ qos }) => qos === 2)
          if (isAlwaysQoS2) lost.push(`${count} members of ${filter} got ${message.key} at QoS 2`)
        }
      }
    }
    return lost
  }

  /** What a session hands over that gives way comes to the one that stays when it does. */
  protected override mayComeLate({ firstSentAtMs }: Published, session: string): boolean {
    return this.#world.switched.has(session) && !this.#world.isCalmSince(firstSentAtMs)
  }

  /** What a node has kept for another one, not knowing that it has arrived, comes again. */
  protected override mayComeAgain({ firstSentAtMs }: Published): boolean {
    return !this.#world.isCalmSince(firstSentAtMs)
  }

  /** A member that could not be reached may have it, and give it back when its session ends. */
  protected override mayComeTwice({ firstSentAtMs }: Published): boolean {
    return !this.#world.isCalmSince(firstSentAtMs)
  }

  /** `moreMs`: how long after it was acknowledged there has to be calm. */
  #mustReach({ topic, firstSentAtMs, acceptedAtMs, session }: Published, interest: Interest, moreMs = 0): boolean {
    const { calm, matches } = this.#world
    if (firstSentAtMs <= interest.fromMs || acceptedAtMs! >= interest.untilMs) return false
    if (!matches(interest.filter.replace(SHARE, '$2'), topic)) return false
    return calm.was(nodeOf(session), nodeOf(interest.session), firstSentAtMs, acceptedAtMs! + moreMs)
  }

  /**
   * Whether a message has to reach a lasting session whatever happens to its node and to the links: the publisher's node knew of the subscription, and lived
   * on to give what it had kept.
   */
  #mustBeKept({ topic, firstSentAtMs, acceptedAtMs, session }: Published, interest: Interest): boolean {
    const { calm, killedAtMs, matches } = this.#world
    if (!interest.isPersistent || firstSentAtMs <= interest.fromMs || acceptedAtMs! >= interest.untilMs) return false
    if (!matches(interest.filter, topic)) return false
    const [from, to] = [nodeOf(session), nodeOf(interest.session)]
    if ((killedAtMs.get(from) ?? 0) >= firstSentAtMs) return false
    return calm.hadSome(from, to, interest.fromMs, firstSentAtMs, KNOWN_MS)
  }

  /** Subscriptions to each group, also those that are over. */
  #groups(): Map<string, Interest[]> {
    const groups = new Map<string, Interest[]>()
    for (const interest of this.interests) {
      if (!SHARE.test(interest.filter) || interest.qos === 0) continue
      const members = groups.get(interest.filter)
      if (members === undefined) groups.set(interest.filter, [interest])
      else members.push(interest)
    }
    return groups
  }

  /** Some member that is there has been all the time, and none that was chosen can have taken the message with it. */
  #mustReachGroup(message: Published, members: readonly Interest[], isLive: (interest: Interest) => boolean): boolean {
    const { lastKillMs } = this.#world
    if (lastKillMs >= message.firstSentAtMs) return false
    const stays = members.some((member) => {
      return (
        member.isPersistent &&
        member.untilMs === Number.POSITIVE_INFINITY &&
        isLive(member) &&
        this.#mustReach(message, member, LATE_MS)
      )
    })
    if (!stays) return false
    // One whose client has gone on with another session is there for a moment, and without calm until the nodes have met.
    const isCalm = this.#world.isCalmSince(message.firstSentAtMs)
    const isThere = ({ untilMs }: Interest) => !isCalm || untilMs + LEAVES_WITHIN_MS >= message.firstSentAtMs
    const hasLeft = members.some((member) => !isLive(member) && isThere(member))
    // What is in flight at QoS 2 to a session that ends may not be given to another member [MQTT5-4.8.2-5].
    return !hasLeft || (message.qos === 1 && isCalm)
  }
}

/** The node of a session. */
function nodeOf(session: string): string {
  return session.slice(0, Math.max(0, session.indexOf('@')))
}
