/**
 * Nanoseconds per term of the External Term Format codec beside msgpackr, `JSON` (binaries as base64) and `v8.serialize`. A part of
 * `npm run bench -- dist`, in a process of its own.
 *
 * The term is a message with a topic, a payload of 64 bytes and a map of five keys, as a tuple and as a map. Rounds of the contestants are
 * interleaved, so that another load of the machine meets all of them. `msgpackr records` sends the shape of an object once and not its
 * keys each time, which needs a state on both sides of a connection; it is not what is aimed at.
 */
import { deserialize, serialize } from 'node:v8'
import { Packr } from 'msgpackr'
import { Decoder } from '../../src/dist/etf-decode.ts'
import { Encoder, encode } from '../../src/dist/etf-encode.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import { format, table } from '../mqtt/report.ts'

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

interface Codec {
  readonly name: string
  readonly bytes: number
  /** Each encodes or decodes one term; the result is only there to be used. */
  readonly encode: () => number
  readonly decode: () => number
}

const decoder = new Decoder({ node: { name: 'bench@127.0.0.1', creation: 1 } })
const encoder = new Encoder()

function decodeOrThrow(bytes: Buffer): number {
  const decoded = decoder.decode(bytes)
  if (!decoded.ok) throw new Error(decoded.error.reason)
  return decoded.end
}

function etf(name: string, term: unknown, perBatch: number): Codec {
  const bytes = encode(term)
  let batched = 0
  return {
    name,
    bytes: bytes.length,
    encode: () => {
      encoder.writeVersioned(term)
      return ++batched % perBatch === 0 ? encoder.take().length : 1
    },
    decode: () => decodeOrThrow(bytes),
  }
}

function msgpackr(name: string, useRecords: boolean): Codec {
  // With shared structures, as between two ends that live long.
  const packr = new Packr(useRecords ? { structures: [] } : { useRecords: false })
  const bytes = packr.pack(asMap)
  return {
    name,
    bytes: bytes.length,
    encode: () => packr.pack(asMap).length,
    decode: () => (packr.unpack(bytes) as typeof asMap).n,
  }
}

function json(): Codec {
  const bytes = Buffer.from(JSON.stringify({ ...asJson, payload: payload.toString('base64') }))
  return {
    name: 'JSON + base64',
    bytes: bytes.length,
    encode: () => {
      asJson.payload = payload.toString('base64')
      return Buffer.from(JSON.stringify(asJson)).length
    },
    decode: () => {
      const value = JSON.parse(bytes.toString()) as { payload: unknown }
      value.payload = Buffer.from(value.payload as string, 'base64')
      return (value.payload as Buffer).length
    },
  }
}

function v8(): Codec {
  const bytes = serialize(asMap)
  return {
    name: 'v8.serialize',
    bytes: bytes.length,
    encode: () => serialize(asMap).length,
    decode: () => (deserialize(bytes) as typeof asMap).n,
  }
}

const codecs = [
  etf('ETF tuple', asTuple, 1),
  etf(`ETF tuple, ${TERMS} in a buffer`, asTuple, TERMS),
  etf('ETF map', asMap, 1),
  etf(`ETF map, ${TERMS} in a buffer`, asMap, TERMS),
  msgpackr('msgpackr', false),
  msgpackr('msgpackr records', true),
  json(),
  v8(),
]

function contestant(name: string, one: () => number): Contestant {
  const run = (): number => {
    let sum = 0
    for (let i = 0; i < TERMS; i++) sum += one()
    return sum
  }
  return { name, run, ns: [] }
}

const contestants = codecs.flatMap((codec) => [
  contestant(`encode ${codec.name}`, codec.encode),
  contestant(`decode ${codec.name}`, codec.decode),
])
let sink = 0
for (let round = 0; round < ROUNDS + WARM_UP_ROUNDS; round++) {
  for (const { run, ns } of contestants) {
    const from = process.hrtime.bigint()
    sink += run()
    const tookNs = Number(process.hrtime.bigint() - from) / TERMS
    if (round >= WARM_UP_ROUNDS) ns.push(tookNs)
  }
}
if (sink === 0) throw new Error('nothing measured')

const medians = new Map<string, number>()
function figures(name: string): string[] {
  const ns = contestants.find((one) => one.name === name)!.ns.sort((a, b) => a - b)
  const at = (share: number): number => ns[Math.min(ns.length - 1, Math.floor(ns.length * share))]!
  medians.set(name, at(0.5))
  return [at(0), at(0.5), at(0.99)].map((value) => value.toFixed(0))
}
const rows = codecs.map(({ name, bytes }) => [
  name,
  String(bytes),
  ...figures(`encode ${name}`),
  ...figures(`decode ${name}`),
])
const heading = ['codec', 'bytes', 'encode: best', 'median', 'p99', 'decode: best', 'median', 'p99']
process.stdout.write(`\ncodec (ns/term, n = ${ROUNDS * TERMS} each)\n${table([heading, ...rows])}\n`)

/**
 * Cost of ours over that of another, as a codec that was only sketched had it, with a buffer for each term; ours has to be no
 * dearer. Frames leave in batches: that is `in a buffer`.
 */
const SKETCH: readonly (readonly [ours: string, other: string, encode: number, decode: number])[] = [
  ['ETF tuple', 'msgpackr', 1444 / 2368, 1477 / 2693],
  [`ETF tuple, ${TERMS} in a buffer`, 'msgpackr', 1444 / 2368, 1477 / 2693],
  ['ETF map', 'msgpackr', 1678 / 2368, 2236 / 2693],
  [`ETF map, ${TERMS} in a buffer`, 'msgpackr', 1678 / 2368, 2236 / 2693],
  ['ETF tuple', 'JSON + base64', 1444 / 3197, 1477 / 2998],
  ['ETF map', 'JSON + base64', 1678 / 3197, 2236 / 2998],
]
const targets = SKETCH.flatMap(([ours, other, ...wanted]) =>
  (['encode', 'decode'] as const).map((way, i) => {
    const measured = medians.get(`${way} ${ours}`)! / medians.get(`${way} ${other}`)!
    return [`${way} ${ours} / ${other}`, format(wanted[i]), format(measured), measured <= wanted[i]! ? 'pass' : 'MISS']
  }),
)
process.stdout.write(
  `\ntargets: cost over that of another codec\n${table([['', 'at most', 'measured', ''], ...targets])}\n`,
)
