/** Commands about nodes: which there are, who is connected to whom. All of them are asked of the node that is observed. */
import { atom, atomName, isTuple } from '../../dist/term.ts'
import { names, properties } from '../otp-terms.ts'
import { duration } from '../print/units.ts'
import { textOf } from '../target.ts'
import { badArgument, nodeName, oneOf } from './arguments.ts'
import type { CommandContext, CommandGroup } from './command.ts'

const KINDS = ['visible', 'hidden', 'connected', 'known', 'this'] as const

export const clusterCommands: CommandGroup = {
  title: 'Cluster',
  commands: [
    { name: 'node', params: '()', help: 'the node that is observed', run: ({ target }) => target.node },
    {
      name: 'nodes',
      params: "(kind = 'visible')",
      help: 'its nodes; or hidden, connected, known, this',
      run: async ({ target }, kind) => {
        const list = await target.rpc('erlang', 'nodes', [atom(oneOf(kind, 'kind', KINDS, 'visible'))])
        return names(list)
      },
    },
    {
      name: 'names',
      params: '()',
      help: 'the nodes that epmd of its host knows, with their ports',
      run: async ({ target }) => {
        const answer = await target.rpc('net_adm', 'names')
        const list = isTuple(answer, 2) && atomName(answer.elements[0]) === 'ok' ? answer.elements[1] : undefined
        if (!Array.isArray(list)) throw badArgument(`${target.node} cannot ask its epmd`)
        return list.map((pair: unknown) => {
          const [name, port] = isTuple(pair, 2) ? pair.elements : []
          return { name: textOf(name), port }
        })
      },
    },
    {
      name: 'ping',
      params: '(node)',
      help: "'pong' when it reaches another node, else 'pang'",
      run: async (context, node) =>
        textOf(await context.target.rpc('net_adm', 'ping', [atom(nodeName(context, node))], PATIENCE_MS)),
    },
    {
      name: 'connect',
      params: '(node)',
      help: 'connects it to another node; true when they are connected then',
      effect: 'act',
      run: (context, node) =>
        context.target.rpc('net_kernel', 'connect_node', [atom(nodeName(context, node))], PATIENCE_MS),
    },
    {
      name: 'disconnect',
      params: '(node)',
      help: 'ends its connection to another node; false when there was none',
      effect: 'change',
      question: (context, node) => `disconnect cuts ${context.target.node} off from ${nodeName(context, node)}`,
      run: (context, node) => context.target.rpc('erlang', 'disconnect_node', [atom(nodeName(context, node))]),
    },
    {
      name: 'nodeInfo',
      params: '(node?)',
      help: 'what it runs, since when, how much it has',
      run: (context, node) => nodeInfo(context, node === undefined ? context.target.node : nodeName(context, node)),
    },
  ],
}

/** A node that is asked to connect waits for a handshake, of 7 s at most. */
const PATIENCE_MS = 10_000

async function nodeInfo({ session }: CommandContext, node: string): Promise<unknown> {
  const target = session.targetOf(node)
  const [source, info, visible, hidden] = await Promise.all([
    session.sourceOf(node),
    target.rpc('observer_backend', 'sys_info'),
    target.rpc('erlang', 'nodes', [atom('visible')]),
    target.rpc('erlang', 'nodes', [atom('hidden')]),
  ])
  const of = properties(info)
  return {
    node,
    product: source.product,
    runtime: source.isErlang ? `erts ${textOf(of.version)}` : `Node.js ${textOf(of.version)}`,
    otpRelease: textOf(of.otp_release),
    architecture: textOf(of.system_architecture),
    uptime: duration(Number(of.uptime)),
    memoryBytes: of.total,
    processes: of.process_count,
    processLimit: of.process_limit,
    ports: of.port_count,
    tables: of.ets_count,
    atoms: of.atom_count,
    runQueue: of.run_queue,
    schedulers: of.schedulers_online,
    bytesIn: of.io_input,
    bytesOut: of.io_output,
    nodes: names(visible),
    hiddenNodes: names(hidden),
  }
}
