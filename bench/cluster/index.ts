/**
 * What a cluster costs: `npm run bench -- cluster [--quick]`. The nodes are the built code (`npm run build`).
 *
 *     deliver    QoS 1, 100 at a time, from a publisher on n1 to a subscriber on n1, and to one on n2: CPU of all nodes for each delivery
 *     durable    QoS 1, 100 and 1,000 at a time, to a session that outlives its connection, in memory and on disc in turns, its client there and
 *                away; `--base DIR` has a node of another checkout, built, beside
 *     subscribe  wildcard filters, pipelined, on one node of 1, 2 and 3: SUBACKs a second, of a node that has run for a while and of a new one
 *     at once    clients on three nodes that each subscribe a wildcard filter at the same moment: until the last SUBACK
 *     connect    lasting sessions on disc, 100 CONNECTs at a time: new ones, and those that are there, from another node too
 *     join       a node that joins one with many routes: until it has them
 *     restart    a node that is killed with many sessions on disc, ten messages in each: until it lets clients in
 *     routes     the table of routes of one node with very many of them
 *
 * `--only NAME,NAME` runs some of them.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { LoadClient } from './client.ts'
import { Delivery, type Figures } from './delivery.ts'
import { compareDurable } from './durable.ts'
import { BenchCluster, type ClusterNode } from './nodes.ts'
import type { RouteFigures } from './routes.ts'
import { connectRate, joinWithRoutes, restartWithSessions, subscribeAtOnce } from './scale.ts'

const isQuick = process.argv.includes('--quick')
const MESSAGES = isQuick ? 5000 : 40_000
const FILTERS = isQuick ? 2000 : 20_000
const WINDOW = 100
const CLIENTS = isQuick ? 1000 : 10_000
const JOIN_ROUTES = isQuick ? 50_000 : 1_000_000
const SESSIONS = isQuick ? 2000 : 100_000
const ROUTES = isQuick ? 500_000 : 10_000_000

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}

async function deliver(
  nodes: readonly ClusterNode[],
  from: ClusterNode,
  to: ClusterNode,
  clean: boolean,
): Promise<Figures> {
  const delivery = await Delivery.open(from, to, clean)
  // The cost of a broker that has run for a while: what is called often is compiled by then, which on two nodes is twice as much.
  await delivery.run(3 * MESSAGES, WINDOW)
  const figures = await delivery.measure(nodes, MESSAGES, WINDOW)
  delivery.close()
  return figures
}

/** SUBACKs a second of a node that has just been started, and of one whose code is compiled. */
async function subscribeRates(node: ClusterNode): Promise<{ readonly cold: number; readonly warm: number }> {
  const cold = await subscribeRate(node)
  for (let i = 0; i < 2; i += 1) await subscribeRate(node)
  return { cold, warm: await subscribeRate(node) }
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
  use: (cluster: BenchCluster) => Promise<T>,
): Promise<T> {
  const cluster = await BenchCluster.start(count, sets)
  try {
    return await use(cluster)
  } finally {
    await cluster.stop()
  }
}

function say(what: string, { perSec, cpuUs }: Figures): void {
  process.stdout.write(
    `${what.padEnd(44)} ${Math.round(perSec).toLocaleString('en')}/s  ${cpuUs.toFixed(1)} us CPU each\n`,
  )
}

function line(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(44)} ${figure}\n`)
}

const whole = (value: number) => Math.round(value).toLocaleString('en')

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  async deliver() {
    const near = await withCluster(1, [], ({ nodes }) => deliver(nodes, nodes[0]!, nodes[0]!, true))
    say('deliver, one node', near)
    const far = await withCluster(2, [], ({ nodes }) => deliver(nodes, nodes[0]!, nodes[1]!, true))
    say('deliver, n1 to n2', far)
    line('  CPU of both nodes, times that of one', `${(far.cpuUs / near.cpuUs).toFixed(2)} (at most 2 wanted)`)
  },

  async durable() {
    await compareDurable({ rounds: isQuick ? 2 : 5, messages: MESSAGES, base: option('--base') })
  },

  async subscribe() {
    for (const count of [1, 2, 3]) {
      const { cold, warm } = await withCluster(count, [], ({ nodes }) => subscribeRates(nodes[0]!))
      line(`subscribe, ${count} node${count > 1 ? 's' : ''}`, `${whole(warm)}/s, the first ${whole(cold)}/s`)
    }
  },

  async 'at once'() {
    const seconds = await withCluster(3, [], (cluster) => subscribeAtOnce(cluster, CLIENTS))
    line(`${whole(CLIENTS)} clients subscribe at once, 3 nodes`, `${seconds.toFixed(2)} s until the last SUBACK`)
  },

  async connect() {
    for (const count of [1, 2]) {
      const { fresh, again } = await withCluster(count, [], (cluster) => connectRate(cluster, CLIENTS))
      line(`connect, lasting sessions, ${count} node${count > 1 ? 's' : ''}`, `${whole(fresh)}/s new`)
      line(count > 1 ? '  again, on the other node' : '  again', `${whole(again)}/s`)
    }
  },

  async join() {
    const seconds = await withCluster(1, [], (cluster) => joinWithRoutes(cluster, JOIN_ROUTES))
    line(`join a node with ${whole(JOIN_ROUTES)} routes`, `${seconds.toFixed(1)} s, start of the node included`)
  },

  async restart() {
    const { sec, mib } = await withCluster(1, [], (cluster) => restartWithSessions(cluster, SESSIONS))
    line(`restart with ${whole(SESSIONS)} sessions`, `${sec.toFixed(1)} s, ${whole(mib)} MiB`)
  },

  async routes() {
    const program = fileURLToPath(new URL('routes.ts', import.meta.url))
    const args = ['--expose-gc', '--max-old-space-size=8192', '--import', 'tsx', program, String(ROUTES)]
    const figures = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as RouteFigures
    const { bytesEach, rssMiB, writesPerSec, lookupNs } = figures
    line(
      `${whole(ROUTES)} routes in one node`,
      `${whole(rssMiB)} MiB (at most 1,536 wanted), ${whole(bytesEach)} B each`,
    )
    line('  written', `${whole(writesPerSec)}/s`)
    line('  the routes of a topic', `${whole(lookupNs)} ns`)
  },
}

const only = option('--only')?.split(',') ?? Object.keys(scenarios)
for (const name of only) {
  const scenario = scenarios[name]
  if (scenario === undefined) throw new Error(`${name} is none of ${Object.keys(scenarios).join(', ')}`)
  await scenario()
}
