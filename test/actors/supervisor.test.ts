/** Statements of the reference manual of `supervisor` and of the chapter "Supervisor Behaviour" of OTP's design principles. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { ChildSpec, SupervisorFlags } from '../../src/actors/supervisor/child-spec.ts'
import { child, getChildSpec, supervisor, terminateChild, whichChildren } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { endChild, pidOf, reports, Workers } from './supervisor-support.ts'
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

function isAlive(pid: Pid): boolean {
  return world.runtime.isAlive(pid)
}

function shutDown(pid: Pid): void {
  world.runtime.exit(pid, 'shutdown')
}

describe('a supervisor that starts', () => {
  test('starts its children in the order of their specifications', async () => {
    await start({}, abc())
    expect(workers.take()).toEqual(['start a', 'start b', 'start c'])
  })

  test('waits for each child until its init has answered', async () => {
    workers.slow.add('a')
    await start({}, abc())
    expect(workers.take()).toEqual(['start a', 'start b', 'start c'])
  })

  test('needs no promise when no child does: the outcome is there at once', () => {
    const top = supervisor({
      children: () => [child('sub', supervisor({ children: () => abc() }), [], { type: 'supervisor' })],
    })
    const result = top.starter(undefined)(world.runtime.init)
    expect(result).toMatchObject({ ok: true })
  })

  test('ends those that it started, last first, when a child fails to start, and its start returns the error', async () => {
    workers.failures.set('c', 1)
    const reason = await reasonOf(start({}, abc()))
    expect(reason).toEqual({ shutdown: { failed_to_start_child: 'c', reason: 'cannot' } })
    expect(workers.take()).toEqual(['start a', 'start b', 'end b shutdown', 'end a shutdown'])
    expect(reports(world)).toEqual(['start_error c cannot'])
  })

  test('fails with what a start function throws', async () => {
    const broken: ChildSpec = {
      id: 'broken',
      start: () => {
        throw new TypeError('no such thing')
      },
    }
    const reason = await reasonOf(start({}, [broken]))
    expect(reason).toMatchObject({ shutdown: { failed_to_start_child: 'broken', reason: { name: 'TypeError' } } })
  })

  test('keeps the specification of a child whose start is ignored, unless it is temporary', async () => {
    workers.ignored.add('a').add('b')
    const pid = await start({}, [workers.spec('a'), workers.spec('b', { restart: 'temporary' })])
    expect(await statusOf(pid)).toEqual({ a: undefined })
  })

  test('takes a start function that returns a pid, a result, or a promise of either', async () => {
    const box = { receive: () => {} }
    const pid = await start({}, [
      { id: 'pid', start: (self) => self.spawnLink(box) },
      { id: 'result', start: (self) => ({ ok: true, pid: self.spawnLink(box) }) },
      { id: 'promise', start: async (self) => self.spawnLink(box) },
    ])
    expect(await statusOf(pid)).toEqual({ pid: 'running', result: 'running', promise: 'running' })
  })

  test('declines when children answers ignore', async () => {
    const top = supervisor({ children: () => 'ignore' })
    expect(await reasonOf(top.startLink(world.runtime, undefined))).toBe('ignore')
  })

  test('is given its argument', async () => {
    const top = supervisor<string>({ children: (id) => [workers.spec(id)] })
    await world.run(top.startLink(world.runtime, 'named', { name: 'top' }))
    expect(workers.take()).toEqual(['start named'])
    expect(world.runtime.whereis('top')).toBeDefined()
  })

  test.each([
    [{ intensity: -1 }, { supervisor_data: { invalid_intensity: -1 } }],
    [{ periodSec: 0 }, { supervisor_data: { invalid_period: 0 } }],
    [{ strategy: 'all' as never }, { supervisor_data: { invalid_strategy: 'all' } }],
    [{ autoShutdown: 'yes' as never }, { supervisor_data: { invalid_auto_shutdown: 'yes' } }],
  ])('refuses flags that are none: %j', async (flags, reason) => {
    expect(await reasonOf(start(flags, abc()))).toEqual(reason)
  })

  test.each([
    [{ restart: 'often' as never }, { invalid_restart_type: 'often' }],
    [{ shutdownMs: -1 }, { invalid_shutdown: -1 }],
    [{ type: 'boss' as never }, { invalid_child_type: 'boss' }],
    [{ significant: true }, { bad_combination: { auto_shutdown: 'never', significant: true } }],
  ])('refuses a specification that is none: %j', async (options, reason) => {
    expect(await reasonOf(start({}, [workers.spec('a', options)]))).toEqual({ start_spec: reason })
  })

  test('refuses two children of one id', async () => {
    const reason = await reasonOf(start({}, [workers.spec('a'), workers.spec('a')]))
    expect(reason).toEqual({ start_spec: { duplicate_child_name: 'a' } })
  })

  test('refuses a significant child that is permanent', async () => {
    const reason = await reasonOf(
      start({ autoShutdown: 'any_significant' }, [workers.spec('a', { significant: true })]),
    )
    expect(reason).toEqual({ start_spec: { bad_combination: { restart: 'permanent', significant: true } } })
  })
})

describe('a supervisor that ends', () => {
  test('ends its children in reverse start order with reason shutdown, when its parent tells it to', async () => {
    const pid = await start({}, abc())
    workers.take()
    shutDown(pid)
    await world.settle()
    expect(workers.take()).toEqual(['end c shutdown', 'end b shutdown', 'end a shutdown'])
    expect(isAlive(pid)).toBe(false)
    expect(reports(world)).toEqual([])
  })

  test('waits for each child as long as its shutdown says, then kills it and reports so', async () => {
    workers.stubborn.add('b')
    const pid = await start({}, [workers.spec('a'), workers.spec('b', { shutdownMs: 100 }), workers.spec('c')])
    workers.take()
    shutDown(pid)
    await world.advance(99)
    expect(workers.take()).toEqual(['end c shutdown'])
    await world.advance(1)
    expect(workers.take()).toEqual(['end b killed', 'end a shutdown'])
    expect(reports(world)).toEqual(['shutdown_error b killed'])
  })

  test('gives a worker 5000 ms and a supervisor all the time it needs unless told otherwise', async () => {
    workers.stubborn.add('deep')
    const sub = supervisor({ children: () => [workers.spec('deep', { shutdownMs: 60_000 })] })
    const pid = await start({}, [workers.spec('w'), child('sub', sub, [], { type: 'supervisor' })])
    expect(await world.run(getChildSpec(world.runtime, pid, 'w'))).toMatchObject({ spec: { shutdownMs: 5000 } })
    expect(await world.run(getChildSpec(world.runtime, pid, 'sub'))).toMatchObject({ spec: { shutdownMs: 'infinity' } })
    shutDown(pid)
    await world.advance(59_999)
    expect(isAlive(pid)).toBe(true)
    await world.advance(1)
    expect(isAlive(pid)).toBe(false)
  })

  test('kills a brutal_kill child at once, which is no error', async () => {
    workers.stubborn.add('a')
    const pid = await start({}, [workers.spec('a', { shutdownMs: 'brutal_kill' })])
    workers.take()
    shutDown(pid)
    await world.settle()
    expect(workers.take()).toEqual(['end a killed'])
    expect(reports(world)).toEqual([])
  })

  test('is not held up by a child that unlinked itself', async () => {
    let child: Pid | undefined
    const naughty: ChildSpec = {
      id: 'naughty',
      start: (self) => {
        child = self.spawnLink(async (me) => {
          me.unlink(self.pid)
          await me.receive((message): message is string => message === 'never')
        })
        return child
      },
    }
    const pid = await start({}, [naughty])
    await world.settle()
    shutDown(pid)
    await world.settle()
    expect(isAlive(pid)).toBe(false)
    expect(isAlive(child!)).toBe(false)
  })

  test('reports a child that ended otherwise than told', async () => {
    const pid = await start({}, [
      {
        id: 'sulky',
        start: (self) =>
          self.spawnLink(async (me) => {
            me.processFlag('trap_exit', true)
            await me.receive()
            me.stop('offended')
          }),
      },
    ])
    await world.settle()
    shutDown(pid)
    await world.settle()
    expect(reports(world)).toEqual(['shutdown_error sulky offended'])
  })

  test('lets its children die of its own death when it is killed', async () => {
    const pid = await start({}, abc())
    workers.take()
    world.runtime.exit(pid, 'kill')
    await world.settle()
    expect(workers.take().sort()).toEqual(['end a killed', 'end b killed', 'end c killed'])
  })

  test('ignores an exit signal of a process that is neither its parent nor a child', async () => {
    const pid = await start({}, abc())
    world.runtime.spawn(async (self) => self.exit(pid, 'boom'))
    await world.settle()
    expect(isAlive(pid)).toBe(true)
  })
})

describe('one_for_one', () => {
  test('restarts the child that ended and no other', async () => {
    const pid = await start({ strategy: 'one_for_one' }, abc())
    workers.take()
    await endChild(world, workers, pid, 'b', 'boom')
    expect(workers.take()).toEqual(['end b boom', 'start b'])
    expect(reports(world)).toEqual(['child_terminated b boom'])
  })

  test('is the default', async () => {
    const pid = await start({}, abc())
    workers.take()
    await endChild(world, workers, pid, 'a', 'boom')
    expect(workers.take()).toEqual(['end a boom', 'start a'])
  })
})

describe('one_for_all', () => {
  test('ends all other children when one ends, last first, then starts all in order', async () => {
    const pid = await start({ strategy: 'one_for_all' }, abc())
    workers.take()
    await endChild(world, workers, pid, 'b', 'boom')
    expect(workers.take()).toEqual(['end b boom', 'end c shutdown', 'end a shutdown', 'start a', 'start b', 'start c'])
  })

  test('does not start temporary children again', async () => {
    const pid = await start({ strategy: 'one_for_all' }, [
      workers.spec('a'),
      workers.spec('t', { restart: 'temporary' }),
    ])
    await endChild(world, workers, pid, 'a', 'boom')
    expect(await statusOf(pid)).toEqual({ a: 'running' })
  })
})

describe('rest_for_one', () => {
  test('ends the children started after the one that ended, then starts it and them in order', async () => {
    const pid = await start({ strategy: 'rest_for_one' }, [...abc(), workers.spec('d')])
    workers.take()
    await endChild(world, workers, pid, 'b', 'boom')
    expect(workers.take()).toEqual(['end b boom', 'end d shutdown', 'end c shutdown', 'start b', 'start c', 'start d'])
  })
})

describe('a child', () => {
  test.each(['normal', 'shutdown', { shutdown: 'because' }, 'boom'])(
    'that is permanent is always restarted: %j',
    async (reason) => {
      const pid = await start({}, [workers.spec('a')])
      await endChild(world, workers, pid, 'a', reason)
      expect(await statusOf(pid)).toEqual({ a: 'running' })
      expect(reports(world)).toHaveLength(1)
    },
  )

  test.each([
    ['normal', undefined],
    ['shutdown', undefined],
    [{ shutdown: 'because' }, undefined],
    ['boom', 'running'],
  ])('that is transient is restarted only after an abnormal end: %j', async (reason, status) => {
    const pid = await start({}, [workers.spec('a', { restart: 'transient' })])
    await endChild(world, workers, pid, 'a', reason)
    expect(await statusOf(pid)).toEqual({ a: status })
    expect(reports(world)).toHaveLength(status === 'running' ? 1 : 0)
  })

  test.each(['normal', 'boom'])(
    'that is temporary is never restarted and its specification is gone: %s',
    async (reason) => {
      const pid = await start({}, [workers.spec('a', { restart: 'temporary' })])
      await endChild(world, workers, pid, 'a', reason)
      expect(await statusOf(pid)).toEqual({})
      expect(isAlive(pid)).toBe(true)
    },
  )
})

describe('the restart intensity', () => {
  test('is 1 restart in 5 seconds by default', async () => {
    const pid = await start({}, abc())
    await endChild(world, workers, pid, 'a', 'boom')
    expect(isAlive(pid)).toBe(true)
    await world.advance(4999)
    await endChild(world, workers, pid, 'b', 'boom')
    expect(isAlive(pid)).toBe(false)
  })

  test('when it is exceeded ends all children and then the supervisor, with reason shutdown', async () => {
    const top = await start({ intensity: 1 }, [
      child('sub', supervisor({ intensity: 0, children: () => abc() }), [], {
        type: 'supervisor',
        restart: 'transient',
      }),
    ])
    workers.take()
    const sub = await pidOf(world, top, 'sub')
    await endChild(world, workers, sub, 'b', 'boom')
    expect(workers.take()).toEqual(['end b boom', 'end c shutdown', 'end a shutdown'])
    expect(reports(world)).toEqual(['child_terminated b boom', 'shutdown b reached_max_restart_intensity'])
    expect(await statusOf(top)).toEqual({ sub: undefined })
  })

  test('forgets restarts that are longer ago than the period', async () => {
    const pid = await start({ intensity: 2, periodSec: 10 }, abc())
    for (let i = 0; i < 20; i++) {
      await endChild(world, workers, pid, 'a', 'boom')
      await world.advance(5001)
    }
    expect(isAlive(pid)).toBe(true)
  })

  test('counts restarts that fail, which are tried again until one succeeds', async () => {
    const pid = await start({ intensity: 3 }, abc())
    workers.take()
    workers.failures.set('b', 2)
    await endChild(world, workers, pid, 'b', 'boom')
    expect(workers.take()).toEqual(['end b boom', 'start b'])
    expect(reports(world)).toEqual(['child_terminated b boom', 'start_error b cannot', 'start_error b cannot'])
    workers.failures.set('c', 9)
    await endChild(world, workers, pid, 'c', 'boom')
    expect(isAlive(pid)).toBe(false)
  })

  test('leaves the supervisor its turn for requests between two attempts', async () => {
    const pid = await start({ intensity: 1_000_000 }, abc())
    workers.failures.set('b', 1_000_000)
    workers.server.cast(world.runtime, await pidOf(world, pid, 'b'), 'end', 'boom')
    const answers = ['b', 'b', 'b'].map(() => terminateChild(world.runtime, pid, 'b'))
    expect(await world.run(Promise.all(answers))).toEqual([{ ok: true }, { ok: true }, { ok: true }])
    expect(await statusOf(pid)).toEqual({ a: 'running', b: undefined, c: 'running' })
  })
})

describe('auto_shutdown', () => {
  const significant = { restart: 'transient', significant: true } as const

  test('any_significant ends the supervisor with shutdown when one significant child ends by itself', async () => {
    const pid = await start({ autoShutdown: 'any_significant' }, [
      workers.spec('a', significant),
      workers.spec('b', significant),
      workers.spec('c', { restart: 'transient' }),
    ])
    workers.take()
    await endChild(world, workers, pid, 'c', 'normal')
    expect(isAlive(pid)).toBe(true)
    await endChild(world, workers, pid, 'a', 'normal')
    expect(workers.take()).toEqual(['end c normal', 'end a normal', 'end b shutdown'])
    expect(isAlive(pid)).toBe(false)
  })

  test('all_significant waits until the last of them has ended', async () => {
    const pid = await start({ autoShutdown: 'all_significant' }, [
      workers.spec('a', significant),
      workers.spec('b', significant),
      workers.spec('c'),
    ])
    await endChild(world, workers, pid, 'a', 'normal')
    expect(isAlive(pid)).toBe(true)
    await endChild(world, workers, pid, 'b', 'normal')
    expect(isAlive(pid)).toBe(false)
  })

  test('does not act when a significant child is restarted or ended by request', async () => {
    const pid = await start({ autoShutdown: 'any_significant' }, [workers.spec('a', significant), workers.spec('b')])
    await endChild(world, workers, pid, 'a', 'boom')
    expect(await world.run(terminateChild(world.runtime, pid, 'a'))).toEqual({ ok: true })
    expect(isAlive(pid)).toBe(true)
  })
})

describe('a supervisor as a process', () => {
  test('answers system messages', async () => {
    const pid = await start({}, abc())
    expect(await world.run(sys.getStatus(world.runtime, pid))).toMatchObject({
      behaviour: 'supervisor',
      status: 'running',
      state: { specs: 3, active: 3 },
    })
    await world.run(sys.suspend(world.runtime, pid))
    workers.take()
    const b = world.runtime.process(pid)!.links!
    world.runtime.exit([...b][1]!, 'kill')
    await world.settle()
    expect(workers.take()).toHaveLength(1)
    await world.run(sys.resume(world.runtime, pid))
    await world.settle()
    expect(workers.take()).toHaveLength(1)
  })

  test('logs messages that it does not expect and goes on', async () => {
    const pid = await start({}, abc())
    world.runtime.send(pid, { hello: 1 })
    world.runtime.send(pid, null)
    await world.settle()
    expect(isAlive(pid)).toBe(true)
    expect(world.log.filter(({ msg }) => msg === 'supervisor received unexpected message')).toHaveLength(2)
  })

  test('in a tree is ended and restarted like any child, its own children with it', async () => {
    const sub = supervisor({ intensity: 0, children: () => [workers.spec('x'), workers.spec('y')] })
    await start({ strategy: 'one_for_all' }, [workers.spec('a'), child('sub', sub, [], { type: 'supervisor' })])
    workers.take()
    const x = [...world.runtime.processes].filter(({ label }) => label === 'worker')[1]!
    world.runtime.exit(x.pid, 'boom')
    await world.settle()
    expect(workers.take()).toEqual(['end x boom', 'end y shutdown', 'end a shutdown', 'start a', 'start x', 'start y'])
  })
})
