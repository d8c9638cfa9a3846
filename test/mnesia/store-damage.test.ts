import fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogStore } from '../../src/mnesia/store/log-store.ts'
import type { OpenedStore } from '../../src/mnesia/store/open-store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { open, storeDirectory } from './log-store-support.ts'
import { WRITE_SPACES, writeOf } from './store-writes.ts'

const WRITES = 250
/** Small, so that a store has several rows files and logs. */
const LOG_BYTES = 12_000

type Files = ReadonlyMap<string, Buffer>

interface Built {
  readonly files: Files
  /** For each space and key the values that it ever had, the last of them first; undefined where it was removed. */
  readonly history: ReadonlyMap<string, ReadonlyMap<string, readonly (Buffer | undefined)[]>>
}

function filesOf(directory: string): Files {
  return new Map(
    fs
      .readdirSync(directory)
      .filter((name) => !name.startsWith('lock'))
      .map((name) => [name, fs.readFileSync(join(directory, name))]),
  )
}

function place(directory: string, files: Files): void {
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory)
  for (const [name, bytes] of files) fs.writeFileSync(join(directory, name), bytes)
}

/** A store that has been written to, and closed. */
async function build(directory: string, seed: number): Promise<Built> {
  const history = new Map(WRITE_SPACES.map((space) => [space, new Map<string, (Buffer | undefined)[]>()]))
  const { store } = await open(directory, { logBytes: LOG_BYTES })
  const note = (space: string, key: string, value: Buffer | undefined): void => {
    const values = history.get(space)!.get(key) ?? [undefined]
    values.unshift(value)
    history.get(space)!.set(key, values)
  }
  for (let n = 1; n <= WRITES; n++) {
    const write = writeOf(seed, n)
    if (write.do === 'clear') {
      for (const key of history.get(write.space)!.keys()) note(write.space, key, undefined)
      store.clear(write.space)
    } else {
      store.commit(write.operations)
      for (const { space, key, value } of write.operations) note(space, key, value && Buffer.from(value))
    }
    if (n % 10 === 0) await store.flushed()
  }
  await store.close()
  return { files: filesOf(directory), history }
}

/** The spaces in which something is not as it was last; throws for a value that never was. */
function changedSpaces(store: LogStore, { history }: Built): string[] {
  return WRITE_SPACES.filter((space) => {
    const found = new Map(store.entries(space))
    for (const key of found.keys()) expect(history.get(space)?.has(key), `${space} ${key} was never written`).toBe(true)
    let isChanged = false
    for (const [key, values] of history.get(space)!) {
      const value = found.get(key)
      const age = values.findIndex((was) =>
        value === undefined || was === undefined ? was === value : was.equals(value),
      )
      expect(age, `${space} ${key} has a value that it never had`).toBeGreaterThanOrEqual(0)
      if (age > 0) isChanged = true
    }
    return isChanged
  })
}

function told({ damage }: OpenedStore): string[] {
  return damage.flatMap(({ spaces }) => (spaces === 'all' ? WRITE_SPACES : spaces))
}

const damages: Record<string, (bytes: Buffer, random: SeededRandom) => Buffer | undefined> = {
  'a bit flipped': (bytes, random) => {
    const flipped = Buffer.from(bytes)
    flipped[random.below(bytes.length)]! ^= 1 << random.below(8)
    return flipped
  },
  'some bytes changed': (bytes, random) => {
    const changed = Buffer.from(bytes)
    for (let left = random.below(20); left >= 0; left--) changed[random.below(bytes.length)]! += 1 + random.below(255)
    return changed
  },
  'the end cut off': (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'a page of zeros': (bytes, random) => {
    const zeroed = Buffer.from(bytes)
    const from = random.below(bytes.length)
    zeroed.fill(0, from, Math.min(bytes.length, from + 1 + random.below(4096)))
    return zeroed
  },
  'some bytes missing in the middle': (bytes, random) => {
    const at = random.below(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(300))])
  },
  'nothing left of it': () => undefined,
}

describe('a store of which one file is damaged', () => {
  for (const [name, inflict] of Object.entries(damages)) {
    test(`by ${name} opens, says what may be lost, and gives no value that never was`, async () => {
      const parent = storeDirectory({ inMemory: true })
      let tolds = 0
      let losses = 0
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.nat(), async (seed, damageSeed) => {
          const directory = join(parent, 'store')
          fs.rmSync(directory, { recursive: true, force: true })
          const built = await build(directory, seed)
          for (let round = 0; round < 6; round++) {
            const random = new SeededRandom(damageSeed + round)
            const file = random.pick([...built.files.keys()])
            const damaged = inflict(built.files.get(file)!, random)
            place(directory, built.files)
            if (damaged === undefined) fs.rmSync(join(directory, file))
            else fs.writeFileSync(join(directory, file), damaged)

            const opened = await open(directory)
            const changed = changedSpaces(opened.store, built)
            expect(told(opened)).toEqual(expect.arrayContaining(changed))
            if (changed.length > 0) losses++
            const isContents =
              file !== 'positions' && (damaged === undefined || !damaged.equals(built.files.get(file)!))
            if (isContents) {
              tolds++
              expect(opened.damage.map(({ what }) => what).join()).toMatch(/damaged|missing|another store/)
              const kept = opened.damage[0]!.setAside
              if (damaged !== undefined) expect(fs.readFileSync(join(directory, kept!)).equals(damaged)).toBe(true)
            }

            opened.store.commit([{ space: 'a', key: 'after', value: Buffer.from('1') }])
            await opened.store.close()
            const again = await open(directory)
            expect(String(again.store.get('a', 'after'))).toBe('1')
            expect(again.damage).toEqual(opened.damage)
            await again.store.forgetDamage()
            await again.store.close()
            const healed = await open(directory)
            expect(healed.damage).toEqual([])
            await healed.store.close()
          }
        }),
        { numRuns: 12 },
      )
      expect(tolds).toBeGreaterThan(10)
      expect(losses).toBeGreaterThan(1)
    })
  }
})
