/**
 * A node as bin/node runs it: the distribution, and on its runtime the broker.
 *
 *     listen for nodes → epmd → distribution → tables, which meet the other members → sessions → broker, its listeners
 *     stop: clients are told, broker → sessions, tables, to the disc → distribution leaves → epmd forgets the name
 *
 * The distribution comes first, since the creation that epmd gives is part of every pid; other nodes can be connected
 * while the broker starts. When a part does not start, those that did are stopped again. An epmd that was started on the
 * way stays, as Erlang's does: other nodes may have registered by then.
 */
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import * as application from '../actors/application.ts'
import type { ExitReason } from '../actors/errors.ts'
import type { Runtime } from '../actors/runtime.ts'
import { startBroker } from '../broker/broker.ts'
import type { BrokerConfig } from '../broker/config.ts'
import { Alarms } from '../broker/monitor/alarm.ts'
import { startTables } from '../broker/start-tables.ts'
import { commandTable } from '../ctl/commands.ts'
import { exportCommands } from '../ctl/server.ts'
import type { Distribution } from '../dist/distribution.ts'
import { type Node, startNode } from '../dist/start-node.ts'
import { backupTo } from '../mnesia/backup-to.ts'
import type { Mnesia } from '../mnesia/mnesia.ts'
import { openStore } from '../mnesia/store/open-store.ts'
import type { Store } from '../mnesia/store/store.ts'
import { makeObservable } from '../observer/backend/application.ts'
import { type NodeConsole, openConsole, type Terminal } from './console.ts'
import type { DistOptions } from './dist-options.ts'
import { DataError, NodeStartError } from './start-error.ts'

/** What a node is started with. */
export interface NodeStart {
  readonly name: string
  readonly cookie: string
  readonly hidden: boolean
  readonly cluster: ClusterOptions
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

/** How the node finds its cluster. */
export interface ClusterOptions {
  /** Members of the cluster that a new node joins by itself. */
  readonly seeds: readonly string[]
  /** Rows that joining a seed replaces are given up without asking. */
  readonly confirmSeeds: boolean
  readonly partitionPolicy: 'autoheal' | 'manual'
  readonly startWaitMs: number
  /** Takes over the data of a node that had another name. */
  readonly rename: boolean
}

/** A node that runs. */
export interface RunningNode {
  /** In the order in which they were opened for clients; the one for other nodes is the last. */
  readonly listeners: readonly { readonly name: string; readonly host: string; readonly port: number }[]
  /** Opens a shell on the node itself. */
  openConsole(terminal: Terminal): Promise<NodeConsole>
  /** Resolves when bin/ctl asks the node to end. */
  readonly asked: Promise<'stop' | 'restart'>
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
  let sessionStore: Store | undefined
  let hintStore: Store | undefined
  try {
    await application.startController(node.runtime, { onTermination: () => {} })
    const alarms = new Alarms(() => node.runtime.clock.now())
    const mnesia = await openTables(node.runtime, alarms, start)
    if (config.session.durability === 'disc') sessionStore = await openOwnStore(node.runtime, start, 'sessions')
    hintStore = await openOwnStore(node.runtime, start, 'hints')
    const broker = await startBroker({ ...config, mnesia, alarms, version, hintStore, sessionStore })
    await makeObservable(node, { version, tables: mnesia, remoteShell: dist.remoteShell })
    let ask: (how: 'stop' | 'restart') => void = () => {}
    const asked = new Promise<'stop' | 'restart'>((resolve) => {
      ask = resolve
    })
    const program = { dataDir: resolve(start.dataDir), end: ask }
    exportCommands(node.exports, commandTable(), { runtime: node.runtime, services: broker.services, program })
    return {
      openConsole: (terminal) => openConsole(node.runtime, version, terminal),
      asked,
      listeners: [...broker.listeners, { name: 'dist', host: node.host, port: node.port }],
      ended: Promise.race([broker.ended, distributionEnded(node)]),
      stop: async () => {
        try {
          await broker.stop()
          await sessionStore?.close()
          await hintStore?.close()
          await mnesia.stop()
        } finally {
          await node.stop()
        }
      },
    }
  } catch (error) {
    await sessionStore?.close()
    await hintStore?.close()
    await node.stop()
    throw error
  }
}

/** The tables of the node, in `tables` of its data directory; what it gives up when it changes its cluster is saved in `backup`. */
async function openTables(runtime: Runtime, alarms: Alarms, { name, dataDir, cluster }: NodeStart): Promise<Mnesia> {
  const { store } = await openStore({ directory: join(dataDir, 'tables'), system: runtime.system, owner: name })
  const backup = backupTo(runtime, resolve(dataDir, 'backup'))
  const started = await startTables(runtime, { ...cluster, store, alarms, backup })
  if (started.ok) return started.mnesia
  await store.close()
  throw new DataError(started.problem)
}

/** A store that no other node has anything of, in a folder of the data directory. What is damaged is said and left out. */
async function openOwnStore(runtime: Runtime, { dataDir, name }: NodeStart, folder: string): Promise<Store> {
  const { store, damage } = await openStore({ directory: join(dataDir, folder), system: runtime.system, owner: name })
  for (const { what, file, setAside } of damage) {
    runtime.logger.error({ report: 'damage', file, setAside }, `${folder} may be incomplete: ${what}`)
  }
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
