/** Pools of workers: picking, restarts, order per key. */
import { beforeEach, describe, expect, test } from 'vitest'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { hashOf, type PoolWorkerArg, pool } from '../../src/actors/pool.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { World } from './world.ts'

let world: World
let slow: Promise<void> | undefined

const worker = genServer<
  { name: string; slot: number; got: string[] },
  { slot: () => number; got: () => string[] },
  { work: (what: string) => void },
  PoolWorkerArg<string>
>({
  label: 'worker',
  init: async ({ arg, slot }) => {
    await slow
    return ok({ name: arg, slot, got: [] })
  },
  calls: {
    slot: ({ state }) => reply(state.slot, state),
    got: ({ state }) => reply(state.got, state),
  },
  casts: {
    work: ({ state }, what) => {
      if (what === 'boom') throw new Error('boom')
      return noreply({ ...state, got: [...state.got, what] })
    },
  },
})
const routers = pool<string>({ name: 'routers', worker, size: 4 })
const keys = Array.from({ length: 1000 }, (_, i) => `sensor/${i}/temperature`)

beforeEach(async () => {
  world = new World()
  slow = undefined
  await world.run(routers.startLink(world.runtime, 'r'))
})

async function slotOf(pid: Pid | undefined): Promise<number> {
  return world.run(worker.call(world.runtime, pid!, 'slot'))
}

describe('a pool', () => {
  test('starts its workers, each knowing its slot', async () => {
    const slots = await Promise.all(routers.workers(world.runtime).map(slotOf))
    expect(slots).toEqual([0, 1, 2, 3])
  })

  test('picks the same worker for the same key, and all of them for many keys, evenly', () => {
    const counts = new Map<Pid, number>()
    for (const key of keys) {
      const pid = routers.pickHashed(world.runtime, key)!
      expect(routers.pickHashed(world.runtime, key)).toBe(pid)
      counts.set(pid, (counts.get(pid) ?? 0) + 1)
    }
    expect([...counts.values()].filter((count) => count > 150)).toHaveLength(4)
  })

  test('picks in turn', async () => {
    const slots = []
    for (let i = 0; i < 5; i++) slots.push(await slotOf(routers.pickRoundRobin(world.runtime)))
    expect(slots).toEqual([0, 1, 2, 3, 0])
  })

  test('picks at random, by the randomness of the runtime', () => {
    const picked = new Set(Array.from({ length: 100 }, () => routers.pickRandom(world.runtime)))
    expect(picked.size).toBe(4)
  })

  test('is picked from by a process and by code outside alike', async () => {
    let picked: Pid | undefined
    world.runtime.spawn(async (self) => {
      picked = routers.pickHashed(self, 'k')
    })
    await world.settle()
    expect(picked).toBe(routers.pickHashed(world.runtime, 'k'))
  })

  test('keeps the slot of a worker that is restarted, so its keys go to the new one', async () => {
    const before = routers.pickHashed(world.runtime, 'k')!
    const slot = await slotOf(before)
    worker.cast(world.runtime, before, 'work', 'boom')
    await world.settle()
    const after = routers.pickHashed(world.runtime, 'k')
    expect(after).not.toBe(before)
    expect(await slotOf(after)).toBe(slot)
  })

  test('has an empty slot while a worker restarts: no hashed pick there, and another worker for the rest', async () => {
    const before = routers.pickHashed(world.runtime, 'k')!
    let release = (): void => {}
    slow = new Promise((resolve) => {
      release = resolve
    })
    worker.cast(world.runtime, before, 'work', 'boom')
    await world.settle()
    expect(routers.pickHashed(world.runtime, 'k')).toBeUndefined()
    const others = Array.from({ length: 8 }, () => routers.pickRoundRobin(world.runtime))
    expect(others).not.toContain(undefined)
    expect(others).not.toContain(before)
    release()
    await world.settle()
    expect(routers.pickHashed(world.runtime, 'k')).toBeDefined()
  })

  test('that does not run gives nobody', async () => {
    world.runtime.exit(world.runtime.whereis('routers')!, 'shutdown')
    await world.settle()
    expect(routers.pickHashed(world.runtime, 'k')).toBeUndefined()
    expect(routers.pickRandom(world.runtime)).toBeUndefined()
    expect(routers.pickRoundRobin(world.runtime)).toBeUndefined()
    expect(routers.workers(world.runtime)).toEqual([])
  })

  test('is a supervisor in a tree, and its workers end with it', async () => {
    const other = pool<string>({ name: 'others', worker, size: 2 })
    const top = supervisor({ children: () => [child('others', other, ['o'], { type: 'supervisor' })] })
    const pid = await world.run(top.startLink(world.runtime, undefined))
    const [first] = other.workers(world.runtime)
    world.runtime.exit(pid, 'shutdown')
    await world.settle()
    expect(world.runtime.isAlive(first!)).toBe(false)
  })

  test('keeps the order of work with one key', async () => {
    for (let i = 0; i < 100; i++) worker.cast(world.runtime, routers.pickHashed(world.runtime, 'k')!, 'work', `${i}`)
    const got = await world.run(worker.call(world.runtime, routers.pickHashed(world.runtime, 'k')!, 'got'))
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
  })

  test('hashes alike on every node', () => {
    expect(hashOf('')).toBe(0x811d9ffc)
    expect(hashOf('a')).toBe(3_826_114_868)
  })
})
