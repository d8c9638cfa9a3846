/** What a session that stays takes of what another one of its client id hands over. */
import { describe, expect, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { ProcessContext } from '../../src/actors/process.ts'
import { Ref } from '../../src/actors/ref.ts'
import type { Message } from '../../src/broker/message.ts'
import type { ClientInfo } from '../../src/broker/process-messages.ts'
import { type HandedOver, HandOver, remember, takingOf } from '../../src/broker/session/hand-over.ts'
import type { FromManager } from '../../src/broker/session/session-messages.ts'
import { pidOf } from '../support/routing.ts'
import { SessionNode } from './session-node.ts'
import { client, LIMITS, limits, Machine, matched, message, pid, run, will } from './session-support.ts'

/** A session that gives way, with nothing waiting unless told otherwise, and what it sends to the one that stays. */
function givingWay({ state } = new Machine()) {
  const sent: HandedOver[] = []
  const self = {
    pid: pid(1),
    monitor: () => new Ref({ name: 'n1@127.0.0.1', creation: 1 }, [1]),
    send: (_to: unknown, part: HandedOver) => sent.push(part),
  }
  const handOver = new HandOver(self as unknown as ProcessContext, pid(2), state)
  return { handOver, sent }
}

const NOTHING_HAS_COME = (): string | undefined => undefined

/** A session with one filter, that was made at 1000. */
function subscribed(machine = new Machine()): Machine {
  machine.subscribe(1, [{ topic: 't/+', qos: 2 }])
  return machine
}

/** What becomes of messages: ids of those that are taken, and of those that are not wanted. */
function sorted(
  machine: Machine,
  messages: readonly Message[],
  { connectedAtMs = 0, arrivalOf = NOTHING_HAS_COME }: Partial<Parting> = {},
) {
  const { runs, unwanted } = takingOf(machine.state, { messages, connectedAtMs }, arrivalOf)
  return {
    taken: runs.flatMap(({ batch }) => batch.messages.map(({ id }) => id)),
    [unwanted.reason]: unwanted.places.map((place) => messages[place]!.id),
  }
}

interface Parting {
  readonly connectedAtMs: number
  readonly arrivalOf: (message: Message) => string | undefined
}

test('what comes to a session that gives way is handed over as well, but for what its client gets at QoS 0', () => {
  const { handOver, sent } = givingWay()
  const messages = ([0, 1, 2] as const).map((qos) => message({ id: String(qos), topic: 't', qos }))
  handOver.add([run(messages, matched(0))])
  expect(handOver.next()).toBe(false)
  handOver.add([run(messages, matched(1))])
  expect(handOver.next()).toBe(true)
  expect(sent.flatMap((part) => part.messages.map(({ id }) => id))).toEqual(['1', '2'])
})

test('what was published at QoS 0 is not handed over, although the client was to get it at QoS 1', () => {
  const machine = new Machine(limits({ upgradeQoS: true }))
  machine.detach()
  for (const qos of [0, 1] as const) {
    machine.deliver(run([message({ id: String(qos), topic: 't', qos })], matched(1)))
  }
  const { handOver, sent } = givingWay(machine)
  expect([handOver.next(), handOver.next()]).toEqual([true, false])
  expect(sent.flatMap((part) => part.messages.map(({ id }) => id))).toEqual(['1'])
})

describe('the session that stays', () => {
  test('takes what its own subscriptions match, and says what it does not want', () => {
    const machine = subscribed()
    const messages = ['u/1', 't/1', 'u/2'].map((topic) => message({ id: topic, topic, qos: 1 }))
    expect(sorted(machine, messages)).toEqual({ taken: ['t/1'], not_subscribed: ['u/1', 'u/2'] })
  })

  test('takes nothing of one from which its client has parted by a clean start [MQTT5-3.1.2-4]', () => {
    const machine = subscribed(new Machine(undefined, client({ cleanStart: true, connectedAtMs: 7 })))
    const messages = [message({ id: 'a', topic: 't/1', qos: 1 })]
    expect([sorted(machine, messages, { connectedAtMs: 6 }), sorted(machine, messages, { connectedAtMs: 7 })]).toEqual([
      { taken: [], session_ended: ['a'] },
      { taken: ['a'], not_subscribed: [] },
    ])
  })

  test('does not take again what it holds, at any QoS, although it has unsubscribed it since', () => {
    const machine = subscribed()
    const held = ['t/1', 'unsubscribed'].flatMap((topic) =>
      ([1, 2] as const).map((qos) => message({ id: `${topic} ${qos}`, topic, qos })),
    )
    machine.deliver(run(held, matched(2)))
    expect(sorted(machine, held)).toEqual({ taken: [], not_subscribed: [] })
  })

  test('of QoS 2 leaves out what has come to its node since it subscribed, and no more', () => {
    const machine = subscribed()
    const arrivals = new Map([
      ['before', ''],
      ['after', `${machine.state.subscribedAfter}0`],
    ])
    const messages = ([1, 2] as const).flatMap((qos) =>
      [...arrivals.keys()].map((when) => message({ id: `${qos} ${when}`, topic: 't/1', qos })),
    )
    const arrivalOf = ({ id }: Message) => arrivals.get(id.slice(2))
    expect(sorted(machine, messages, { arrivalOf })).toEqual({
      taken: ['1 before', '1 after', '2 before'],
      not_subscribed: [],
    })
  })

  test('knows a QoS 2 message that it has taken, from whoever it comes again', () => {
    const machine = subscribed()
    const messages = [message({ id: 'a', topic: 't/1', qos: 2 }), message({ id: 'b', topic: 't/1', qos: 1 })]
    const { runs } = takingOf(machine.state, { messages, connectedAtMs: 0 }, NOTHING_HAS_COME)
    machine.event({ tag: 'deliver', runs })
    remember(machine.state, runs)
    expect(machine.state.inflight.size).toBe(2)
    machine.deliver(run(messages, matched(2)))
    expect(machine.state.inflight.size).toBe(3)
  })
})

describe('what waits in a session that gives way', () => {
  test.each([false, true])(
    'is counted as handed over when the other takes it, as dropped when that does not want it, and else not (on disc: %s)',
    async (hasDisc) => {
      const node = await new SessionNode(1, LIMITS, 1000, hasDisc).start()
      const { hooks, metrics } = node.environment
      const dropped: string[] = []
      hooks.on('delivery.dropped', (clientId, { topic }, reason) => void dropped.push(`${clientId} ${topic} ${reason}`))
      const open = async (clientId: string, filter: string) => {
        const connection = node.connect({ clientId })
        await node.pass('1s')
        connection.subscribe(filter, 2)
        await node.pass('1s')
        return connection
      }
      const loser = await open('loser', '#')
      loser.disconnect()
      const publish = (topic: string) => node.publish(message({ id: topic, topic, qos: 2 }))
      publish('t/taken')
      publish('unwanted')
      const winner = await open('winner', 't/+')
      publish('t/had')
      await node.pass('1s')
      node.runtime.send(loser.session.session, { tag: 'give_way', to: winner.session.session } satisfies FromManager)
      await node.pass('1s')
      expect(winner.publishes().map(({ message: { topic } }) => topic)).toEqual(['t/had', 't/taken'])
      expect(dropped).toEqual(['loser unwanted not_subscribed'])
      expect(metrics).toMatchObject({
        'messages/handed_over': 1,
        'delivery/dropped': 1,
        'delivery/dropped/not_subscribed': 1,
      })
      expect(node.sessions.lookup('loser')).toBeUndefined()
    },
  )

  /** A session whose client has gone, with a message that waits. */
  async function waiting(changes: Partial<ClientInfo> = {}) {
    const node = await new SessionNode(1).start()
    const loser = await node.connected({ clientId: 'loser', ...changes })
    loser.subscribe('t', 1)
    await node.run()
    loser.crash()
    node.publish(message({ id: 'a', topic: 't', qos: 1 }))
    await node.run()
    const giveWay = async (to: Pid) => {
      node.runtime.send(loser.session.session, { tag: 'give_way', to } satisfies FromManager)
      await node.pass('1s')
    }
    return { node, giveWay }
  }

  test('stays there when the link to the other is lost', async () => {
    const { node, giveWay } = await waiting()
    await giveWay(pidOf(1, { name: 'b@sim', creation: 1 }))
    const { pid: session } = node.sessions.lookup('loser')!
    expect(node.runtime.process(session)!.behaviour.state).toMatchObject({ messageQueue: 1 })
  })

  test('takes the will with it that was to be published later, since the client is there [MQTT5-3.1.3-9]', async () => {
    const { node, giveWay } = await waiting({ will: will({ delaySec: 60 }) })
    const winner = await node.connected({ clientId: 'winner' })
    for (const topic of ['t', 'will/c']) winner.subscribe(topic, 1)
    await node.run()
    await giveWay(winner.session.session)
    await node.pass('2m')
    expect(node.sessions.lookup('loser')).toBeUndefined()
    expect(winner.publishes().map(({ message: { topic } }) => topic)).toEqual(['t'])
  })

  test('stays there while the disc of the other refuses, and goes when that takes it', async () => {
    const node = await new SessionNode(1, LIMITS, 1000, true).start()
    const open = async (clientId: string) => {
      const connection = node.connect({ clientId })
      await node.pass('1s')
      connection.subscribe('t', 2)
      await node.pass('1s')
      return connection
    }
    const loser = await open('loser')
    loser.disconnect()
    node.publish(message({ id: 'a', topic: 't', qos: 2 }))
    await node.pass('1s')
    const winner = await open('winner')
    const { disc } = node.stored!
    disc.setFull(true)
    node.runtime.send(loser.session.session, { tag: 'give_way', to: winner.session.session } satisfies FromManager)
    await node.pass('3s')
    expect(node.sessions.lookup('loser')).toBeDefined()
    disc.setFull(false)
    await node.pass('3s')
    expect(node.sessions.lookup('loser')).toBeUndefined()
    expect(winner.publishes().map(({ message: { id } }) => id)).toEqual(['a'])
  })
})
