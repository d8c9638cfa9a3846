import fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { open, storeDirectory } from './log-store-support.ts'
import { StoreModel, storeSteps } from './store-support.ts'

test('a store on disc holds what was committed, in the order of keys, across checkpoints and restarts', async () => {
  const parent = storeDirectory()
  let runs = 0
  let checkpoints = 0
  await fc.assert(
    fc.asyncProperty(storeSteps, fc.constantFrom(200, 2000, 20_000), async (steps, logBytes) => {
      const directory = join(parent, String(runs++))
      let { store } = await open(directory, { logBytes })
      const model = new StoreModel()
      for (const step of steps) {
        if (step.do === 'commit') store.commit(step.operations)
        else if (step.do === 'clear') store.clear(step.space)
        else if (step.do === 'flushed') await store.flushed()
        else if (step.do === 'wait') await new Promise((resolve) => setImmediate(resolve))
        else {
          await store.close()
          const opened = await open(directory, { logBytes })
          expect(opened.damage).toEqual([])
          store = opened.store
        }
        model.apply(step)
        if (step.do !== 'commit') model.check(store)
      }
      model.check(store)
      await store.close()
      checkpoints += fs.readdirSync(directory).filter((name) => name.endsWith('.rows')).length
      const opened = await open(directory, { logBytes })
      expect(opened.damage).toEqual([])
      model.check(opened.store)
      await opened.store.close()
      fs.rmSync(directory, { recursive: true })
    }),
    { numRuns: 60 },
  )
  expect(checkpoints).toBeGreaterThan(10)
})
