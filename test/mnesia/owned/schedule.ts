/** Random schedules for an `OwnedWorld`: two to five nodes under random writes, delays, cuts of any shape, freezes, kills and restarts. */
import type { TableOperation } from '../../../src/mnesia/table.ts'
import { SeededRandom } from '../../../src/testing/random.ts'
import { OwnedWorld, type Row } from './owned-world.ts'

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

/** What a schedule has done. */
export interface Happened {
  readonly batches: number
  readonly snapshots: number
  readonly resumed: number
}

/** Runs the schedule of a seed; throws when something is wrong, with HISTORY in the environment with what happened before. */
export async function runSchedule(seed: number): Promise<Happened> {
  const history: string[] = []
  try {
    return await run(seed, history)
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    const told = process.env.HISTORY === undefined ? [] : history
    throw new Error([`seed ${seed}: ${words}`, ...told].join('\n'), { cause: error })
  }
}

async function run(seed: number, history: string[]): Promise<Happened> {
  const choices = new SeededRandom(seed)
  const logBytes = choices.pick([6, 40, 400]) << 10
  const weights = choices.pick(MOODS)
  const names = NAMES.slice(0, 2 + choices.below(4))
  const world = new OwnedWorld({ seed, frozenMs: 800, limits: { ...LIMITS, logBytes } })
  const { network, random } = world
  const members = new Set(names)
  world.setMembers(names)
  const anyNode = () => random.pick([...world.nodes.values()])
  const did = (...what: readonly string[]) =>
    void history.push(`${network.time.monotonic().toFixed(1)} ${what.join(' ')}`)
  const change = (to: readonly string[]) => {
    did('members', ...to)
    world.setMembers(to)
  }
  const steps: Readonly<Record<Step, () => void>> = {
    write: () => {
      const most = random.pick([2, 5, 60])
      const wait = random.pick([undefined, undefined, 'members', 'durable'] as const)
      const { name } = anyNode()
      const definition = random.pick(world.definitions)
      did(name, 'writes to', definition.name, wait ?? '')
      world.write(name, definition, operationsOf(world, most), wait)
    },
    burst: () => {
      const { name } = anyNode()
      const definition = random.pick(world.definitions)
      did(name, 'writes much to', definition.name)
      for (let i = random.below(60); i > 0; i--) world.write(name, definition, operationsOf(world, 6))
    },
    cut: () => {
      const [a, b] = [random.pick(names), random.pick(names)]
      did('cut', a, b)
      network.cut(a, b)
    },
    mend: () => {
      if (random.next() < 0.2) {
        did('mend all')
        network.mendAll()
        return
      }
      const [a, b] = [random.pick(names), random.pick(names)]
      did('mend', a, b)
      network.mend(a, b)
    },
    drop: () => {
      const [a, b] = [random.pick(names), random.pick(names)]
      did('drop', a, b)
      network.drop(a, b)
    },
    freeze: () => {
      const { name } = anyNode()
      did('freeze', name)
      network.freeze(name)
    },
    thaw: () => {
      const { name } = anyNode()
      did('thaw', name)
      network.thaw(name)
    },
    kill: () => {
      if (world.nodes.size <= 1) return
      const { name } = anyNode()
      did('kill', name)
      world.kill(name)
    },
    start: () => {
      const name = random.pick(names)
      if (world.nodes.has(name)) return
      did('start', name)
      world.start(name)
    },
    remove: () => {
      members.delete(random.pick(names))
      change([...members])
    },
    add: () => {
      members.add(random.pick(names))
      change([...members])
    },
    copy: () => {
      const { name } = anyNode()
      const definition = random.pick(world.definitions)
      const copy = random.pick(COPIES)
      did(name, 'has', copy, 'of', definition.name)
      world.setCopy(name, definition, copy)
    },
  }
  for (const name of names) if (name === 'a' || random.next() < 0.8) world.start(name)
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 15; step++) {
      steps[stepOf(weights, random.next())]()
      for (let i = random.below(random.pick([10, 60])); i > 0; i--) network.step()
      await Promise.resolve()
      world.check()
    }
    for (const { name } of [...world.nodes.values()]) network.thaw(name)
    network.settle(5000)
    await new Promise((resolve) => setImmediate(resolve))
    did('quiet')
    world.checkQuiet()
  }
  // Nothing is found by the comparison, and nothing is left behind.
  network.mendAll()
  network.advance(130_000)
  await Promise.resolve()
  world.checkQuiet()
  const counters = [...world.nodes.values()].map(({ replication }) => replication.counters)
  return {
    batches: counters.reduce((sum, { applied }) => sum + applied, 0),
    snapshots: counters.reduce((sum, { snapshotsTaken }) => sum + snapshotsTaken, 0),
    resumed: network.sent.get('resume')?.messages ?? 0,
  }
}
