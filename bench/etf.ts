/**
 * Nanoseconds per term of the External Term Format codec beside `JSON` (binaries as base64) and `v8.serialize`. Run:
 * `npm run bench -- etf`.
 *
 * The term is a message with a topic, a payload of 64 bytes and a map of five keys, as a tuple and as a map. Rounds of the contestants are
 * interleaved, so that another load of the machine meets all of them; each figure is the best, the median and the 99th percentile of the rounds.
 */
import { deserialize, serialize } from 'node:v8'
import { Decoder } from '../src/dist/etf-decode.ts'
import { Encoder, encode } from '../src/dist/etf-encode.ts'
import { atom, tuple } from '../src/dist/term.ts'

const TERMS = 200
const ROUNDS = process.argv.includes('--quick') ? 200 : 2000
const WARM_UP_ROUNDS = 300

const topic = 'sensors/building-7/room-12/temperature'
const payload = Buffer.alloc(64, 'x')
const properties = { qos: 1, retain: false, from: 'client-4711', ts: 1_700_000_000_123, dup: false }
const asTuple = tuple(atom('publish'), topic, payload, 1, properties)
const asMap = { tag: 'publish', topic, payload, n: 1, properties }
const asJson = { ...asMap, payload: undefined as unknown }

interface Contestant {
  readonly name: string
  readonly run: () => number
  readonly ns: number[]
}

const decoder = new Decoder({ node: { name: 'bench@127.0.0.1', creation: 1 } })
const encoder = new Encoder()
const contestants: Contestant[] = []

function add(name: string, one: () => number): void {
  const run = (): number => {
    let sum = 0
    for (let i = 0; i < TERMS; i++) sum += one()
    return sum
  }
  contestants.push({ name, run, ns: [] })
}

function decodeOrThrow(bytes: Buffer): number {
  const decoded = decoder.decode(bytes)
  if (!decoded.ok) throw new Error(decoded.error.reason)
  return decoded.end
}

for (const [shape, term] of [
  ['tuple', asTuple],
  ['map', asMap],
] as const) {
  const bytes = encode(term)
  add(`encode ETF ${shape}, a buffer each`, () => {
    encoder.writeVersioned(term)
    return encoder.take().length
  })
  let batched = 0
  add(`encode ETF ${shape}, ${TERMS} in a batch`, () => {
    encoder.writeVersioned(term)
    return ++batched % TERMS === 0 ? encoder.take().length : 1
  })
  add(`decode ETF ${shape}`, () => decodeOrThrow(bytes))
}
const json = JSON.stringify({ ...asJson, payload: payload.toString('base64') })
add('encode JSON + base64', () => {
  asJson.payload = payload.toString('base64')
  return Buffer.from(JSON.stringify(asJson)).length
})
const jsonBytes = Buffer.from(json)
add('decode JSON + base64', () => {
  const value = JSON.parse(jsonBytes.toString()) as { payload: unknown }
  value.payload = Buffer.from(value.payload as string, 'base64')
  return (value.payload as Buffer).length
})
const v8Bytes = serialize(asMap)
add('encode v8.serialize', () => serialize(asMap).length)
add('decode v8.deserialize', () => (deserialize(v8Bytes) as typeof asMap).n)

let sink = 0
for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
  for (const { run, ns } of contestants) {
    const from = process.hrtime.bigint()
    sink += run()
    if (round >= WARM_UP_ROUNDS) ns.push(Number(process.hrtime.bigint() - from) / TERMS)
    else process.hrtime.bigint()
  }
}

const medians = new Map<string, number>()
for (const { name, ns } of contestants) {
  ns.sort((a, b) => a - b)
  const at = (share: number): number => ns[Math.min(ns.length - 1, Math.floor(ns.length * share))]!
  medians.set(name, at(0.5))
  const figures = `best ${at(0).toFixed(0)} median ${at(0.5).toFixed(0)} p99 ${at(0.99).toFixed(0)}`
  console.log(`${name.padEnd(40)} ns/term n=${ROUNDS * TERMS} ${figures}`)
}
const ratio = (ours: string, theirs: string): void => {
  console.log(`  ${theirs} / ${ours}: ${(medians.get(theirs)! / medians.get(ours)!).toFixed(2)}`)
}
ratio('encode ETF map, a buffer each', 'encode JSON + base64')
ratio('encode ETF map, a buffer each', 'encode v8.serialize')
ratio('decode ETF map', 'decode JSON + base64')
ratio('decode ETF map', 'decode v8.deserialize')
console.log(`  bytes: ETF tuple ${encode(asTuple).length}, ETF map ${encode(asMap).length}, JSON ${jsonBytes.length}`)
if (sink === 0) throw new Error('nothing measured')
