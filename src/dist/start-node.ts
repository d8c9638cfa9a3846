/**
 * Starts a runtime as a node of a cluster: listens, registers with epmd, and takes the creation that epmd gives.
 *
 * The creation is part of every pid, so the runtime can be made only when epmd has answered; streams that come before are taken once
 * the node is there. A name that another node has is refused by epmd, and the node does not start.
 */
import type { Logger } from 'pino'
import { type Runtime, startRuntime } from '../actors/runtime.ts'
import { realSystem, type System } from '../actors/system.ts'
import type { FindResult } from './connector.ts'
import type { Distribution, DistributionOptions } from './distribution.ts'
import { EpmdClient, type Registration, type RegistrationEvent } from './epmd-client.ts'
import { otpExports } from './exports/all.ts'
import type { Exports } from './exports.ts'
import { names } from './net-adm.ts'
import { listenHostOf, nameInUse, parseNodeName } from './node-name.ts'
import type { RemoteCallLimits } from './remote-calls.ts'
import { startDistribution } from './start-distribution.ts'
import type { Address, ByteStream, StreamListener, Transport } from './transport.ts'
import { tcpTransport } from './transport-tcp.ts'

/** Default port of epmd. */
const EPMD_PORT = 4369

export interface StartNodeOptions extends Pick<DistributionOptions, 'cookie' | 'hidden' | 'netTicktimeMs' | 'limits'> {
  /** `NAME@HOST`; see `checkNodeName` for what it may be. */
  readonly name: string
  /** Where to listen. @default the address in the name when that is a loopback address, else all; any free port */
  readonly listen?: Partial<Address>
  /** How nodes talk. @default TCP */
  readonly transport?: Transport
  /** @default 4369 */
  readonly epmdPort?: number
  /** Starts an epmd when none answers; resolves when it listens or cannot be had. */
  readonly startEpmd?: () => Promise<void>
  /** Whether to connect to the peers of our own peers. @default true on visible nodes */
  readonly mesh?: boolean
  /** What other nodes may call. @default OTP's functions */
  readonly exports?: Exports
  /** Bounds of what other nodes run here. */
  readonly remoteCalls?: RemoteCallLimits
  readonly logger?: Logger
  readonly system?: System
}

/** A node that runs. */
export interface Node {
  readonly runtime: Runtime
  readonly distribution: Distribution
  /** What other nodes may call; more can be registered. */
  readonly exports: Exports
  readonly epmd: EpmdClient
  /** Address on which other nodes are accepted. */
  readonly host: string
  readonly port: number
  /** Leaves the other nodes, which are told, ends all processes and lets epmd forget the name. */
  stop(): Promise<void>
}

/** A node, or the sentence that says why it does not start. */
export type StartNodeResult =
  | { readonly ok: true; readonly node: Node }
  | {
      readonly ok: false
      readonly reason: 'bad_name' | 'name_in_use' | 'listen' | 'epmd'
      readonly problem: string
      /** A code of the system, such as `EADDRINUSE`, where there is one. */
      readonly detail: string
      /** Where it was to listen. */
      readonly at: Address
    }

/** Starts a node. */
export async function startNode(options: StartNodeOptions): Promise<StartNodeResult> {
  const { name, system = realSystem(), transport = tcpTransport(), epmdPort = EPMD_PORT } = options
  const at = { host: options.listen?.host ?? listenHostOf(name), port: options.listen?.port ?? 0 }
  const failed = (reason: StartNodeFailure['reason'], problem: string, detail = ''): StartNodeFailure => {
    return { ok: false, reason, problem, detail, at }
  }
  const parsed = parseNodeName(name)
  if (parsed === undefined) return failed('bad_name', `${name} is no node name`)
  const early: ByteStream[] = []
  let take = (stream: ByteStream): void => void early.push(stream)
  const listening = await transport.listen(at, (stream) => take(stream))
  if (!listening.ok) {
    const { reason } = listening
    return failed('listen', `the node cannot listen on ${at.host} port ${at.port}: ${reason}`, reason)
  }
  const { listener } = listening
  const epmd = new EpmdClient({
    transport: transport.proto === 'inet_tls' ? tcpTransport() : transport,
    system,
    port: epmdPort,
    ...(options.startEpmd === undefined ? {} : { startEpmd: options.startEpmd }),
  })
  let onEvent = (_event: RegistrationEvent): void => {}
  const registered = await epmd.register({
    name: parsed.short,
    port: listener.address.port,
    nodeType: options.hidden === true ? 72 : 77,
    onEvent: (event) => onEvent(event),
  })
  if (!registered.ok) {
    await listener.close()
    for (const stream of early) stream.destroy()
    const { reason, detail } = registered
    if (reason === 'name_in_use') return failed('name_in_use', nameInUse(name))
    return failed('epmd', `epmd on port ${epmdPort} cannot be used: ${detail}`, detail)
  }
  const { registration } = registered
  const logger = options.logger === undefined ? {} : { logger: options.logger }
  const runtime = startRuntime({ name, creation: registration.creation, system, ...logger })
  onEvent = (event) => runtime.logger.warn({ event }, `registration at epmd: ${event.tag}`)
  const exports = options.exports ?? otpExports()
  const distribution = startDistribution(runtime, {
    ...options,
    transport,
    find: (node) => findByEpmd(epmd, node),
    exports,
    names: async () => {
      const result = await names(epmd)
      return result.ok ? result.names : undefined
    },
  })
  take = (stream) => distribution.accept(stream)
  for (const stream of early) take(stream)
  const stop = () => stopNode({ runtime, distribution, registration, listener })
  return { ok: true, node: { runtime, distribution, exports, epmd, ...listener.address, stop } }
}

type StartNodeFailure = Extract<StartNodeResult, { ok: false }>

interface Parts {
  readonly runtime: Runtime
  readonly distribution: Distribution
  readonly registration: Registration
  readonly listener: StreamListener
}

async function stopNode({ runtime, distribution, registration, listener }: Parts): Promise<void> {
  const closed = listener.close()
  await distribution.stop()
  runtime.stop()
  await closed
  registration.close()
}

/** Asks the epmd of the node's host. */
async function findByEpmd(epmd: EpmdClient, node: string): Promise<FindResult> {
  const parsed = parseNodeName(node)
  if (parsed === undefined) return { ok: false, reason: 'bad_name' }
  const found = await epmd.portPlease(parsed.short, parsed.host)
  return found.ok
    ? { ok: true, address: { host: parsed.host, port: found.node.port } }
    : { ok: false, reason: found.reason }
}
