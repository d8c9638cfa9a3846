/**
 * A node as bin/node runs it: the distribution, and on its runtime the broker.
 *
 *     listen for nodes → epmd → distribution → store of sessions → broker, its listeners → --join
 *     stop: clients are told, broker → store of sessions → distribution leaves → epmd forgets the name
 *
 * The distribution comes first, since the creation that epmd gives is part of every pid; other nodes can be connected
 * while the broker starts. When a part does not start, those that did are stopped again. An epmd that was started on the
 * way stays, as Erlang's does: other nodes may have registered by then.
 */
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { ExitReason } from '../actors/errors.ts'
import { startBroker } from '../broker/broker.ts'
import type { BrokerConfig } from '../broker/config.ts'
import { commandTable } from '../ctl/commands.ts'
import { exportCommands } from '../ctl/server.ts'
import type { Distribution } from '../dist/distribution.ts'
import { type Node, startNode } from '../dist/start-node.ts'
import { openStore } from '../mnesia/store/open-store.ts'
import type { Store } from '../mnesia/store/store.ts'
import { makeObservable } from '../observer/backend/application.ts'
import type { DistOptions } from './dist-options.ts'
import { join as joinCluster } from './join.ts'
import { NodeStartError } from './start-error.ts'

/** What a node is started with. */
export interface NodeStart {
  readonly name: string
  readonly cookie: string
  readonly hidden: boolean
  /** A node to connect to; see join.ts. */
  readonly join: string | undefined
  readonly dist: DistOptions
  readonly epmdPort: number
  readonly config: BrokerConfig
  readonly dataDir: string
  readonly logger: Logger
  /** Of this package. */
  readonly version: string
  /** Starts an epmd when none answers; resolves when it listens or cannot be had. */
  startEpmd(): Promise<void>
}

/** A node that runs. */
export interface RunningNode {
  /** In the order in which they were opened for clients; the one for other nodes is the last. */
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[]
  /** Resolves with the reason when the broker or the distribution ends by itself. */
  readonly ended: Promise<unknown>
  /** Ends listeners, connections, sessions, distribution and runtime, in this order; resolves when all are gone. */
  stop(): Promise<void>
}

/** Starts a node. Rejects with `NodeStartError`, or what `startBroker` rejects with, and has then left nothing behind. */
export async function runNode(start: NodeStart): Promise<RunningNode> {
  const { name, cookie, hidden, dist, epmdPort, config, logger, version } = start
  const started = await startNode({
    ...dist,
    name,
    cookie,
    hidden,
    epmdPort,
    logger,
    startEpmd: () => start.startEpmd(),
  })
  if (!started.ok) throw new NodeStartError(started)
  const { node } = started
  logNodes(node.distribution, logger)
  let sessions: Store | undefined
  try {
    sessions = await openSessions(start, node)
    const sessionStore = sessions === undefined ? {} : { sessionStore: sessions }
    const broker = await startBroker({ ...config, runtime: node.runtime, version, ...sessionStore })
    const { tables } = broker.services
    await makeObservable(node, { version, tables, remoteShell: dist.remoteShell })
    exportCommands(node.exports, commandTable(), { runtime: node.runtime, services: broker.services })
    if (start.join !== undefined) await joinCluster.start(node.runtime, start.join, { name: 'join' })
    return {
      listeners: [...broker.listeners, { name: 'dist', host: node.host, port: node.port }],
      ended: Promise.race([broker.ended, distributionEnded(node)]),
      stop: async () => {
        try {
          await broker.stop()
          await sessions?.close()
        } finally {
          await node.stop()
        }
      },
    }
  } catch (error) {
    await sessions?.close()
    await node.stop()
    throw error
  }
}

/** Opens the store of the sessions of the node. Rejects with a `StoreError`. */
async function openSessions({ config, dataDir, name }: NodeStart, { runtime }: Node): Promise<Store | undefined> {
  if (config.session.durability === 'memory') return undefined
  const directory = join(dataDir, 'sessions')
  const { store, damage } = await openStore({ directory, system: runtime.system, owner: name })
  for (const { what, file, setAside } of damage) {
    runtime.logger.error(
      { report: 'damage', file, setAside },
      `sessions may be missing or older than they were: ${what}`,
    )
  }
  // Nobody else has what was lost, so nothing is gained by looking again.
  if (damage.length > 0) await store.forgetDamage()
  return store
}

function logNodes(distribution: Distribution, logger: Logger): void {
  distribution.subscribe((event) => {
    const { tag, node, hidden } = event
    const type = hidden ? 'hidden ' : ''
    if (tag === 'nodeup') logger.info({ report: tag, peer: node, hidden }, `${type}node ${node} is up`)
    else {
      const { reason } = event
      logger.info({ report: tag, peer: node, hidden, reason }, `${type}node ${node} is down: ${reason}`)
    }
  })
}

/** A node that other nodes cannot reach any more is none: it ends, as in OTP. */
function distributionEnded({ runtime }: Node): Promise<ExitReason> {
  return new Promise((resolve) => runtime.monitor(runtime.init, 'net_kernel', resolve))
}
