import { expect, test } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import type { From } from '../../src/actors/gen.ts'
import { genServer, ignore, initStop, noreply, ok, reply, replyTo, stop } from '../../src/actors/gen-server.ts'
import * as sys from '../../src/actors/sys.ts'
import { testRuntime } from '../support/runtime.ts'

type Calls = { read: () => number; add: (by: number) => number; slow: (by: number) => number; fail: () => never }
type Casts = { reset: () => void }

const counter = genServer<{ n: number }, Calls, Casts, number>({
  init: (start) => (start < 0 ? initStop('negative') : ok({ n: start })),
  calls: {
    read: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
    slow: async ({ state }, by) => {
      await new Promise((resolve) => setImmediate(resolve))
      return reply(state.n + by, { n: state.n + by })
    },
    fail: () => {
      throw new Error('on purpose')
    },
  },
  casts: { reset: () => noreply({ n: 0 }) },
})

test('a call returns the reply and the state is kept', async () => {
  const { runtime } = testRuntime()
  const pid = await counter.startLink(runtime, 1, { name: 'counter' })
  expect(await counter.call(runtime, pid, 'add', 2)).toBe(3)
  expect(await counter.call(runtime, 'counter', 'read')).toBe(3)
  counter.cast(runtime, pid, 'reset')
  expect(await counter.call(runtime, pid, 'read')).toBe(0)
})

test('an init that takes its time may decline as well', async () => {
  const { runtime } = testRuntime()
  const declining = genServer<undefined>({ init: async () => ignore() })
  await expect(declining.starter(undefined)(runtime.init)).resolves.toEqual({ ok: true, pid: undefined })
})

test('an async callback keeps other messages waiting, but not system messages', async () => {
  const { runtime } = testRuntime()
  const pid = await counter.start(runtime, 1)
  const slow = counter.call(runtime, pid, 'slow', 10)
  const read = counter.call(runtime, pid, 'read')
  expect(await Promise.all([slow, read])).toEqual([11, 11])
})

test('init that stops makes the start fail with its reason', async () => {
  const { runtime } = testRuntime()
  await expect(counter.start(runtime, -1)).rejects.toMatchObject({ reason: 'negative' })
})

test('a second server under the same name is refused with the pid of the first', async () => {
  const { runtime } = testRuntime()
  const pid = await counter.start(runtime, 1, { name: 'counter' })
  await expect(counter.start(runtime, 1, { name: 'counter' })).rejects.toMatchObject({
    reason: { already_started: pid },
  })
})

test('a call to a dead process rejects with noproc, one to a crashing server with its reason', async () => {
  const { runtime, logs } = testRuntime()
  const pid = await counter.start(runtime, 1)
  await expect(counter.call(runtime, pid, 'fail')).rejects.toMatchObject({ reason: { error: 'on purpose' } })
  await expect(counter.call(runtime, pid, 'read')).rejects.toEqual(new Exit('noproc'))
  expect(logs.filter((line) => line.report === 'crash')).toHaveLength(1)
})

test('a call that is not answered in time rejects with timeout, and the late reply vanishes', async () => {
  const { runtime } = testRuntime()
  const waiting: From[] = []
  const lazy = genServer<null, { ask: () => string; answer: () => number }>({
    init: () => ok(null),
    calls: {
      ask: ({ from, state }) => {
        waiting.push(from)
        return noreply(state)
      },
      answer: ({ state, self }) => {
        for (const from of waiting) replyTo(self, from, 'late')
        return reply(waiting.length, state)
      },
    },
  })
  const pid = await lazy.start(runtime, undefined)
  await expect(lazy.callWithin(runtime, 0, pid, 'ask')).rejects.toMatchObject({ reason: 'timeout' })
  expect(await lazy.call(runtime, pid, 'answer')).toBe(1)
})

test('terminate runs with the reason when a callback stops the server', async () => {
  const { runtime } = testRuntime()
  const reasons: unknown[] = []
  const server = genServer<number, { stop: () => void }>({
    init: () => ok(1),
    calls: { stop: ({ state }) => stop('shutdown', state) },
    terminate: (_context, reason) => reasons.push(reason),
  })
  const pid = await server.start(runtime, undefined)
  await expect(server.call(runtime, pid, 'stop')).rejects.toMatchObject({ reason: 'shutdown' })
  expect(reasons).toEqual(['shutdown'])
})

test('continue after init runs before any message', async () => {
  const { runtime } = testRuntime()
  const server = genServer<string[], { read: () => string[] }>({
    init: () => ok([], { continue: 'first' }),
    continue: ({ state }, term) => noreply([...state, String(term)]),
    calls: { read: ({ state }) => reply(state, state) },
  })
  const pid = await server.start(runtime, undefined)
  expect(await server.call(runtime, pid, 'read')).toEqual(['first'])
})

test('sys looks into a server, replaces its state, suspends and resumes it', async () => {
  const { runtime } = testRuntime()
  const pid = await counter.start(runtime, 5)
  expect(await sys.getState(runtime, pid)).toEqual({ n: 5 })
  await sys.replaceState(runtime, pid, () => ({ n: 7 }))
  await sys.suspend(runtime, pid)
  const order: string[] = []
  const first = counter.call(runtime, pid, 'add', 1).then((n) => order.push(`first ${n}`))
  const second = counter.call(runtime, pid, 'add', 1).then((n) => order.push(`second ${n}`))
  expect(await sys.getStatus(runtime, pid)).toMatchObject({ status: 'suspended', behaviour: 'gen_server' })
  expect(order).toEqual([])
  await sys.resume(runtime, pid)
  await Promise.all([first, second])
  expect(order).toEqual(['first 8', 'second 9'])
})
