/** Much of something: clients that connect, subscribe all at once, or come back; routes; sessions on disc. */
import { LoadClient } from './client.ts'
import type { BenchCluster, ClusterNode } from './nodes.ts'

/** Operations that are under way at a time. */
const AT_A_TIME = 100

async function inParallel(count: number, each: (i: number) => Promise<void>): Promise<number> {
  let next = 0
  const begun = performance.now()
  const work = async () => {
    while (next < count) {
      next += 1
      await each(next - 1)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  return (performance.now() - begun) / 1000
}

/** Connections a second of lasting sessions: when the session is new, and when it is there, its client coming by another node if there is one. */
export async function connectRate({ nodes }: BenchCluster, count: number): Promise<{ fresh: number; again: number }> {
  const [first, second = first] = nodes
  const connectOn = (node: ClusterNode) => async (i: number) => {
    ;(await LoadClient.open(node.port, `c${i}`, false)).close()
  }
  const freshSec = await inParallel(count, connectOn(first!))
  const againSec = await inParallel(count, connectOn(second!))
  return { fresh: count / freshSec, again: count / againSec }
}

/** Clients on all nodes that subscribe a wildcard filter each, all at once: seconds until the last has its SUBACK. */
export async function subscribeAtOnce({ nodes }: BenchCluster, count: number): Promise<number> {
  const clients: LoadClient[] = []
  await inParallel(count, async (i) => {
    clients[i] = await LoadClient.open(nodes[i % nodes.length]!.port, `c${i}`)
  })
  const begun = performance.now()
  await Promise.all(
    clients.map((client, i) => {
      client.subscribe(`at/once/${i}/+`, 1)
      return client.until(() => client.subscribed === 1)
    }),
  )
  const seconds = (performance.now() - begun) / 1000
  for (const client of clients) client.close()
  return seconds
}

/** Seconds until a node that joins one with so many routes is a member and has them all. */
export async function joinWithRoutes(cluster: BenchCluster, count: number): Promise<number> {
  const [first] = cluster.nodes
  const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => LoadClient.open(first!.port, `c${i}`)))
  const each = count / clients.length
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = 0; n < each; n += 1) {
        client.subscribe(`devices/${i}/sensor/${n}`, 1 + (n % 65_000), 0)
        if (n - client.subscribed >= 500) {
          const floor = client.subscribed + 250
          await client.until(() => client.subscribed >= floor)
        }
      }
      await client.until(() => client.subscribed >= each)
    }),
  )
  const begun = performance.now()
  const joined = await cluster.add()
  while (!(await cluster.ctl(joined, 'broker', 'stats')).includes(`: ${count}\n`)) {
    // A command takes long enough to be a pause.
  }
  const seconds = (performance.now() - begun) / 1000
  for (const client of clients) client.close()
  return seconds
}

/** A node that is killed with so many sessions on disc, each with ten messages: seconds until it lets clients in, and its memory then. */
export async function restartWithSessions(cluster: BenchCluster, count: number): Promise<{ sec: number; mib: number }> {
  const [node] = cluster.nodes
  await inParallel(count, async (i) => {
    const client = await LoadClient.open(node!.port, `c${i}`, false)
    client.subscribe('all', 1)
    await client.until(() => client.subscribed === 1)
    client.close()
  })
  const publisher = await LoadClient.open(node!.port, 'publisher')
  for (let n = 1; n <= 10; n += 1) {
    publisher.publish('all', Buffer.alloc(64, 'x'), 1, n)
    await publisher.until(() => publisher.acknowledged === n)
  }
  const begun = performance.now()
  const restarted = await cluster.restart(node!)
  const sec = (performance.now() - begun) / 1000
  const mib = restarted.rssMiB()
  const back = await LoadClient.open(restarted.port, `c${count - 1}`, false)
  await back.until(() => back.published === 10)
  back.close()
  return { sec, mib }
}
