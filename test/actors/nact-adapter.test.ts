import * as nact from 'nact'
import { expect, onTestFinished, test } from 'vitest'
import { nactForProcess, processForNact } from '../../src/actors/nact-adapter.ts'
import { deferred } from '../support/deferred.ts'
import { testRuntime } from '../support/runtime.ts'

test('a process and a nact actor play ping-pong', async () => {
  const { runtime } = testRuntime()
  const system = nact.start('ping-pong')
  onTestFinished(() => nact.stop(system))
  const done = deferred<number>()
  const actor = nact.spawnStateless(
    system,
    (message: { n: number; replyTo: nact.Ref<number> }) => {
      nact.dispatch(message.replyTo, message.n + 1)
    },
    'ponger',
  )
  const ponger = processForNact(runtime, actor)
  const pinger = runtime.spawn({ receive: (n) => done.resolve(n as number) })
  runtime.send(ponger, { n: 1, replyTo: nactForProcess(runtime, pinger) })
  expect(await done.promise).toBe(2)
})

test('the nact reference of a process that ended leads nowhere, also when its slot is used again', async () => {
  const { runtime } = testRuntime()
  const first = runtime.spawn({ receive: () => {} })
  const reference = nactForProcess(runtime, first)
  runtime.exit(first, 'done')
  const seen: unknown[] = []
  const done = deferred<void>()
  const second = runtime.spawn({ receive: (message) => (message === 'last' ? done.resolve() : seen.push(message)) })
  expect(second.id).toBe(first.id)
  nact.dispatch(reference, 'lost')
  setImmediate(() => runtime.send(second, 'last'))
  await done.promise
  expect(seen).toEqual([])
})
