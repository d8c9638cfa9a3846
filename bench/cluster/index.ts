/**
 * What a cluster costs: `npm run bench -- cluster [--quick]`. The nodes are the built code (`npm run build`).
 *
 *     deliver    QoS 1, 100 at a time, from a publisher on n1 to a subscriber on n1, and to one on n2: CPU of all nodes for each delivery
 *     durable    the same on one node to a session that outlives its connection, on disc and in memory
 *     subscribe  wildcard filters, pipelined, on one node of 1, 2 and 3: SUBACKs a second
 */

import { LoadClient } from './client.ts'
import { BenchCluster, type ClusterNode } from './nodes.ts'

const isQuick = process.argv.includes('--quick')
const MESSAGES = isQuick ? 5000 : 40_000
const FILTERS = isQuick ? 2000 : 20_000
const WINDOW = 100
const PAYLOAD = Buffer.alloc(64, 'x')

interface Figures {
  readonly perSec: number
  readonly cpuUs: number
}

async function deliver(
  nodes: readonly ClusterNode[],
  from: ClusterNode,
  to: ClusterNode,
  clean: boolean,
): Promise<Figures> {
  const subscriber = await LoadClient.open(to.port, 'subscriber', clean)
  subscriber.subscribe('bench/t', 1)
  await subscriber.until(() => subscriber.subscribed === 1)
  const publisher = await LoadClient.open(from.port, 'publisher')
  const run = async (count: number) => {
    const [heard, acked] = [subscriber.published, publisher.acknowledged]
    for (let sent = 0; sent < count; ) {
      for (; sent < count && sent - (publisher.acknowledged - acked) < WINDOW; sent += 1) {
        publisher.publish('bench/t', PAYLOAD, 1, 1 + (sent % 65_000))
      }
      const floor = publisher.acknowledged + 1
      await publisher.until(() => publisher.acknowledged >= floor)
    }
    await subscriber.until(() => subscriber.published - heard >= count)
  }
  await run(MESSAGES / 4)
  const cpu = nodes.map((node) => node.cpuMs())
  const begun = performance.now()
  await run(MESSAGES)
  const seconds = (performance.now() - begun) / 1000
  const cpuMs = nodes.reduce((sum, node, i) => sum + node.cpuMs() - cpu[i]!, 0)
  publisher.close()
  subscriber.close()
  return { perSec: MESSAGES / seconds, cpuUs: (cpuMs * 1000) / MESSAGES }
}

async function subscribeRate(node: ClusterNode): Promise<number> {
  const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => LoadClient.open(node.port, `c${i}`)))
  const each = FILTERS / clients.length
  const begun = performance.now()
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = 0; n < each; n += 1) {
        client.subscribe(`bench/${i}/${n}/+`, 1 + n, 0)
        if (n - client.subscribed >= 32) {
          const floor = client.subscribed + 16
          await client.until(() => client.subscribed >= floor)
        }
      }
      await client.until(() => client.subscribed >= each)
    }),
  )
  const perSec = FILTERS / ((performance.now() - begun) / 1000)
  for (const client of clients) client.close()
  return perSec
}

async function withCluster<T>(
  count: number,
  sets: readonly string[],
  use: (nodes: readonly ClusterNode[]) => Promise<T>,
): Promise<T> {
  const cluster = await BenchCluster.start(count, sets)
  try {
    return await use(cluster.nodes)
  } finally {
    await cluster.stop()
  }
}

function say(what: string, { perSec, cpuUs }: Figures): void {
  process.stdout.write(
    `${what.padEnd(44)} ${Math.round(perSec).toLocaleString('en')}/s  ${cpuUs.toFixed(1)} us CPU each\n`,
  )
}

const near = await withCluster(1, [], (nodes) => deliver(nodes, nodes[0]!, nodes[0]!, true))
say('deliver, one node', near)
const far = await withCluster(2, [], (nodes) => deliver(nodes, nodes[0]!, nodes[1]!, true))
say('deliver, n1 to n2', far)
process.stdout.write(
  `  CPU of both nodes, times that of one: ${(far.cpuUs / near.cpuUs).toFixed(2)} (at most 2 wanted)\n`,
)
const memory = await withCluster(1, ['session.durability=memory'], (nodes) =>
  deliver(nodes, nodes[0]!, nodes[0]!, false),
)
say('lasting session, in memory', memory)
const disc = await withCluster(1, [], (nodes) => deliver(nodes, nodes[0]!, nodes[0]!, false))
say('lasting session, on disc', disc)
process.stdout.write(
  `  rate, times that in memory: ${(disc.perSec / memory.perSec).toFixed(2)} (at least 0.5 wanted)\n`,
)
for (const count of [1, 2, 3]) {
  const perSec = await withCluster(count, [], (nodes) => subscribeRate(nodes[0]!))
  process.stdout.write(
    `subscribe, ${count} node${count > 1 ? 's' : ''}: ${Math.round(perSec).toLocaleString('en')}/s\n`,
  )
}
