/**
 * What a subscription costs: CPU per subscribe and unsubscribe in the router process, and memory per filter with one
 * subscriber, all structures of routing included (route table, subscribers, trie; the filter's string too).
 *
 *     npm run bench -- router [filters] [clients]
 */
import pino from 'pino'
import { Runtime } from '../src/actors/runtime.ts'
import { type FromRouter, RouterPool, router, type ToRouter } from '../src/broker/routing/router.ts'
import { Routing } from '../src/broker/routing/routing.ts'
import { type ParsedFilter, parseFilter } from '../src/broker/routing/topic.ts'
import { TestTables } from '../test/support/tables.ts'

// `--quick`, which goes to every benchmark, is not for this one.
const numbers = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const FILTERS = Number(numbers[0] ?? 100_000)
const CLIENTS = Number(numbers[1] ?? 4)

const SHAPES: readonly { name: string; filter: (i: number) => string }[] = [
  { name: 'exact', filter: (i) => `device/${String(i).padStart(8, '0')}/up` },
  { name: 'wildcard', filter: (i) => `device/${String(i).padStart(8, '0')}/+/#` },
]

for (const shape of SHAPES) for (const perRequest of [1, 100]) await measure(shape, perRequest)
process.exit(0)

async function measure({ name, filter }: (typeof SHAPES)[number], perRequest: number): Promise<void> {
  const runtime = new Runtime({ logger: pino({ level: 'silent' }) })
  const routing = new Routing(runtime.node.name, new TestTables())
  await router.start(runtime, { routing }, { name: 'router' })
  const pool = new RouterPool(runtime)
  let answered = 0
  let wanted = 0
  let done = () => {}
  const sessions = Array.from({ length: CLIENTS }, () =>
    runtime.spawn({
      receive: (message) => {
        if (
          ((message as FromRouter).tag === 'subscribed' || (message as FromRouter).tag === 'unsubscribed') &&
          ++answered === wanted
        )
          done()
      },
    }),
  )
  const round = async (make: (from: number, to: number, session: number) => ToRouter): Promise<number> => {
    answered = 0
    wanted = Math.ceil(FILTERS / perRequest)
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const before = process.cpuUsage()
    for (let i = 0; i < FILTERS; i += perRequest) {
      const session = (i / perRequest) % CLIENTS
      runtime.send(pool.of(sessions[session]!)!, make(i, Math.min(FILTERS, i + perRequest), session))
    }
    await all
    const { user, system } = process.cpuUsage(before)
    return (user + system) / FILTERS
  }
  const parsed = (from: number, to: number): ParsedFilter[] =>
    Array.from({ length: to - from }, (_, i) => {
      const result = parseFilter(filter(from + i))
      if (!result.ok) throw new Error(result.reason)
      return result.value
    })
  const before = memory()
  const subscribeUs = await round((from, to, session) => ({
    tag: 'subscribe',
    from: sessions[session]!,
    ticket: from,
    clientId: `client${session}`,
    durable: false,
    subscriptions: parsed(from, to).map((one) => ({ filter: one, qos: 1, noLocal: false, rap: false, id: undefined })),
  }))
  const bytes = (memory() - before) / FILTERS
  const lookUs = cpu(() => {
    for (let i = 0; i < FILTERS; i++) routing.global.match(`device/${String(i).padStart(8, '0')}/up`)
  })
  const unsubscribeUs = await round((from, to, session) => ({
    tag: 'unsubscribe',
    from: sessions[session]!,
    ticket: from,
    filters: parsed(from, to),
  }))
  const left = routing.global.routes.size + routing.global.trie.nodeCount + routing.subscribers.subscriptionCount
  console.log(
    `${name}, ${perRequest} per request, n=${FILTERS}, ${CLIENTS} clients: subscribe ${subscribeUs.toFixed(2)} us, ` +
      `unsubscribe ${unsubscribeUs.toFixed(2)} us, match ${(lookUs / FILTERS).toFixed(2)} us, ${bytes.toFixed(0)} bytes/filter, left ${left}`,
  )
  runtime.stop()
}

function memory(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + Math.max(external, arrayBuffers)
}

function cpu(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return user + system
}
