/**
 * Makes a node of a runtime: its distribution, and the processes that stand for it.
 *
 * Where streams come from and how nodes are found is given: startNode (start-node.ts) gives TCP or TLS and epmd, tests a
 * simulated network. The processes are those that every Erlang node has and that its tools ask: net_kernel, and so on.
 */
import { callerProcess } from '../actors/gen.ts'
import type { StartResult } from '../actors/proc-lib.ts'
import type { Runtime } from '../actors/runtime.ts'
import { Distribution, type DistributionOptions } from './distribution.ts'
import { MESH, mesh } from './mesh.ts'
import { netKernel } from './net-kernel.ts'
import { spawnForPeer } from './spawn-for-peer.ts'

/** As for `Distribution`; processes for peers are started by what `spawnForPeer` allows unless told otherwise. */
export type StartDistributionOptions = Omit<DistributionOptions, 'runtime' | 'spawn'> &
  Partial<Pick<DistributionOptions, 'spawn'>> & {
    /** Whether to connect to the peers of our own peers. @default true on visible nodes */
    readonly mesh?: boolean
  }

/** Starts the distribution of a runtime; it ends with its process `net_kernel`. */
export function startDistribution(runtime: Runtime, options: StartDistributionOptions): Distribution {
  const spawn = options.spawn ?? ((request) => spawnForPeer(runtime, request))
  const distribution = new Distribution({ ...options, runtime, spawn })
  runtime.remote = distribution
  const init = callerProcess(runtime)
  started(netKernel.starter(distribution, { name: 'net_kernel' })(init))
  if (!distribution.hidden && options.mesh !== false) started(mesh.starter(undefined, { name: MESH })(init))
  return distribution
}

/** Their `init` is synchronous and cannot fail but by a taken name. */
function started(result: StartResult | Promise<StartResult>): void {
  if (!(result instanceof Promise) && !result.ok) throw new Error(`distribution cannot start: ${String(result.reason)}`)
}
