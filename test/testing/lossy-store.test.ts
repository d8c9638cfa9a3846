import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualTime } from '../../src/testing/virtual-time.ts'
import { StoreModel, type StoreStep, storeSteps } from '../mnesia/store-support.ts'

function lossyDisc(seed: number): { time: VirtualTime; disc: LossyDisc } {
  const time = new VirtualTime()
  return { time, disc: new LossyDisc({ timers: time, random: new SeededRandom(seed) }) }
}

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

/** Lets time pass until nothing is due, and what awaited a promise run. */
async function rest(time: VirtualTime): Promise<void> {
  for (let fired = 0; time.nextInMs !== undefined && fired < 100; fired++) {
    time.fireNext()
    await Promise.resolve()
  }
}

describe('a disc of a simulation', () => {
  test('leaves, after a kill, some prefix of what was committed and at least all that was flushed', async () => {
    let lost = 0
    let kept = 0
    await fc.assert(
      fc.asyncProperty(fc.integer(), storeSteps, fc.nat(6), async (seed, steps, fires) => {
        const { time, disc } = lossyDisc(seed)
        const store = disc.open()
        let vouchedFor = 0
        const writes = steps.filter(
          (step) => step.do === 'clear' || (step.do === 'commit' && step.operations.length > 0),
        )
        for (const [i, step] of writes.entries()) {
          if (step.do === 'commit') store.commit(step.operations)
          else if (step.do === 'clear') store.clear(step.space)
          store.flushed().then(
            () => {
              vouchedFor = Math.max(vouchedFor, i + 1)
            },
            () => undefined,
          )
          if (seed % 2 === 0 && time.nextInMs !== undefined) time.fireNext()
          await Promise.resolve()
        }
        for (let i = 0; i < fires && time.nextInMs !== undefined; i++) time.fireNext()
        await Promise.resolve()
        disc.kill()
        const found = disc.open()
        const prefixes = Array.from({ length: writes.length + 1 - vouchedFor }, (_, i) => vouchedFor + i)
        const matching = prefixes.find((length) => holds(found, writes.slice(0, length)))
        expect(matching).toBeDefined()
        if (matching! < writes.length) lost++
        else kept++
      }),
      { numRuns: 300 },
    )
    expect(lost).toBeGreaterThan(10)
    expect(kept).toBeGreaterThan(10)
  })

  test('forgets nothing that waited when it was closed', async () => {
    const { time, disc } = lossyDisc(1)
    const store = disc.open()
    store.commit([{ space: 's', key: 'k', value: bytes('v') }])
    const closed = store.close()
    await rest(time)
    await closed
    expect(String(disc.open().get('s', 'k'))).toBe('v')
  })

  test('ignores what a killed node still writes', async () => {
    const { time, disc } = lossyDisc(1)
    const before = disc.open()
    disc.kill()
    before.commit([{ space: 's', key: 'k', value: bytes('ghost') }])
    const after = disc.open()
    await rest(time)
    expect(after.spaces()).toEqual([])
    expect(disc.contents.spaces()).toEqual([])
  })

  test('is opened by one incarnation at a time', () => {
    const { disc } = lossyDisc(1)
    disc.open()
    expect(() => disc.open()).toThrow(expect.objectContaining({ code: 'store', fault: 'in_use' }))
  })

  test('when full refuses each flush, says so, and takes what waited once there is room', async () => {
    const { time, disc } = lossyDisc(1)
    const failures: string[] = []
    const store = disc.open({ onFailure: ({ fault }) => failures.push(fault) })
    disc.setFull(true)
    store.commit([{ space: 's', key: 'k', value: bytes('v') }])
    const refused = expect(store.flushed()).rejects.toMatchObject({ fault: 'disc_full' })
    for (let i = 0; i < 6; i++) time.fireNext()
    await refused
    expect(failures.length).toBeGreaterThan(1)
    expect(String(store.get('s', 'k'))).toBe('v')
    expect(disc.contents.spaces()).toEqual([])
    disc.setFull(false)
    const flushed = store.flushed()
    await rest(time)
    await flushed
    expect(String(disc.contents.get('s', 'k'))).toBe('v')
    expect(time.pending).toBe(0)
  })

  test('does the same for the same seed', async () => {
    const survivors = (seed: number): number => {
      const { disc } = lossyDisc(seed)
      const store = disc.open()
      for (let i = 0; i < 50; i++) store.commit([{ space: 's', key: String(i), value: bytes('v') }])
      disc.kill()
      return disc.open().count('s')
    }
    expect(survivors(7)).toBe(survivors(7))
    expect(new Set(Array.from({ length: 20 }, (_, seed) => survivors(seed))).size).toBeGreaterThan(10)
  })
})

function holds(store: ReturnType<LossyDisc['open']>, steps: readonly StoreStep[]): boolean {
  const model = new StoreModel()
  for (const step of steps) model.apply(step)
  try {
    model.check(store)
    return true
  } catch {
    return false
  }
}
