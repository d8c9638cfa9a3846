/**
 * One node's table of routes with very many exact filters of 20 to 30 bytes: bytes for each, and what it takes to find those of a topic.
 *
 * It runs in this process, without clients: 10 M subscriptions by MQTT would measure the sessions.
 */
import pino from 'pino'
import { Runtime } from '../../src/actors/runtime.ts'
import { Alarms } from '../../src/broker/monitor/alarm.ts'
import { Routing } from '../../src/broker/routing/routing.ts'
import { startTables } from '../../src/broker/start-tables.ts'
import { ROUTE } from '../../src/broker/tables.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'

const BATCH = 10_000
const LOOKUPS = 1_000_000

export interface RouteFigures {
  readonly bytesEach: number
  readonly rssMiB: number
  readonly writesPerSec: number
  readonly lookupNs: number
}

/** A filter of 20 to 30 bytes. */
const filterOf = (n: number) => `site/${n % 1000}/device/${n}/temp`

export async function manyRoutes(count: number): Promise<RouteFigures> {
  const runtime = new Runtime({ logger: pino({ level: 'silent' }) })
  const alarms = new Alarms(() => Date.now())
  const backup = () => Promise.reject(new Error('nothing is saved'))
  const started = await startTables(runtime, { store: new MemoryStore(), alarms, backup, startWaitMs: 0 })
  if (!started.ok) throw new Error(started.problem)
  const routing = new Routing(runtime.node.name, started.mnesia)
  const { routes } = routing.global
  const node = runtime.node.name
  global.gc?.()
  const before = process.memoryUsage.rss()
  const begun = performance.now()
  for (let n = 0; n < count; n += BATCH) {
    const operations = Array.from({ length: Math.min(BATCH, count - n) }, (_, i) => ({
      op: 'write' as const,
      row: { filter: filterOf(n + i), node, durable: false, group: false },
    }))
    void routes.batch(operations, {})
    // Others have their turn, as between the lists of a router.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const seconds = (performance.now() - begun) / 1000
  if (started.mnesia.open(ROUTE).size !== count) throw new Error('routes are missing')
  global.gc?.()
  const rss = process.memoryUsage.rss()
  const topics = Array.from({ length: LOOKUPS }, (_, i) => filterOf((i * 7_919_993) % count))
  const lookupBegun = performance.now()
  let found = 0
  for (const topic of topics) for (const filter of routing.global.match(topic)) found += routes.read(filter).length
  const lookupNs = ((performance.now() - lookupBegun) * 1e6) / LOOKUPS
  if (found !== LOOKUPS) throw new Error(`${found} of ${LOOKUPS} routes found`)
  routing.close()
  return {
    bytesEach: (rss - before) / count,
    rssMiB: rss / 2 ** 20,
    writesPerSec: count / seconds,
    lookupNs,
  }
}

if (process.argv[1]?.endsWith('routes.ts') === true) {
  process.stdout.write(JSON.stringify(await manyRoutes(Number(process.argv[2]))))
  process.exit(0)
}
