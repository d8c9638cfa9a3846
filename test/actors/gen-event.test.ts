/** Statements of the reference manual of `gen_event` and of the chapter "gen_event Behaviour" of OTP's design principles. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import { type EventHandler, genEvent, keepHandler, removeHandler, swapHandler } from '../../src/actors/gen-event.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { World } from './world.ts'

let world: World
let seen: string[]
let manager: Pid
const events = genEvent<string>({ label: 'alarm' })

beforeEach(async () => {
  world = new World()
  seen = []
  manager = await world.run(events.start(world.runtime, undefined, { name: 'alarm' }))
})

/** A handler that notes what it gets; events `throw`, `reject`, `bad`, `remove` and `swap` do what they say. */
function handler(name: string): EventHandler<string, number, number> {
  return {
    name,
    init: (start) => {
      if (start < 0) throw new Exit('negative')
      return start
    },
    handleEvent: (event, count) => {
      seen.push(`${name} ${event}`)
      if (event === `${name} throw`) throw new Exit('boom')
      if (event === `${name} reject`) return Promise.reject(new Exit('boom'))
      if (event === `${name} bad`) return { tag: 'nonsense' } as never
      if (event === `${name} remove`) return removeHandler()
      if (event === `${name} swap`) return swapHandler('out', successor, 5)
      return keepHandler(count + 1)
    },
    handleCall: (request, count) => {
      if (request === 'throw') throw new Exit('boom')
      return { reply: `${name} ${count}`, next: keepHandler(count + 100) }
    },
    handleInfo: (message, count) => {
      seen.push(`${name} info ${typeof message === 'string' ? message : JSON.stringify(message)}`)
      return keepHandler(count)
    },
    terminate: (arg, count) => {
      seen.push(`${name} end ${typeof arg === 'string' ? arg : JSON.stringify(arg)}`)
      return `last ${count}`
    },
  }
}

const successor: EventHandler<string, string, { arg: number; from: unknown }> = {
  name: 'successor',
  init: ({ arg, from }) => `${arg} after ${from}`,
  handleEvent: (event, state) => void seen.push(`successor ${event} ${state}`),
}

async function add(...names: string[]): Promise<void> {
  for (const name of names) {
    expect(await world.run(events.addHandler(world.runtime, manager, handler(name), 0))).toEqual({ ok: true })
  }
}

async function handlers(): Promise<string[]> {
  return world.run(events.whichHandlers(world.runtime, manager))
}

async function notify(...all: string[]): Promise<void> {
  for (const event of all) events.notify(world.runtime, manager, event)
  await world.settle()
}

describe('an event manager', () => {
  test('hands each event to every handler, the one added last first', async () => {
    await add('a', 'b')
    await notify('x', 'y')
    expect(seen).toEqual(['b x', 'a x', 'b y', 'a y'])
    expect(await handlers()).toEqual(['b', 'a'])
  })

  test('drops events that nobody handles', async () => {
    await notify('x')
    expect(world.runtime.isAlive(manager)).toBe(true)
  })

  test('notifies by name, and a name that nobody has is no error', async () => {
    await add('a')
    events.notify(world.runtime, 'alarm', 'x')
    expect(() => events.notify(world.runtime, 'nobody', 'x')).not.toThrow()
    await world.settle()
    expect(seen).toEqual(['a x'])
  })

  test('answers sync_notify when every handler has had the event', async () => {
    await add('a')
    await world.run(events.syncNotify(world.runtime, manager, 'x'))
    expect(seen).toEqual(['a x'])
  })

  test('hands other messages to handle_info', async () => {
    await add('a')
    world.runtime.send(manager, 'hello')
    await world.settle()
    expect(seen).toEqual(['a info hello'])
  })

  test('ends by stop, each handler through terminate', async () => {
    await add('a', 'b')
    await world.run(events.stop(world.runtime, manager))
    expect(seen).toEqual(['b end stop', 'a end stop'])
    expect(world.runtime.isAlive(manager)).toBe(false)
  })

  test('is a child of a supervisor and ends with it, its handlers told why', async () => {
    const top = supervisor({ children: () => [child('events', events, [undefined, { name: 'other' }])] })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    await world.run(events.addHandler(world.runtime, 'other', handler('a'), 0))
    world.runtime.exit(pid, 'shutdown')
    await world.settle()
    expect(seen).toEqual(['a end {"stop":"shutdown"}'])
  })

  test('answers system messages', async () => {
    await add('a')
    expect(await world.run(sys.getStatus(world.runtime, manager))).toMatchObject({
      behaviour: 'gen_event',
      state: { a: 0 },
    })
    await world.run(sys.suspend(world.runtime, manager))
    await notify('x')
    expect(seen).toEqual([])
    await world.run(sys.resume(world.runtime, manager))
    await world.settle()
    expect(seen).toEqual(['a x'])
  })
})

describe('a handler', () => {
  test('is refused with what its init throws', async () => {
    expect(await world.run(events.addHandler(world.runtime, manager, handler('a'), -1))).toEqual({
      ok: false,
      reason: 'negative',
    })
    expect(await handlers()).toEqual([])
  })

  test('can be there several times under different ids', async () => {
    await add('a')
    expect(await world.run(events.addHandler(world.runtime, manager, handler('a'), 0))).toEqual({
      ok: false,
      reason: 'already_present',
    })
    await world.run(events.addHandler(world.runtime, manager, handler('a'), 7, 'two'))
    expect(await handlers()).toEqual(['a/two', 'a'])
    expect(await world.run(events.call(world.runtime, manager, { name: 'a', id: 'two' }, 'get'))).toEqual({
      ok: true,
      value: 'a 7',
    })
  })

  test('answers calls and goes on with a new state', async () => {
    await add('a')
    expect(await world.run(events.call(world.runtime, manager, 'a', 'get'))).toEqual({ ok: true, value: 'a 0' })
    expect(await world.run(events.call(world.runtime, manager, 'a', 'get'))).toEqual({ ok: true, value: 'a 100' })
    expect(await world.run(events.call(world.runtime, manager, 'x', 'get'))).toEqual({
      ok: false,
      reason: 'bad_module',
    })
  })

  test('that is deleted returns what its terminate returned', async () => {
    await add('a')
    await notify('x')
    expect(await world.run(events.deleteHandler(world.runtime, manager, 'a', 'why'))).toEqual({
      ok: true,
      value: 'last 1',
    })
    expect(seen.at(-1)).toBe('a end {"arg":"why"}')
    expect(await world.run(events.deleteHandler(world.runtime, manager, 'a', 'why'))).toEqual({
      ok: false,
      reason: 'module_not_found',
    })
  })

  test('may take itself out', async () => {
    await add('a')
    await notify('a remove', 'x')
    expect(seen).toEqual(['a a remove', 'a end remove_handler'])
  })

  test.each([
    ['throws', 'a throw', 'boom'],
    ['rejects', 'a reject', 'boom'],
    ['returns nonsense', 'a bad', { bad_return_value: { tag: 'nonsense' } }],
  ])('that %s is taken out and reported; manager and other handlers go on', async (_, event, reason) => {
    await add('b', 'a')
    await notify(event, 'x')
    expect(seen).toEqual([`a ${event}`, `a end ${JSON.stringify({ error: reason })}`, `b ${event}`, 'b x'])
    expect(await handlers()).toEqual(['b'])
    expect(world.log).toContainEqual(expect.objectContaining({ report: 'gen_event', handler: 'a', reason }))
  })

  test('that throws in a call is taken out and the caller learns why', async () => {
    await add('a')
    expect(await world.run(events.call(world.runtime, manager, 'a', 'throw'))).toEqual({ ok: false, reason: 'boom' })
    expect(await handlers()).toEqual([])
  })

  test('is replaced by swap_handler, the new one getting what the old one left', async () => {
    await add('a')
    const swapped = events.swapHandler(
      world.runtime,
      manager,
      { handler: 'a', arg: 'out' },
      { handler: successor, arg: 1 },
    )
    expect(await world.run(swapped)).toEqual({ ok: true })
    await notify('x')
    expect(seen).toEqual(['a end {"arg":"out"}', 'successor x 1 after last 0'])
  })

  test('that is not there is swapped for one that gets error', async () => {
    await world.run(
      events.swapHandler(world.runtime, manager, { handler: 'none', arg: 0 }, { handler: successor, arg: 1 }),
    )
    await notify('x')
    expect(seen).toEqual(['successor x 1 after error'])
  })

  test('may swap itself', async () => {
    await add('a')
    await notify('a swap', 'x')
    expect(seen).toEqual(['a a swap', 'a end {"arg":"out"}', 'successor x 5 after last 0'])
  })
})

describe('a supervised handler', () => {
  /** A process that adds the handler and notes what it is told. */
  async function owner(): Promise<{ pid: Pid; box: unknown[] }> {
    const box: unknown[] = []
    const pid = world.runtime.spawn(async (self) => {
      await events.addSupHandler(self, manager, handler('a'), 0)
      for (;;) box.push(await self.receive())
    })
    await world.settle()
    return { pid, box }
  }

  test('goes when its process ends, which it is told', async () => {
    const { pid } = await owner()
    world.runtime.exit(pid, 'bye')
    await world.settle()
    expect(seen).toEqual(['a end {"stop":"bye"}'])
    expect(await handlers()).toEqual([])
    expect(world.runtime.isAlive(manager)).toBe(true)
  })

  test.each([
    ['is taken out for an error', () => notify('a throw'), 'boom'],
    ['takes itself out', () => notify('a remove'), 'normal'],
    ['is swapped', () => notify('a swap'), { swapped: 'successor' }],
    ['ends with the manager', () => world.run(events.stop(world.runtime, manager)), 'shutdown'],
  ])('tells its process when it %s', async (_, act, reason) => {
    const { pid, box } = await owner()
    await act()
    await world.settle()
    expect(box).toEqual([{ tag: 'gen_event_EXIT', handler: 'a', reason }])
    expect(world.runtime.isAlive(pid)).toBe(true)
  })
})
