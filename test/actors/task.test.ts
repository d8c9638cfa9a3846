/** Tasks: results, crashes, timeouts, as Elixir's Task documents them. */
import { beforeEach, describe, expect, test } from 'vitest'
import { BadArgError, Exit } from '../../src/actors/errors.ts'
import type { Process, ScriptContext } from '../../src/actors/process.ts'
import * as task from '../../src/actors/task.ts'
import { World } from './world.ts'

let world: World

beforeEach(() => {
  world = new World()
})

/** A process in whose name a test acts. */
function owner(trapExit = false): { self: Process; box: unknown[] } {
  const box: unknown[] = []
  const pid = world.runtime.spawn({ receive: (message) => void box.push(message) }, { trapExit })
  return { self: world.runtime.process(pid)!, box }
}

async function forever(self: ScriptContext): Promise<never> {
  for (;;) await self.receive()
}

describe('a task', () => {
  test('gives its result to await, from a process and from outside', async () => {
    const { self } = owner()
    for (const caller of [self, world.runtime]) {
      const started = task.async(caller, async () => 42)
      expect(await world.run(task.awaitTask(caller, started))).toBe(42)
      expect(world.runtime.isAlive(started.pid)).toBe(false)
    }
  })

  test('runs beside its owner, which gets no message of it', async () => {
    const { self, box } = owner()
    const both = [task.async(self, () => 1), task.asyncNolink(self, () => 2)] as const
    expect(await world.run(Promise.all(both.map((one) => task.awaitTask(self, one))))).toEqual([1, 2])
    expect(box).toEqual([])
  })

  test('that is linked takes its owner down when it crashes', async () => {
    const { self } = owner()
    task.async(self, () => {
      throw new Exit('boom')
    })
    await world.settle()
    expect(world.runtime.process(self.pid)).toBeUndefined()
  })

  test('that is linked ends when its owner does', async () => {
    const { self } = owner()
    const started = task.async(self, forever)
    await world.settle()
    world.runtime.exit(self.pid, 'gone')
    expect(world.runtime.isAlive(started.pid)).toBe(false)
  })

  test('that is not linked rejects await with the reason of its crash, and its owner lives', async () => {
    const { self } = owner()
    const started = task.asyncNolink(self, () => Promise.reject(new Exit('boom')))
    await expect(world.run(task.awaitTask(self, started))).rejects.toMatchObject({ reason: 'boom' })
    expect(self.alive).toBe(true)
  })

  test('that is not awaited causes no unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const listener = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', listener)
    task.asyncNolink(world.runtime, () => Promise.reject(new Error('nobody looks')))
    task.async(world.runtime, () => Promise.reject(new Error('nobody looks')))
    await world.settle()
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })

  test('is awaited 5000 ms by default, then await rejects with timeout and the task goes on', async () => {
    const { self } = owner()
    const started = task.async(self, forever)
    const before = world.nowMs
    await expect(world.run(task.awaitTask(self, started))).rejects.toMatchObject({ reason: 'timeout' })
    expect(world.nowMs - before).toBe(5000)
    expect(world.runtime.isAlive(started.pid)).toBe(true)
  })

  test('belongs to its owner: another process cannot await it', async () => {
    const started = task.async(owner().self, () => 1)
    await expect(task.awaitTask(owner().self, started)).rejects.toThrow(BadArgError)
  })
})

describe('yield', () => {
  test('gives undefined while the task runs and what became of it later', async () => {
    let finish = (_: string): void => {}
    const started = task.asyncNolink(world.runtime, () => new Promise<string>((resolve) => (finish = resolve)))
    expect(await world.run(task.yieldTask(world.runtime, started, 10))).toBeUndefined()
    finish('done')
    expect(await world.run(task.yieldTask(world.runtime, started, 10))).toEqual({ ok: true, value: 'done' })
    expect(world.pendingTimers).toBe(0)
  })

  test('gives the reason of a crash instead of rejecting', async () => {
    const started = task.asyncNolink(world.runtime, () => {
      throw new Exit('boom')
    })
    expect(await world.run(task.yieldTask(world.runtime, started))).toEqual({ ok: false, reason: 'boom' })
  })
})

describe('shutdown', () => {
  test('ends a task that runs and leaves its owner alone', async () => {
    const { self } = owner()
    const started = task.async(self, forever)
    await world.settle()
    expect(await world.run(task.shutdownTask(self, started))).toBeUndefined()
    expect(world.runtime.isAlive(started.pid)).toBe(false)
    expect(self.alive).toBe(true)
  })

  test('kills a task that traps exits after its time', async () => {
    const started = task.asyncNolink(world.runtime, (self) => {
      self.processFlag('trap_exit', true)
      return forever(self)
    })
    await world.settle()
    const before = world.nowMs
    expect(await world.run(task.shutdownTask(world.runtime, started, 100))).toBeUndefined()
    expect(world.nowMs - before).toBe(100)
    expect(world.runtime.isAlive(started.pid)).toBe(false)
  })

  test('gives the result of a task that had ended', async () => {
    const started = task.asyncNolink(world.runtime, () => 'done')
    await world.settle()
    expect(await world.run(task.shutdownTask(world.runtime, started))).toEqual({ ok: true, value: 'done' })
  })
})

test('a task started by startLink is for its effects', async () => {
  const done: string[] = []
  task.startLink(world.runtime, () => done.push('done'))
  await world.settle()
  expect(done).toEqual(['done'])
})
