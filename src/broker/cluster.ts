/**
 * The process `cluster`: what it means for clients and operators that members of the cluster come and go.
 *
 *     mnesia ─ system events ─▶ cluster ─ disconnect ─▶ connections        this node has become another cluster's
 *                                       ─ remove, alarms                   a member is down, for longer than it may
 *
 * When this node joins, leaves or is removed, who may connect and what is retained is what another cluster says, so each client has to come
 * in anew by those rules. Its 5.0 clients are told 0x98, administrative action: an operator's command is the reason, and unlike 0x8B
 * (server shutting down) and 0x9C (use another server) it neither announces a pause nor sends anybody away. Clients of other nodes notice nothing.
 *
 * *autoclean* removes a member that stays down. Only the side with more than half of the members does so, or of two halves
 * the one with the first name: sides of a partition never remove each other. A member that was removed in this way, and turns out to
 * be alive, joins again by itself; nobody has decided against it.
 */
import { Exit } from '../actors/errors.ts'
import { genServer, ok, reply } from '../actors/gen-server.ts'
import type { ProcessContext } from '../actors/process.ts'
import { type SystemEventMessage, subscribeSystem } from '../mnesia/events.ts'
import type { Mnesia } from '../mnesia/mnesia.ts'
import type { SystemEvent } from '../mnesia/system-events.ts'
import type { Connections } from './connection/cm.ts'
import type { ConnectionMessage } from './connection/connection-environment.ts'
import type { Alarms } from './monitor/alarm.ts'
import { RC } from './reason-codes.ts'

/** Registered name of the process. */
export const CLUSTER = 'cluster'

export interface ClusterOptions {
  readonly mnesia: Mnesia
  readonly connections: Connections
  readonly alarms: Alarms
  /** How long a member may be down before it is removed, ms; 0: as long as it likes. */
  readonly autocleanMs: number
}

type Calls = {
  /** Asks this node to join again; resolves with whether it has, or with the sentence that says why not. */
  rejoin: (node: string) => true | string
}

/** A member has been down for as long as it may. `down`: since which of its downs, so that a later one begins anew. */
interface Overdue {
  readonly tag: 'overdue'
  readonly node: string
  readonly down: object
}

/** A member that was removed for being down is there. */
interface Invite {
  readonly tag: 'invite'
  readonly node: string
}

const REJOIN_TIMEOUT_MS = 60_000
/** While the process of the other node is not there yet. */
const INVITE_PAUSE_MS = 1000

/** In the name of an alarm, before that of the node. */
const MEMBER_DOWN = 'member_down'

class ClusterState {
  readonly #self: ProcessContext
  readonly #options: ClusterOptions
  /** Members that are down, each with a token of this time of being down; gone when it is up, or no member. */
  readonly #down = new Map<string, object>()
  /** Members that were removed by autoclean; gone when they are members again, or do not want to be. */
  readonly #cleaned = new Set<string>()

  constructor(self: ProcessContext, options: ClusterOptions) {
    this.#self = self
    this.#options = options
    subscribeSystem(self, options.mnesia)
    const { node, running, stopped } = options.mnesia.status()
    const others = [...running, ...stopped].filter((other) => other !== node)
    if (others.length > 0) self.runtime.logger.info(`this node is a member of a cluster with ${others.join(', ')}`)
    for (const each of stopped) this.#isDown(each)
  }

  describe(): unknown {
    return { down: [...this.#down.keys()], cleaned: [...this.#cleaned] }
  }

  async rejoin(node: string): Promise<true | string> {
    const { logger } = this.#self.runtime
    logger.warn({ peer: node }, `${node} had removed this node, which was down for long; this node joins it again`)
    const joined = await this.#options.mnesia.join(node, { confirm: true })
    return joined.ok || joined.text
  }

  async handle(message: SystemEventMessage | Overdue | Invite): Promise<undefined> {
    if (message.tag === 'overdue') await this.#overdue(message)
    else if (message.tag === 'invite') await this.#invite(message)
    else this.#happened(message.event)
  }

  #happened(event: SystemEvent): void {
    switch (event.tag) {
      case 'mnesia_up':
        this.#isUp(event.node)
        this.#cleaned.delete(event.node)
        break
      case 'mnesia_down':
        if (!this.#options.mnesia.status().stopped.includes(event.node)) break
        this.#isDown(event.node)
        if (event.reason === 'nodedown') this.#raise(event.node)
        break
      case 'members':
        for (const node of this.#down.keys()) if (!event.members.includes(node)) this.#isUp(node)
        break
      case 'refused':
        // By then it has heard that it was removed, and is alone.
        if (event.reason === 'other_cluster' && this.#cleaned.has(event.node)) this.#inviteLater(event.node, 0)
        break
      case 'cluster':
        // One that takes the rows of its own cluster's members does so at its start: nobody is connected yet.
        if (event.why !== 'adopt') this.#disconnectClients(WHAT_HAPPENED[event.why])
        break
    }
  }

  #raise(node: string): void {
    const summary = `${node} is out of reach since its connection was lost; it is dialled`
    this.#options.alarms.alert({ id: `${MEMBER_DOWN}/${node}`, severity: 'warning', title: 'member down', summary })
  }

  #disconnectClients(reason: string): void {
    const { connections } = this.#options
    const message: ConnectionMessage = { tag: 'disconnect', reasonCode: RC.administrative_action, reason }
    const clients = [...connections.list()]
    for (const { connection } of clients) this.#self.send(connection, message)
    this.#self.runtime.logger.info({ clients: clients.length, reason }, 'clients of this node are disconnected')
  }

  // Members that are down

  #isDown(node: string): void {
    const down = {}
    this.#down.set(node, down)
    this.#later({ tag: 'overdue', node, down })
  }

  #isUp(node: string): void {
    this.#down.delete(node)
    this.#options.alarms.clear(`${MEMBER_DOWN}/${node}`)
  }

  #later(overdue: Overdue): void {
    const { autocleanMs } = this.#options
    if (autocleanMs > 0) this.#self.sendAfter(autocleanMs, this.#self.pid, overdue)
  }

  async #overdue(overdue: Overdue): Promise<void> {
    const { node, down } = overdue
    if (this.#down.get(node) !== down) return
    const { logger } = this.#self.runtime
    const { mnesia, autocleanMs } = this.#options
    if (!this.#decides()) {
      logger.info({ peer: node }, `${node} is down for long; this side is not the greater one, and removes nobody`)
      this.#later(overdue)
      return
    }
    this.#cleaned.add(node)
    const removed = await mnesia.remove(node)
    if (removed.ok) {
      logger.warn({ peer: node, autocleanMs }, `${node} was down for longer than cluster.autoclean and is removed`)
      return
    }
    this.#cleaned.delete(node)
    if (removed.reason !== 'node_not_in_cluster') this.#later(overdue)
  }

  async #invite({ node }: Invite): Promise<void> {
    if (!this.#cleaned.has(node)) return
    const { logger } = this.#self.runtime
    try {
      const name = { name: CLUSTER, node }
      const answer = await cluster.callWithin(this.#self, REJOIN_TIMEOUT_MS, name, 'rejoin', this.#self.pid.node)
      if (answer === true) return
      logger.error({ peer: node }, `${node} does not join again: ${answer}`)
      this.#cleaned.delete(node)
    } catch (error) {
      if (!(error instanceof Exit)) throw error
      // It starts; or it is gone again, and greets when it returns.
      if (error.reason === 'noproc') this.#inviteLater(node, INVITE_PAUSE_MS)
    }
  }

  #inviteLater(node: string, delayMs: number): void {
    this.#self.sendAfter(delayMs, this.#self.pid, { tag: 'invite', node } satisfies Invite)
  }

  /** Whether this side of what may be a partition is the one that decides about the other. */
  #decides(): boolean {
    const { running, stopped } = this.#options.mnesia.status()
    if (running.length !== stopped.length) return running.length > stopped.length
    return [...running, ...stopped].sort()[0] === running[0]
  }
}

const WHAT_HAPPENED = {
  join: 'this node has joined a cluster',
  leave: 'this node has left its cluster',
  removed: 'this node was removed from its cluster',
} as const

/** The server. */
export const cluster = genServer<ClusterState, Calls, Record<never, never>, ClusterOptions>({
  label: CLUSTER,
  init: (options, self) => ok(new ClusterState(self, options)),
  calls: { rejoin: async ({ state }, node) => reply(await state.rejoin(node), state) },
  info: ({ state }, message) => state.handle(message as SystemEventMessage | Overdue | Invite),
  formatState: (state) => state.describe(),
})
