/**
 * A node that takes connections and has no sessions: those are on the node of `--join`. Started with the command line of bin/node, by
 * `peers.launch(name, { program: FRONT_NODE })`.
 *
 * The connections are those of production. Only who opens their sessions is decided by hand here.
 */
import { boot } from '../../src/boot/boot.ts'
import type { NodeStart, RunningNode } from '../../src/boot/run-node.ts'
import { NodeStartError } from '../../src/boot/start-error.ts'
import { realWorld } from '../../src/boot/world.ts'
import { connectionEnvironment } from '../../src/broker/connection/connection-services.ts'
import { tcpListener } from '../../src/broker/connection/listener-tcp.ts'
import { Alarms } from '../../src/broker/monitor/alarm.ts'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { createServices } from '../../src/broker/services.ts'
import { startTables } from '../../src/broker/start-tables.ts'
import { startNode } from '../../src/dist/start-node.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'

async function runFront(start: NodeStart): Promise<RunningNode> {
  const { name, cookie, cluster, dist, epmdPort, config, logger } = start
  const started = await startNode({ ...dist, name, cookie, epmdPort, logger, startEpmd: () => start.startEpmd() })
  if (!started.ok) throw new NodeStartError(started)
  const { node } = started
  const home = cluster.seeds[0]!
  const { runtime, distribution } = node
  const alarms = new Alarms(() => runtime.clock.now())
  const tables = await startTables(runtime, {
    store: new MemoryStore(),
    alarms,
    backup: () => Promise.reject(new Error()),
  })
  if (!tables.ok) throw new Error(tables.problem)
  const services = await createServices({ config, version: '0.0.0', vm: undefined, mnesia: tables.mnesia, alarms })
  const { tcp } = config.listeners
  const environment = {
    ...connectionEnvironment(services, tcp),
    openSession: (client: ClientInfo) => {
      const manager = { name: 'sm', node: home }
      runtime.send(manager, { tag: 'lease', client, manager })
    },
  }
  await tcpListener.start(runtime, { ...tcp, shutdownMs: 5000, environment }, { name: 'listener_tcp' })
  const { host, port } = await tcpListener.call(runtime, 'listener_tcp', 'info')
  await distribution.connect(home)
  return {
    listeners: [
      { name: 'mqtt', host, port },
      { name: 'dist', host: node.host, port: node.port },
    ],
    openConsole: () => Promise.reject(new Error()),
    asked: new Promise(() => {}),
    ended: new Promise(() => {}),
    stop: () => node.stop(),
  }
}

process.exitCode = await boot({ ...realWorld(), runNode: runFront })
process.exit()
