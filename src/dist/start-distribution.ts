/**
 * Makes a node of a runtime: its distribution, and the processes that stand for it.
 *
 * Where streams come from and how nodes are found is given: startNode (start-node.ts) gives TCP or TLS and epmd, tests a
 * simulated network. The processes are those that every Erlang node has and that its tools ask: net_kernel, which stands for the
 * distribution, and others under a supervisor, `net_sup`, since any node may link to them or end them.
 */
import { callerProcess } from '../actors/gen.ts'
import type { StartResult } from '../actors/proc-lib.ts'
import type { Runtime } from '../actors/runtime.ts'
import { child, supervisor } from '../actors/supervisor.ts'
import { Distribution, type DistributionOptions } from './distribution.ts'
import { otpExports } from './exports/all.ts'
import type { Exports, Network } from './exports.ts'
import { GLOBAL_NAME_SERVER, globalNameServer } from './global-name-server.ts'
import { mesh } from './mesh.ts'
import { MESH } from './mesh-protocol.ts'
import { netKernel } from './net-kernel.ts'
import { type RemoteCallLimits, RemoteCalls } from './remote-calls.ts'
import { REX, rpcServer } from './rpc-server.ts'

/** As for `Distribution`; peers start what is exported. */
export type StartDistributionOptions = Omit<DistributionOptions, 'runtime' | 'spawn'> &
  Partial<Pick<DistributionOptions, 'spawn'>> & {
    /** What other nodes may call. @default OTP's functions */
    readonly exports?: Exports
    /** Bounds of what other nodes run here. */
    readonly remoteCalls?: RemoteCallLimits
    /** The nodes of this host, for `net_adm:names/0`. @default epmd cannot be asked */
    readonly names?: Network['names']
    /** Whether to connect to the peers of our own peers. @default true on visible nodes */
    readonly mesh?: boolean
  }

/** Starts the distribution of a runtime; it ends with its process `net_kernel`. */
export function startDistribution(runtime: Runtime, options: StartDistributionOptions): Distribution {
  const { exports = otpExports() } = options
  const calls = new RemoteCalls(runtime, exports, options.remoteCalls)
  const spawn = options.spawn ?? ((request) => calls.spawn(request))
  const distribution = new Distribution({ ...options, runtime, spawn })
  exports.network = networkOf(distribution, options.names ?? (async () => undefined))
  runtime.remote = distribution
  const init = callerProcess(runtime)
  started(netKernel.starter(distribution, { name: 'net_kernel' })(init))
  const hasMesh = !distribution.hidden && options.mesh !== false
  started(netSup.starter({ calls, hasMesh }, { name: 'net_sup' })(init))
  return distribution
}

/** It restarts without end: a node that answers no calls for a moment is better than one that is gone. */
const netSup = supervisor<{ readonly calls: RemoteCalls; readonly hasMesh: boolean }>({
  label: 'net_sup',
  intensity: 1000,
  periodSec: 1,
  children: ({ calls, hasMesh }) => [
    child(REX, rpcServer, [calls, { name: REX }]),
    child(GLOBAL_NAME_SERVER, globalNameServer, [undefined, { name: GLOBAL_NAME_SERVER }]),
    ...(hasMesh ? [child(MESH, mesh, [undefined, { name: MESH }])] : []),
  ],
})

/** What exported functions see of the distribution. */
function networkOf(distribution: Distribution, names: Network['names']): Network {
  return {
    nodes: (kind) => distribution.nodes(kind),
    connect: (node) => distribution.connect(node),
    disconnect: (node) => distribution.disconnect(node),
    names,
    traffic: () => distribution.traffic(),
  }
}

/** Their `init` is synchronous and cannot fail but by a taken name. */
function started(result: StartResult | Promise<StartResult>): void {
  if (!(result instanceof Promise) && !result.ok) throw new Error(`distribution cannot start: ${String(result.reason)}`)
}
