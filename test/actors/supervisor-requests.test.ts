/** Statements of the reference manual of `supervisor` about its functions: start_child, terminate_child, which_children …. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { ChildSpec, SupervisorFlags } from '../../src/actors/supervisor/child-spec.ts'
import {
  child,
  countChildren,
  deleteChild,
  restartChild,
  startChild,
  supervisor,
  terminateChild,
  whichChildren,
} from '../../src/actors/supervisor.ts'
import { pidOf, Workers } from './supervisor-support.ts'
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

async function statusOf(pid: Pid): Promise<Record<string, unknown>> {
  const children = await world.run(whichChildren(world.runtime, pid))
  return Object.fromEntries(children.map((info) => [info.id, typeof info.child === 'object' ? 'running' : info.child]))
}

describe('start_child', () => {
  test('adds a child and starts it', async () => {
    const pid = await start({}, abc())
    const result = await world.run(startChild(world.runtime, pid, workers.spec('d')))
    expect(result).toEqual({ ok: true, pid: await pidOf(world, pid, 'd') })
  })

  test('answers {already_started, Pid} for a child that runs and already_present for one that does not', async () => {
    const pid = await start({}, abc())
    const a = await pidOf(world, pid, 'a')
    expect(await world.run(startChild(world.runtime, pid, workers.spec('a')))).toEqual({
      ok: false,
      reason: { already_started: a },
    })
    await world.run(terminateChild(world.runtime, pid, 'a'))
    expect(await world.run(startChild(world.runtime, pid, workers.spec('a')))).toEqual({
      ok: false,
      reason: 'already_present',
    })
  })

  test('discards the specification of a child that does not start', async () => {
    const pid = await start({}, abc())
    workers.failures.set('d', 1)
    expect(await world.run(startChild(world.runtime, pid, workers.spec('d')))).toEqual({
      ok: false,
      reason: { failed_to_start_child: 'd', reason: 'cannot' },
    })
    expect(await statusOf(pid)).not.toHaveProperty('d')
  })

  test('keeps an ignored child without a pid', async () => {
    const pid = await start({}, abc())
    workers.ignored.add('d')
    expect(await world.run(startChild(world.runtime, pid, workers.spec('d')))).toEqual({ ok: true, pid: undefined })
    expect(await statusOf(pid)).toHaveProperty('d', undefined)
  })

  test('refuses what is no specification', async () => {
    const pid = await start({}, abc())
    expect(await world.run(startChild(world.runtime, pid, { id: 'd' } as ChildSpec))).toEqual({
      ok: false,
      reason: 'missing_start',
    })
  })
})

describe('terminate_child', () => {
  test('ends a child and keeps its specification, which restart_child starts again', async () => {
    const pid = await start({}, abc())
    workers.take()
    expect(await world.run(terminateChild(world.runtime, pid, 'b'))).toEqual({ ok: true })
    expect(await statusOf(pid)).toEqual({ a: 'running', b: undefined, c: 'running' })
    expect(await world.run(restartChild(world.runtime, pid, 'b'))).toMatchObject({ ok: true })
    expect(workers.take()).toEqual(['end b shutdown', 'start b'])
  })

  test('removes a temporary child', async () => {
    const pid = await start({}, [workers.spec('t', { restart: 'temporary' })])
    await world.run(terminateChild(world.runtime, pid, 't'))
    expect(await statusOf(pid)).toEqual({})
  })

  test('of a child that does not run is ok, of an unknown one not_found', async () => {
    const pid = await start({}, abc())
    await world.run(terminateChild(world.runtime, pid, 'b'))
    expect(await world.run(terminateChild(world.runtime, pid, 'b'))).toEqual({ ok: true })
    expect(await world.run(terminateChild(world.runtime, pid, 'x'))).toEqual({ ok: false, reason: 'not_found' })
  })
})

describe('restart_child and delete_child', () => {
  test('answer running for a child that runs and not_found for an unknown one', async () => {
    const pid = await start({}, abc())
    for (const request of [restartChild, deleteChild]) {
      expect(await world.run<unknown>(request(world.runtime, pid, 'a'))).toEqual({ ok: false, reason: 'running' })
      expect(await world.run<unknown>(request(world.runtime, pid, 'x'))).toEqual({ ok: false, reason: 'not_found' })
    }
  })

  test('answer restarting while the restart of a child fails', async () => {
    let first = true
    const asked: Promise<unknown>[] = []
    const pid = await start({ intensity: 10 }, [
      {
        id: 'a',
        start: (self) => {
          if (asked.length > 0) return self.spawnLink({ receive: () => {} })
          if (first) {
            first = false
            return self.spawnLink(async (me) => me.receive())
          }
          asked.push(restartChild(world.runtime, pid, 'a'), deleteChild(world.runtime, pid, 'a'))
          throw new Exit('cannot')
        },
      },
    ])
    world.runtime.send(await pidOf(world, pid, 'a'), 'end')
    await world.settle()
    const restarting = { ok: false, reason: 'restarting' }
    expect(await world.run(Promise.all(asked))).toEqual([restarting, restarting])
    expect(await statusOf(pid)).toEqual({ a: 'running' })
  })

  test('delete_child removes the specification of a child that does not run', async () => {
    const pid = await start({}, abc())
    await world.run(terminateChild(world.runtime, pid, 'b'))
    expect(await world.run(deleteChild(world.runtime, pid, 'b'))).toEqual({ ok: true })
    expect(await statusOf(pid)).toEqual({ a: 'running', c: 'running' })
  })

  test('restart_child answers the error of a child that does not start and keeps its specification', async () => {
    const pid = await start({}, abc())
    await world.run(terminateChild(world.runtime, pid, 'b'))
    workers.failures.set('b', 1)
    expect(await world.run(restartChild(world.runtime, pid, 'b'))).toEqual({ ok: false, reason: 'cannot' })
    expect(await statusOf(pid)).toMatchObject({ b: undefined })
  })
})

describe('which_children and count_children', () => {
  test('tell of every child: id, pid and type', async () => {
    const sub = supervisor({ children: () => [] })
    const pid = await start({}, [workers.spec('a'), child('sub', sub, [], { type: 'supervisor' }), workers.spec('b')])
    await world.run(terminateChild(world.runtime, pid, 'b'))
    const children = await world.run(whichChildren(world.runtime, pid))
    expect(children.map(({ id, type }) => [id, type])).toEqual([
      ['b', 'worker'],
      ['sub', 'supervisor'],
      ['a', 'worker'],
    ])
    expect(await world.run(countChildren(world.runtime, pid))).toEqual({
      specs: 3,
      active: 2,
      supervisors: 1,
      workers: 2,
    })
  })

  test('answer processes as well as code outside', async () => {
    const pid = await start({}, abc())
    let counted: unknown
    world.runtime.spawn(async (self) => {
      counted = await countChildren(self, pid)
    })
    await world.settle()
    expect(counted).toEqual({ specs: 3, active: 3, supervisors: 0, workers: 3 })
  })

  test('of a supervisor that does not exist reject with noproc', async () => {
    expect(await reasonOf(whichChildren(world.runtime, 'nobody'))).toBe('noproc')
  })
})
