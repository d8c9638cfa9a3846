/** A session that comes from another node, as the one that is to be the session here: what becomes of what comes to it before it is. */
import { expect, onTestFinished, test } from 'vitest'
import type { ProcessContext } from '../../src/actors/process.ts'
import type { Deliver } from '../../src/broker/routing/pubsub.ts'
import type { Share } from '../../src/broker/session/delivery.ts'
import type { HandedOver, HandOverTaken } from '../../src/broker/session/hand-over.ts'
import type { Arrive, MovingSession } from '../../src/broker/session/moving/messages.ts'
import { Moves, type MovesOptions } from '../../src/broker/session/moving/moves.ts'
import { session } from '../../src/broker/session/session.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { SessionNode } from './session-node.ts'
import { client, LIMITS, Machine, matched, message, pid, run } from './session-support.ts'

const SHARE: Share = { group: 'g', filter: 't' }
const FROM = pid(7)

const arrive = (moving: Partial<MovingSession>): Arrive => {
  return { tag: 'arrive', from: FROM, move: 1, moving: { subscriptions: [], ...moving } as MovingSession }
}

test('what comes for a group while it joins that is not taken over, and goes to others when it does not become the session', () => {
  const sim = simulate({ seed: 1, nodes: ['a'] })
  onTestFinished(() => sim.stop())
  const a = sim.node('a')
  const self = a.process(a.spawn({ receive: () => {} })) as ProcessContext
  const machine = new Machine()
  machine.subscribe(1, [{ topic: '$share/g/t', qos: 1 }])
  /** What has happened, in order. */
  const log: string[] = []
  const idsOf = ({ runs }: Deliver) => runs.flatMap(({ batch }) => batch.messages.map(({ id }) => id)).join()
  const moves = new Moves({
    self,
    environment: { limits: LIMITS, pubsub: { subscriber: () => undefined } },
    session: { state: machine.state, vanish: () => void log.push('gone') },
    router: { subscribe: () => void log.push('joins') },
    backlog: { taken: (each: Deliver) => void log.push(`taken ${idsOf(each)}`) },
    groups: { passOn: (_clientId: string, each: Deliver) => void log.push(`to others ${idsOf(each)}`) },
    storage: undefined,
    arrive: arrive({}),
  } as unknown as MovesOptions)
  const deliver = (id: string, share?: Share): Deliver => {
    return { tag: 'deliver', runs: [run([message({ id, qos: 1 })], matched(1, { share }))] }
  }
  expect(moves.keeps(deliver('1'))).toBe(true)
  moves.take({ tag: 'move_in', from: FROM, homes: [], client: client() })
  expect(moves.keeps(deliver('2', SHARE))).toBe(true)
  expect(log).toEqual(['taken 1', 'joins'])
  moves.take({ tag: 'move_off', from: FROM })
  expect(log).toEqual(['taken 1', 'joins', 'to others 2', 'gone'])
})

test('what another session hands over is refused until it is the session', async () => {
  const node = await new SessionNode(1).start()
  const { environment, runtime } = node
  const stored = { client: client(), createdAtMs: 0, detachedAtMs: 0, expirySec: 60, will: undefined }
  const counters = { deliverMsg: 0, acked: 0, enqueueMsg: 0, dropped: 0, unknownAcks: 0 }
  const moving = { session: stored, counters, beganCleanAtMs: undefined, isStored: false }
  const from = runtime.spawn({ receive: () => {} })
  const start = { environment, manager: { name: 'sm', node: 'a@sim' }, arrive: { ...arrive(moving), from } }
  const newcomer = await session.start(runtime, start)
  const answers: HandOverTaken[] = []
  const giver = runtime.spawn({ receive: (sent) => void answers.push(sent as HandOverTaken) })
  const messages = [message({ qos: 1 })]
  const part: HandedOver = { tag: 'handed_over', from: giver, part: 1, connectedAtMs: 0, messages }
  runtime.send(newcomer, part)
  await node.pass('10ms')
  expect(answers).toMatchObject([{ part: 1, taken: 0, isRefused: true }])
})
