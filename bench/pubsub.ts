/**
 * What routing costs the publisher, without the receiving processes: one topic to many subscribers in batches, many topics
 * with one subscriber each, and a topic that is matched anew each time. Also what a message id costs.
 *
 *     node --import tsx bench/pubsub.ts
 */
import pino from 'pino'
import { Pid } from '../src/actors/pid.ts'
import { Runtime } from '../src/actors/runtime.ts'
import { guidGenerator } from '../src/broker/guid.ts'
import type { Message } from '../src/broker/message.ts'
import { PubSub } from '../src/broker/routing/pubsub.ts'
import { Routing } from '../src/broker/routing/routing.ts'
import { parseFilter } from '../src/broker/routing/topic.ts'
import { TestTables } from '../test/support/tables.ts'

const runtime = new Runtime({ logger: pino({ level: 'silent' }) })
const nextId = guidGenerator(runtime)
const payload = Buffer.alloc(64)

function message(topic: string): Message {
  const nowMs = Date.now()
  const expiresAtMs = Number.POSITIVE_INFINITY
  return {
    id: nextId(),
    from: 'p',
    topic,
    payload,
    qos: 0,
    retain: false,
    publishedAtMs: nowMs,
    expiresAtMs,
    properties: undefined,
  }
}

function broker(sessions: number, filterOf: (session: number) => string[], toProcesses = false) {
  const routing = new Routing('n', new TestTables())
  let sent = 0
  const count = () => {
    sent++
  }
  const toProcess = (to: Pid, what: unknown) => {
    sent++
    runtime.send(to, what)
  }
  const pubsub = new PubSub({ routing, send: toProcesses ? toProcess : count, random: Math.random })
  for (let i = 0; i < sessions; i++) {
    const pid = toProcesses ? runtime.spawn({ receive: () => {} }) : new Pid(runtime.node, i, 0)
    const { subscriber } = routing.admit(pid, `c${i}`, false)
    for (const text of filterOf(i)) {
      const filter = parseFilter(text)
      if (filter.ok)
        routing.subscribe(subscriber, { filter: filter.value, qos: 0, noLocal: false, rap: false, id: undefined })
    }
  }
  if (routing.flush({}) !== undefined) throw new Error('local tables do not wait')
  return { pubsub, routing, sent: () => sent }
}

/** Runs for about a second after warming up, five times; prints the median. */
function report(name: string, unit: string, run: () => number): void {
  for (let i = 0; i < 200; i++) run()
  const figures = Array.from({ length: 5 }, () => {
    let units = 0
    const begin = process.hrtime.bigint()
    while (process.hrtime.bigint() - begin < 300_000_000n) units += run()
    return Number(process.hrtime.bigint() - begin) / units
  }).sort((a, b) => a - b)
  console.log(
    `${name}: ${figures[2]!.toFixed(1)} ns/${unit} (least ${figures[0]!.toFixed(1)}, most ${figures[4]!.toFixed(1)})`,
  )
}

const batch = Array.from({ length: 32 }, () => message('a/topic/of/some/length'))
const topics = Array.from({ length: 1000 }, (_, i) => `pair/${i}/topic`)
const single = topics.map((topic) => [message(topic)])
const mixed = Array.from({ length: 32 }, (_, i) => message(topics[i % 4]!))

const fan = broker(1000, () => ['a/topic/of/some/length'])
report('1 topic, 1000 subscribers, batch of 32', 'destination-batch', () => fan.pubsub.publish(batch) / 32)
const hundred = broker(100, () => ['a/topic/of/some/length'])
report('1 topic, 100 subscribers, batch of 1', 'delivery', () => hundred.pubsub.publish([batch[0]!]))
const pairs = broker(1000, (i) => [topics[i]!])
report('1000 topics, 1 subscriber each, batch of 1', 'publish', () => {
  for (const one of single) pairs.pubsub.publish(one)
  return 1000
})
const many = broker(100, () => topics.slice(0, 4))
report('4 topics in turn, 100 subscribers of all, call of 32', 'destination', () => many.pubsub.publish(mixed) / 32)
const cold = broker(1000, (i) => [topics[i]!, `pair/${i}/+`])
let round = 0
report('1000 topics, matched anew: exact and wildcard folded', 'publish', () => {
  const { subscriber } = cold.routing.admit(new Pid(runtime.node, 0, 0), 'c0', false)
  const filter = parseFilter('pair/0/+')
  const qos = (round++ % 2) as 0 | 1
  if (filter.ok)
    cold.routing.subscribe(subscriber, { filter: filter.value, qos, noLocal: false, rap: false, id: undefined })
  for (const one of single) cold.pubsub.publish(one)
  return 1000
})
const shared = broker(100, () => ['$share/g/a/topic/of/some/length'])
report('1 group of 100 members, round robin, batch of 32', 'message', () => shared.pubsub.publish(batch))
report('message id', 'id', () => {
  for (let i = 0; i < 10_000; i++) nextId()
  return 10_000
})
const keep: Record<string, true>[] = []
report('message id, used as a key', 'id', () => {
  const ids = new Map<string, number>()
  for (let i = 0; i < 10_000; i++) ids.set(nextId(), i)
  keep.length = 0
  return ids.size
})
const processes = broker(1000, () => ['a/topic/of/some/length'], true)
await new Promise<void>((resolve) => {
  const begin = process.cpuUsage()
  let left = 300
  const step = () => {
    processes.pubsub.publish(batch)
    if (--left > 0) setImmediate(step)
    else {
      const { user, system } = process.cpuUsage(begin)
      console.log(
        `the same 1000 subscribers as processes that do nothing: ${(((user + system) * 1000) / (300 * 1000)).toFixed(1)} ns CPU/destination-batch`,
      )
      resolve()
    }
  }
  step()
})
process.exit(0)
