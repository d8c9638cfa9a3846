/**
 * Retained messages: cost of storing and replacing, bytes per message, and what reading costs by filter (all of them, one tree,
 * a wildcard in the middle, a filter that matches nothing), in pages of 100 as a session reads them.
 *
 *     npm run bench -- retainer [messages]
 */

import type { Message } from '../src/broker/message.ts'
import { Retainer } from '../src/broker/retained/retainer.ts'
import { TestTables } from '../test/support/tables.ts'

// `--quick`, which goes to every benchmark, is not for this one.
const numbers = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const COUNT = Number(numbers[0] ?? 100_000)
const SITES = 100

const retainer = new Retainer(
  new TestTables(),
  { maxMessages: Number.POSITIVE_INFINITY, maxPayloadBytes: 1_000_000, expiryMs: Number.POSITIVE_INFINITY },
  Date,
)
const chunk = Buffer.alloc(65_536, 'x')

function message(i: number): Message {
  return {
    id: String(i),
    from: 'p',
    topic: `site${i % SITES}/device${Math.floor(i / SITES)}/state`,
    payload: chunk.subarray(100, 164),
    qos: 0,
    retain: true,
    publishedAtMs: 0,
    expiresAtMs: Number.POSITIVE_INFINITY,
    properties: undefined,
  }
}

function memory(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function store(name: string): void {
  const before = process.cpuUsage()
  for (let i = 0; i < COUNT; i++) retainer.store(message(i))
  const { user, system } = process.cpuUsage(before)
  console.log(`${name}, n=${COUNT}: ${((user + system) / COUNT).toFixed(2)} us/message`)
}

function read(filter: string): void {
  const pages: number[] = []
  let found = 0
  const cursor = retainer.open(filter)
  for (let done = false; !done; ) {
    const begin = process.hrtime.bigint()
    const page = cursor.next(100)
    pages.push(Number(process.hrtime.bigint() - begin) / 1000)
    found += page.messages.length
    done = page.done
  }
  const total = pages.reduce((sum, us) => sum + us, 0)
  console.log(
    `${filter}: ${found} found in ${pages.length} pages, ${total.toFixed(0)} us, longest page ${Math.max(...pages).toFixed(0)} us`,
  )
}

const before = memory()
store('store')
console.log(`${((memory() - before) / COUNT).toFixed(0)} bytes/message of 64 bytes, all included`)
store('replace')
for (let round = 0; round < 2; round++) {
  for (const filter of [
    '#',
    'site7/#',
    'site7/+/state',
    '+/device5/state',
    '+/device5/#',
    'site7/device5/state',
    '+/+/none',
    'none/#',
  ]) {
    read(filter)
  }
}
