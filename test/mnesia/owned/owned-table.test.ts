/** Owned tables as their users see them: reads over several owners, waits, events, copies; and what hostile or damaged peers can do. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type TableDefinition, table } from '../../../src/mnesia/definition.ts'
import { NoCopyError } from '../../../src/mnesia/errors.ts'
import type { AnyRows } from '../../../src/mnesia/owned/core.ts'
import type { TableEvent, WriteOutcome } from '../../../src/mnesia/table.ts'
import { BAG, COMPACT, DISC_SET, ORDERED, OwnedWorld, type Row, SET, shown, type WorldOptions } from './owned-world.ts'

const row = (k: string, v = 0, id = 0): Row => ({ k, id, v })

/** Two or more nodes that are linked. */
function linked(names: readonly string[], options: Partial<WorldOptions> = {}): OwnedWorld {
  const world = new OwnedWorld({ seed: 1, ...options })
  for (const name of names) world.start(name)
  world.network.settle(500)
  return world
}

function settle(world: OwnedWorld): void {
  world.network.settle(500)
  world.check(true)
}

async function outcomeOf(promise: Promise<WriteOutcome> | undefined): Promise<WriteOutcome> {
  expect(promise).toBeInstanceOf(Promise)
  return (await promise)!
}

test('a key of several owners reads as one row for each, this node first', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [SET] })
  for (const [i, name] of ['c', 'a', 'b'].entries()) world.write(name, SET, [{ op: 'write', row: row('k', i) }])
  settle(world)
  expect(
    world
      .table('b', SET)
      .read('k')
      .map(({ v }) => v),
  ).toEqual([2, 1, 0])
  expect(world.table('b', SET).get('k')).toEqual(row('k', 2))
  expect([world.table('b', SET).size, world.table('b', SET).keyCount]).toEqual([3, 1])
})

test('a delete removes the rows of this node and no others', () => {
  const world = linked(['a', 'b'], { definitions: [BAG] })
  world.write(
    'a',
    BAG,
    [1, 2].map((id) => ({ op: 'write', row: row('k', 0, id) })),
  )
  world.write('b', BAG, [{ op: 'write', row: row('k', 0, 3) }])
  settle(world)
  world.write('b', BAG, [{ op: 'delete', key: 'k' }])
  settle(world)
  expect(
    world
      .table('a', BAG)
      .read('k')
      .map(({ id }) => id),
  ).toEqual([1, 2])
  world.write('a', BAG, [{ op: 'delete_object', row: row('k', 9, 1) }])
  settle(world)
  expect(
    world
      .table('b', BAG)
      .read('k')
      .map(({ id }) => id),
  ).toEqual([2])
})

test('rows hide with their owner and are back with it, in one event and a new version, as they were', () => {
  const world = linked(['a', 'b'], { definitions: [ORDERED] })
  world.write('b', ORDERED, [
    { op: 'write', row: row('k', 1) },
    { op: 'write', row: row('p', 2) },
  ])
  settle(world)
  const seen = world.table('a', ORDERED)
  const events: TableEvent<Row>[] = []
  const end = seen.subscribe((event) => events.push(event))
  const before = seen.version
  world.network.cut('a', 'b')
  settle(world)
  expect([[...seen.rows()], seen.size, seen.has('k')]).toEqual([[], 0, false])
  expect(seen.version).toBeGreaterThan(before)
  expect([seen.readParked('k'), seen.readParked('p')]).toEqual([[], [row('p', 2)]])
  expect(shown(seen.rowsOf('b'))).toEqual(['k/0/1', 'p/0/2'])
  const hidden = seen.version
  world.network.mend('a', 'b')
  settle(world)
  expect(seen.version).toBeGreaterThan(hidden)
  expect([seen.size, seen.readParked('p')]).toEqual([2, []])
  expect(events).toEqual([
    { type: 'hidden', owner: 'b' },
    { type: 'shown', owner: 'b' },
  ])
  end()
  world.write('b', ORDERED, [{ op: 'delete', key: 'k' }])
  settle(world)
  expect(events).toHaveLength(2)
})

test('keys of an ordered_set are in order over all owners, each once', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [ORDERED] })
  const keys = { a: ['b', 'd', 'x'], b: ['a', 'd', 'e'], c: ['c', 'x', 'z'] }
  for (const [name, own] of Object.entries(keys))
    world.write(
      name,
      ORDERED,
      own.map((k) => ({ op: 'write', row: row(k) })),
    )
  settle(world)
  const seen = world.table('b', ORDERED)
  const all = ['a', 'b', 'c', 'd', 'e', 'x', 'z']
  expect([...seen.keys()]).toEqual(all)
  expect([seen.first(), seen.last(), seen.next('d'), seen.prev('d'), seen.ceiling('f'), seen.next('z')]).toEqual([
    'a',
    'z',
    'e',
    'c',
    'x',
    undefined,
  ])
  expect(seen.select(() => true, { limit: 3, after: 'b' }).map(({ k }) => k)).toEqual(['c', 'd', 'd'])
})

test('pages of a set over several owners have every key once, whatever comes and goes between them', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  for (let i = 0; i < 300; i++) world.write(i % 3 === 0 ? 'a' : 'b', SET, [{ op: 'write', row: row(`key${i}`) }])
  for (let i = 0; i < 50; i++) world.write('b', SET, [{ op: 'write', row: row(`key${i * 3}`) }])
  settle(world)
  const seen = world.table('a', SET)
  const found: string[] = []
  for (let after: string | undefined; ; after = found.at(-1)) {
    const page = seen.select(() => true, after === undefined ? { limit: 20 } : { limit: 20, after })
    if (page.length === 0) break
    found.push(...new Set(page.map(({ k }) => k)))
    world.write('a', SET, [
      { op: 'write', row: row(`new${found.length}`) },
      { op: 'delete', key: `new${found.length - 40}` },
    ])
  }
  expect(new Set(found).size).toBe(found.length)
  expect(found.filter((key) => key.startsWith('key'))).toHaveLength(300)
})

test('rows are found by index and by pattern over all owners', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  world.write('a', SET, [
    { op: 'write', row: row('one', 7) },
    { op: 'write', row: row('two', 8) },
  ])
  world.write('b', SET, [{ op: 'write', row: row('three', 7) }])
  settle(world)
  const seen = world.table('a', SET)
  expect(shown(seen.indexRead('v', 7))).toEqual(['one/0/7', 'three/0/7'])
  expect(shown(seen.match({ v: 7, k: 'three' }))).toEqual(['three/0/7'])
  expect(shown(seen.match({ id: 0 }))).toEqual(['one/0/7', 'three/0/7', 'two/0/8'])
  expect(() => seen.indexRead('id', 0)).toThrow(new TypeError('set has no index on id'))
  expect(() => seen.first()).toThrow(TypeError)
})

test('keys of owners with many of them are counted in the turns after they have appeared', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  const writes = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ op: 'write' as const, row: row(`key${from + i}`) }))
  void world.table('a', SET).batch(writes(0, 6000), {})
  void world.table('b', SET).batch(writes(4000, 9000), {})
  const seen = world.table('a', SET)
  while (seen.size < 11_000) expect(world.network.step()).toBe(true)
  expect(seen.keyCount).toBeGreaterThanOrEqual(6000)
  expect(seen.keyCount).toBeLessThanOrEqual(11_000)
  world.network.settle(500)
  expect(seen.keyCount).toBe(9000)
  void world
    .table('b', SET)
    .batch([{ op: 'delete', key: 'key5000' }, { op: 'delete', key: 'key8000' }, ...writes(9000, 9001)], {})
  world.network.settle(500)
  expect(seen.keyCount).toBe(9000)
})

test('a write waits for nobody when this node is alone, nor when it is in memory and is to be durable', () => {
  const world = linked(['a'], { definitions: [SET] })
  expect(world.table('a', SET).write(row('k'), { wait: 'members' })).toBeUndefined()
  expect(world.table('a', SET).write(row('k'), { wait: 'durable' })).toBeUndefined()
})

test('a write that waits is complete when the members have it, and names those who did not confirm in time', async () => {
  const world = linked(['a', 'b', 'c'], { definitions: [SET] })
  const all = world.table('a', SET).write(row('k'), { wait: 'members' })
  world.network.settle(500)
  expect(await outcomeOf(all)).toEqual({ unconfirmed: [] })
  expect([world.table('b', SET).has('k'), world.table('c', SET).has('k')]).toEqual([true, true])
  world.network.freeze('c')
  const some = world.table('a', SET).write(row('l'), { wait: 'members', timeoutMs: 300 })
  world.network.advance(400)
  expect(await outcomeOf(some)).toEqual({ unconfirmed: ['c'] })
  expect(world.table('b', SET).has('l')).toBe(true)
})

test('a durable write is complete when the disc has it, and is there after a kill', async () => {
  const world = linked(['a'], { definitions: [DISC_SET] })
  let outcome: WriteOutcome | undefined
  void world
    .table('a', DISC_SET)
    .write(row('k', 1), { wait: 'durable' })
    ?.then((it) => {
      outcome = it
    })
  world.wrote('a', DISC_SET)
  await Promise.resolve()
  expect(outcome).toBeUndefined()
  world.network.settle(500)
  await new Promise((resolve) => setImmediate(resolve))
  expect(outcome).toEqual({ unconfirmed: [] })
  world.kill('a')
  world.start('a')
  expect(shown(world.table('a', DISC_SET).rows())).toEqual(['k/0/1'])
})

test('a row that cannot be encoded is refused with all of its batch', () => {
  const world = linked(['a', 'b'], { definitions: [SET, COMPACT] })
  const bad = { ...row('bad'), v: (() => 0) as unknown as number }
  expect(() =>
    world.table('a', SET).batch(
      [
        { op: 'write', row: row('k') },
        { op: 'write', row: bad },
      ],
      {},
    ),
  ).toThrow(/function/)
  expect(() => world.table('a', COMPACT).write(row('k', 0, -1))).toThrow(RangeError)
  expect([world.table('a', SET).size, world.table('a', COMPACT).size]).toEqual([0, 0])
  settle(world)
})

test('a batch that is too large is refused where it is written', () => {
  const world = linked(['a', 'b'], { definitions: [SET], limits: { entryBytes: 1000 } })
  const many = Array.from({ length: 100 }, (_, i) => ({ op: 'write' as const, row: row(`key${i}`) }))
  expect(() => world.table('a', SET).batch(many, {})).toThrow(/more than 1000/)
  expect(world.table('a', SET).size).toBe(0)
})

test('a node without a copy says who has one', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [SET] })
  world.write('b', SET, [{ op: 'write', row: row('k') }])
  settle(world)
  world.setCopy('b', SET, 'none')
  settle(world)
  const seen = world.table('b', SET)
  expect(() => seen.get('k')).toThrow(new NoCopyError('set', ['a', 'c']))
  for (const use of [
    () => seen.has('k'),
    () => seen.read('k'),
    () => seen.size,
    () => seen.write(row('k')),
    () => [...seen.rows()],
  ]) {
    expect(use).toThrow(NoCopyError)
  }
  // Its rows have gone with its copy.
  expect([world.table('a', SET).size, world.table('c', SET).size]).toEqual([0, 0])
})

test('who was away while a copy went and came back does not take the new rows for a continuation of the old', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  for (let i = 0; i < 5; i++) world.write('a', SET, [{ op: 'write', row: row(`old${i}`) }])
  settle(world)
  world.network.cut('a', 'b')
  settle(world)
  world.setCopy('a', SET, 'none')
  world.setCopy('a', SET, 'ram_copies')
  for (let i = 0; i < 9; i++) world.write('a', SET, [{ op: 'write', row: row(`new${i}`) }])
  world.network.mend('a', 'b')
  settle(world)
  expect(shown(world.table('b', SET).rows())).toEqual(shown(world.table('a', SET).rows()))
})

test('a copy moves to disc in pieces while it is written, and back to memory', async () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  const seen = world.table('a', SET)
  void seen.batch(
    Array.from({ length: 5000 }, (_, i) => ({ op: 'write' as const, row: row(`key${i}`) })),
    {},
  )
  world.network.settle(500)
  world.setCopy('a', SET, 'disc_copies')
  for (let i = 0; i < 30; i++) {
    seen.write(row(`new${i}`, i))
    seen.delete(`key${i * 100}`)
    world.network.step()
  }
  const flushed = seen.write(row('last'), { wait: 'durable' })
  world.network.settle(500)
  await outcomeOf(flushed)
  const rows = shown(seen.rows())
  world.kill('a')
  world.start('a', [table<Row>('set', { ...SET, copies: 'disc_copies' })])
  expect(shown(world.table('a', SET).rows())).toEqual(rows)
})

test('rows of a member that is removed are removed', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [SET, DISC_SET] })
  for (const definition of [SET, DISC_SET]) world.write('b', definition, [{ op: 'write', row: row('k', 5) }])
  settle(world)
  world.kill('b')
  settle(world)
  expect(world.table('a', DISC_SET).readParked('k')).toEqual([row('k', 5)])
  world.setMembers(['a', 'c'])
  settle(world)
  expect(world.table('a', DISC_SET).readParked('k')).toEqual([])
  expect([...world.table('a', DISC_SET).rowsOf('b')]).toEqual([])
  world.checkQuiet()
})

test('who is cut off from an owner follows it through others, without showing it', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [DISC_SET] })
  world.network.cut('a', 'c')
  settle(world)
  world.write('a', DISC_SET, [{ op: 'write', row: row('k', 1) }])
  settle(world)
  const seen = world.table('c', DISC_SET)
  expect([seen.has('k'), seen.readParked('k')]).toEqual([false, [row('k', 1)]])
  expect(world.table('b', DISC_SET).has('k')).toBe(true)
  world.checkQuiet()
})

test('two that each take the other for the one who has more of an owner do not send each other its rows for ever', () => {
  const world = linked(['a', 'b', 'c'], { definitions: [SET] })
  const { network } = world
  world.write('b', SET, [{ op: 'write', row: row('k') }])
  settle(world)
  network.cut('b', 'c')
  settle(world)
  // Who is connected to the owner forgets its rows, who is not keeps them.
  world.setCopy('b', SET, 'none')
  settle(world)
  network.cut('a', 'b')
  network.advance(5000)
  const { messages } = network.sent.get('snapshot')!
  network.advance(60_000)
  expect(network.sent.get('snapshot')!.messages).toBe(messages)
  const rows = ['a', 'c'].map((name) => shown(world.table(name, SET).rowsOf('b')))
  expect(rows).toEqual([shown([row('k')]), shown([row('k')])])
})

test('who is not connected to an owner does not wait for rows that it has given up', () => {
  const world = linked(['a', 'b', 'c', 'd'], { definitions: [SET] })
  const { network } = world
  world.write('d', SET, [{ op: 'write', row: row('k') }])
  settle(world)
  network.cut('a', 'd')
  settle(world)
  world.kill('b')
  network.cut('b', 'd')
  world.setCopy('d', SET, 'none')
  settle(world)
  // It hears of them from one who is cut off as well, and of another one that is not.
  world.start('b')
  network.settle(500)
  expect(['a', 'c'].map((name) => world.node('b').replication.isCaughtUp(name))).toEqual([true, true])
})

test('the log has all batches since its first, or none: also when the only other member has just been removed', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  const { log } = world.node('a').replication.core
  world.write('a', SET, [{ op: 'write', row: row('k') }])
  settle(world)
  const rows = world.table('a', SET).of('a') as AnyRows
  world.setMembers(['a'])
  expect(world.node('a').peers).toEqual(['b'])
  world.write('a', SET, [{ op: 'write', row: row('l') }])
  expect(log.first(rows, 3)).toBe(1)
  settle(world)
  world.write('a', SET, [{ op: 'write', row: row('m') }])
  expect([log.first(rows, 4), log.bytes]).toEqual([4, 0])
  world.setMembers(['a', 'b'])
  settle(world)
  expect(shown(world.table('b', SET).rows())).toEqual(shown(['k', 'l', 'm'].map((key) => row(key))))
})

test('a large table comes in small messages', () => {
  const world = linked(['a'], { definitions: [SET], limits: { chunkBytes: 8 << 10, windowBytes: 32 << 10 } })
  void world.table('a', SET).batch(
    Array.from({ length: 20_000 }, (_, i) => ({ op: 'write' as const, row: row(`key${i}`) })),
    {},
  )
  world.start('b')
  world.network.settle(500)
  const { messages, bytes } = world.network.sent.get('rows')!
  expect(world.table('b', SET).size).toBe(20_000)
  expect(messages).toBeGreaterThan(bytes / (9 << 10))
  expect(world.network.mostBytesUnderWay).toBeLessThan(48 << 10)
})

test('rows that are not as they should be are found by the comparison and taken anew', () => {
  const world = linked(['a', 'b'], { definitions: [SET, BAG, COMPACT] })
  for (const definition of world.definitions) {
    for (let i = 0; i < 200; i++) world.write('a', definition, [{ op: 'write', row: row(`key${i}`, i % 3, i % 2) }])
  }
  settle(world)
  for (const definition of world.definitions) {
    const { held } = world.table('b', definition).of('a')!
    const events: TableEvent<Row>[] = []
    world.table('b', definition).subscribe((event) => events.push(event))
    held.apply({ kind: 'delete', key: 'key7' })
    held.apply(held.form.write(row('stray')))
    held.apply({ kind: 'delete', key: 'key9' })
    held.apply(held.form.write(row('key9', 2, 1)))
    world
      .node('b')
      .copies.get(definition.name)!
      .heard.set('a', [...world.table('b', definition).rowsOf('a')])
    world.network.advance(61_000)
    expect(events.filter(({ type }) => type === 'write').length).toBeGreaterThanOrEqual(2)
    expect(shown(world.table('b', definition).rows())).toEqual(shown(world.table('a', definition).rows()))
  }
  const { counters } = world.node('b').replication
  expect(counters.repaired).toBeGreaterThanOrEqual(9)
  const { repaired } = counters
  world.network.advance(200_000)
  expect(counters.repaired).toBe(repaired)
})

test('a feed that is damaged is dropped, counted, and taken anew later', () => {
  const world = linked(['a', 'b'], { definitions: [SET] })
  world.write('a', SET, [{ op: 'write', row: row('k') }])
  settle(world)
  const { replication, link } = world.node('b')
  const peer = { node: 'a', epoch: link.connected()[0]!.epoch, protocol: 1, send: () => {} }
  // As if it came from a: the link's own peer object is what the replication knows.
  const real = replication.core.peers.get('a')!
  const [id] = real.feedsIn.keys()
  replication.receive(real.peer, { tag: 'entries', id, bytes: Buffer.from([3, 1, 9, 9]) } as { tag: string })
  expect([replication.counters.damaged, real.feedsIn.size]).toEqual([1, 0])
  replication.receive(peer, { tag: 'stop', id: 0 } as { tag: string })
  world.write('a', SET, [{ op: 'write', row: row('l') }])
  world.network.settle(500)
  expect(world.table('b', SET).has('l')).toBe(false)
  world.network.advance(61_000)
  expect(shown(world.table('b', SET).rows())).toEqual(['k/0/0', 'l/0/0'])
})

test('no message of a peer does more than being counted as damaged', () => {
  const tag = fc.constantFrom(
    'hello',
    'copies',
    'have',
    'feed',
    'stop',
    'resume',
    'snapshot',
    'rows',
    'complete',
    'entries',
    'digest',
    'repair',
    'ack',
    'other',
  )
  const number = fc.oneof(fc.nat(4), fc.maxSafeInteger(), fc.constant(2 ** 32))
  const value = fc.oneof(
    number,
    fc.string(),
    fc.boolean(),
    fc.constant(undefined),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(number),
  )
  const have = fc.array(
    fc.tuple(fc.constantFrom('set', 'bag', 'x'), fc.constantFrom('a', 'b', 'c', ''), number, number, fc.boolean()),
  )
  const message = fc.record({
    tag,
    id: fc.oneof({ weight: 5, arbitrary: fc.nat(6) }, value),
    tables: fc.oneof(fc.array(fc.constantFrom('set', 'bag', 'x')), value),
    have: fc.oneof(have, value),
    table: fc.oneof(fc.constantFrom('set', 'bag', 'x'), value),
    owner: fc.oneof(fc.constantFrom('a', 'b', 'c'), value),
    epoch: fc.oneof(number, value),
    seq: fc.oneof(number, value),
    from: fc.oneof(number, value),
    to: fc.oneof(number, value),
    bytes: fc.oneof(fc.uint8Array({ maxLength: 30 }), value),
    isLast: fc.oneof(fc.boolean(), value),
    digest: fc.oneof(fc.uint8Array({ maxLength: 30 }), value),
    buckets: fc.oneof(fc.array(fc.nat(300)), value),
    feeds: fc.oneof(fc.array(fc.tuple(number, number, number)), value),
  })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), (messages) => {
      const world = linked(['a', 'b'], { definitions: [SET, BAG] })
      world.write('b', SET, [{ op: 'write', row: row('own') }])
      world.network.settle(500)
      const { replication } = world.node('b')
      const { peer } = replication.core.peers.get('a')!
      for (const each of messages) replication.receive(peer, each)
      replication.flush()
      expect(shown(world.table('b', SET).rowsOf('b'))).toEqual(['own/0/0'])
      // A new connection starts from what is there, and all is as it should be.
      world.network.drop('a', 'b')
      world.write('a', SET, [{ op: 'write', row: row('k') }])
      world.network.advance(200_000)
      expect(world.table('a', SET).has('own')).toBe(true)
    }),
    { numRuns: 60 },
  )
})

test('the same seed gives the same run', () => {
  const run = () => {
    const world = linked(['a', 'b', 'c'], { definitions: [SET] })
    for (let i = 0; i < 50; i++) world.write('abc'[i % 3]!, SET, [{ op: 'write', row: row(`key${i % 7}`, i) }])
    world.network.drop('a', 'b')
    settle(world)
    return world.network.trace.hash
  }
  expect(run()).toBe(run())
})

const PAIR: TableDefinition<Row> = table<Row>('pair', { ...SET })

test('readers of other nodes see all of a batch or nothing, in events as well', () => {
  const world = linked(['a', 'b'], { definitions: [PAIR] })
  for (let i = 1; i <= 40; i++) {
    world.write('a', PAIR, [
      { op: 'write', row: row('x', i) },
      { op: 'write', row: row('y', i) },
    ])
    if (i % 10 === 0) world.network.drop('a', 'b')
    for (let steps = 0; steps < 5; steps++) {
      world.network.step()
      const seen = world.table('b', PAIR)
      expect(seen.get('x')?.v).toBe(seen.get('y')?.v)
    }
  }
  settle(world)
  expect(world.table('b', PAIR).get('x')?.v).toBe(40)
})
