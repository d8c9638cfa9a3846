import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { StoreModel, storeSteps } from './store-support.ts'

test('a store in memory holds what was committed and not removed, in the order of keys', async () => {
  await fc.assert(
    fc.asyncProperty(storeSteps, async (steps) => {
      const store = new MemoryStore()
      const model = new StoreModel()
      for (const step of steps) {
        if (step.do === 'commit') store.commit(step.operations)
        else if (step.do === 'clear') store.clear(step.space)
        else await store.flushed()
        model.apply(step)
      }
      model.check(store)
    }),
  )
})

test('bytes that change after their commit do not change in the store', () => {
  const store = new MemoryStore()
  const value = Buffer.from('before')
  store.commit([{ space: 's', key: 'k', value }])
  value.fill(0)
  expect(String(store.get('s', 'k'))).toBe('before')
  expect(store.isDurable).toBe(false)
})
