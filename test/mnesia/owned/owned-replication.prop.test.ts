/**
 * Two to five nodes with owned tables under random writes, delays, cuts of any shape, freezes, kills and restarts, by seed:
 * `SEED=17 npx vitest run test/mnesia/owned/owned-replication.prop.test.ts` replays one, `SEEDS=5000` tries more.
 */
import { expect, test } from 'vitest'
import type { TableOperation } from '../../../src/mnesia/table.ts'
import { OwnedWorld, type Row } from './owned-world.ts'

const SEEDS = Number(process.env.SEEDS ?? 150)
const ONLY = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
const FAILURES = Number(process.env.FAILURES ?? 1)
const NAMES = ['a', 'b', 'c', 'd', 'e']

function operationsOf(world: OwnedWorld, most: number): TableOperation<Row>[] {
  const { random } = world
  return Array.from({ length: 1 + random.below(most) }, () => {
    const row: Row = { k: `key${random.below(random.pick([3, 40]))}`, id: random.below(3), v: random.below(4) }
    const choice = random.next()
    if (choice < 0.7) return { op: 'write', row }
    return choice < 0.85 ? { op: 'delete', key: row.k } : { op: 'delete_object', row }
  })
}

async function run(seed: number): Promise<void> {
  const world = new OwnedWorld({ seed, frozenMs: 800 })
  const { network, random } = world
  const names = NAMES.slice(0, 2 + random.below(4))
  const anyNode = () => random.pick([...world.nodes.values()])
  for (const name of names) if (random.next() < 0.8) world.start(name)
  if (world.nodes.size === 0) world.start('a')
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 14; step++) {
      const choice = random.next()
      const [one, other] = [random.pick(names), random.pick(names)]
      if (choice < 0.5) {
        const node = anyNode()
        const wait = random.pick([undefined, undefined, 'members', 'durable'] as const)
        world.write(node.name, random.pick(world.definitions), operationsOf(world, random.pick([2, 5, 60])), wait)
      } else if (choice < 0.6) {
        const node = anyNode()
        const definition = random.pick(world.definitions)
        for (let i = 0; i < 40; i++) world.write(node.name, definition, operationsOf(world, 6))
      } else if (choice < 0.7) network.cut(one, other)
      else if (choice < 0.76) network.mend(one, other)
      else if (choice < 0.79) network.mendAll()
      else if (choice < 0.82) network.drop(one, other)
      else if (choice < 0.86) network.freeze(anyNode().name)
      else if (choice < 0.9) {
        const node = anyNode()
        if (node.link.isFrozen) network.thaw(node.name)
      } else if (choice < 0.95) {
        if (world.nodes.has(one) && world.nodes.size > 1) world.kill(one)
      } else if (!world.nodes.has(one)) world.start(one)
      for (let i = random.below(40); i > 0; i--) network.step()
      await Promise.resolve()
      world.check()
    }
    for (const { name, link } of world.nodes.values()) if (link.isFrozen) network.thaw(name)
    network.settle(5000)
    await new Promise((resolve) => setImmediate(resolve))
    world.checkQuiet()
  }
  // Nothing is found by the comparison, and nothing is left behind.
  network.mendAll()
  network.advance(130_000)
  await Promise.resolve()
  world.checkQuiet()
  for (const { replication } of world.nodes.values()) {
    for (const [name, count] of Object.entries(replication.counters)) totals[name] = (totals[name] ?? 0) + count
  }
  for (const [tag, { messages }] of network.sent) totals[tag] = (totals[tag] ?? 0) + messages
}
const totals: Record<string, number> = {}

test(`rows of every owner are its rows, wherever they are held, in ${ONLY === undefined ? SEEDS : 'one'} schedules`, async () => {
  const failures: string[] = []
  const first = ONLY ?? 1
  for (let seed = first; seed < first + (ONLY === undefined ? SEEDS : 1); seed++) {
    try {
      await run(seed)
    } catch (error) {
      failures.push(
        `seed ${seed}: ${error instanceof Error ? (ONLY === undefined ? error.message : error.stack) : String(error)}`,
      )
      if (failures.length >= FAILURES) break
    }
  }
  console.log(totals)
  expect(failures).toEqual([])
}, 600_000)
