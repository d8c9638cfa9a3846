import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Runtime } from '../../src/actors/runtime.ts'
import { type BrokerOverrides, configOf } from '../../src/broker/config.ts'
import { Alarms } from '../../src/broker/monitor/alarm.ts'
import { sysmon, type VmProbe } from '../../src/broker/monitor/sysmon.ts'
import { type Simulation, simulate } from '../../src/testing/simulation.ts'

let sim: Simulation
let runtime: Runtime
let published: string[]
let alarms: Alarms
let heapBytes: number
let gc: ((pauseMs: number) => void) | undefined
const vm: VmProbe = {
  heapUsedBytes: () => heapBytes,
  onGc: (callback) => {
    gc = callback
    return () => {
      gc = undefined
    }
  },
}

beforeEach(() => {
  sim = simulate({ seed: 1 })
  onTestFinished(() => sim.stop())
  runtime = sim.node('a')
  published = []
  alarms = new Alarms(() => 0)
  heapBytes = 0
})

async function start(config: BrokerOverrides['sysmon'] = {}): Promise<void> {
  const started = sysmon.start(runtime, {
    config: configOf({ sysmon: config }).sysmon,
    publish: (topic, payload) => void published.push(`${topic}: ${payload}`),
    alarms,
    vm,
  })
  await sim.run()
  await started
}
const take = () => published.splice(0)

describe('the monitor of a node', () => {
  it('is silent about a node that is well', async () => {
    await start()
    gc?.(99)
    await sim.advance('1m')
    expect(take()).toEqual([])
  })

  it('does nothing when there is nothing to watch', async () => {
    await start({ longGcMs: 0, longScheduleMs: 0, largeHeapBytes: 0, longMailbox: 0 })
    expect([sim.time.pending, gc]).toEqual([0, undefined])
  })

  it('reports a long garbage collection, at most once a second', async () => {
    await start()
    for (let i = 0; i < 5; i++) gc?.(150)
    await sim.advance('50ms')
    expect(take()).toEqual([
      '$SYS/brokers/a@sim/sysmon/long_gc: long_gc warning: a garbage collection stopped the node for 150 ms',
    ])
    gc?.(100)
    await sim.advance('2s')
    gc?.(100)
    await sim.run()
    expect(take()).toHaveLength(1)
  })

  it('reports a turn of the event loop that took too long', async () => {
    await start({ longScheduleMs: 200 })
    await sim.advance('1s')
    sim.time.skip(299)
    await sim.advance(0)
    expect(take()).toEqual([])
    await sim.advance('1s')
    sim.time.skip(350)
    await sim.advance(0)
    expect(take().map((text) => text.split(': ')[0])).toEqual(['$SYS/brokers/a@sim/sysmon/long_schedule'])
  })

  it('reports a large heap each second', async () => {
    await start({ largeHeapBytes: 1000 })
    heapBytes = 1000
    await sim.advance('2s')
    expect(take()).toEqual([])
    heapBytes = 1001
    await sim.advance('3s')
    expect(take()).toHaveLength(3)
  })

  it('raises an alarm for as long as the heap is large', async () => {
    await start({ largeHeapBytes: 1000 })
    heapBytes = 2000
    await sim.advance('3s')
    expect(alarms.list()).toMatchObject([{ id: 'large_heap', severity: 'warning', summary: 'the heap has 2000 bytes' }])
    heapBytes = 900
    await sim.advance('1s')
    expect(alarms.list()).toEqual([])
  })

  it('raises an alarm for as long as a mailbox is long', async () => {
    await start({ longMailbox: 5 })
    const stuck = runtime.spawn({ receive: () => new Promise(() => {}) }, { name: 'stuck' })
    for (let i = 0; i < 7; i++) runtime.send(stuck, i)
    await sim.advance('1s')
    expect(alarms.list()).toMatchObject([{ id: 'long_mailbox' }])
    runtime.exit(stuck, 'kill')
    await sim.advance('1s')
    expect(alarms.list()).toEqual([])
  })

  it('reports a process with a long mailbox, among many', async () => {
    await start({ longMailbox: 5 })
    for (let i = 0; i < 5000; i++) runtime.spawn({ receive: () => undefined })
    const stuck = runtime.spawn({ receive: () => new Promise(() => {}) }, { name: 'stuck' })
    for (let i = 0; i < 7; i++) runtime.send(stuck, i)
    await sim.advance('1s')
    expect(take()).toContainEqual(expect.stringContaining(`long_mailbox warning: 6 messages wait for stuck ${stuck}`))
  })

  it('watches nothing that is off', async () => {
    await start({ longGcMs: 0, longScheduleMs: 0, largeHeapBytes: 0, longMailbox: 0 })
    heapBytes = 2 ** 40
    const stuck = runtime.spawn({ receive: () => new Promise(() => {}) })
    for (let i = 0; i < 20; i++) runtime.send(stuck, i)
    expect(gc).toBeUndefined()
    sim.time.skip(10_000)
    await sim.advance('2s')
    expect(take()).toEqual([])
  })

  it('stops listening to the engine when it ends', async () => {
    await start()
    expect(gc).toBeDefined()
    sim.stop()
    expect(gc).toBeUndefined()
  })
})
