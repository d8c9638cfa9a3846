import { describe, expect, onTestFinished, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { PubSub } from '../../src/broker/routing/pubsub.ts'
import { type FromRouter, RouterPool, router, type ToRouter } from '../../src/broker/routing/router.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { ROUTE } from '../../src/broker/tables.ts'
import type { Tables, WriteOutcome } from '../../src/mnesia/table.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'
import { type Deliver, message, parsed, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

interface Session {
  readonly pid: Pid
  readonly answers: FromRouter[]
  readonly ids: string[]
  subscribe(...filters: string[]): void
  unsubscribe(...filters: string[]): void
}

interface Fixture {
  readonly sim: Simulation
  readonly runtime: Runtime
  readonly routing: Routing
  readonly pubsub: PubSub
  readonly pool: RouterPool
  session(clientId?: string, durable?: boolean): Session
}

async function fixture({ seed = 1, poolSize = 1, tables = new TestTables() as Tables, late = [] as string[][] } = {}) {
  const sim = simulate({ seed })
  onTestFinished(() => sim.stop())
  const runtime = sim.node('a')
  const routing = new Routing(runtime.node.name, tables)
  const pubsub = new PubSub({
    routing,
    send: (to, sent) => runtime.send(to, sent),
    random: () => runtime.random(),
  })
  const pool = new RouterPool(runtime, poolSize)
  const onUnconfirmed = (nodes: readonly string[]) => void late.push([...nodes])
  const starts = pool.names.map((name, index) =>
    router.start(runtime, { routing, index, poolSize, onUnconfirmed }, { name }),
  )
  await sim.run()
  await Promise.all(starts)
  let made = 0
  const session = (clientId = `c${++made}`, durable = false): Session => {
    const answers: FromRouter[] = []
    const ids: string[] = []
    const pid = runtime.spawn({
      receive: (got) => {
        const received = got as FromRouter | Deliver
        if (received.tag !== 'deliver') answers.push(received)
        else for (const { batch } of received.runs) ids.push(...batch.messages.map(({ id }) => id))
      },
    })
    let ticket = 0
    const ask = (asked: ToRouter) => runtime.send(pool.of(pid)!, asked)
    return {
      pid,
      answers,
      ids,
      subscribe: (...filters) => {
        const subscriptions = filters.map((filter) => request(filter))
        ask({ tag: 'subscribe', from: pid, ticket: ++ticket, clientId, durable, subscriptions })
      },
      unsubscribe: (...filters) =>
        ask({ tag: 'unsubscribe', from: pid, ticket: ++ticket, filters: filters.map(parsed) }),
    }
  }
  return { sim, runtime, routing, pubsub, pool, session } satisfies Fixture
}

const listing = (routing: Routing) =>
  [...routing.routes()].map(({ filter, nodes }) => `${filter} -> ${nodes.join()}`).sort()

const sizes = ({ routing }: Fixture) => ({
  routes: routing.global.routes.size,
  localRoutes: routing.local.routes.size,
  members: routing.global.members.size + routing.local.members.size,
  groups: routing.global.groups.size + routing.local.groups.size,
  trie: routing.global.trie.nodeCount + routing.local.trie.nodeCount,
  filters: routing.subscribers.filterCount,
  subscriptions: routing.subscribers.subscriptionCount,
  known: routing.subscribers.knownCount,
})

const EMPTY = { routes: 0, localRoutes: 0, members: 0, groups: 0, trie: 0, filters: 0, subscriptions: 0, known: 0 }

describe('the router', () => {
  test('answers a subscribe when the route stands, and every filter is then routed', async () => {
    const { sim, session, pubsub, routing } = await fixture()
    const one = session()
    one.subscribe('t/+/x', 't/a', 't/#')
    await sim.run()
    expect(one.answers).toEqual([{ tag: 'subscribed', ticket: 1, codes: undefined }])
    expect(listing(routing)).toEqual(['t/# -> a@sim', 't/+/x -> a@sim', 't/a -> a@sim'])
    expect(pubsub.publish([message('t/a', '1'), message('t', '2')])).toBe(2)
    await sim.run()
    expect(one.ids).toEqual(['1', '2'])
  })

  test('keeps the trie in emqttd’s shape while clients come and go', async () => {
    const { sim, session, routing } = await fixture()
    const [one, two, three] = [session(), session(), session()]
    one.subscribe('t/+/x', 't/+/y')
    two.subscribe('t/#')
    three.subscribe('t/+/x', 't/a')
    await sim.run()
    const { trie } = routing.global
    expect([trie.nodeCount, trie.edgeCount, trie.edgesOf(undefined), trie.edgesOf('t'), trie.edgesOf('t/+')]).toEqual([
      6, 5, 1, 2, 2,
    ])
    one.unsubscribe('t/+/x')
    await sim.run()
    expect([trie.nodeCount, routing.route('t/+/x')?.nodes]).toEqual([6, ['a@sim']])
    three.unsubscribe('t/+/x', 't/a')
    await sim.run()
    expect(listing(routing)).toEqual(['t/# -> a@sim', 't/+/y -> a@sim'])
    expect([trie.nodeCount, trie.edgeCount]).toEqual([5, 4])
  })

  test('keeps one route for many subscribers, until the last has gone', async () => {
    const { sim, session, routing } = await fixture()
    const sessions = Array.from({ length: 40 }, () => session())
    for (const each of sessions) each.subscribe('t')
    await sim.run()
    expect([routing.global.routes.size, routing.stats().subscriptions.count]).toEqual([1, 40])
    for (const each of sessions.slice(1)) each.unsubscribe('t')
    await sim.run()
    expect(routing.global.routes.size).toBe(1)
    sessions[0]!.unsubscribe('t', 't', 'never')
    await sim.run()
    expect([routing.global.routes.size, sessions[0]!.answers.length]).toEqual([0, 2])
  })

  test('writes nothing for a filter that comes and goes within one turn', async () => {
    const { sim, session, routing } = await fixture()
    const one = session()
    const before = routing.global.routes.version
    one.subscribe('t')
    one.unsubscribe('t')
    await sim.run()
    expect([routing.global.routes.version, one.answers.map(({ tag }) => tag)]).toEqual([
      before,
      ['subscribed', 'unsubscribed'],
    ])
  })

  test('says in the route whether a session behind it is durable', async () => {
    const { sim, session, routing, runtime, pool } = await fixture()
    const [clean, durable] = [session('c', false), session('d', true)]
    const flags = () => routing.global.routes.read('t').map((row) => row.durable)
    clean.subscribe('t', '$share/g/u')
    await sim.run()
    expect(flags()).toEqual([false])
    durable.subscribe('t')
    await sim.run()
    expect(flags()).toEqual([true])
    durable.unsubscribe('t')
    await sim.run()
    expect(flags()).toEqual([false])
    runtime.send(pool.of(clean.pid)!, { tag: 'durable', from: clean.pid, durable: true } satisfies ToRouter)
    await sim.run()
    expect(flags()).toEqual([true])
    expect(routing.global.routes.read('u')).toEqual([{ filter: 'u', node: 'a@sim', durable: true, group: true }])
    expect(routing.global.members.read('u')).toMatchObject([{ group: 'g', clientId: 'c', durable: true }])
  })

  test('lists the subscriptions of a client of this node, oldest first', async () => {
    const { sim, session, routing } = await fixture()
    const one = session('client1')
    one.subscribe('t/y', 't/+/x', '$share/g/t')
    await sim.run()
    expect(routing.subscriptions.read('client1').map(({ filter }) => filter)).toEqual(['t/y', 't/+/x', '$share/g/t'])
    const { subscriptions } = routing
    expect([subscriptions.read('stranger'), subscriptions.has('stranger')]).toEqual([[], false])
    expect([[...subscriptions.keys()], subscriptions.size, [...subscriptions.rows()]]).toEqual([
      ['client1'],
      3,
      subscriptions.read('client1'),
    ])
    expect(subscriptions.get('client1')).toEqual({
      clientId: 'client1',
      filter: 't/y',
      qos: 0,
      noLocal: false,
      rap: false,
      id: undefined,
    })
    expect(routing.stats()).toMatchObject({
      topics: { count: 3, max: 3 },
      routes: { count: 3, max: 3 },
      subscribers: { count: 1, max: 1 },
      subscriptions: { count: 3, max: 3 },
    })
  })

  test('removes everything of a session that dies, of which it is told once', async () => {
    const made = await fixture()
    const { sim, session, runtime } = made
    const [dying, other] = [session('same'), session('other')]
    dying.subscribe('a', 'b/+', '$local/c', '$share/g/d', '$local/$share/g/e')
    other.subscribe('a')
    await sim.run()
    expect(runtime.process(dying.pid)!.monitoredBy!.size).toBe(1)
    runtime.exit(dying.pid, 'kill')
    await sim.run()
    expect(sizes(made)).toEqual({ ...EMPTY, routes: 1, filters: 1, subscriptions: 1, known: 1 })
    runtime.exit(other.pid, 'kill')
    await sim.run()
    expect(sizes(made)).toEqual(EMPTY)
    expect(made.routing.stats().subscriptions).toEqual({ count: 0, max: 6 })
  })

  test('a subscribe of a session that is dead by then leaves nothing behind', async () => {
    const made = await fixture()
    const one = made.session()
    one.subscribe('a/+')
    made.runtime.exit(one.pid, 'kill')
    await made.sim.run()
    expect(sizes(made)).toEqual(EMPTY)
  })

  test('serves others while it removes the many subscriptions of a dead session', async () => {
    const made = await fixture()
    const { sim, session, runtime, routing, pool } = made
    const [big, other] = [session(), session()]
    big.subscribe(...Array.from({ length: 20_000 }, (_, i) => `t/${i}`))
    await sim.run()
    runtime.exit(big.pid, 'kill')
    // The DOWN message is in the router's mailbox, and this behind it.
    other.subscribe('x')
    const process = runtime.process(pool.of(other.pid)!)!
    while (other.answers.length === 0 && process.mailbox.length > 0) {
      process.run(1)
      runtime.process(other.pid)!.run(1)
    }
    expect(other.answers).toHaveLength(1)
    expect(routing.subscribers.subscriptionCount).toBeGreaterThan(15_000)
    await sim.run()
    expect(routing.subscribers.subscriptionCount).toBe(1)
  })

  test('goes on after a crash with what it knew, and monitors the sessions again', async () => {
    const made = await fixture()
    const { sim, session, runtime, routing, pool, pubsub } = made
    const one = session()
    one.subscribe('a/+')
    await sim.run()
    runtime.exit(pool.of(one.pid)!, 'kill')
    await sim.run()
    expect(pool.of(one.pid)).toBeUndefined()
    const restarted = router.start(runtime, { routing }, { name: 'router' })
    await sim.run()
    await restarted
    expect(pubsub.publish([message('a/b')])).toBe(1)
    runtime.exit(one.pid, 'kill')
    await sim.run()
    expect(sizes(made)).toEqual(EMPTY)
  })

  test('several routers share the work and the state', async () => {
    const made = await fixture({ poolSize: 3 })
    const { sim, session, pool, routing, runtime } = made
    const sessions = Array.from({ length: 9 }, () => session())
    expect(new Set(sessions.map(({ pid }) => pool.of(pid))).size).toBe(3)
    for (const each of sessions) each.subscribe('t', 'u/+')
    await sim.run()
    expect([routing.global.routes.size, sessions.every(({ answers }) => answers.length === 1)]).toEqual([2, true])
    for (const { pid } of sessions) runtime.exit(pid, 'kill')
    await sim.run()
    expect(sizes(made)).toEqual(EMPTY)
  })
})

/** Local tables whose route table makes its writers wait, as one that has other members does. */
function slowTables() {
  const tables = new TestTables()
  const waiting: ((outcome: WriteOutcome) => void)[] = []
  const routes = tables.open(ROUTE)
  const batch: typeof routes.batch = (operations, options) => {
    expect(routes.batch(operations, options)).toBeUndefined()
    if (options.wait === undefined) return undefined
    return new Promise((resolve) => waiting.push(resolve))
  }
  const slow = new Proxy(routes, {
    get: (target, name) => {
      if (name === 'batch') return batch
      // Getters of the table must see the table itself.
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const open: Tables['open'] = (definition) =>
    (definition as unknown) === ROUTE ? (slow as never) : tables.open(definition)
  return { tables: { open, all: () => tables.all() } satisfies Tables, waiting }
}

describe('a router of a cluster', () => {
  test('answers when the members have the route, in order, and not before', async () => {
    const { tables, waiting } = slowTables()
    const { sim, session, pubsub } = await fixture({ tables })
    const [one, two] = [session(), session()]
    one.subscribe('t')
    await sim.run()
    // The route of `t` is under way for the first session; the second has to wait for it as well.
    two.subscribe('t')
    await sim.run()
    expect([one.answers, two.answers, waiting.length]).toEqual([[], [], 2])
    expect(pubsub.publish([message('t')])).toBe(2)
    waiting[1]!({ unconfirmed: [] })
    await sim.run()
    expect([one.answers.length, two.answers.length]).toEqual([0, 0])
    waiting[0]!({ unconfirmed: [] })
    await sim.run()
    expect([one.answers.length, two.answers.length]).toEqual([1, 1])
    // A member that has been linked since may not have it yet.
    two.subscribe('t')
    await sim.run()
    expect(two.answers).toHaveLength(1)
    waiting[2]!({ unconfirmed: [] })
    await sim.run()
    expect(two.answers).toHaveLength(2)
  })

  test('reports requests that some members did not confirm in time, and answers them', async () => {
    const { tables, waiting } = slowTables()
    const late: string[][] = []
    const { sim, session } = await fixture({ tables, late })
    const one = session()
    one.subscribe('t')
    await sim.run()
    one.subscribe('u')
    await sim.run()
    waiting[0]!({ unconfirmed: ['b@sim', 'c@sim'] })
    await sim.run()
    expect([one.answers.length, late]).toEqual([1, [['b@sim', 'c@sim']]])
    // What the members missed of the first request is not held against the second.
    waiting[1]!({ unconfirmed: [] })
    await sim.run()
    expect([one.answers.length, late.length]).toEqual([2, 1])
  })
})

describe('under churn', () => {
  test.each([1, 2, 3, 4])(
    '1,000 random subscribes, unsubscribes and kills leave nothing behind (seed %i)',
    async (seed) => {
      const made = await fixture({ seed, poolSize: 1 + (seed % 2) })
      const { sim, session, runtime, routing } = made
      const filters = [
        'a',
        'a/b',
        'a/+',
        'a/#',
        '#',
        '+/b',
        '$local/a',
        '$local/#',
        '$share/g/a',
        '$share/h/a/+',
        '$queue/a',
      ]
      const live: { session: Session; filters: Set<string> }[] = []
      const { random } = sim
      for (let round = 0; round < 1000; round++) {
        const what = random.next()
        const each = live.length === 0 ? undefined : random.pick(live)
        const filter = random.pick(filters)
        if (each === undefined || (what < 0.1 && live.length < 20)) {
          live.push({ session: session(undefined, random.next() < 0.5), filters: new Set() })
        } else if (what < 0.6) {
          each.session.subscribe(filter)
          each.filters.add(filter)
        } else if (what < 0.9) {
          each.session.unsubscribe(filter)
          each.filters.delete(filter)
        } else {
          runtime.exit(each.session.pid, 'kill')
          live.splice(live.indexOf(each), 1)
        }
        if (random.next() < 0.3) await sim.run()
        if (round % 100 === 99) {
          await sim.run()
          const all = live.flatMap((one) => [...one.filters])
          const routed = new Set(all.map(parsed).flatMap((one) => (one.local ? [] : [one.filter])))
          expect([...routing.routes()].map((route) => route.filter).sort()).toEqual([...routed].sort())
          expect(routing.subscribers.subscriptionCount).toBe(all.length)
        }
      }
      for (const each of live) runtime.exit(each.session.pid, 'kill')
      await sim.run()
      expect(sizes(made)).toEqual(EMPTY)
    },
  )
})
