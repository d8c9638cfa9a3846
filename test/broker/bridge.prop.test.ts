/** A bridge over a link that is cut, reset and mended at any time, to a peer that is killed and comes back. */
import { expect, it } from 'vitest'
import { simulatedBrokers } from '../support/sim/brokers.ts'
import { underSeeds } from '../support/sim/seeds.ts'

it('brings every message in order, once as long as its peer lives, and none is lost when that is killed', async () => {
  await underSeeds(25, async (seed) => {
    const brokers = await simulatedBrokers(seed, ['a', 'b'])
    const { sim, published } = brokers
    await brokers.bridge('a', 'b', 't/#')
    const isKilled = seed % 3 === 0
    const sent: string[] = []
    for (let round = 0; round < 40; round += 1) {
      const event = sim.random.below(8)
      if (event === 0) sim.network.cut('a@sim', 'b@sim')
      else if (event === 1) sim.network.reset('a@sim', 'b@sim')
      else if (event < 4) sim.network.mendAll()
      else if (event === 4 && isKilled) await brokers.restart('b')
      for (let i = sim.random.below(4); i > 0; i -= 1) {
        const payload = String(sent.length)
        brokers.publish('a', { topic: `t/${sim.random.below(3)}`, payload, qos: sim.random.pick([0, 1, 2] as const) })
        sent.push(payload)
      }
      await sim.advance(sim.random.below(round % 4 === 0 ? 5000 : 40))
    }
    sim.network.mendAll()
    await sim.advance('2m')
    const got = published.get('b')!.map(({ payload }) => payload.toString())
    expect({ seed, got: isKilled ? [...new Set(got)] : got }).toEqual({ seed, got: sent })
    expect(brokers.of('a').metrics['messages/bridge/dropped']).toBe(0)
    expect(brokers.of('a').bridges.list()).toMatchObject([{ state: 'up', queue: { length: 0 } }])
    sim.stop()
  })
})
