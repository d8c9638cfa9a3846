/** A session that moves to the node of its client, as the one that is there already: when it gives its word, and what becomes of it when that is not heard. */
import { expect, onTestFinished, test } from 'vitest'
import type { ProcessContext } from '../../src/actors/process.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { SessionEnvironment } from '../../src/broker/publish.ts'
import { Departure, type Leaver, type MoveMark } from '../../src/broker/session/moving/departure.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { client, Machine } from './session-support.ts'

const WAIT_MS = 5000
const HOME = { name: 'home', node: 'c@sim' }
const MARK: MoveMark = { tag: 'move_mark', move: 1 }

/** A session on `a` that has been asked for by a connection on `b`, and given all that it holds to a newcomer there. */
async function given() {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'] })
  onTestFinished(() => sim.stop())
  const [a, b] = [sim.node('a'), sim.node('b')]
  /** What has happened, in order. */
  const log: string[] = []
  const note = (message: unknown) => void log.push((message as { tag: string }).tag)
  const newcomer = b.spawn({ receive: note })
  const machine = new Machine()
  machine.detach()
  const session: Leaver = {
    state: machine.state,
    isAtRest: true,
    isGivingWay: false,
    load: () => {},
    handle: (event) => {
      machine.event(event)
      if (event.tag === 'gone') log.push('gone')
    },
    serve: (_home, { clientId }) => void log.push(`serve ${clientId}`),
    whenStored: () => void log.push('mark'),
  }
  const moving = { waitMs: WAIT_MS, homeWaitMs: 10_000, canReach: () => true }
  const environment = { metrics: createMetrics(), moving } as unknown as SessionEnvironment
  let departure: Departure | undefined
  const receive = (message: unknown) => {
    const { tag, ref, reason } = message as { tag: string; ref: never; reason: never }
    if (tag === 'DOWN') departure!.takeDown(ref, reason)
    else departure!.take(message as never)
  }
  const self = a.process(a.spawn({ receive })) as ProcessContext
  departure = new Departure(self, environment, { name: 'sm', node: 'a@sim' }, session)
  const open = (clientId: string) =>
    departure.open(HOME, client({ clientId, connection: b.spawn({ receive: () => {} }) }))
  open('c')
  departure.settle()
  departure.take({ tag: 'arrival_ready', from: newcomer, move: 1 })
  departure.take({ tag: 'fenced', fence: 1, isPassed: true })
  departure.take({ tag: 'moving_part_taken', from: newcomer, part: 1 })
  await sim.advance('100ms')
  expect(log).toEqual(['mark', 'moving_part'])
  log.length = 0
  return { sim, departure, newcomer, log, open }
}

test('it gives its word when the mark is on disc, and ends when it hears that the newcomer is the session', async () => {
  const { sim, departure, newcomer, log } = await given()
  departure.marked(MARK, true)
  await sim.advance('1m')
  expect(log).toEqual(['move_in'])
  departure.take({ tag: 'moved_in', from: newcomer })
  expect(log).toEqual(['move_in', 'gone'])
})

test('it stays, and serves its client, when the disc refuses the mark', async () => {
  const { sim, departure, log } = await given()
  departure.marked(MARK, false)
  await sim.advance('1s')
  expect(log).toEqual(['serve c', 'move_off'])
})

test('it stays, and serves its client, when the link is lost before the word', async () => {
  const { sim, log } = await given()
  await sim.partition(['a'], ['b'])
  await sim.advance('1s')
  expect(log).toEqual(['serve c'])
})

test('it stays, and serves its client, when it takes too long', async () => {
  const { sim, log } = await given()
  await sim.advance(WAIT_MS)
  expect(log).toEqual(['serve c', 'move_off'])
})

test('it serves nobody when the link is lost after the word, until it is told to stay', async () => {
  const { sim, departure, log, open } = await given()
  departure.marked(MARK, true)
  await sim.partition(['a'], ['b'])
  await sim.advance('1s')
  expect(open('d')).toBe(true)
  await sim.advance('1s')
  expect(log).toEqual([])
  departure.take({ tag: 'stay' })
  expect(log).toEqual(['serve d'])
})
