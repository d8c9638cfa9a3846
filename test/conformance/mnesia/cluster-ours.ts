/** Runs programs of several nodes on our tables: whole nodes under virtual time. */
import type { TableDefinition } from '../../../src/mnesia/definition.ts'
import { MnesiaWorld } from '../../mnesia/mnesia-world.ts'
import { type Record, TableNode } from './ours.ts'
import {
  type ClusterOperation,
  type ClusterProgram,
  comparableCluster,
  type NodeName,
  type Operation,
  ofNode,
} from './program.ts'

const NAMES: readonly NodeName[] = ['a', 'b', 'c']
/** Longer than anything waits by itself, after each operation. */
const REST = '40s'

/** Results of a program's operations, as they are compared. */
export async function runOnOurCluster(program: ClusterProgram): Promise<unknown[]> {
  const world = new MnesiaWorld()
  const nodes = new Map(NAMES.map((name) => [name, nodeOf(world, name)]))
  for (const node of nodes.values()) await world.settle(node.start())
  for (const name of NAMES.slice(1)) await world.join(name, NAMES[0]!)
  await world.advance(REST)
  const results: unknown[] = []
  for (const operation of program) {
    results.push(await world.settle(perform(world, nodes, operation)))
    await world.advance(REST)
  }
  return comparableCluster(program, results)
}

function nodeOf(world: MnesiaWorld, name: NodeName): TableNode {
  const host = {
    start: async (tables: readonly TableDefinition<Record>[]) => {
      const started = await world.tryStart(name, { tables })
      if (typeof started === 'string') throw new Error(started)
      return started.mnesia
    },
    stop: () => world.stop(name),
  }
  return new TableNode(host, '', 'shared')
}

async function perform(
  world: MnesiaWorld,
  nodes: ReadonlyMap<NodeName, TableNode>,
  operation: ClusterOperation,
): Promise<unknown> {
  const own = ofNode(operation)
  if (own !== undefined) return outside(nodes, ...own)
  switch (operation[0]) {
    case 'stop':
      await nodes.get(operation[1])!.stop()
      return 'ok'
    case 'start':
      await nodes.get(operation[1])!.start()
      return 'ok'
    case 'cut':
    case 'mend':
      for (const other of NAMES) if (other !== operation[1]) world[operation[0]](operation[1], other)
      return 'ok'
    case 'together': {
      const [, times, transactions] = operation
      const runs = transactions.flatMap(([name, steps]) =>
        Array.from({ length: times }, () => nodes.get(name)!.outside(['transaction', steps])),
      )
      const outcomes = (await Promise.all(runs)) as [string, unknown][]
      return transactions.map((_, i) =>
        outcomes.slice(i * times, (i + 1) * times).every(([it]) => it === 'atomic') ? 'ok' : 'aborted',
      )
    }
    default:
      throw new Error(`unknown operation ${operation[0]}`)
  }
}

function outside(nodes: ReadonlyMap<NodeName, TableNode>, name: NodeName, operation: Operation): Promise<unknown> {
  const node = nodes.get(name)!
  if (operation[0] !== 'held_at') return node.outside(operation)
  const [, steps, other, meanwhile] = operation
  return node.held(steps, () => nodes.get(other)!.outside(['transaction_once', meanwhile]))
}
