/** Whatever code of a process throws, rejects with or returns, before or after its death: nothing leaves the runtime. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { type DownMessage, isDownMessage } from '../../src/actors/signal.ts'
import { deferred } from '../support/deferred.ts'
import { testRuntime } from '../support/runtime.ts'

const escaped: unknown[] = []
const note = (error: unknown) => void escaped.push(error)

beforeAll(() => {
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
})

afterAll(() => {
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
})

async function nothingEscaped(): Promise<void> {
  // Unhandled rejections are reported after the microtasks of a turn.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
  expect(escaped).toEqual([])
}

/** Starts a process of `code`, sends it a message, and resolves with the reason of its death. */
async function deathOf(runtime: Runtime, code: (message: unknown) => unknown): Promise<unknown> {
  const down = deferred<DownMessage>()
  const watcher = runtime.process(
    runtime.spawn({ receive: (message) => void (isDownMessage(message) && down.resolve(message)) }),
  )!
  const pid = runtime.spawn({ receive: code })
  watcher.monitor(pid)
  runtime.send(pid, 'go')
  return (await down.promise).reason
}

const hostile = {
  get message(): string {
    throw new Error('getter')
  },
}
const hostileError = Object.defineProperty(new Error('x'), 'message', {
  get: () => {
    throw new Error('getter')
  },
})
const circular: Record<string, unknown> = {}
circular.self = circular

const thrown: [string, unknown][] = [
  ['an Error', new Error('boom')],
  ['undefined', undefined],
  ['null', null],
  ['a string', 'boom'],
  ['an object whose getters throw', hostile],
  ['an Error whose getters throw', hostileError],
  ['a circular object', circular],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap')
        },
        ownKeys: () => {
          throw new Error('trap')
        },
      },
    ),
  ],
  ['a function', () => {}],
  ['a symbol', Symbol('s')],
  ['a big integer', 10n],
]

test.each(thrown)('a handler that throws %s ends its process only', async (_name, value) => {
  const { runtime } = testRuntime()
  await deathOf(runtime, () => {
    throw value
  })
  await nothingEscaped()
})

test.each(thrown)('a handler that rejects with %s ends its process only', async (_name, value) => {
  const { runtime } = testRuntime()
  await deathOf(runtime, () => Promise.reject(value))
  await nothingEscaped()
})

test.each(thrown)(
  'a gen_server callback that throws %s ends its server only, also in terminate',
  async (_name, value) => {
    const { runtime } = testRuntime()
    const server = genServer<null, { fail: () => void }>({
      init: () => ok(null),
      calls: {
        fail: () => {
          throw value
        },
      },
      terminate: () => Promise.reject(value),
      formatState: () => {
        throw value
      },
    })
    const pid = await server.start(runtime, undefined)
    await expect(server.call(runtime, pid, 'fail')).rejects.toBeDefined()
    await nothingEscaped()
  },
)

test('a promise that rejects after its process was killed is ignored', async () => {
  const { runtime } = testRuntime()
  const gate = deferred<void>()
  const pid = runtime.spawn({ receive: () => gate.promise })
  runtime.send(pid, 'go')
  await new Promise((resolve) => setImmediate(resolve))
  runtime.exit(pid, 'kill')
  gate.reject(new Error('late'))
  await nothingEscaped()
})

test('a plain process that goes on after it was killed is stopped where it uses its context', async () => {
  const { runtime } = testRuntime()
  const gate = deferred<void>()
  const steps: string[] = []
  const pid = runtime.spawn(async (self) => {
    steps.push('started')
    await gate.promise
    steps.push('went on')
    self.makeRef()
    self.send(self.pid, 'never')
    steps.push('never')
  })
  await new Promise((resolve) => setImmediate(resolve))
  runtime.exit(pid, 'kill')
  gate.resolve()
  await nothingEscaped()
  expect(steps).toEqual(['started', 'went on'])
})

test('thenables that throw, settle twice or settle both ways end or free their process once', async () => {
  const { runtime } = testRuntime()
  await deathOf(runtime, () => ({
    // biome-ignore lint/suspicious/noThenProperty: thenables are what is tested
    then: () => {
      throw new Error('then')
    },
  }))
  const seen: unknown[] = []
  const pid = runtime.spawn({
    receive: (message) => {
      seen.push(message)
      return {
        // biome-ignore lint/suspicious/noThenProperty: thenables are what is tested
        then: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => {
          resolve(1)
          reject(new Error('both'))
          resolve(2)
        },
      }
    },
  })
  runtime.send(pid, 1)
  runtime.send(pid, 2)
  await nothingEscaped()
  expect(seen).toEqual([1, 2])
  expect(runtime.process(pid)).toBeDefined()
})

test('calls that nobody awaits do not escape when they fail', async () => {
  const { runtime } = testRuntime()
  const server = genServer<null, { ask: () => void }>({ init: () => ok(null) })
  void server.call(runtime, 'nobody', 'ask')
  const caller = runtime.spawn({
    receive: () => {
      void server.call(runtime, 'nobody', 'ask')
    },
  })
  runtime.send(caller, 'go')
  await nothingEscaped()
})

test('a clean-up that throws does not keep links and monitors from firing', async () => {
  const { runtime } = testRuntime()
  const down = deferred<unknown>()
  const pid = runtime.spawn({ receive: () => {} })
  runtime.process(pid)!.onExit(() => {
    throw new Error('clean-up')
  })
  const watcher = runtime.process(runtime.spawn({ receive: (message) => down.resolve(message) }))!
  watcher.monitor(pid)
  runtime.exit(pid, 'stop')
  expect(await down.promise).toMatchObject({ reason: 'stop' })
  await nothingEscaped()
})
