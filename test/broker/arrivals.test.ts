/** What of the messages of a node is remembered, so that a repetition is known. */
import { expect, onTestFinished, test } from 'vitest'
import { simulate } from '../../src/testing/simulation.ts'
import { message } from '../support/routing.ts'
import { SimulatedBrokers } from '../support/sim/brokers.ts'

test('of what clients of the node have published at QoS 2 it is known when it came', async () => {
  const sim = simulate({ seed: 1, nodes: ['a'] })
  onTestFinished(() => sim.stop())
  const brokers = new SimulatedBrokers(sim)
  await brokers.start('a')
  const { arrivalOf, noteArrivals } = brokers.of('a')
  const messages = [1, 2].map((qos) => message('t', String(qos), { qos: qos as 1 | 2 }))
  noteArrivals!(messages)
  expect(messages.map((each) => arrivalOf!(each) !== undefined)).toEqual([false, true])
})
