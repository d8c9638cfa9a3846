/** What becomes of messages that come for a session that has given way, wherever the session of its client is by then. */
import { expect, onTestFinished, test } from 'vitest'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { PassingOn, type PassingOnTimer } from '../../src/broker/forward/passing-on.ts'
import { Hooks } from '../../src/broker/hooks.ts'
import { Batch } from '../../src/broker/message.ts'
import { createMetrics } from '../../src/broker/monitor/metrics.ts'
import type { PubSub } from '../../src/broker/routing/pubsub.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import { FormerSessions } from '../../src/broker/session/former-sessions.ts'
import type { HandedOver, HandOverTaken } from '../../src/broker/session/hand-over.ts'
import type { SessionState } from '../../src/broker/session/session-state.ts'
import type { SessionRow } from '../../src/broker/tables.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { message, pidOf } from '../support/routing.ts'

const HEIR = { clientId: 'm', connectedAtMs: 5 }
const [A, B, C] = ['a@sim', 'b@sim', 'c@sim'] as const

/** Node `a`, in which the session of a client has given way to one on `b`; `c` may have something for it. */
async function scene() {
  const sim = simulate({ seed: 1, nodes: ['a'] })
  onTestFinished(() => sim.stop())
  const runtime = sim.node('a')
  const store = new MemoryStore()
  let others: string[] = [B, C]
  const open = () => new FormerSessions({ store, now: () => 0, maxAgeMs: 1e6, others: () => others, onNoted: () => {} })
  const former = open()
  const self = pidOf(1, { name: A, creation: 1 })
  const subscriptions = new Map([['t/#', { filter: { filter: 't/#', group: undefined, local: false }, qos: 1 }]])
  const state = { self, clientId: 'm', client: { connectedAtMs: 5 }, subscriptions } as unknown as SessionState
  await former.note(state, B)
  const kept: string[] = []
  let row: Pid | undefined
  let places: string[] = []
  const metrics = createMetrics()
  const options = {
    former,
    forwarding: {
      keep: (node: string, [batch]: readonly Batch[]) => void kept.push(`${node} ${batch!.messages[0]!.id}`),
    },
    sessions: { lookup: () => (row === undefined ? undefined : ({ pid: row } as SessionRow)) },
    places: { of: () => places },
    environment: { hooks: new Hooks(runtime.logger, metrics), metrics, pubsub: {} as PubSub },
    mnesia: { status: () => ({ node: A, running: [A], stopped: [], partitioned: [] }) },
  }
  let passing: PassingOn | undefined
  const server = genServer<PassingOn, Record<never, never>, Record<never, never>, undefined>({
    label: 'passing',
    init: (_, context) => {
      passing = new PassingOn(context, options as never)
      return ok(passing)
    },
    info: ({ state: own }, sent) => {
      const got = sent as HandOverTaken | PassingOnTimer | { tag: 'DOWN' }
      if (got.tag === 'hand_over_taken') own.taken(got)
      else if (got.tag === '$bring_again') own.again(got.part)
      else if (got.tag === 'DOWN') own.down(got as never)
    },
  })
  const started = server.start(runtime, undefined)
  await sim.run()
  await started
  /** A session of the node, which answers as it is told to. */
  const session = (answers: ('taken' | 'refused' | 'ends')[]) => {
    const got: string[] = []
    const pid: Pid = runtime.spawn({
      receive: (sent) => {
        const { from, part, messages } = sent as HandedOver
        got.push(...messages.map(({ id }) => id))
        const answer = answers.shift()
        if (answer === 'ends') throw new Error('it ends')
        const unwanted = { reason: 'not_subscribed', places: [] } as const
        const taken = { tag: 'hand_over_taken', from: pid, part, taken: 1, unwanted } as const
        runtime.send(from, { ...taken, isRefused: answer === 'refused' } satisfies HandOverTaken)
      },
    })
    return { pid, got }
  }
  return {
    ...{ sim, former, open, kept, metrics, session, self, passing: passing! },
    isAt: (pid: Pid | undefined, stored: string[] = []) => {
      row = pid
      places = stored
    },
    remain: (...nodes: string[]) => {
      others = nodes
    },
  }
}

type Scene = Awaited<ReturnType<typeof scene>>

function passOn({ passing }: Scene, from: string, topic: string, id: string): void {
  passing.passOn(from, [new Batch([message(topic, id, { qos: 1 })])], new Receipt())
}

test('what comes of a member that is waited for is kept for the node where the session of the client is', async () => {
  const all = await scene()
  passOn(all, C, 'u', '0')
  // The table still has the one that gives way.
  all.isAt(all.self)
  passOn(all, C, 't/1', '1')
  all.isAt(pidOf(2, { name: 'd@sim', creation: 1 }))
  passOn(all, C, 't/1', '2')
  all.isAt(undefined, [A, 'e@sim'])
  passOn(all, C, 't/1', '3')
  all.isAt(undefined)
  passOn(all, C, 't/1', '4')
  // One that is here has had it.
  all.isAt(pidOf(3, { name: A, creation: 1 }))
  passOn(all, C, 't/1', '5')
  passOn(all, 'd@sim', 't/1', '6')
  expect(all.kept).toEqual([`${B} 1`, 'd@sim 2', 'e@sim 3', `${B} 4`])
})

test('a member that has given all is waited for no more, nor is one that is none any more, also after a restart', async () => {
  const { former, open, remain } = await scene()
  const first = former.ask()
  expect([...first.nodes]).toEqual([B, C])
  // It may not have seen yet that the session has gone.
  former.answered(B, first.question)
  expect([...open().ask().nodes]).toEqual([B, C])
  former.answered(B, former.ask().question)
  const again = open()
  expect([...again.ask().nodes]).toEqual([C])
  remain(B)
  expect([[...again.ask().nodes], again.size, open().size]).toEqual([[], 0, 0])
})

test('a session is given what was passed on until it has taken it, when it is being started as well', async () => {
  const all = await scene()
  const take = () => {
    const receipt = new Receipt()
    all.passing.take(HEIR, [message('t/1', '1', { qos: 1 })], receipt)
    return receipt
  }
  const first = all.session(['refused', 'taken'])
  all.isAt(first.pid)
  const refused = take()
  await all.sim.advance('500ms')
  expect([first.got, refused.isDone]).toEqual([['1'], false])
  await all.sim.advance('1s')
  expect([first.got, refused.isDone]).toEqual([['1', '1'], true])
  all.isAt(undefined, [A])
  const started = take()
  await all.sim.advance('1500ms')
  expect(started.isDone).toBe(false)
  const second = all.session(['taken'])
  all.isAt(second.pid)
  await all.sim.advance('1s')
  expect([second.got, started.isDone, all.metrics['messages/handed_over']]).toEqual([['1'], true, 2])
})

test('what is passed on goes further with the session, and is counted when there is none any more', async () => {
  const all = await scene()
  const take = (id: string) => {
    const receipt = new Receipt()
    all.passing.take(HEIR, [message('t/1', id, { qos: 1 })], receipt)
    return receipt
  }
  all.isAt(pidOf(2, { name: 'd@sim', creation: 1 }))
  expect(take('1').isDone).toBe(true)
  all.isAt(undefined)
  expect(take('2').isDone).toBe(true)
  expect([all.kept, all.metrics['delivery/dropped/session_ended']]).toEqual([['d@sim 1'], 1])
})
