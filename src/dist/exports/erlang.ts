/** The functions of the module `erlang` that other nodes may call [OTP erlang]. */
import { Pid } from '../../actors/pid.ts'
import { badarg, type CallContext, type ExportedModule, type NodeKind } from '../exports.ts'
import { type Atom, atom, atomName } from '../term.ts'
import { processInfo, processInfoOf } from './process-info.ts'
import { memory, memoryOf, systemInfo, VmStatistics } from './system-info.ts'

/** The functions of one node; statistics remember when they were asked. */
export function erlangExports(): ExportedModule {
  const statistics = new VmStatistics()
  return {
    'node/0': ({ self }) => atom(self.runtime.node.name),
    'nodes/0': (context) => atoms(context.network.nodes('visible')),
    'nodes/1': nodes,
    'disconnect_node/1': ({ network }, node) => network.disconnect(nameOf(node)),
    'whereis/1': ({ self }, name) => self.runtime.whereis(nameOf(name)),
    'registered/0': ({ self }) => atoms(self.runtime.registered()),
    'processes/0': ({ self }) => Array.from(self.runtime.processes, ({ pid }) => pid),
    'is_process_alive/1': ({ self }, pid) => {
      if (!(pid instanceof Pid)) throw badarg()
      return self.runtime.isAlive(pid)
    },
    'garbage_collect/0': () => true,
    // V8 collects when it sees fit; the answer is that of a collection that has been made.
    'garbage_collect/1': ({ self }, pid) => {
      if (!(pid instanceof Pid) || self.runtime.isForeign(pid)) throw badarg()
      return self.runtime.isAlive(pid)
    },
    'process_info/1': ({ self }, pid) => processInfo(self.runtime, pid),
    'process_info/2': ({ self }, pid, what) => processInfoOf(self.runtime, pid, what),
    'system_info/1': systemInfo,
    'memory/0': () => memory(),
    'memory/1': (_context, kinds) => memoryOf(kinds),
    'statistics/1': (context, item) => statistics.of(context, item),
    'function_exported/3': ({ exports }, module, name, arity) => {
      if (!Number.isInteger(arity)) throw badarg()
      return exports.has(nameOf(module), nameOf(name), arity as number)
    },
  }
}

function nameOf(term: unknown): string {
  const name = atomName(term)
  if (name === undefined) throw badarg()
  return name
}

/** Names that are no atoms, as they are longer than Erlang allows, are left out. */
function atoms(names: readonly string[]): Atom[] {
  return names.filter((name) => name.length <= 255).map((name) => atom(name))
}

const KINDS: Readonly<Record<string, readonly (NodeKind | 'this')[]>> = {
  visible: ['visible'],
  hidden: ['hidden'],
  connected: ['visible', 'hidden'],
  this: ['this'],
  known: ['this', 'visible', 'hidden', 'known'],
}

function nodes({ self, network }: CallContext, kinds: unknown): Atom[] {
  const found = new Set<string>()
  for (const kind of Array.isArray(kinds) ? kinds : [kinds]) {
    const name = atomName(kind)
    if (name === undefined || !Object.hasOwn(KINDS, name)) throw badarg()
    for (const which of KINDS[name]!) {
      if (which === 'this') found.add(self.runtime.node.name)
      else for (const node of network.nodes(which)) found.add(node)
    }
  }
  return atoms([...found])
}
