/**
 * Two to five nodes with owned tables under random writes, delays, cuts of any shape, freezes, kills and restarts, by seed:
 * `SEED=17 npx vitest run test/mnesia/owned/owned-replication.prop.test.ts` replays one, `SEEDS=5000` tries more.
 */
import { expect, test } from 'vitest'
import type { TableOperation } from '../../../src/mnesia/table.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
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

type Step =
  | 'write'
  | 'burst'
  | 'cut'
  | 'mend'
  | 'drop'
  | 'freeze'
  | 'thaw'
  | 'kill'
  | 'start'
  | 'remove'
  | 'add'
  | 'copy'
type Mood = Readonly<Record<Step, number>>

/** How wild a schedule is: the weight of each kind of step. */
const MOODS: readonly Mood[] = [
  mood({ write: 60, burst: 10, cut: 4, mend: 6, drop: 3, freeze: 2, thaw: 4, kill: 3, start: 8, copy: 2 }),
  mood({ write: 40, burst: 10, cut: 15, mend: 10, drop: 5, freeze: 4, thaw: 5, kill: 4, start: 7, remove: 1, add: 3 }),
  mood({ write: 40, burst: 30, cut: 5, mend: 10, drop: 5, kill: 3, start: 7, copy: 6 }),
  mood({
    write: 40,
    burst: 5,
    cut: 2,
    mend: 5,
    drop: 2,
    freeze: 5,
    thaw: 10,
    kill: 11,
    start: 20,
    remove: 4,
    add: 6,
    copy: 2,
  }),
]

function mood(weights: Partial<Mood>): Mood {
  const none = {
    write: 0,
    burst: 0,
    cut: 0,
    mend: 0,
    drop: 0,
    freeze: 0,
    thaw: 0,
    kill: 0,
    start: 0,
    remove: 0,
    add: 0,
    copy: 0,
  }
  return { ...none, ...weights }
}

/** `choice` is in [0, 1). */
function stepOf(weights: Mood, choice: number): Step {
  const steps = Object.entries(weights) as [Step, number][]
  let left = choice * steps.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [step, weight] of steps) {
    left -= weight
    if (left < 0) return step
  }
  return 'write'
}

const COPIES = ['ram_copies', 'disc_copies', 'none'] as const

/** So small that everything happens: windows fill, logs end, snapshots take many messages. */
const LIMITS = { windowBytes: 700, chunkBytes: 150, chunkRows: 4 }

async function run(seed: number): Promise<void> {
  const choices = new SeededRandom(seed)
  const logBytes = choices.pick([6, 40, 400]) << 10
  const weights = choices.pick(MOODS)
  const names = NAMES.slice(0, 2 + choices.below(4))
  const world = new OwnedWorld({ seed, frozenMs: 800, limits: { ...LIMITS, logBytes } })
  const { network, random } = world
  const members = new Set(names)
  world.setMembers(names)
  const anyNode = () => random.pick([...world.nodes.values()])
  const write = (most: number, wait?: 'members' | 'durable') => {
    world.write(anyNode().name, random.pick(world.definitions), operationsOf(world, most), wait)
  }
  const steps: Readonly<Record<Step, () => void>> = {
    write: () => write(random.pick([2, 5, 60]), random.pick([undefined, undefined, 'members', 'durable'] as const)),
    burst: () => {
      const { name } = anyNode()
      const definition = random.pick(world.definitions)
      for (let i = random.below(60); i > 0; i--) world.write(name, definition, operationsOf(world, 6))
    },
    cut: () => network.cut(random.pick(names), random.pick(names)),
    mend: () => (random.next() < 0.2 ? network.mendAll() : network.mend(random.pick(names), random.pick(names))),
    drop: () => network.drop(random.pick(names), random.pick(names)),
    freeze: () => network.freeze(anyNode().name),
    thaw: () => network.thaw(anyNode().name),
    kill: () => {
      if (world.nodes.size > 1) world.kill(anyNode().name)
    },
    start: () => {
      const name = random.pick(names)
      if (!world.nodes.has(name)) world.start(name)
    },
    remove: () => {
      members.delete(random.pick(names))
      world.setMembers([...members])
    },
    add: () => {
      members.add(random.pick(names))
      world.setMembers([...members])
    },
    copy: () => world.setCopy(anyNode().name, random.pick(world.definitions), random.pick(COPIES)),
  }
  for (const name of names) if (name === 'a' || random.next() < 0.8) world.start(name)
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 15; step++) {
      const step_ = stepOf(weights, random.next())
      if (process.env.TRACE)
        console.log(
          round,
          step,
          step_,
          [...world.nodes.keys()].join(),
          [...members].join(),
          [...world.nodes.values()].map((n) => `${n.name}(${n.link.epoch}):${n.peers}`).join(' '),
        )
      steps[step_]()
      for (let i = random.below(random.pick([10, 60])); i > 0; i--) network.step()
      await Promise.resolve()
      world.check()
    }
    for (const { name } of [...world.nodes.values()]) network.thaw(name)
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
