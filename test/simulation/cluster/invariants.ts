/**
 * What must be true of brokers in a cluster whenever all is quiet: all nodes that run are linked, clients are connected and have nothing under way.
 *
 * Sessions are what is true; tables, routes and connections must say the same on every node, and nothing may be left of what was
 * under way.
 */
import type { Services } from '../../../src/broker/services.ts'
import { STORED_SESSION } from '../../../src/broker/tables.ts'
import type { SimClient } from '../../support/sim/client.ts'
import { type ClusterWorld, fullName, type LiveSession } from '../../support/sim/cluster-world.ts'

/** How often it is looked whether all is quiet. */
const LOOK_MS = 500
const TOPICS = ['t/1', 't/2', 'u/1']
const SHARE = /^\$share\/([^/]+)\/(.*)$/

export class Invariants {
  readonly #world: ClusterWorld
  readonly #clients: readonly SimClient[]

  constructor(world: ClusterWorld, clients: readonly SimClient[]) {
    this.#world = world
    this.#clients = clients
  }

  /** Throws what is wrong, or not over yet. */
  check(): void {
    this.#checkMembers()
    this.#checkClients()
    const live = this.#world.liveSessions()
    this.#checkSessions(live)
    this.#checkStored(live)
    this.#checkRoutes(live)
    for (const [name, services] of this.#world.services) this.#checkNothingIsLeft(name, services)
    const lost = this.#world.ledger.lost(this.#clients)
    if (lost.length > 0) throw new Error(`${lost.length} lost: ${lost.slice(0, 4).join('; ')}`)
  }

  /** Lets time pass until all of it is true. Throws what is still wrong after `withinMs`. */
  async whenTrue(withinMs: number): Promise<void> {
    const world = this.#world
    for (let passedMs = 0; ; passedMs += LOOK_MS) {
      await world.pass(LOOK_MS)
      try {
        this.check()
        return
      } catch (error) {
        if (passedMs >= withinMs) throw error
      }
    }
  }

  #checkMembers(): void {
    const running = [...this.#world.services.keys()].map(fullName).sort()
    for (const [name, { mnesia }] of this.#world.services) {
      same([name, ...mnesia.status().running], [name, ...running])
    }
  }

  #checkClients(): void {
    for (const { id, isWanted, isUp, isSubscribed, isIdle } of this.#clients) {
      const expected = isWanted ? { id, isUp: true, isSubscribed: true, isIdle: true } : { id, isUp: false }
      same(isWanted ? { id, isUp, isSubscribed, isIdle } : { id, isUp }, expected)
    }
    const up = this.#clients.filter(({ isUp }) => isUp).map(({ id }) => id)
    const connected = [...this.#world.services.values()].flatMap(({ connections }) => {
      return [...connections.list()].map(({ clientId }) => clientId)
    })
    same(connected.sort(), up.sort())
    const processes = [...this.#world.services.values()].flatMap(({ runtime }) => {
      return [...runtime.processes].filter(({ label }) => label === 'connection')
    })
    same({ connections: processes.length }, { connections: up.length })
  }

  #checkSessions(live: ReadonlyMap<string, LiveSession>): void {
    const sessions = [...live.values()].map(({ pid, snapshot }) => {
      const { clientId, connected, expirySec } = snapshot
      return `${clientId} ${pid.key} ${connected} ${expirySec}`
    })
    const clientIds = [...live.values()].map(({ snapshot }) => snapshot.clientId).sort()
    same(clientIds, [...new Set(clientIds)])
    for (const [name, { mnesia }] of this.#world.services) {
      const rows = [...mnesia.table('session')!.rows()] as {
        clientId: string
        pid: LiveSession['pid']
        connection: string | undefined
        expirySec: number
      }[]
      const seen = rows.map(({ clientId, pid, connection, expirySec }) => {
        return `${clientId} ${pid.key} ${connection !== undefined} ${expirySec}`
      })
      same({ name, sessions: seen.sort() }, { name, sessions: sessions.sort() })
    }
    for (const { id, isUp, session } of this.#clients) {
      if (isUp && live.get(session)?.snapshot.clientId !== id) throw new Error(`${id} has no session ${session}`)
    }
    for (const [key, { snapshot }] of live) {
      const { clientId, connected, messageQueue, inflightQueue } = snapshot
      if (!connected) continue
      const awaitingRel = this.#world.switched.has(key) ? 0 : snapshot.awaitingRel
      const left = { clientId, messageQueue, inflightQueue, awaitingRel }
      same(left, { clientId, messageQueue: 0, inflightQueue: 0, awaitingRel: 0 })
    }
  }

  /** Which sessions are stored is what the disc of each node says, of those that run and those that do not. */
  #checkStored(live: ReadonlyMap<string, LiveSession>): void {
    const stored = [...live.values()].filter(({ snapshot }) => snapshot.expirySec > 0)
    const expected = stored.map(({ node, snapshot }) => `${snapshot.clientId} ${fullName(node)}`).sort()
    for (const [name, { mnesia }] of this.#world.services) {
      const rows = [...mnesia.open(STORED_SESSION).rows()].map(({ clientId, node }) => `${clientId} ${node}`)
      same({ name, stored: rows.sort() }, { name, stored: expected })
    }
  }

  #checkRoutes(live: ReadonlyMap<string, LiveSession>): void {
    const durable = new Map<string, boolean>()
    const kept = new Set<string>()
    const members: string[] = []
    for (const { node, pid, snapshot } of live.values()) {
      const { expirySec, connected } = snapshot
      for (const [key] of snapshot.subscriptions) {
        const [, group, filter = key] = SHARE.exec(key) ?? []
        const route = `${filter} ${fullName(node)} ${group === undefined ? 'plain' : 'group'}`
        durable.set(route, durable.get(route) === true || expirySec > 0)
        if (expirySec > 0) kept.add(`${key} ${fullName(node)}`)
        if (group !== undefined) members.push(`${filter} ${group} ${pid.key} ${expirySec > 0} ${connected}`)
      }
    }
    const routes = [...durable].map(([route, isDurable]) => `${route} ${isDurable}`).sort()
    for (const [name, { routing }] of this.#world.services) {
      const { global } = routing
      const rows = [...global.routes.rows()].map((row) => {
        return `${row.filter} ${row.node} ${row.group ? 'group' : 'plain'} ${row.durable}`
      })
      same({ name, routes: rows.sort() }, { name, routes })
      const shared = [...global.members.rows()].map((row) => {
        return `${row.filter} ${row.group} ${row.pid.key} ${row.durable} ${row.online}`
      })
      same({ name, members: shared.sort() }, { name, members: members.sort() })
      for (const topic of TOPICS) {
        const expected = [...new Set(rows.map((row) => row.split(' ')[0]!))].filter((filter) =>
          this.#world.matches(filter, topic),
        )
        same({ name, topic, filters: global.match(topic).sort() }, { name, topic, filters: expected.sort() })
      }
      const grouped = [...new Set(rows.map((row) => row.split(' ')[0]!))].flatMap((filter) => {
        return [...global.groups.of(filter).values()].flatMap((group) => {
          return group.members.map(({ pid }) => `${filter} ${group.share.group} ${pid.key}`)
        })
      })
      same(
        { name, grouped: grouped.sort() },
        { name, grouped: members.map((row) => row.split(' ').slice(0, 3).join(' ')).sort() },
      )
    }
    this.#checkDurableRoutes([...kept].sort())
  }

  /** What members would keep for a node that is away is what its lasting sessions subscribe, and nobody is away. */
  #checkDurableRoutes(durable: readonly string[]): void {
    for (const [name, { mnesia, routing }] of this.#world.services) {
      const rows = [...mnesia.table('durable_route')!.rows()] as { filter: string; node: string }[]
      same({ name, durable: rows.map(({ filter, node }) => `${filter} ${node}`).sort() }, { name, durable })
      same({ name, parked: routing.parked.nodes() }, { name, parked: [] })
    }
  }

  #checkNothingIsLeft(name: string, { runtime, forwarding, alarms }: Services): void {
    const state = (process: string) => runtime.process(runtime.whereis(process)!)!.behaviour.state
    const { opening, pending } = state('sm') as Record<string, number>
    same({ name, opening, pending }, { name, opening: 0, pending: 0 })
    const { unanswered, dying } = state('router') as Record<string, number>
    same({ name, unanswered, dying }, { name, unanswered: 0, dying: 0 })
    same({ name, kept: this.#world.keptBy(name) }, { name, kept: 0 })
    // Clocks are wrong.
    const raised = alarms.list().flatMap(({ id }) => (id.startsWith('clock_skew/') ? [] : [id]))
    same({ name, raised }, { name, raised: [] })
    for (const [node, { unconfirmed, bytes }] of Object.entries(forwarding.status())) {
      same({ name, node, unconfirmed, bytes }, { name, node, unconfirmed: 0, bytes: 0 })
    }
  }
}

/** Throws when two are not the same; how they differ is said in one line, since many schedules may fail. */
export function same(found: unknown, expected: unknown): void {
  const [is, should] = [JSON.stringify(found), JSON.stringify(expected)]
  if (is !== should) throw new Error(`found ${is} instead of ${should}`)
}
