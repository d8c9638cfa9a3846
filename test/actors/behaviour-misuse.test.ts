/** Whatever callbacks return, throw or reject with: only their own process ends, and no rejection goes unhandled. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Exit, type ExitReason } from '../../src/actors/errors.ts'
import { genEvent } from '../../src/actors/gen-event.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import { genStatem, nextState, type StatemResult, started } from '../../src/actors/gen-statem.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { startChild, supervisor, terminateChild, whichChildren } from '../../src/actors/supervisor.ts'
import { World } from './world.ts'

let world: World
let unhandled: unknown[]
const note = (error: unknown): void => void unhandled.push(error)

beforeEach(() => {
  world = new World()
  unhandled = []
  process.on('unhandledRejection', note)
})

afterEach(async () => {
  await world.settle()
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

/** Things that a callback may do to its caller; none is what any behaviour expects. */
const misdeeds: [name: string, act: () => unknown][] = [
  [
    'throws an error',
    () => {
      throw new Error('bad')
    },
  ],
  [
    'throws an exit',
    () => {
      throw new Exit('bad')
    },
  ],
  [
    'throws undefined',
    () => {
      throw undefined
    },
  ],
  [
    'throws an object that cannot be read',
    () => {
      throw new Proxy(
        {},
        {
          get: () => {
            throw new Error('no')
          },
        },
      )
    },
  ],
  ['rejects', () => Promise.reject(new Error('bad'))],
  ['rejects with undefined', () => Promise.reject(undefined)],
  ['returns null', () => null],
  ['returns a string', () => 'bad'],
  ['returns an unknown tag', () => ({ tag: 'bad' })],
  ['resolves with nonsense', () => Promise.resolve(7)],
  [
    'returns a promise of its own kind that throws',
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is meant
      then: () => {
        throw new Error('bad')
      },
    }),
  ],
]

async function reasonOf(pid: Pid, act: () => void): Promise<ExitReason> {
  let reason: ExitReason = 'alive'
  world.runtime.process(pid)!.onExit((why) => {
    reason = why
  })
  act()
  await world.settle()
  return reason
}

describe.each(misdeeds)('a callback that %s', (_, act) => {
  test('as a state function ends its machine, which is reported', async () => {
    const machine = genStatem<'a', number, Record<never, never>, { go: () => void }>({
      init: () => started('a', 0),
      states: { a: () => act() as StatemResult<'a', number> },
    })
    const pid = await world.run(machine.start(world.runtime, undefined))
    const reason = await reasonOf(pid, () => machine.cast(world.runtime, pid, 'go'))
    expect(reason).not.toBe('alive')
    expect(world.log.some(({ report }) => report === 'crash')).toBe(true)
  })

  test('as a state enter call ends its machine', async () => {
    const machine = genStatem<'a' | 'b', number, Record<never, never>, { go: () => void }>({
      init: () => started('a', 0),
      stateEnter: true,
      states: {
        a: (event) => (event.type === 'enter' ? undefined : nextState('b', 1)),
        b: () => act() as StatemResult<'a' | 'b', number>,
      },
    })
    const pid = await world.run(machine.start(world.runtime, undefined))
    expect(await reasonOf(pid, () => machine.cast(world.runtime, pid, 'go'))).not.toBe('alive')
  })

  test('as an event handler is taken out, and the manager lives', async () => {
    const events = genEvent<string>()
    const pid = await world.run(events.start(world.runtime, undefined))
    const handler = {
      name: 'h',
      init: () => 0,
      handleEvent: () => act() as undefined,
      handleCall: () => act() as { reply: unknown },
    }
    await world.run(events.addHandler(world.runtime, pid, handler, undefined))
    const reason = await reasonOf(pid, () => events.notify(world.runtime, pid, 'x'))
    expect(reason).toBe('alive')
    expect(await world.run(events.whichHandlers(world.runtime, pid))).toEqual([])
  })

  test('as the answer of an event handler leaves the manager alive', async () => {
    const events = genEvent<string>()
    const pid = await world.run(events.start(world.runtime, undefined))
    const handler = { name: 'h', init: () => 0, handleEvent: () => {}, handleCall: () => act() as { reply: unknown } }
    await world.run(events.addHandler(world.runtime, pid, handler, undefined))
    await world.run(events.call(world.runtime, pid, 'h', 'x'))
    expect(world.runtime.isAlive(pid)).toBe(true)
  })

  test('as the start function of a child is an error of that child, at the start and at a restart', async () => {
    let first = true
    const top = supervisor({
      intensity: 2,
      children: () => [
        {
          id: 'bad',
          start: (self) => {
            if (!first) return act() as Pid
            first = false
            return self.spawnLink(async (me) => me.receive())
          },
        },
      ],
    })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    expect(await world.run(startChild(world.runtime, pid, { id: 'worse', start: () => act() as Pid }))).toMatchObject({
      ok: false,
      reason: { failed_to_start_child: 'worse' },
    })
    const [info] = await world.run(whichChildren(world.runtime, pid))
    expect(await reasonOf(pid, () => world.runtime.exit(info!.child as Pid, 'boom'))).toBe('shutdown')
  })

  test('as terminate of a child does not keep its supervisor from ending', async () => {
    const server = genServer<number>({
      init: (__, self) => {
        self.processFlag('trap_exit', true)
        return ok(0)
      },
      terminate: () => act(),
    })
    const top = supervisor({ children: () => [{ id: 'c', start: server.starter(undefined) }] })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    expect(await reasonOf(pid, () => world.runtime.exit(pid, 'shutdown'))).toBe('shutdown')
  })
})

test.each([null, 7, 'x', {}, []])('a supervisor that is asked to start %j answers with an error', async (spec) => {
  const pid = await world.run(supervisor({ children: () => [] }).startLink(world.runtime, undefined))
  expect(await world.run(startChild(world.runtime, pid, spec as never))).toMatchObject({ ok: false })
  expect(await world.run(terminateChild(world.runtime, pid, spec as never))).toEqual({ ok: false, reason: 'not_found' })
})
