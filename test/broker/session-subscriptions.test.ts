import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/broker/message.ts'
import { RC } from '../../src/broker/reason-codes.ts'
import type { Effect } from '../../src/broker/session/session-state.ts'
import { ack, client, limits, Machine, matched, message, only, pid, publishes, run, sent } from './session-support.ts'

/** Answers every request for retained messages from a list. */
function answerRetained(machine: Machine, effects: readonly Effect[], messages: Message[]): Effect[] {
  const all: Effect[] = []
  let pending = only(effects, 'retained')
  while (pending.length > 0) {
    const { ticket, max } = pending[0]!
    const portion = messages.splice(0, max)
    const next = machine.event({ tag: 'retained', ticket, messages: portion, done: messages.length === 0 })
    all.push(...next)
    pending = only(next, 'retained')
  }
  return all
}

describe('SUBSCRIBE', () => {
  test('is answered when the routes stand, one code for each filter in order [MQTT5-3.8.4-1, 6, 7] [MQTT311-3.8.4-1, 5]', () => {
    const machine = new Machine()
    machine.manual = true
    const effects = machine.packets([
      {
        cmd: 'subscribe',
        messageId: 7,
        subscriptions: [
          { topic: 'a', qos: 2 },
          { topic: 'b', qos: 1 },
          { topic: 'c', qos: 0 },
        ],
        denied: [0, RC.not_authorized, 0],
      },
    ])
    expect(sent(effects)).toEqual([])
    expect(only(effects, 'subscribe')[0]?.subscriptions.map(({ filter }) => filter.key)).toEqual(['a', 'c'])
    expect(sent(machine.event({ tag: 'subscribed', ticket: 1, codes: undefined }))).toEqual([
      { cmd: 'suback', messageId: 7, granted: [2, RC.not_authorized, 0] },
    ])
  })

  test('a refused filter is 0x80 in 3.1.1, and does not touch the others [MQTT311-3.9.3-2]', () => {
    const machine = new Machine(limits(), client({ protocolVersion: 4 }))
    const effects = machine.packets([
      {
        cmd: 'subscribe',
        messageId: 7,
        subscriptions: [
          { topic: 'a', qos: 1 },
          { topic: 'b', qos: 1 },
        ],
        denied: [RC.not_authorized, 0],
      },
    ])
    expect(sent(effects)).toEqual([{ cmd: 'suback', messageId: 7, granted: [0x80, 1] }])
  })

  test('that is refused whole is answered at once', () => {
    const machine = new Machine()
    machine.manual = true
    const packet = {
      cmd: 'subscribe',
      messageId: 7,
      subscriptions: [{ topic: 'a', qos: 1 }],
      denied: [RC.not_authorized],
    } as const
    expect(sent(machine.packets([{ ...packet, subscriptions: [...packet.subscriptions] }]))).toEqual([
      { cmd: 'suback', messageId: 7, granted: [RC.not_authorized] },
    ])
  })

  test('a filter that the router refuses is not subscribed', () => {
    const machine = new Machine()
    machine.manual = true
    machine.subscribe(1, [
      { topic: 'a', qos: 1 },
      { topic: 'b', qos: 1 },
    ])
    expect(sent(machine.event({ tag: 'subscribed', ticket: 1, codes: [RC.quota_exceeded, 0] }))).toEqual([
      { cmd: 'suback', messageId: 1, granted: [RC.quota_exceeded, 1] },
    ])
    expect([...machine.state.subscriptions.keys()]).toEqual(['b'])
  })

  test('beyond the greatest number is refused with 0x97; replacing one is not', () => {
    const machine = new Machine(limits({ maxSubscriptions: 1 }))
    const effects = machine.subscribe(1, [
      { topic: 'a', qos: 1 },
      { topic: 'b', qos: 1 },
      { topic: 'a', qos: 2 },
    ])
    expect(sent(effects)).toEqual([{ cmd: 'suback', messageId: 1, granted: [1, RC.quota_exceeded, 2] }])
    expect(machine.state.subscriptions.get('a')?.qos).toBe(2)
  })

  test('messages may come before SUBACK [MQTT5-3.8.4-3]', () => {
    const machine = new Machine()
    machine.manual = true
    machine.subscribe(1, [{ topic: 't', qos: 0 }])
    expect(sent(machine.deliver(run([message()], matched(0))))).toHaveLength(1)
  })

  test('options and identifier reach the router', () => {
    const effects = new Machine().subscribe(1, [{ topic: 'a', qos: 1, nl: true, rap: true, rh: 2 }], 9)
    expect(only(effects, 'subscribe')[0]?.subscriptions).toMatchObject([
      { qos: 1, noLocal: true, rap: true, rh: 2, id: 9 },
    ])
  })

  test('$queue/f and $share/$queue/f are one subscription', () => {
    const machine = new Machine()
    machine.subscribe(1, [{ topic: '$queue/f', qos: 1 }])
    machine.subscribe(2, [{ topic: '$share/$queue/f', qos: 2 }])
    expect(machine.state.subscriptions.size).toBe(1)
    expect(machine.state.sharedCount).toBe(1)
  })

  test('is not answered to another connection', () => {
    const machine = new Machine()
    machine.manual = true
    machine.subscribe(1, [{ topic: 'a', qos: 1 }])
    machine.attach({ connection: pid(200) })
    expect(sent(machine.event({ tag: 'subscribed', ticket: 1, codes: undefined }))).toEqual([])
  })

  test('synced waits for the router, so that requests cannot pile up there', () => {
    const machine = new Machine()
    machine.manual = true
    const packets = [1, 2].map((messageId) => ({
      cmd: 'subscribe' as const,
      messageId,
      subscriptions: [{ topic: 'a', qos: 1 as const }],
      denied: [0],
    }))
    expect(only(machine.packets(packets, true), 'synced')).toEqual([])
    expect(only(machine.packets([], true), 'synced')).toEqual([])
    expect(only(machine.event({ tag: 'subscribed', ticket: 1, codes: undefined }), 'synced')).toEqual([])
    expect(only(machine.event({ tag: 'subscribed', ticket: 2, codes: undefined }), 'synced')).toHaveLength(2)
    expect(only(machine.packets([], true), 'synced')).toHaveLength(1)
  })

  test('subscriptions outlive the connection', () => {
    const machine = new Machine()
    machine.subscribe(1, [{ topic: 'a', qos: 1 }])
    machine.detach()
    machine.attach()
    expect([...machine.state.subscriptions.keys()]).toEqual(['a'])
  })
})

describe('UNSUBSCRIBE', () => {
  test('is answered with one code for each filter, when the router has done it [MQTT5-3.11.3-1, 2]', () => {
    const machine = new Machine()
    machine.subscribe(1, [{ topic: 'a', qos: 1 }])
    machine.manual = true
    const effects = machine.packets([{ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['b', 'a'] }])
    expect(sent(effects)).toEqual([])
    const [effect] = only(effects, 'unsubscribe')
    expect(effect?.filters.map(({ key }) => key)).toEqual(['a'])
    expect(sent(machine.event({ tag: 'unsubscribed', ticket: effect!.ticket }))).toEqual([
      { cmd: 'unsuback', messageId: 2, granted: [RC.no_subscription_existed, RC.success] },
    ])
    expect(machine.state.subscriptions.size).toBe(0)
  })

  test('of what is not subscribed is answered all the same [MQTT311-3.10.4-5]', () => {
    const effects = new Machine().packets([{ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['b'] }])
    expect(sent(effects)).toEqual([{ cmd: 'unsuback', messageId: 2, granted: [RC.no_subscription_existed] }])
  })
})

describe('retained messages', () => {
  test('follow SUBACK with RETAIN 1, the smaller QoS and the identifier [MQTT5-3.3.1-9] [MQTT311-3.3.1-8]', () => {
    const machine = new Machine()
    const effects = machine.subscribe(1, [{ topic: 'a/+', qos: 1 }], 9)
    expect(sent(effects)).toMatchObject([{ cmd: 'suback' }])
    const [effect] = only(effects, 'retained')
    expect(effect?.filter).toBe('a/+')
    const messages = [message({ qos: 2, retain: true, topic: 'a/1' }), message({ qos: 0, retain: true, topic: 'a/2' })]
    expect(publishes(answerRetained(machine, effects, messages))).toMatchObject([
      { retain: true, qos: 1, ids: [9] },
      { retain: true, qos: 0, ids: [9] },
    ])
  })

  test('are sent as retain handling says [MQTT5-3.3.1-9, 10, 11]', () => {
    const machine = new Machine()
    const asks = (rh: 0 | 1 | 2) => only(machine.subscribe(1, [{ topic: 'a', qos: 1, rh }]), 'retained').length > 0
    expect(asks(2)).toBe(false)
    expect(asks(1)).toBe(false)
    expect(asks(0)).toBe(true)
    machine.packets([{ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] }])
    expect(asks(1)).toBe(true)
  })

  test('are not sent for a shared subscription [MQTT5-4.8.2]', () => {
    expect(only(new Machine().subscribe(1, [{ topic: '$share/g/a', qos: 1 }]), 'retained')).toEqual([])
  })

  test('of the client itself are withheld with no local', () => {
    const machine = new Machine()
    const effects = machine.subscribe(1, [{ topic: 'a', qos: 1, nl: true }])
    expect(sent(answerRetained(machine, effects, [message({ from: 'c', retain: true })]))).toEqual([])
  })

  test('that are more than the window and the queue hold are read as there is room, and none is lost', () => {
    const machine = new Machine(limits({ maxInflight: 5, queue: { maxLength: 20 } }))
    const messages = Array.from({ length: 200 }, () => message({ qos: 1, retain: true }))
    const wanted = [...messages]
    const effects = [...machine.subscribe(1, [{ topic: '#', qos: 1 }])]
    effects.push(...answerRetained(machine, effects, messages))
    let received = publishes(effects)
    for (let id = 1; id <= 200; id += 1) {
      const next = machine.packets([ack('puback', received[id - 1]!.messageId)])
      received = [...received, ...publishes([...next, ...answerRetained(machine, next, messages)])]
    }
    expect(received.map((packet) => packet.message)).toEqual(wanted)
    expect(machine.state.counters.dropped).toBe(0)
  })

  test('are read on when the client returns', () => {
    const machine = new Machine()
    const effects = machine.subscribe(1, [{ topic: '#', qos: 1 }])
    machine.event({ tag: 'congested', from: pid(100), on: true })
    const { ticket } = only(effects, 'retained')[0]!
    machine.event({ tag: 'retained', ticket, messages: [], done: false })
    machine.detach()
    expect(only(machine.attach(), 'retained')).toMatchObject([{ ticket }])
  })

  test('are not read for a subscription that is gone', () => {
    const machine = new Machine()
    const effects = machine.subscribe(1, [{ topic: 'a', qos: 1 }])
    const { ticket } = only(effects, 'retained')[0]!
    expect(
      only(machine.packets([{ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a'] }]), 'forget_retained'),
    ).toEqual([{ tag: 'forget_retained', ticket }])
    expect(machine.event({ tag: 'retained', ticket, messages: [message()], done: true })).toEqual([])
  })
})
