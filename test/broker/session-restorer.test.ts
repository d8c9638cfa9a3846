/** The start of a node: what follows the stored sessions waits until all of them are there. */
import { expect, onTestFinished, test } from 'vitest'
import type { Services } from '../../src/broker/services.ts'
import { sessionRestorer } from '../../src/broker/session/stored/session-restorer.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { type Deferred, deferred } from '../support/deferred.ts'

test('the start of the restorer is over, and what a former run has left goes, when all sessions are there', async () => {
  const sim = simulate({ seed: 1, nodes: ['a'] })
  onTestFinished(() => sim.stop())
  const said: string[] = []
  const underWay: Deferred<void>[] = []
  const forget = (what: string) => ({ forgetFormer: () => void said.push(what) })
  const services = {
    runtime: sim.node('a'),
    sessionStore: { sessions: () => ['one', 'another'] },
    sessions: {
      restore: () => {
        const restored = deferred<void>()
        underWay.push(restored)
        return restored.promise
      },
    },
    routing: forget('routes'),
    places: forget('places'),
  }
  // It ends its start with `ignore`.
  sessionRestorer.startLink(sim.node('a'), services as unknown as Services).catch(() => void said.push('over'))
  await sim.run()
  underWay[0]!.resolve()
  await sim.run()
  expect([underWay.length, said]).toEqual([2, []])
  underWay[1]!.resolve()
  await sim.run()
  expect(said).toEqual(['routes', 'places', 'over'])
})
