/** What a node keeps for members that are away, by what their lasting sessions subscribe. */
import { expect, test } from 'vitest'
import { Routing } from '../../src/broker/routing/routing.ts'
import { DURABLE_ROUTE } from '../../src/broker/tables.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { parsed, pidOf, request } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

class Node {
  readonly tables: TestTables
  readonly routing: Routing
  #made = 0

  constructor(tables: TestTables) {
    this.tables = tables
    this.routing = new Routing(tables.name, tables)
  }

  /** A session that subscribes. */
  session(durable: boolean, ...filters: string[]) {
    const { routing } = this
    this.#made += 1
    const { subscriber } = routing.admit(
      pidOf(this.#made, { name: this.tables.name, creation: 1 }),
      `c${this.#made}`,
      durable,
    )
    for (const filter of filters) routing.subscribe(subscriber, request(filter))
    void routing.flush({})
    return {
      unsubscribe: (filter: string) => {
        routing.unsubscribe(subscriber, parsed(filter))
        void routing.flush({})
      },
      setDurable: (isDurable: boolean) => {
        routing.setDurable(subscriber, isDurable)
        void routing.flush({})
      },
    }
  }

  get durable(): string[] {
    const table = this.tables.open(DURABLE_ROUTE)
    return [...table.rows()].map(({ filter, node }) => `${filter} -> ${node}`).sort()
  }
}

test('the filters of sessions that outlive their connection, and no others, are on disc', () => {
  const node = new Node(new TestTables('a@sim'))
  const first = node.session(true, 't/+', 'x', '$share/g/s', '$local/l')
  const second = node.session(false, 'x', 'y')
  expect(node.durable).toEqual(['$share/g/s -> a@sim', 't/+ -> a@sim', 'x -> a@sim'])
  first.unsubscribe('x')
  first.unsubscribe('$share/g/s')
  expect(node.durable).toEqual(['t/+ -> a@sim'])
  second.setDurable(true)
  expect(node.durable).toEqual(['t/+ -> a@sim', 'x -> a@sim', 'y -> a@sim'])
  second.setDurable(false)
  first.setDurable(false)
  expect(node.durable).toEqual([])
})

test('what an earlier run has left goes when the sessions have subscribed again', () => {
  const node = new Node(new TestTables('a@sim'))
  const table = node.tables.open(DURABLE_ROUTE)
  for (const filter of ['left/#', 'left', 'kept']) table.write({ filter, node: 'a@sim' })
  node.session(true, 'kept')
  node.session(false, 'left')
  node.routing.forgetFormer()
  expect(node.durable).toEqual(['kept -> a@sim'])
})

test('a member is away from the loss of it until it is ready, in which time it may come and be lost again', () => {
  const a = new Node(new TestTables('a@sim'))
  const b = new Node(a.tables.member('b@sim'))
  b.session(true, 't/+/x', 'exact')
  b.session(false, 'volatile')
  a.tables.settle()
  const { parked } = a.routing
  parked.release('b@sim')
  expect([parked.match('exact'), parked.nodes()]).toEqual([[], []])
  a.tables.network.kill('b@sim')
  a.tables.settle()
  const found = () => ['exact', 't/1/x', 'volatile'].map((topic) => parked.match(topic))
  expect(found()).toEqual([['b@sim'], ['b@sim'], []])
  // Its sessions are not there yet.
  new Node(a.tables.member('b@sim'))
  a.tables.settle()
  expect(found()).toEqual([['b@sim'], ['b@sim'], []])
  a.tables.network.kill('b@sim')
  a.tables.settle()
  expect(found()).toEqual([['b@sim'], ['b@sim'], []])
  parked.release('b@sim')
  expect([found(), parked.nodes()]).toEqual([[[], [], []], []])
})

test('the groups of members that are away are known, and the nodes on which they are awaited', () => {
  const a = new Node(new TestTables('a@sim'))
  const b = new Node(a.tables.member('b@sim'))
  b.session(true, '$share/g/t/+', '$share/h/t/+', '$share/g/t/1', 't/#')
  b.session(false, '$share/volatile/t/+')
  a.tables.settle()
  const { parked } = a.routing
  const g = { group: 'g', filter: 't/+' }
  parked.release('b@sim')
  expect([parked.shares('t/1'), a.routing.awaitedOn(g), b.routing.awaitedOn(g)]).toEqual([[], ['b@sim'], []])
  a.tables.network.kill('b@sim')
  a.tables.settle()
  expect(parked.match('t/1')).toEqual(['b@sim'])
  const keys = parked.shares('t/1').map(({ group, filter }) => `${group} ${filter}`)
  expect(keys.sort()).toEqual(['g t/+', 'g t/1', 'h t/+'])
  expect([a.routing.awaitedOn(g), a.routing.awaitedOn({ group: 'volatile', filter: 't/+' })]).toEqual([['b@sim'], []])
})

test('a member that is there and ready is not away, whatever comes of its rows', () => {
  const a = new Node(new TestTables('a@sim'))
  const tables = a.tables.member('b@sim')
  a.routing.parked.release('b@sim')
  new Node(tables).session(true, 'exact')
  a.tables.settle()
  expect(a.routing.parked.match('exact')).toEqual([])
  a.tables.network.kill('b@sim')
  a.tables.settle()
  expect(a.routing.parked.match('exact')).toEqual(['b@sim'])
  a.routing.parked.forget('b@sim')
  expect(a.routing.parked.nodes()).toEqual([])
})

test('who becomes a member while another one is down learns from the others what to keep for it', () => {
  const a = new Node(new TestTables('a@sim'))
  const b = new Node(a.tables.member('b@sim'))
  b.session(true, 't/+/x', 'exact')
  a.tables.settle()
  a.tables.network.kill('b@sim')
  a.tables.settle()
  const changes: string[] = []
  const c = new Node(a.tables.member('c@sim'))
  c.routing.onChange((filter) => void changes.push(filter))
  a.tables.settle()
  expect([c.routing.parked.match('exact'), c.routing.parked.match('t/1/x')]).toEqual([['b@sim'], ['b@sim']])
  expect(changes).toContain('#')
})

test('what members subscribe that are away is known to a node that has been restarted since', () => {
  const store = new MemoryStore()
  const tables = new TestTables('a@sim', undefined, store)
  const a = new Node(tables)
  const b = new Node(a.tables.member('b@sim'))
  b.session(true, 't/+/x', 'exact')
  a.tables.settle()
  for (const name of ['a@sim', 'b@sim']) tables.network.kill(name)
  const { parked } = new Node(new TestTables('a@sim', tables.network, store)).routing
  parked.park('b@sim')
  expect([parked.match('exact'), parked.match('t/1/x')]).toEqual([['b@sim'], ['b@sim']])
})
