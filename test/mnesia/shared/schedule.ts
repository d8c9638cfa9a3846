/** Random schedules for a `World`: what is written, what goes wrong, and what has to be true when all is quiet again. */
import type { SharedOperation, SharedTable } from '../../../src/mnesia/shared/shared-table.ts'
import { cellOf, type ModelOperation, stampOf } from './model.ts'
import { DEFINITIONS, KEYS, LATE, LATE_BAG, type Row, type SimNode, World } from './world.ts'

const ALL = [...DEFINITIONS, LATE, LATE_BAG]
/** Virtual time within which everything has to have come to rest. */
const REST_MS = 300_000

/** Runs the schedule of a seed; throws with its history when something is wrong. */
export async function runSchedule(seed: number): Promise<World> {
  const world = new World(seed)
  try {
    await world.advance(20)
    const rounds = 1 + world.random.below(2)
    for (let round = 0; round < rounds; round++) {
      for (let left = 20 + world.random.below(60); left > 0; left--) await act(world)
      await quiet(world)
    }
  } catch (error) {
    const history = world.history.slice(-Number(process.env.HISTORY ?? 60)).join('\n')
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    throw new Error(`seed ${seed}: ${message}\n${history}`, { cause: error })
  } finally {
    for (const { replication } of world.up) replication.stop()
  }
  return world
}

async function act(world: World): Promise<void> {
  const { random } = world
  const dice = random.below(100)
  if (dice < 50) writeSomething(world)
  else if (dice < 55) for (let left = random.below(40); left > 0; left--) writeSomething(world)
  else if (dice < 63) changeLinks(world)
  else if (dice < 68) killOrStart(world)
  else if (dice < 72) freezeOrThaw(world)
  else if (dice < 75) skewSomeClock(world)
  else if (dice < 78) createLate(world)
  else if (dice < 80) changeCopies(world)
  else if (dice < 82) await crashAfterWrite(world)
  else if (dice < 83) await tellOnlyOne(world)
  else if (dice < 90) await world.advance(random.below(200))
  else if (dice < 93) await world.advance(random.below(6000))
  if (random.below(2) === 0) await world.advance(random.below(30))
  checkWindows(world)
}

function writeSomething(world: World): void {
  const node = someWriter(world)
  if (node !== undefined) writeTo(world, node)
}

function writeTo(world: World, node: SimNode): void {
  const { random } = world
  const names = ALL.map(({ name }) => name).filter((name) => node.replication.table(name) !== undefined)
  const wait = random.below(8) === 0 ? random.pick(['durable', 'members'] as const) : undefined
  const parts: (readonly [string, readonly SharedOperation<Row>[]])[] = []
  for (let left = random.below(6) === 0 ? 2 + random.below(2) : 1; left > 0; left--) {
    const name = random.pick(names)
    // How many operations an entry has is known only of tables that can be read.
    const isAlone =
      parts.length === 0 || [...parts.map(([of]) => of), name].every((of) => node.replication.table(of)!.replica)
    if (parts.some(([of]) => of === name) || !isAlone) continue
    const count = random.below(6) === 0 ? 2 + random.below(4) : 1
    const { replica, definition } = node.replication.table(name)!
    if (replica === undefined && definition.merge !== undefined) continue
    // To remove all rows of a key from a bag one has to have them.
    const canDelete = replica !== undefined || definition.type !== 'bag'
    const held = (key: string) =>
      (replica === undefined ? undefined : node.replication.table(name)!.get(key)) as Row | undefined
    parts.push([name, Array.from({ length: count }, () => someOperation(world, name, canDelete, held))])
  }
  world.write(node, parts, wait)
}

function someOperation(
  world: World,
  table: string,
  canDelete: boolean,
  held: (key: string) => Row | undefined,
): SharedOperation<Row> {
  const { random } = world
  const key = random.pick(KEYS)
  const n = world.nextValue()
  const row: Row = { key, who: `w${random.below(3)}`, n, ...(table === 'votes' ? { parts: [`p${n}`] } : {}) }
  const dice = random.below(100)
  if (dice < 1) return { op: 'clear' }
  if (dice < 25) return { op: 'delete_object', row: dice < 20 ? (held(key) ?? row) : row }
  if (dice < 40 && canDelete) return { op: 'delete', key }
  return { op: 'write', row }
}

function changeLinks(world: World): void {
  const { random, network } = world
  const names = world.nodes.map(({ name }) => name)
  const [a, b] = [random.pick(names), random.pick(names)]
  const dice = random.below(10)
  if (dice < 4) {
    world.note(`cut ${a} ${b}`)
    network.cut(a, b)
  } else if (dice < 6) {
    world.note(`mend ${a} ${b}`)
    network.mend(a, b)
  } else if (dice < 7) {
    world.note(`drop ${a} ${b}`)
    network.drop(a, b)
  } else if (dice < 9) {
    const left = names.filter(() => random.below(2) === 0)
    world.note(`partition ${left}`)
    for (const x of names) for (const y of names) if (left.includes(x) !== left.includes(y)) network.cut(x, y)
  } else {
    world.note('mend all')
    network.mendAll()
  }
}

function killOrStart(world: World): void {
  const node = world.random.pick(world.nodes)
  if (node.isUp) world.kill(node)
  else startWithSomeClock(world, node)
}

/** The wall clock of a machine need not be right after it has been off. */
function startWithSomeClock(world: World, node: SimNode): void {
  const skewMs = world.random.pick([0, 0, -90_000, -2000, 90_000])
  if (skewMs !== 0) world.note(`clock of ${node.name} ${skewMs}`)
  world.start(node, false, skewMs)
}

/** Somebody who can write, and would. */
function someWriter(world: World): SimNode | undefined {
  const able = world.up.filter(({ isReady, name }) => isReady && !world.network.node(name).isFrozen)
  return able.length === 0 ? undefined : world.random.pick(able)
}

/** A node that has written nothing for a while is lost just when others have what it writes now, or have not. */
async function crashAfterWrite(world: World): Promise<void> {
  const { random } = world
  await world.advance(random.below(4000))
  const node = someWriter(world)
  if (node === undefined) return
  writeTo(world, node)
  await world.advance(random.below(10))
  world.kill(node)
  if (random.below(2) === 0) startWithSomeClock(world, node)
}

/** What a node writes reaches one member, which is cut off from then on; the writer is lost and comes back, and the others go on. */
async function tellOnlyOne(world: World): Promise<void> {
  const { random, network } = world
  const node = someWriter(world)
  const witness = random.pick(world.nodes)
  if (node === undefined || witness === node) return
  const cutAllOff = (name: string, ...but: readonly string[]) => {
    for (const other of world.nodes) if (!but.includes(other.name)) network.cut(name, other.name)
  }
  world.note(`${node.name} tells ${witness.name} only`)
  cutAllOff(node.name, witness.name)
  writeTo(world, node)
  await world.advance(random.below(20))
  cutAllOff(witness.name)
  world.kill(node)
  startWithSomeClock(world, node)
  for (const { name } of world.nodes) if (name !== witness.name) network.mend(node.name, name)
  await world.advance(random.below(8000))
}

/** Nobody has more on the way to a peer than a window, and the chunk for which there was room still. */
function checkWindows(world: World): void {
  const most = world.limits.windowBytes! + world.limits.chunkBytes!
  for (const { name, replication } of world.up) {
    for (const [peer, bytes] of replication.info().unacknowledged) {
      if (bytes > most) throw new Error(`${name}: ${bytes} bytes are on the way to ${peer}`)
    }
  }
}

function freezeOrThaw(world: World): void {
  const { random, network } = world
  if (world.up.length === 0) return
  const { name } = random.pick(world.up)
  const isFrozen = network.node(name).isFrozen
  world.note(`${isFrozen ? 'thaw' : 'freeze'} ${name}`)
  if (isFrozen) network.thaw(name)
  else network.freeze(name)
}

function skewSomeClock(world: World): void {
  const { random, network } = world
  if (world.up.length === 0) return
  const { name } = random.pick(world.up)
  const skewMs = random.pick([0, 0, -500, 500, -90_000, 90_000])
  world.note(`clock of ${name} ${skewMs}`)
  network.node(name).skewMs = skewMs
}

/** A table comes into being on one node, and later on others, which may have had operations on it before. */
function createLate(world: World): void {
  const { random } = world
  const able = world.up.filter(({ isReady, name }) => isReady && !world.network.node(name).isFrozen)
  if (able.length === 0) return
  const definition = random.pick([LATE, LATE_BAG])
  const node = random.pick(able)
  if (node.replication.table(definition.name) !== undefined) return
  const isNew = !world.created.has(definition.name)
  world.created.add(definition.name)
  world.note(`${node.name} creates ${definition.name} ${isNew}`)
  world.create(node, definition, isNew)
}

function changeCopies(world: World): void {
  const { random } = world
  const able = world.up.filter(({ name }) => !world.network.node(name).isFrozen)
  if (able.length === 0) return
  const node = random.pick(able)
  const { name } = random.pick(DEFINITIONS)
  const placed = world.placement.get(name)!
  const held = placed.get(node.name)
  if (held === undefined) {
    const copies = random.pick(['ram_copies', 'disc_copies'] as const)
    world.note(`${node.name} adds a copy of ${name} ${copies}`)
    placed.set(node.name, copies)
    if (copies === 'ram_copies') world.ramTables.add(name)
    node.replication.addCopy(name, copies)
  } else if (random.below(2) === 0) {
    const copies = held === 'ram_copies' ? 'disc_copies' : 'ram_copies'
    world.note(`${node.name} changes ${name} to ${copies}`)
    placed.set(node.name, copies)
    if (copies === 'ram_copies') world.ramTables.add(name)
    node.replication.changeCopy(name, copies)
  }
}

/** Ends all faults, waits until nothing changes any more, and looks at everything. */
async function quiet(world: World): Promise<void> {
  const { network } = world
  world.note('quiet')
  network.mendAll()
  for (const { name } of world.up) network.thaw(name)
  for (const node of world.nodes) if (!node.isUp) world.start(node)
  for (const { name } of world.up) network.node(name).skewMs = 0
  for (const definition of [LATE, LATE_BAG]) {
    if (!world.created.has(definition.name)) continue
    for (const node of world.up) {
      if (node.replication.table(definition.name) === undefined) world.create(node, definition, false)
    }
  }
  const endMs = network.time.monotonic() + REST_MS
  // At least so long that the timers of replication have all been due a few times.
  await world.advance(4000)
  while (network.time.monotonic() < endMs && !isAtRest(world)) await world.advance(1000)
  // Deletes that were forgotten too early come out only when the tables are compared, each with each.
  if (world.hasShortHorizon) await world.advance(world.limits.checkMs! * world.nodes.length * 2)
  checkAll(world)
}

function isAtRest(world: World): boolean {
  const infos = world.nodes.map(({ replication }) => replication.info())
  const first = JSON.stringify(infos[0]!.vector.map(([node, epoch, seq]) => [node, epoch, seq]))
  return infos.every(
    ({ vector, copies, tombstones }) =>
      JSON.stringify(vector.map(([node, epoch, seq]) => [node, epoch, seq])) === first &&
      vector.length === world.nodes.length &&
      copies.every(([, lacksSettled, holes]) => !lacksSettled && holes.length === 0) &&
      tombstones === 0,
  )
}

function checkAll(world: World): void {
  const { failures } = world
  if (failures.length > 0) throw new Error(failures.join('\n'))
  for (const { name, replication } of world.nodes) {
    const info = replication.info()
    if (info.counters.damaged > 0) throw new Error(`${name}: ${info.counters.damaged} damaged messages`)
    if (info.counters.repaired > 0 && !world.hasShortHorizon)
      throw new Error(`${name}: ${info.counters.repaired} rows repaired`)
    for (const [peer, bytes] of info.unacknowledged) {
      if (bytes > 0) throw new Error(`${name}: ${bytes} bytes are not acknowledged by ${peer}`)
    }
    const slack = 64 << 10
    if (info.logBytes > world.limits.logBytes! + slack) throw new Error(`${name}: a log of ${info.logBytes} bytes`)
  }
  if (!isAtRest(world)) throw new Error(`no rest: ${describe(world)}`)
  for (const definition of ALL) {
    if (!world.created.has(definition.name)) continue
    checkTable(world, definition.name)
  }
  for (const { node, epoch, seq } of world.promised) {
    const survived = world.survived.get(`${node}/${epoch}`) ?? 0
    const forgetful = world.nodes.some(({ name, disc }) => name === node && disc === undefined)
    if (survived < seq && !forgetful) throw new Error(`${node}/${epoch} ${seq} was promised, and ${survived} is there`)
  }
}

function describe(world: World): string {
  return world.nodes
    .map(({ name, replication }) => {
      const { vector, copies, settled, tombstones, stableClock, isSyncing } = replication.info()
      return `${name}: ${JSON.stringify({ vector, copies: copies.filter(([, lacks, holes]) => lacks || holes.length > 0), settled, tombstones, stableClock, isSyncing })}`
    })
    .join('\n')
}

function checkTable(world: World, name: string): void {
  const holders = world.nodes.filter(({ replication }) => replication.table(name)!.replica !== undefined)
  const contents = holders.map((node) => rowsOf(node, name))
  for (const [i, node] of holders.entries()) {
    checkReads(node, name)
    const mirror = node.mirrors.get(name)!
    // Who added its copy later has no events of the rows that came with it before somebody listened.
    expectSame(`${name} of ${node.name} as its events tell`, mirror, contents[i]!)
    expectSame(`${name} of ${node.name} and ${holders[0]!.name}`, contents[i]!, contents[0]!)
  }
  // Which of an old row and its delete stays depends on who has forgotten it: only that all agree is promised.
  if (holders.length === 0 || world.hasShortHorizon) return
  const present = presentStamps(world, name)
  const survives = (operation: ModelOperation) =>
    operation.seq <= (world.survived.get(`${operation.node}/${operation.epoch}`) ?? 0) ||
    present.has(stampOf(operation))
  if (isOnDisc(world, name)) {
    expectSame(`${name} and the model`, contents[0]!, world.model.rows(name, survives))
    return
  }
  // Rows in memory go with their nodes; what there is must have been written, though.
  const known = new Set(world.model.of(name).map(({ key, identity, row }) => `${cellOf(key, identity)} ${row}`))
  for (const [cell, row] of contents[0]!) {
    if (name !== 'votes' && !known.has(`${cell} ${row}`))
      throw new Error(`${name}: ${cell} is ${row}, which nobody wrote`)
  }
}

/** On disc at all nodes that have a copy, from the beginning. */
function isOnDisc(world: World, name: string): boolean {
  if (world.ramTables.has(name)) return false
  return world.nodes.every(({ disc }) => disc !== undefined)
}

function presentStamps(world: World, name: string): Set<string> {
  const present = new Set<string>()
  for (const { replication } of world.nodes) {
    const replica = replication.table(name)!.replica
    if (replica === undefined) continue
    for (const key of replica.cells.rows.keys()) {
      for (const cell of replica.cells.rows.of(key)) {
        const versions = replica.isMerged ? replica.cells.merged(key)!.versions : [cell]
        for (const { clock, origin } of versions)
          present.add(stampOf({ clock, node: origin.node, epoch: origin.epoch }))
      }
    }
  }
  return present
}

function rowsOf({ replication }: SimNode, name: string): Map<string, string> {
  const table = replication.table(name) as SharedTable<Row>
  const isBag = table.definition.type === 'bag'
  return new Map([...table.rows()].map((row) => [cellOf(row.key, isBag ? row.who : ''), JSON.stringify(row)]))
}

function checkReads({ name: node, replication }: SimNode, name: string): void {
  const table = replication.table(name) as SharedTable<Row>
  const rows = [...table.rows()]
  if (table.size !== rows.length) throw new Error(`${node}: ${name} has size ${table.size}, and ${rows.length} rows`)
  if (table.definition.type === 'ordered_set') {
    const keys = [...table.keys()]
    if (keys.join() !== [...keys].sort().join()) throw new Error(`${node}: keys of ${name} are not in order`)
  }
  for (const who of table.definition.index?.includes('who') ? ['w0', 'w1', 'w2'] : []) {
    const indexed = table
      .indexRead('who', who)
      .map(({ key }) => key)
      .sort()
    const scanned = rows
      .filter((row) => row.who === who)
      .map(({ key }) => key)
      .sort()
    if (indexed.join() !== scanned.join())
      throw new Error(`${node}: the index of ${name} has ${indexed} for ${who}, not ${scanned}`)
  }
}

function expectSame(what: string, found: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): void {
  const keys = [...new Set([...found.keys(), ...wanted.keys()])].sort()
  const wrong = keys.filter((key) => found.get(key) !== wanted.get(key))
  if (wrong.length === 0) return
  const lines = wrong.map((key) => `  ${key}: ${found.get(key)}, not ${wanted.get(key)}`)
  throw new Error(`${what} differ:\n${lines.join('\n')}`)
}
