/** When what shared replication has written counts as being on disc. */
import { expect, test } from 'vitest'
import { StoreError } from '../../../src/mnesia/errors.ts'
import { Disc } from '../../../src/mnesia/shared/disc.ts'
import { Origins } from '../../../src/mnesia/shared/origin.ts'
import { Vector } from '../../../src/mnesia/shared/vector.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'

/** A store that flushes when it is told to. */
class Disk extends MemoryStore {
  override readonly isDurable = true
  fails = false

  override async flushed(): Promise<void> {
    if (this.fails) throw new StoreError('disc_full', 'no space left')
  }
}

test('what a flush that failed was to bring to the disc counts as being there after the next one, though nothing else has changed', async () => {
  const store = new Disk()
  const origins = new Origins()
  const vector = new Vector()
  const disc = new Disc({ store, origins, vector, copies: () => [] })
  const origin = origins.of('a', 1)
  store.fails = true
  vector.set(origin, 1, 10)
  disc.moved(origin)
  disc.commit()
  await new Promise(setImmediate)
  expect(disc.durable.seqOf(origin)).toBe(0)
  store.fails = false
  disc.commit()
  await new Promise(setImmediate)
  expect(disc.durable.seqOf(origin)).toBe(1)
})
