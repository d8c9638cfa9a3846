/** Statements of the reference manual of `supervisor` about `simple_one_for_one`. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { ChildSpec, SupervisorFlags } from '../../src/actors/supervisor/child-spec.ts'
import {
  childTemplate,
  countChildren,
  deleteChild,
  restartChild,
  startChild,
  supervisor,
  terminateChild,
  whichChildren,
} from '../../src/actors/supervisor.ts'
import { Workers } from './supervisor-support.ts'
import { World } from './world.ts'

let world: World
let workers: Workers

beforeEach(() => {
  world = new World()
  workers = new Workers()
})

function start(flags: SupervisorFlags, children: readonly ChildSpec[]): Promise<Pid> {
  return world.run(supervisor({ ...flags, children: () => children }).startLink(world.runtime, undefined))
}

function abc(): ChildSpec[] {
  return ['a', 'b', 'c'].map((id) => workers.spec(id))
}

async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await world.run(promise)
  } catch (error) {
    expect(error).toBeInstanceOf(Exit)
    return (error as Exit).reason
  }
  throw new Error('did not fail')
}

function isAlive(pid: Pid): boolean {
  return world.runtime.isAlive(pid)
}

function shutDown(pid: Pid): void {
  world.runtime.exit(pid, 'shutdown')
}

describe('simple_one_for_one', () => {
  const FLAGS = { strategy: 'simple_one_for_one', intensity: 2 } as const

  function pool(options: Parameters<typeof childTemplate>[2] = {}) {
    return supervisor({ ...FLAGS, children: () => [childTemplate('w', workers.server, options)] })
  }

  test('starts without children and adds one for each start_child, with its arguments', async () => {
    const top = pool()
    const pid = await world.run(top.startLink(world.runtime, undefined))
    const result = await world.run(top.startChild(world.runtime, pid, 'x', { name: 'x' }))
    expect(result).toEqual({ ok: true, pid: world.runtime.whereis('x') })
    expect(await world.run(startChild(world.runtime, pid, ['y']))).toMatchObject({ ok: true })
    expect(workers.take()).toEqual(['start x', 'start y'])
    expect(await world.run(countChildren(world.runtime, pid))).toEqual({
      specs: 1,
      active: 2,
      supervisors: 0,
      workers: 2,
    })
    expect((await world.run(whichChildren(world.runtime, pid))).map(({ id }) => id)).toEqual([undefined, undefined])
  })

  test('has exactly one specification', async () => {
    expect(await reasonOf(start(FLAGS, abc()))).toEqual({ bad_start_spec: ['a', 'b', 'c'] })
    expect(await reasonOf(start(FLAGS, []))).toEqual({ bad_start_spec: [] })
  })

  test('restarts a child with the arguments that it was started with', async () => {
    const top = pool()
    const pid = await world.run(top.startLink(world.runtime, undefined))
    await world.run(top.startChild(world.runtime, pid, 'x', { name: 'x' }))
    const before = world.runtime.whereis('x')
    workers.server.cast(world.runtime, 'x', 'end', 'boom')
    await world.settle()
    expect(world.runtime.whereis('x')).toBeDefined()
    expect(world.runtime.whereis('x')).not.toBe(before)
  })

  test('tries a failed restart again until the intensity is reached', async () => {
    const top = pool()
    const pid = await world.run(top.startLink(world.runtime, undefined))
    await world.run(top.startChild(world.runtime, pid, 'x', { name: 'x' }))
    workers.failures.set('x', 1)
    workers.server.cast(world.runtime, 'x', 'end', 'boom')
    await world.settle()
    expect(world.runtime.whereis('x')).toBeDefined()
    workers.server.cast(world.runtime, 'x', 'end', 'boom')
    await world.settle()
    expect(isAlive(pid)).toBe(false)
  })

  test('terminate_child takes a pid only', async () => {
    const top = pool({ restart: 'transient' })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    await world.run(top.startChild(world.runtime, pid, 'x', { name: 'x' }))
    const x = world.runtime.whereis('x')!
    expect(await world.run(terminateChild(world.runtime, pid, 'w'))).toEqual({
      ok: false,
      reason: 'simple_one_for_one',
    })
    expect(await world.run(terminateChild(world.runtime, pid, pid))).toEqual({ ok: false, reason: 'not_found' })
    expect(await world.run(terminateChild(world.runtime, pid, x))).toEqual({ ok: true })
    expect(await world.run(terminateChild(world.runtime, pid, x))).toEqual({ ok: true })
    expect(workers.take()).toEqual(['start x', 'end x shutdown'])
  })

  test('does not know restart_child and delete_child', async () => {
    const pid = await world.run(pool().startLink(world.runtime, undefined))
    for (const request of [restartChild, deleteChild]) {
      expect(await world.run<unknown>(request(world.runtime, pid, 'w'))).toEqual({
        ok: false,
        reason: 'simple_one_for_one',
      })
    }
  })

  test('answers the error of a child that does not start, without restarting it', async () => {
    const top = pool()
    const pid = await world.run(top.startLink(world.runtime, undefined))
    workers.failures.set('x', 1)
    expect(await world.run(top.startChild(world.runtime, pid, 'x'))).toEqual({ ok: false, reason: 'cannot' })
    expect(await world.run(countChildren(world.runtime, pid))).toMatchObject({ active: 0 })
  })

  test('ends all its children together, in no particular order, and reports each unexpected reason once', async () => {
    workers.stubborn.add('x').add('y')
    const top = pool({ shutdownMs: 100 })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    for (const id of ['x', 'y', 'z']) await world.run(top.startChild(world.runtime, pid, id))
    workers.take()
    shutDown(pid)
    await world.advance(99)
    expect(workers.take()).toEqual(['end z shutdown'])
    await world.advance(1)
    expect(workers.take()).toEqual(['end x killed', 'end y killed'])
    expect(isAlive(pid)).toBe(false)
    expect(world.log.filter((line) => line.errorContext === 'shutdown_error')).toMatchObject([
      { reason: 'killed', offender: { children: 2 } },
    ])
  })

  test('with all_significant ends when the last child has ended', async () => {
    const top = supervisor({
      ...FLAGS,
      autoShutdown: 'all_significant',
      children: () => [childTemplate('w', workers.server, { restart: 'temporary', significant: true })],
    })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    for (const name of ['x', 'y']) await world.run(top.startChild(world.runtime, pid, name, { name }))
    workers.server.cast(world.runtime, 'x', 'end', 'normal')
    await world.settle()
    expect(isAlive(pid)).toBe(true)
    workers.server.cast(world.runtime, 'y', 'end', 'normal')
    await world.settle()
    expect(isAlive(pid)).toBe(false)
  })

  test('bears two thousand children, their deaths and its end with them', async () => {
    const idle = genServer<number, Record<never, never>, Record<never, never>, number>({ init: (n) => ok(n) })
    const top = supervisor({
      ...FLAGS,
      children: () => [childTemplate('w', idle, { restart: 'temporary' })],
    })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    const starts = Array.from({ length: 2000 }, (_, i) => top.startChild(world.runtime, pid, i))
    const started = await world.run(Promise.all(starts))
    for (let i = 0; i < 1000; i++) {
      const result = started[i]!
      if (result.ok) world.runtime.exit(result.pid!, 'shutdown')
    }
    expect(await world.run(countChildren(world.runtime, pid))).toMatchObject({ active: 1000 })
    shutDown(pid)
    await world.settle()
    expect(world.runtime.processes.count).toBe(1)
  })
})
