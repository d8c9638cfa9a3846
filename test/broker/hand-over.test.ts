/** What a session that stays takes of what another one of its client id hands over. */
import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/broker/message.ts'
import { remember, runsOf } from '../../src/broker/session/hand-over.ts'
import { client, Machine, matched, message, run } from './session-support.ts'

const NOTHING_HAS_COME = () => undefined

/** A session with one filter, that was made at 1000. */
function subscribed(machine = new Machine()): Machine {
  machine.subscribe(1, [{ topic: 't/+', qos: 2 }])
  return machine
}

const taken = (
  machine: Machine,
  messages: readonly Message[],
  cameAtMs: (message: Message) => number | undefined = NOTHING_HAS_COME,
) =>
  runsOf(machine.state, { messages, createdAtMs: 0 }, cameAtMs).flatMap(({ batch }) =>
    batch.messages.map(({ id }) => id),
  )

describe('the session that stays', () => {
  test('takes what its own subscriptions match', () => {
    const machine = subscribed()
    const messages = [message({ id: 'a', topic: 't/1', qos: 1 }), message({ id: 'b', topic: 'u', qos: 1 })]
    expect(taken(machine, messages)).toEqual(['a'])
  })

  test('takes nothing of one from which its client has parted by a clean start [MQTT5-3.1.2-4]', () => {
    const machine = subscribed(new Machine(undefined, client({ cleanStart: true })))
    const messages = [message({ id: 'a', topic: 't/1', qos: 1 })]
    const { createdAtMs } = machine.state
    const ids = (of: number) =>
      runsOf(machine.state, { messages, createdAtMs: of }, NOTHING_HAS_COME).flatMap(({ batch }) => batch.messages)
    expect([ids(createdAtMs - 1).length, ids(createdAtMs).length]).toEqual([0, 1])
  })

  test('does not take again what it holds, at any QoS', () => {
    const machine = subscribed()
    const held = [message({ id: 'a', topic: 't/1', qos: 1 }), message({ id: 'b', topic: 't/1', qos: 2 })]
    machine.deliver(run(held, matched(2)))
    expect(taken(machine, held)).toEqual([])
  })

  test('of QoS 2 leaves out what has come to its node since it was made, and no more', () => {
    const machine = subscribed()
    const { createdAtMs } = machine.state
    const messages = ([1, 2] as const).flatMap((qos) =>
      [-1, 0].map((since) => message({ id: `${qos} ${since}`, topic: 't/1', qos })),
    )
    const cameAtMs = ({ id }: Message) => createdAtMs + Number(id.slice(2))
    expect(taken(machine, messages, cameAtMs)).toEqual(['1 -1', '1 0', '2 -1'])
  })

  test('knows a QoS 2 message that it has taken, from whoever it comes again', () => {
    const machine = subscribed()
    const messages = [message({ id: 'a', topic: 't/1', qos: 2 }), message({ id: 'b', topic: 't/1', qos: 1 })]
    const runs = runsOf(machine.state, { messages, createdAtMs: 0 }, NOTHING_HAS_COME)
    machine.event({ tag: 'deliver', runs })
    remember(machine.state, runs)
    expect(machine.state.inflight.size).toBe(2)
    machine.deliver(run(messages, matched(2)))
    expect(machine.state.inflight.size).toBe(3)
  })
})
