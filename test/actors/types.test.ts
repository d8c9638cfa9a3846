/** What the compiler must refuse: each line marked as an error would, if it compiled, fail the type check of the project. */
import { expect, test } from 'vitest'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import { genStatem, keepStateAndData, nextState, replyAction, started } from '../../src/actors/gen-statem.ts'
import { child, childTemplate, supervisor } from '../../src/actors/supervisor.ts'
import { World } from './world.ts'

const listener = genServer<number, { port: () => number }, Record<never, never>, { port: number }>({
  init: ({ port }) => ok(port),
  calls: { port: ({ state }) => reply(state, state) },
})
const plain = genServer<number>({ init: () => ok(0) })

test('a child specification is checked against what the server takes', async () => {
  const world = new World()
  const top = supervisor({
    children: () => [child('listener', listener, [{ port: 1 }, { name: 'listener' }]), child('plain', plain, [])],
  })
  await world.run(top.startLink(world.runtime, undefined))
  expect(await world.run(listener.call(world.runtime, 'listener', 'port'))).toBe(1)
  // @ts-expect-error the listener takes a port
  expect(child('listener', listener, [])).toBeDefined()
  // @ts-expect-error a port is a number
  expect(child('listener', listener, [{ port: '1' }])).toBeDefined()
  // @ts-expect-error there is no such restart type
  expect(child('plain', plain, [], { restart: 'often' })).toBeDefined()
})

test('start_child of a declared simple_one_for_one takes the arguments of its specification', async () => {
  const world = new World()
  const top = supervisor({ strategy: 'simple_one_for_one', children: () => [childTemplate('l', listener)] })
  const pid = await world.run(top.startLink(world.runtime, undefined))
  expect(await world.run(top.startChild(world.runtime, pid, { port: 2 }))).toMatchObject({ ok: true })
  // @ts-expect-error a port is a number
  expect(await world.run(top.startChild(world.runtime, pid, { port: 'x' }))).toMatchObject({ ok: true })
})

test('requests to a state machine are checked, and the event tells their arguments', async () => {
  const world = new World()
  const lock = genStatem<'locked' | 'open', string, { press: (digit: number) => boolean }>({
    init: () => started('locked', ''),
    states: {
      locked: (event, digits) => {
        if (event.type !== 'call') return keepStateAndData()
        const all = `${digits}${event.args[0].toFixed(0)}`
        const isRight = all.endsWith('42')
        return nextState(isRight ? 'open' : 'locked', all, replyAction(event.from, isRight))
      },
      // @ts-expect-error there is no such state
      open: () => nextState('ajar', ''),
    },
  })
  const pid = await world.run(lock.start(world.runtime, undefined))
  expect(await world.run(lock.call(world.runtime, pid, 'press', 4))).toBe(false)
  expect(await world.run(lock.call(world.runtime, pid, 'press', 2))).toBe(true)
  // @ts-expect-error there is no such request
  void lock.call(world.runtime, pid, 'pull', 4)
  // @ts-expect-error a digit is a number
  void lock.call(world.runtime, pid, 'press', 'x')
})
