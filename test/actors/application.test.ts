/** Statements of the reference manual of `application` and of the chapter "Applications" of OTP's design principles. */
import { beforeEach, describe, expect, test } from 'vitest'
import * as application from '../../src/actors/application.ts'
import { BadArgError, Exit, type ExitReason } from '../../src/actors/errors.ts'
import type { ProcessContext } from '../../src/actors/process.ts'
import { supervisor } from '../../src/actors/supervisor.ts'
import { endChild, Workers } from './supervisor-support.ts'
import { World } from './world.ts'

let world: World
let workers: Workers
let calls: string[]

beforeEach(() => {
  world = new World()
  workers = new Workers()
  calls = []
})

function app(name: string, applications: readonly (string | application.Application)[] = []): application.Application {
  const top = supervisor({ intensity: 0, children: () => [workers.spec(name)] })
  return {
    name,
    applications,
    env: { port: 1883, limit: 10 },
    start: (self) => top.startLink(self, undefined, { name: `${name}_sup` }),
    prepStop: () => void calls.push(`prep_stop ${name}`),
    stop: () => void calls.push(`stop ${name}`),
  }
}

async function running(): Promise<string[]> {
  return (await world.run(application.whichApplications(world.runtime))).map(({ name }) => name)
}

async function end(name: string, reason: ExitReason): Promise<void> {
  await endChild(world, workers, world.runtime.whereis(`${name}_sup`)!, name, reason)
}

/** Starts the controller with a note of what would end the node. */
async function control(options: application.ControllerOptions = {}): Promise<string[]> {
  const terminations: string[] = []
  const onTermination = (_: unknown, name: string, reason: ExitReason): void => {
    terminations.push(`${name} ${reason}`)
  }
  await world.run(application.startController(world.runtime, { onTermination, ...options }))
  return terminations
}

describe('application start', () => {
  test('runs the start callback, which starts the top supervisor', async () => {
    expect(await world.run(application.start(world.runtime, app('a')))).toEqual({ ok: true })
    expect(workers.take()).toEqual(['start a'])
    expect(await running()).toEqual(['a'])
  })

  test('answers {already_started, App} for one that runs', async () => {
    await world.run(application.start(world.runtime, app('a')))
    expect(await world.run(application.start(world.runtime, 'a'))).toEqual({
      ok: false,
      reason: { already_started: 'a' },
    })
  })

  test('answers {not_started, Dependency} when one that it depends on does not run', async () => {
    await world.run(application.load(world.runtime, app('a')))
    expect(await world.run(application.start(world.runtime, app('b', ['a'])))).toEqual({
      ok: false,
      reason: { not_started: 'a' },
    })
  })

  test('answers why the start callback failed', async () => {
    workers.failures.set('a', 1)
    const result = await world.run(application.start(world.runtime, app('a')))
    expect(result).toEqual({ ok: false, reason: { shutdown: { failed_to_start_child: 'a', reason: 'cannot' } } })
    expect(await running()).toEqual([])
  })

  test('answers what the start callback threw', async () => {
    const broken = {
      name: 'broken',
      start: () => {
        throw new Exit('broken_start')
      },
    }
    expect(await world.run(application.start(world.runtime, broken))).toEqual({ ok: false, reason: 'broken_start' })
  })

  test('of an application that is not known answers not_loaded', async () => {
    expect(await world.run(application.start(world.runtime, 'x'))).toEqual({ ok: false, reason: { not_loaded: 'x' } })
  })

  test('by two at a time starts it once and answers both', async () => {
    const slow = {
      ...app('a'),
      start: async (self: ProcessContext) => self.spawnLink({ receive: () => {} }),
    }
    await world.run(application.load(world.runtime, slow))
    const both = [application.start(world.runtime, 'a'), application.start(world.runtime, 'a')]
    expect(await world.run(Promise.all(both))).toEqual([{ ok: true }, { ok: true }])
    expect(await running()).toEqual(['a'])
  })

  test('of an application without processes is all there is to it', async () => {
    await world.run(application.start(world.runtime, { name: 'library' }))
    expect(await running()).toEqual(['library'])
    expect(await world.run(application.stop(world.runtime, 'library'))).toEqual({ ok: true })
    expect(await running()).toEqual([])
  })

  test('does not keep the controller from answering the application that is starting', async () => {
    let seen: unknown
    const asking = {
      name: 'asking',
      start: async (self: ProcessContext) => {
        seen = await application.loadedApplications(self)
        return self.spawnLink({ receive: () => {} })
      },
    }
    expect(await world.run(application.start(world.runtime, asking))).toEqual({ ok: true })
    expect(seen).toEqual([{ name: 'asking', description: '', version: '' }])
  })
})

describe('ensure_all_started', () => {
  test('starts what an application depends on first, each once, and tells what it started', async () => {
    const base = app('base')
    const result = application.ensureAllStarted(world.runtime, app('top', [app('left', [base]), app('right', [base])]))
    expect(await world.run(result)).toEqual({ ok: true, started: ['base', 'left', 'right', 'top'] })
    expect(await running()).toEqual(['top', 'right', 'left', 'base'])
  })

  test('leaves alone what runs already', async () => {
    await world.run(application.start(world.runtime, app('a')))
    expect(await world.run(application.ensureAllStarted(world.runtime, app('b', ['a'])))).toEqual({
      ok: true,
      started: ['b'],
    })
  })

  test('stops what it started when one of them does not start', async () => {
    workers.failures.set('b', 1)
    const result = await world.run(application.ensureAllStarted(world.runtime, app('b', [app('a')])))
    expect(result).toMatchObject({ ok: false, reason: { application: 'b' } })
    expect(await running()).toEqual([])
  })

  test('refuses a circle', async () => {
    await world.run(application.load(world.runtime, app('a', ['b'])))
    await world.run(application.load(world.runtime, app('b', ['a'])))
    expect(await world.run(application.ensureAllStarted(world.runtime, 'a'))).toEqual({
      ok: false,
      reason: { application: 'a', reason: { circular_dependencies: ['a', 'b', 'a'] } },
    })
  })
})

describe('application stop', () => {
  test('calls prep_stop, ends the top supervisor, then calls stop', async () => {
    await world.run(application.start(world.runtime, app('a')))
    workers.take()
    expect(await world.run(application.stop(world.runtime, 'a'))).toEqual({ ok: true })
    expect(workers.take()).toEqual(['end a shutdown'])
    expect(calls).toEqual(['prep_stop a', 'stop a'])
    expect(await running()).toEqual([])
  })

  test('of one that does not run answers not_started', async () => {
    expect(await world.run(application.stop(world.runtime, 'a'))).toEqual({ ok: false, reason: { not_started: 'a' } })
  })

  test('ends the application although a callback throws', async () => {
    const rude = {
      ...app('a'),
      prepStop: () => {
        throw new Error('no')
      },
      stop: () => Promise.reject(new Error('never')),
    }
    await world.run(application.start(world.runtime, rude))
    expect(await world.run(application.stop(world.runtime, 'a'))).toEqual({ ok: true })
    expect(world.log.filter(({ level }) => level === 50)).toHaveLength(2)
  })

  test('kills the application after its time', async () => {
    workers.stubborn.add('a')
    const top = supervisor({ children: () => [workers.spec('a', { shutdownMs: 'infinity' })] })
    const stuck = { name: 'stuck', start: (self: ProcessContext) => top.startLink(self, undefined) }
    await world.run(application.start(world.runtime, stuck))
    const before = world.nowMs
    expect(await world.run(application.stop(world.runtime, 'stuck', 1000))).toEqual({ ok: true })
    expect(world.nowMs - before).toBe(1000)
    expect(await running()).toEqual([])
  })

  test('of all stops them in reverse order', async () => {
    await world.run(application.ensureAllStarted(world.runtime, app('c', [app('b', [app('a')])])))
    await world.run(application.stopAll(world.runtime, 1000))
    expect(calls.filter((call) => call.startsWith('stop'))).toEqual(['stop c', 'stop b', 'stop a'])
  })
})

describe('the end of a node', () => {
  test('stops all applications in reverse order, then the runtime', async () => {
    await world.run(application.ensureAllStarted(world.runtime, app('b', [app('a')])))
    await world.run(application.stopRuntime(world.runtime, 1000))
    expect(calls.filter((call) => call.startsWith('stop'))).toEqual(['stop b', 'stop a'])
    expect(world.runtime.stopped).toBe(true)
  })

  test('is there at once when no application was ever started', async () => {
    await world.run(application.stopRuntime(world.runtime))
    expect(world.runtime.stopped).toBe(true)
  })
})

describe('an application that ends by itself', () => {
  test('and is temporary is reported, and nothing else happens', async () => {
    const terminations = await control()
    await world.run(application.start(world.runtime, app('a'), 'temporary'))
    await end('a', 'boom')
    expect(await running()).toEqual([])
    expect(calls).toEqual(['stop a'])
    expect(terminations).toEqual([])
    expect(world.log).toContainEqual(expect.objectContaining({ report: 'application', application: 'a' }))
  })

  test('and is permanent takes the node down, the other applications stopped in order before', async () => {
    const terminations = await control()
    await world.run(application.ensureAllStarted(world.runtime, app('c', [app('b', [app('a')])])))
    await world.run(application.start(world.runtime, app('p'), 'permanent'))
    await end('p', 'boom')
    expect(terminations).toEqual(['p shutdown'])
    expect(calls.filter((call) => call.startsWith('stop'))).toEqual(['stop p', 'stop c', 'stop b', 'stop a'])
  })

  test('and is transient takes the node down unless it ended normally', async () => {
    const terminations = await control()
    const quiet = { name: 'quiet', start: (self: ProcessContext) => spawnLinked(self) }
    await world.run(application.start(world.runtime, quiet, 'transient'))
    world.runtime.send('quiet_top', 'normal')
    await world.settle()
    expect(terminations).toEqual([])
    await world.run(application.start(world.runtime, 'quiet', 'transient'))
    world.runtime.send('quiet_top', 'boom')
    await world.settle()
    expect(terminations).toEqual(['quiet boom'])
  })

  test('ends the runtime when nothing else was said', async () => {
    await world.run(application.start(world.runtime, app('p'), 'permanent'))
    await end('p', 'boom')
    expect(world.runtime.stopped).toBe(true)
  })

  function spawnLinked(self: ProcessContext) {
    return self.spawnLink(async (me) => me.stop(await me.receive()), { name: 'quiet_top' })
  }
})

describe('the environment of an application', () => {
  test('has the values of the application, and those of the configuration before them', async () => {
    await control({ config: { a: { port: 2883 } } })
    await world.run(application.load(world.runtime, app('a')))
    expect(application.getEnv(world.runtime, 'a', 'port')).toBe(2883)
    expect(application.getEnv(world.runtime, 'a', 'limit')).toBe(10)
    expect(application.getAllEnv(world.runtime, 'a')).toEqual({ port: 2883, limit: 10 })
  })

  test('is changed by set_env and unset_env, and read with a fallback', async () => {
    await world.run(application.setEnv(world.runtime, 'a', 'x', 1))
    expect(application.getEnv(world.runtime, 'a', 'x')).toBe(1)
    await world.run(application.unsetEnv(world.runtime, 'a', 'x'))
    expect(application.getEnv(world.runtime, 'a', 'x', 'none')).toBe('none')
  })

  test('is empty before anything was started', () => {
    expect(application.getEnv(world.runtime, 'a', 'port', 1)).toBe(1)
  })
})

describe('loading', () => {
  test('makes an application known without starting it, once', async () => {
    expect(await world.run(application.load(world.runtime, app('a')))).toEqual({ ok: true })
    expect(await world.run(application.load(world.runtime, app('a')))).toEqual({
      ok: false,
      reason: { already_loaded: 'a' },
    })
    expect(await running()).toEqual([])
    expect(await world.run(application.unload(world.runtime, 'a'))).toEqual({ ok: true })
    expect(await world.run(application.unload(world.runtime, 'a'))).toEqual({ ok: false, reason: { not_loaded: 'a' } })
  })

  test('cannot be undone while the application runs', async () => {
    await world.run(application.start(world.runtime, app('a')))
    expect(await world.run(application.unload(world.runtime, 'a'))).toEqual({ ok: false, reason: { running: 'a' } })
  })

  test('is done by one controller per node', async () => {
    await control()
    await expect(application.startController(world.runtime)).rejects.toThrow(BadArgError)
  })
})
