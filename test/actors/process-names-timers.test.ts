/** Statements of the chapter "Processes" of the Erlang reference manual and of the module `erlang`, one by one: names, timers, aliases. */
import { beforeEach, describe, expect, test } from 'vitest'
import { BadArgError, type ExitReason } from '../../src/actors/errors.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { Process, ProcessContext } from '../../src/actors/process.ts'
import { recorder, World } from './world.ts'

let world: World

beforeEach(() => {
  world = new World()
})

/** A process that notes what it gets; its context is used directly, as if from its own code. */
function start(options: { trapExit?: boolean; name?: string } = {}): {
  self: Process
  box: unknown[]
  reason(): ExitReason
} {
  const box: unknown[] = []
  let reason: ExitReason
  const self = world.runtime.process(world.runtime.spawn(recorder(box), options))!
  self.onExit((why) => {
    reason = why
  })
  return { self, box, reason: () => reason }
}

function isAlive(process: { self: ProcessContext }): boolean {
  return world.runtime.isAlive(process.self.pid)
}

describe('a registered name', () => {
  test('belongs to one process, and a process has one', () => {
    const [a, b] = [start({ name: 'one' }), start()]
    expect(() => b.self.register('one')).toThrow(BadArgError)
    expect(() => a.self.register('two')).toThrow(BadArgError)
    expect(world.runtime.whereis('one')).toBe(a.self.pid)
  })

  test('is free again when its process has died', () => {
    const a = start({ name: 'one' })
    world.runtime.exit(a.self.pid, 'boom')
    expect(world.runtime.whereis('one')).toBeUndefined()
    expect(() => start({ name: 'one' })).not.toThrow()
  })

  test('that is not registered cannot be unregistered: badarg', () => {
    expect(() => world.runtime.unregister('nobody')).toThrow(BadArgError)
  })

  test('cannot be undefined', () => {
    expect(() => start().self.register('undefined')).toThrow(BadArgError)
  })

  test('is listed by registered', () => {
    start({ name: 'one' })
    start({ name: 'two' })
    expect(world.runtime.registered()).toEqual(['init', 'one', 'two'])
  })

  test('that is taken makes spawn fail without leaving a process', () => {
    start({ name: 'one' })
    const before = world.runtime.processes.count
    expect(() => start({ name: 'one' })).toThrow(BadArgError)
    expect(world.runtime.processes.count).toBe(before)
  })
})

describe('a timer', () => {
  test('of send_after delivers the message after its time, once', async () => {
    const a = start()
    a.self.sendAfter(50, a.self.pid, 'tick')
    await world.advance(49)
    expect(a.box).toEqual([])
    await world.advance(1000)
    expect(a.box).toEqual(['tick'])
  })

  test('of start_timer delivers {timeout, TimerRef, Message}', async () => {
    const a = start()
    const ref = a.self.startTimer(5, a.self.pid, 'tick')
    await world.advance(5)
    expect(a.box).toEqual([{ tag: 'timeout', ref, message: 'tick' }])
  })

  test('that is cancelled returns the time that was left and never fires', async () => {
    const a = start()
    const ref = a.self.sendAfter(50, a.self.pid, 'tick')
    await world.advance(20)
    expect(a.self.cancelTimer(ref)).toBe(30)
    expect(a.self.cancelTimer(ref)).toBe(false)
    await world.advance(100)
    expect(a.box).toEqual([])
  })

  test('that has fired cannot be cancelled: false', async () => {
    const a = start()
    const ref = a.self.sendAfter(5, a.self.pid, 'tick')
    await world.advance(5)
    expect(a.self.cancelTimer(ref)).toBe(false)
  })

  test('to a pid is cancelled when the process ends', () => {
    const [a, b] = [start(), start()]
    a.self.sendAfter(50, b.self.pid, 'tick')
    expect(world.pendingTimers).toBe(1)
    world.runtime.exit(b.self.pid, 'boom')
    expect(world.pendingTimers).toBe(0)
  })

  test('to a name goes to whoever has the name when it fires, and nowhere when nobody has', async () => {
    const [a, b] = [start({ name: 'one' }), start()]
    b.self.sendAfter(10, 'one', 'tick')
    b.self.sendAfter(20, 'one', 'tock')
    a.self.unregister('one')
    b.self.register('one')
    await world.advance(10)
    expect(b.box).toEqual(['tick'])
    b.self.unregister('one')
    await world.advance(10)
    expect([...a.box, ...b.box]).toEqual(['tick'])
  })

  test('with a time that is no time is badarg', () => {
    const a = start()
    expect(() => a.self.sendAfter(-1, a.self.pid, 'x')).toThrow(BadArgError)
    expect(() => a.self.sendAfter(Number.NaN, a.self.pid, 'x')).toThrow(BadArgError)
  })

  test('with an earlier time fires first, and with the same time in the order of their start', async () => {
    const a = start()
    a.self.sendAfter(20, a.self.pid, 'c')
    a.self.sendAfter(10, a.self.pid, 'a')
    a.self.sendAfter(10, a.self.pid, 'b')
    await world.advance(20)
    expect(a.box).toEqual(['a', 'b', 'c'])
  })
})

describe('an alias', () => {
  test('takes messages for its process until it is removed', async () => {
    const a = start()
    const alias = a.self.alias()
    world.runtime.send(alias, 1)
    expect(a.self.unalias(alias)).toBe(true)
    expect(a.self.unalias(alias)).toBe(false)
    world.runtime.send(alias, 2)
    await world.settle()
    expect(a.box).toEqual([1])
  })

  test('of a process that has ended drops what is sent to it', () => {
    const a = start()
    const alias = a.self.alias()
    world.runtime.exit(a.self.pid, 'boom')
    expect(() => world.runtime.send(alias, 1)).not.toThrow()
  })

  test('can be removed by its own process only', async () => {
    const [a, b] = [start(), start()]
    const alias = a.self.alias()
    expect(b.self.unalias(alias)).toBe(false)
    b.self.send(alias, 'still there')
    await world.settle()
    expect(a.box).toEqual(['still there'])
  })
})

describe('pids', () => {
  test('of dead processes are told from those of living ones by is_process_alive', () => {
    const a = start()
    expect(isAlive(a)).toBe(true)
    world.runtime.exit(a.self.pid, 'boom')
    expect(isAlive(a)).toBe(false)
  })

  test('of other nodes are badarg for is_process_alive', () => {
    const far: Pid = new World({ name: 'far@host' }).runtime.spawn(recorder([]))
    expect(() => world.runtime.isAlive(far)).toThrow(BadArgError)
  })
})
