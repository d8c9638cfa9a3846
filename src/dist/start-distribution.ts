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
import { Exports } from './exports.ts'
import { GLOBAL_NAME_SERVER, globalNameServer } from './global.ts'
import { MESH, mesh } from './mesh.ts'
import { netKernel } from './net-kernel.ts'
import { addOtpExports } from './otp-exports.ts'
import { REX, rex } from './rpc.ts'
import { spawnForPeer } from './spawn-for-peer.ts'

export interface StartDistributionOptions extends Omit<DistributionOptions, 'runtime' | 'spawn'> {
  /** Whether to connect to the peers of our own peers. @default true on visible nodes */
  readonly mesh?: boolean
  /** What other nodes may call, beside the functions of OTP that every node has. */
  readonly exports?: Exports
}

/** Starts the distribution of a runtime; it ends with its process `net_kernel`. */
export function startDistribution(runtime: Runtime, options: StartDistributionOptions): Distribution {
  const { exports: exported = new Exports() } = options
  const spawn: DistributionOptions['spawn'] = (request) => spawnForPeer(runtime, exported, request)
  const distribution = new Distribution({ ...options, runtime, spawn })
  addOtpExports(exported, distribution)
  runtime.remote = distribution
  const init = callerProcess(runtime)
  started(netKernel.starter(distribution, { name: 'net_kernel' })(init))
  started(rex.starter(exported, { name: REX })(init))
  started(globalNameServer.starter(undefined, { name: GLOBAL_NAME_SERVER })(init))
  if (!distribution.hidden && options.mesh !== false) started(mesh.starter(undefined, { name: MESH })(init))
  return distribution
}

/** Their `init` is synchronous and cannot fail but by a taken name. */
function started(result: StartResult | Promise<StartResult>): void {
  if (!(result instanceof Promise) && !result.ok) throw new Error(`distribution cannot start: ${String(result.reason)}`)
}
