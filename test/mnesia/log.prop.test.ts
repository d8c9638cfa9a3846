import fs from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { headerOf } from '../../src/mnesia/store/file-header.ts'
import { Log } from '../../src/mnesia/store/log.ts'
import { storeDirectory } from './log-store-support.ts'
import { type StoreStep, storeSteps } from './store-support.ts'

type Contents = Record<string, Record<string, string | undefined>>

/** What a log says: for each space whether it was cleared, and what each key was set to. */
function contentsOf(log: Log): Contents {
  return Object.fromEntries(
    [...log.spaces].sort().map(([name, { rows, clearedAt }]) => [
      name,
      {
        ...(clearedAt >= 0 ? { '(cleared)': 'yes' } : {}),
        ...Object.fromEntries(
          [...rows]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, offset]) => [key, offset < 0 ? undefined : log.value(offset).toString('hex')]),
        ),
      },
    ]),
  )
}

function model(steps: readonly StoreStep[]): Contents {
  const spaces: Contents = {}
  for (const step of steps) {
    if (step.do === 'clear') spaces[step.space] = { '(cleared)': 'yes' }
    if (step.do !== 'commit') continue
    for (const { space, key, value } of step.operations) {
      spaces[space] ??= {}
      spaces[space][key] = value && Buffer.from(value).toString('hex')
    }
  }
  return spaces
}

test('a log says what was written to it, condensed or not, and its file says the same', async () => {
  const directory = storeDirectory({ inMemory: true })
  let condensed = 0
  await fc.assert(
    fc.asyncProperty(storeSteps, fc.nat(2), async (steps, every) => {
      const log = new Log(directory, headerOf('log', '0123456789abcdef', 1))
      for (const [i, step] of steps.entries()) {
        if (step.do === 'commit' && step.operations.length > 0) log.add(step.operations)
        else if (step.do === 'clear') log.clear(step.space)
        else if (step.do === 'flushed') await log.flush()
        else if (step.do === 'wait') {
          const before = log.length
          log.condense()
          expect(log.length).toBeLessThanOrEqual(before + 100)
          if (log.length < before) condensed++
        }
        if (i % 3 === every) expect(contentsOf(log)).toEqual(model(steps.slice(0, i + 1)))
      }
      await log.flush()
      expect(log.isFlushed).toBe(true)
      log.close()

      const replayed = new Log(directory, log.header)
      if (fs.existsSync(log.path)) {
        const fd = fs.openSync(log.path, 'r')
        const { size } = fs.fstatSync(fd)
        expect(await replayed.replay(fd, size)).toMatchObject({ end: size, gapAt: size })
        fs.closeSync(fd)
        fs.rmSync(log.path)
      }
      expect(contentsOf(replayed)).toEqual(model(steps))
    }),
    { numRuns: 300 },
  )
  expect(condensed).toBeGreaterThan(10)
})

test('a log that is cut off anywhere says what some number of whole commits come to', async () => {
  const directory = storeDirectory({ inMemory: true })
  await fc.assert(
    fc.asyncProperty(
      storeSteps,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 20, maxLength: 20 }),
      async (steps, cuts) => {
        const log = new Log(directory, headerOf('log', '0123456789abcdef', 1))
        for (const step of steps) {
          if (step.do === 'commit' && step.operations.length > 0) log.add(step.operations)
          else if (step.do === 'clear') log.clear(step.space)
          else await log.flush()
        }
        await log.flush()
        log.close()
        if (!fs.existsSync(log.path)) return
        const prefixes = steps.map((_, i) => JSON.stringify(sorted(model(steps.slice(0, i + 1))))).concat('{}')
        for (const cut of cuts) {
          const replayed = new Log(directory, log.header)
          const fd = fs.openSync(log.path, 'r')
          await replayed.replay(fd, Math.floor(cut * fs.fstatSync(fd).size))
          fs.closeSync(fd)
          expect(prefixes).toContain(JSON.stringify(sorted(contentsOf(replayed))))
        }
        fs.rmSync(log.path)
      },
    ),
    { numRuns: 100 },
  )
})

/** The same contents in an order that depends on nothing else. */
function sorted(contents: Contents): [string, [string, string | undefined][]][] | Record<string, never> {
  const spaces = Object.entries(contents).map(([name, rows]): [string, [string, string | undefined][]] => [
    name,
    Object.entries(rows).sort(([a], [b]) => (a < b ? -1 : 1)),
  ])
  return spaces.length === 0 ? {} : spaces.sort(([a], [b]) => (a < b ? -1 : 1))
}
