/**
 * Maps of string keys: ours beside what V8 has, one kind in a run (see index.ts).
 *
 * `map` is one Map, which ends at 16,777,216 entries; `chained` is a list of Maps, the next one begun when one is full; `sharded` is 1,024 Maps by
 * hash. The value is a small integer. What one insertion takes at most shows the pauses: growing, and collecting garbage.
 */
import { hashOf } from '../../src/mnesia/rows/key-hash.ts'
import { KeyMap } from '../../src/mnesia/rows/key-map.ts'
import { KeyPages } from '../../src/mnesia/rows/key-pages.ts'
import { cpuNs, heldBytes, print, sinceNs, someTopics, topic } from './measure.ts'

interface Subject {
  get(key: string): unknown
  set(key: string, value: number): unknown
}

class Chained implements Subject {
  readonly #maps = [new Map<string, number>()]

  get(key: string): number | undefined {
    for (const map of this.#maps) {
      const value = map.get(key)
      if (value !== undefined) return value
    }
    return undefined
  }

  set(key: string, value: number): void {
    for (const map of this.#maps) {
      if (!map.has(key)) continue
      map.set(key, value)
      return
    }
    if (this.#maps.at(-1)!.size === 4_000_000) this.#maps.push(new Map())
    this.#maps.at(-1)!.set(key, value)
  }
}

class Sharded implements Subject {
  readonly #maps = Array.from({ length: 1024 }, () => new Map<string, number>())

  get(key: string): number | undefined {
    return this.#maps[hashOf(key) & 1023]!.get(key)
  }

  set(key: string, value: number): void {
    this.#maps[hashOf(key) & 1023]!.set(key, value)
  }
}

class Pages implements Subject {
  readonly #pages = new KeyPages()

  get(key: string): number | undefined {
    return this.#pages.get(key)[0]
  }

  set(key: string, value: number): void {
    this.#pages.set(key, [value])
  }
}

const KINDS: Readonly<Record<string, () => Subject>> = {
  map: () => new Map<string, number>(),
  chained: () => new Chained(),
  sharded: () => new Sharded(),
  'key-map': () => new KeyMap<number>(),
  'key-pages': () => new Pages(),
}

const kind = process.argv[2] ?? 'key-map'
const n = Number(process.argv[3] ?? 1_000_000)
const before = heldBytes()
const subject = KINDS[kind]!()
let worstMs = 0
let longer = 0
const start = process.cpuUsage()
for (let i = 0; i < n; i++) {
  const key = topic(i)
  const from = performance.now()
  subject.set(key, i & 3)
  const ms = performance.now() - from
  if (ms > worstMs) worstMs = ms
  if (ms > 5) longer++
}
const loadNs = sinceNs(start) / n
const bytes = (heldBytes() - before) / n
const readNs = Math.min(...Array.from({ length: 5 }, () => readAll()))
const missNs = Math.min(
  ...Array.from({ length: 3 }, () => {
    const keys = someTopics(n).map((key) => `${key}x`)
    return cpuNs(keys.length, () => {
      for (const key of keys) subject.get(key)
    })
  }),
)
const collectMs = cpuNs(1, () => globalThis.gc?.()) / 1e6
print(`${kind}, n=${n}`, {
  'bytes/row': bytes,
  'insert ns (key made as well)': loadNs,
  'lookup ns': readNs,
  'miss ns': missNs,
  'worst insert ms': worstMs,
  'inserts over 5 ms': String(longer),
  'full collection ms': collectMs,
})

function readAll(): number {
  const keys = someTopics(n)
  let found = 0
  const ns = cpuNs(keys.length, () => {
    for (const key of keys) if (subject.get(key) !== undefined) found++
  })
  if (found !== keys.length) throw new Error(`${keys.length - found} keys were not found`)
  return ns
}
