/**
 * What must reach whom when sessions are on several nodes, of which some fail.
 *
 * Who subscribes is a session, not a client: when its node dies, or another session of its client stays after a partition, what it had
 * is lost. A message that its publisher has seen acknowledged at QoS 1 or 2 must reach each session that had its SUBACK before the message was
 * sent, that is still there, and whose node was linked with the publisher's until the acknowledgement.
 */
import type { SimClient } from './client.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { Heirs, type Inheritance } from './heirs.ts'
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
  readonly #heirs = new Heirs()

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

  /** A client has found a session in place of the one that it had. */
  follows(session: string, former: string): void {
    const isOpen = (interest: Interest) => interest.session === former && interest.untilMs === Number.POSITIVE_INFINITY
    this.#heirs.follows(session, former, this.interests.filter(isOpen))
  }

  /** A subscription stands; `isApart` tells of two nodes that they cannot hand anything over. */
  inherits(interest: Interest, isApart: (a: string, b: string) => boolean): void {
    const { places } = this.#world
    this.#heirs.subscribed(interest, (session, former) => isApart(places.nodeOf(session), places.nodeOf(former)))
  }

  /** Messages that should have reached sessions that are still there, as sentences. To be asked when nothing is under way any more. */
  lost(clients: readonly SimClient[]): string[] {
    const live = new Set(this.#world.liveSessions().keys())
    const accepted = [...this.published.values()].filter(
      ({ qos, acceptedAtMs }) => qos > 0 && acceptedAtMs !== undefined,
    )
    const isLive = ({ session }: Interest) => live.has(session)
    // What waits for a client that is away is not lost.
    const isThere = ({ clientId }: Interest) => clients.some(({ id, isUp }) => id === clientId && isUp)
    const plain = this.interests.filter(
      (interest) => interest.qos > 0 && isLive(interest) && isThere(interest) && !SHARE.test(interest.filter),
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
    for (const inheritance of this.#heirs.inheritances) {
      const { former, heir } = inheritance
      if (isLive(former) || !isLive(heir) || !isThere(heir) || heir.untilMs !== Number.POSITIVE_INFINITY) continue
      const client = clients.find(({ id }) => id === heir.clientId)!
      for (const message of accepted) {
        if (!this.#mustBeHandedOver(message, inheritance)) continue
        if ([former, heir].some(({ session }) => client.hasGot(message.key, session))) continue
        lost.push(
          `${heir.clientId} (${heir.filter}, ${heir.session}) was not handed ${message.key} by ${former.session}`,
        )
      }
    }
    for (const members of this.#groups().values()) {
      if (!members.filter(isLive).every(isThere)) continue
      for (const message of accepted) {
        const count = clients.filter(({ id, receipts }) => {
          return (
            members.some(({ clientId }) => clientId === id) && receipts.some(({ counts }) => counts.has(message.key))
          )
        }).length
        const { filter } = members[0]!
        const isDue =
          this.#mustReachGroup(message, members, isLive) || this.#mustBeKeptForGroup(message, members, isLive)
        if (count === 0 && isDue) lost.push(`nobody of ${filter} got ${message.key}`)
        if (count > 1 && message.qos === 2 && this.#isCalmFor(message, members)) {
          const isAlwaysQoS2 = members.every(({ qos }) => qos === 2)
          if (isAlwaysQoS2) lost.push(`${count} members of ${filter} got ${message.key} at QoS 2`)
        }
      }
    }
    return lost
  }

  /** What a session hands over that gives way comes to the one that stays when it does. */
  protected override mayComeLate({ firstSentAtMs, attempts, session: publisher }: Published, session: string): boolean {
    if (this.#world.switched.has(session) && !this.#world.isCalmSince(firstSentAtMs)) return true
    // For a session that ends with its connection nothing is kept: of a message that is published again, the first may have been lost with a link.
    const isLasting = this.interests.some((interest) => interest.session === session && interest.isPersistent)
    const { calm, places } = this.#world
    const nodes = [publisher, session].flatMap((each) => places.nodesOf(each, firstSentAtMs))
    const isCalm = calm.isAmong(firstSentAtMs, nodes)
    return attempts > 1 && !isLasting && !isCalm
  }

  protected override isPublishedAgain({ qos, attempts, firstSentAtMs, session }: Published): boolean {
    const { killedAtMs, places } = this.#world
    const hasDied = () =>
      places.nodesOf(session, firstSentAtMs).some((node) => (killedAtMs.get(node) ?? 0) >= firstSentAtMs)
    return attempts > 1 && (qos === 1 || hasDied())
  }

  /** What a node has kept for another one, not knowing that it has arrived, comes again. */
  protected override mayComeAgain({ firstSentAtMs, session: publisher }: Published, session: string): boolean {
    const { calm, places, switched } = this.#world
    const nodes = [publisher, session].flatMap((each) => places.nodesOf(each, firstSentAtMs))
    return switched.has(session) || !calm.isAmong(firstSentAtMs, nodes)
  }

  /** A member that could not be reached may have it, and give it back when its session ends. */
  protected override mayComeTwice(message: Published, session: string): boolean {
    const isMember = (members: readonly Interest[]) => members.some((member) => member.session === session)
    return ![...this.#groups().values()].filter(isMember).every((members) => this.#isCalmFor(message, members))
  }

  /** Whether nothing has happened since between the publisher's node and those on which members of a group are or were. */
  #isCalmFor({ firstSentAtMs, session }: Published, members: readonly Interest[]): boolean {
    const sessions = [session, ...members.map((member) => member.session)]
    const nodes = [...new Set(sessions.flatMap((each) => this.#world.places.nodesOf(each, firstSentAtMs)))]
    const hasDied = nodes.some((node) => (this.#world.killedAtMs.get(node) ?? 0) >= firstSentAtMs)
    return !hasDied && this.#world.calm.isAmong(firstSentAtMs, nodes)
  }

  /** `moreMs`: how long after it was acknowledged there has to be calm. */
  #mustReach({ topic, firstSentAtMs, acceptedAtMs, session }: Published, interest: Interest, moreMs = 0): boolean {
    const { calm, matches, places } = this.#world
    if (firstSentAtMs <= interest.fromMs || acceptedAtMs! >= interest.untilMs) return false
    if (!matches(interest.filter.replace(SHARE, '$2'), topic)) return false
    const untilMs = acceptedAtMs! + moreMs
    const [from, to] = [session, interest.session].map((each) => places.nodesOf(each, firstSentAtMs, untilMs))
    return from!.every((a) => to!.every((b) => calm.was(a, b, firstSentAtMs, untilMs)))
  }

  /** Whether a message has to reach a lasting session whatever happens to nodes and links: the publisher's node knew of the subscription. With `isInherited` it may come to who follows. */
  #mustBeKept(
    { topic, firstSentAtMs, acceptedAtMs, session }: Published,
    interest: Interest,
    isInherited = false,
  ): boolean {
    const { calm, matches, places } = this.#world
    if (!interest.isPersistent || firstSentAtMs <= interest.fromMs || acceptedAtMs! >= interest.untilMs) return false
    if (!matches(interest.filter.replace(SHARE, '$2'), topic)) return false
    const from = places.nodesOf(session, firstSentAtMs, acceptedAtMs)
    const to = places.nodesOf(interest.session, firstSentAtMs, acceptedAtMs)
    // What is kept comes when the nodes meet again, and only to who subscribes then.
    const { fromMs, untilMs } = interest
    const meet = (a: string, b: string) => calm.hadSome(a, b, acceptedAtMs!, untilMs, KNOWN_MS)
    const hasLeft =
      !isInherited && untilMs !== Number.POSITIVE_INFINITY && !from.every((a) => to.every((b) => meet(a, b)))
    if (hasLeft) return false
    // It does not move without all members knowing where it goes.
    const stays = places.staysOf(interest.session, fromMs, firstSentAtMs)
    return from.every((a) => stays.some((stay) => calm.hadSome(a, stay.node, stay.fromMs, stay.toMs, KNOWN_MS)))
  }

  /** Whether what a session had, or would have had, must have come to the one to which it has given way. */
  #mustBeHandedOver(message: Published, { former, heir }: Inheritance): boolean {
    // While its client has none, the former session goes on getting messages.
    const interest = { ...former, untilMs: heir.fromMs }
    return this.#mustReach(message, interest) || this.#mustBeKept(message, interest, true)
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
    if (!this.#isKeptByAll(message, members)) return false
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
    return !hasLeft || message.qos === 1
  }

  /**
   * Whether no node that died has taken a message with it: the publisher's not before the others had it, and those of members not at all, if these outlive their
   * connections.
   */
  #isKeptByAll({ firstSentAtMs, acceptedAtMs, session }: Published, members: readonly Interest[]): boolean {
    const { calm, killedAtMs, places } = this.#world
    const nodesOf = (each: string) => places.nodesOf(each, firstSentAtMs)
    const hasDied = (nodes: readonly string[]) => nodes.some((node) => (killedAtMs.get(node) ?? 0) >= firstSentAtMs)
    const from = nodesOf(session)
    if (members.some((member) => !member.isPersistent && hasDied(nodesOf(member.session)))) return false
    if (!hasDied(from)) return true
    const to = members.flatMap((member) => nodesOf(member.session))
    return from.every((a) => to.every((b) => calm.was(a, b, firstSentAtMs, acceptedAtMs!)))
  }

  /** All who have ever been members are there and must get what is kept, so that nobody else can have taken the message with it. */
  #mustBeKeptForGroup(
    message: Published,
    members: readonly Interest[],
    isLive: (interest: Interest) => boolean,
  ): boolean {
    return members.every((member) => {
      return member.untilMs === Number.POSITIVE_INFINITY && isLive(member) && this.#mustBeKept(message, member)
    })
  }
}
