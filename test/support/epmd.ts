/** An epmd of ours in the test's own process, on loopback. */
import { realSystem } from '../../src/actors/system.ts'
import { type EpmdServer, startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'

/** Starts an epmd; 0 is any free port. */
export async function startEpmd(port: number): Promise<EpmdServer> {
  const { timers, randomFill } = realSystem()
  const started = await startEpmdServer({ transport: tcpTransport(), timers, randomFill, port, hosts: ['127.0.0.1'] })
  if (!started.ok) throw new Error(`no epmd: ${started.reason}`)
  return started.server
}
