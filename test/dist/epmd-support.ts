/** epmd servers and clients of a test, on free ports of loopback; everything is closed when the test ends. */
import { onTestFinished } from 'vitest'
import { realSystem } from '../../src/actors/system.ts'
import { EpmdClient, type EpmdClientOptions, type RegisterOptions } from '../../src/dist/epmd-client.ts'
import { type EpmdServer, type EpmdServerOptions, startEpmdServer } from '../../src/dist/epmd-server.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { freePort } from '../support/free-port.ts'

export const system = realSystem()
export const transport = tcpTransport()

export async function epmdServer(options: Partial<EpmdServerOptions> = {}): Promise<EpmdServer> {
  const { timers, randomFill } = system
  const port = options.port ?? (await freePort())
  const started = await startEpmdServer({ transport, timers, randomFill, ...options, port })
  if (!started.ok) throw new Error(started.reason)
  onTestFinished(() => started.server.close())
  return started.server
}

export function epmdClient(port: number, options: Partial<EpmdClientOptions> = {}): EpmdClient {
  return new EpmdClient({ transport, system, port, ...options })
}

/** Registers a node that is no node. */
export async function registered(client: EpmdClient, name: string, options: Partial<RegisterOptions> = {}) {
  const result = await client.register({ name, port: 4711, nodeType: 77, ...options })
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`)
  onTestFinished(() => result.registration.close())
  return result.registration
}
