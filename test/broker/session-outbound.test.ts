import { describe, expect, test } from 'vitest'
import type { Batch } from '../../src/broker/message.ts'
import { RC } from '../../src/broker/reason-codes.ts'
import { Inflight } from '../../src/broker/session/inflight.ts'
import { ack, client, limits, Machine, matched, message, only, pid, publishes, run, sent } from './session-support.ts'

describe('QoS 0', () => {
  test('a batch goes on as the same object', () => {
    const batch = run([message(), message()], matched(2))
    const effects = new Machine().deliver(batch)
    expect(effects).toHaveLength(1)
    const packets = sent(effects)
    expect(packets).toEqual([{ cmd: 'batch', batch: batch.batch }])
    expect((packets[0] as { batch: Batch }).batch).toBe(batch.batch)
  })

  test('a batch of any QoS goes on as it is to a subscription at QoS 0', () => {
    expect(sent(new Machine().deliver(run([message({ qos: 2 })], matched(0))))).toMatchObject([{ cmd: 'batch' }])
  })

  test('a message that says more than its bytes goes alone: subscription identifiers, RETAIN as published', () => {
    const machine = new Machine()
    expect(sent(machine.deliver(run([message()], matched(0, { ids: [5, 6] }))))).toMatchObject([
      { cmd: 'publish', qos: 0, retain: false, messageId: 0, ids: [5, 6] },
    ])
    expect(sent(machine.deliver(run([message({ retain: true })], matched(0, { rap: true }))))).toMatchObject([
      { cmd: 'publish', retain: true },
    ])
  })

  test('RETAIN is taken off without retain as published [MQTT5-3.3.1-12] [MQTT311-3.3.1-9]', () => {
    const machine = new Machine()
    expect(sent(machine.deliver(run([message({ retain: true })], matched(0))))).toMatchObject([{ cmd: 'batch' }])
    expect(publishes(machine.deliver(run([message({ retain: true, qos: 1 })], matched(1))))).toMatchObject([
      { retain: false },
    ])
  })

  test('an expired message is not sent, those beside it are [MQTT5-3.3.2-5]', () => {
    const machine = new Machine()
    const effects = machine.deliver(run([message({ expiresAtMs: 1000 }), message({ expiresAtMs: 1001 })], matched(0)))
    expect(publishes(effects)).toMatchObject([{ message: { expiresAtMs: 1001 } }])
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'expired' }])
  })

  test('waits while the socket takes no more, and goes in order when it takes again', () => {
    const machine = new Machine()
    machine.event({ tag: 'congested', from: pid(100), on: true })
    const first = message()
    const second = message()
    expect(machine.deliver(run([first], matched(0)), run([second], matched(0)))).toEqual([])
    const effects = machine.event({ tag: 'congested', from: pid(100), on: false })
    expect(publishes(effects).map((packet) => packet.message)).toEqual([first, second])
  })

  test('is shed past the limit while the socket takes no more, the oldest first', () => {
    const machine = new Machine(limits({ queue: { maxLength: 10 } }))
    machine.event({ tag: 'congested', from: pid(100), on: true })
    const all = Array.from({ length: 25 }, () => message())
    const effects = machine.deliver(run(all, matched(0)))
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'queue_full' }])
    expect(machine.state.counters.dropped).toBe(15)
    const freed = machine.event({ tag: 'congested', from: pid(100), on: false })
    expect(publishes(freed).map((packet) => packet.message)).toEqual(all.slice(15))
  })

  test('for an offline client is dropped when it may not wait', () => {
    const machine = new Machine(limits({ queue: { storeQoS0: false } }))
    machine.event({ tag: 'congested', from: pid(100), on: true })
    machine.deliver(run([message()], matched(0)))
    expect(only(machine.detach(), 'dropped')).toMatchObject([{ reason: 'qos0_offline' }])
    expect(only(machine.deliver(run([message()], matched(0))), 'dropped')).toMatchObject([{ reason: 'qos0_offline' }])
    expect(publishes(machine.attach())).toEqual([])
  })
})

describe('QoS 1 and 2', () => {
  test('the QoS is the smaller of what was published and granted [MQTT5-3.8.4-8] [MQTT311-3.8.4-6]', () => {
    const machine = new Machine()
    for (const [published, granted, expected] of [
      [1, 2, 1],
      [2, 1, 1],
      [2, 2, 2],
      [0, 2, 0],
    ] as const) {
      const packets = sent(machine.deliver(run([message({ qos: published })], matched(granted, { ids: [1] }))))
      expect(packets).toMatchObject([{ qos: expected }])
    }
  })

  test('upgradeQoS delivers at the QoS that was granted', () => {
    const machine = new Machine(limits({ upgradeQoS: true }))
    expect(sent(machine.deliver(run([message({ qos: 0 })], matched(1))))).toMatchObject([{ qos: 1 }])
  })

  test('the first PUBLISH has DUP 0 and an identifier that is not in use [MQTT5-4.3.2-1, 2] [MQTT311-2.3.1-2]', () => {
    const packets = publishes(new Machine().deliver(run([message({ qos: 1 }), message({ qos: 2 })], matched(2))))
    expect(packets).toMatchObject([
      { dup: false, messageId: 1 },
      { dup: false, messageId: 2 },
    ])
  })

  test('the window is the smaller of receive maximum and max_inflight [MQTT5-3.3.4-9]', () => {
    for (const [receiveMaximum, maxInflight] of [
      [3, 10],
      [10, 3],
    ] as const) {
      const machine = new Machine(limits({ maxInflight }), client({ receiveMaximum }))
      const all = Array.from({ length: 5 }, () => message({ qos: 1 }))
      expect(publishes(machine.deliver(run(all, matched(1))))).toHaveLength(3)
      const opened = publishes(machine.packets([ack('puback', 2)]))
      expect(opened.map((packet) => packet.message)).toEqual([all[3]])
    }
  })

  test('QoS 2 opens the window with PUBCOMP only', () => {
    const machine = new Machine(limits({ maxInflight: 1 }))
    machine.deliver(run([message({ qos: 2 }), message({ qos: 2 })], matched(2)))
    expect(sent(machine.packets([ack('pubrec', 1)]))).toEqual([{ cmd: 'pubrel', messageId: 1 }])
    expect(publishes(machine.packets([ack('pubcomp', 1)]))).toHaveLength(1)
  })

  test('QoS 0 passes a window that is full', () => {
    const machine = new Machine(limits({ maxInflight: 1 }))
    machine.deliver(run([message({ qos: 1 }), message({ qos: 1 })], matched(1)))
    expect(sent(machine.deliver(run([message()], matched(1))))).toMatchObject([{ cmd: 'batch' }])
  })

  test('a PUBREC with an error ends the flow and frees the identifier [MQTT5-4.3.3]', () => {
    const machine = new Machine(limits({ maxInflight: 1 }))
    machine.deliver(run([message({ qos: 2 }), message({ qos: 2 })], matched(2)))
    const effects = machine.packets([ack('pubrec', 1, RC.quota_exceeded)])
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'rejected' }])
    expect(sent(effects)).toMatchObject([{ cmd: 'publish' }])
  })

  test('the answer of the connection for a packet that is too large ends the flow [MQTT5-3.1.2-25]', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 1 }), message({ qos: 2 })], matched(2)))
    const effects = machine.packets([ack('puback', 1, RC.packet_too_large), ack('pubrec', 2, RC.packet_too_large)])
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'too_large', messages: [{}, {}] }])
    expect(machine.state.inflight.size).toBe(0)
  })

  test('unknown identifiers: PUBREC is answered with PUBREL 0x92, PUBACK and PUBCOMP are not answered', () => {
    const machine = new Machine()
    expect(sent(machine.packets([ack('pubrec', 9)]))).toEqual([
      { cmd: 'pubrel', messageId: 9, reasonCode: RC.packet_identifier_not_found },
    ])
    expect(machine.packets([ack('puback', 9), ack('pubcomp', 9)])).toEqual([])
    expect(machine.state.counters.unknownAcks).toBe(3)
  })

  test('an acknowledgement of the wrong kind does not end a flow', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 1 }), message({ qos: 2 })], matched(2)))
    machine.packets([ack('puback', 2), ack('pubcomp', 2), ack('pubcomp', 1)])
    expect(machine.state.inflight.size).toBe(2)
  })

  test('a repeated PUBREC gets PUBREL again', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 2 })], matched(2)))
    machine.packets([ack('pubrec', 1)])
    expect(sent(machine.packets([ack('pubrec', 1)]))).toEqual([{ cmd: 'pubrel', messageId: 1 }])
  })

  test('a message that expires in the queue is dropped when its turn comes', () => {
    const machine = new Machine(limits({ maxInflight: 1 }))
    const last = message({ qos: 1 })
    machine.deliver(run([message({ qos: 1 }), message({ qos: 1, expiresAtMs: 2000 }), last], matched(1)))
    machine.nowMs = 2000
    const effects = machine.packets([ack('puback', 1)])
    expect(only(effects, 'dropped')).toMatchObject([{ reason: 'expired' }])
    expect(publishes(effects).map((packet) => packet.message)).toEqual([last])
  })

  test('a long queue goes in portions, so that the connection can object', () => {
    const machine = new Machine()
    machine.detach()
    machine.deliver(
      run(
        Array.from({ length: 1000 }, () => message()),
        matched(0),
      ),
    )
    machine.manual = true
    const effects = machine.attach()
    expect(publishes(effects).length).toBeLessThan(1000)
    expect(only(effects, 'drain')).toHaveLength(1)
    machine.event({ tag: 'congested', from: machine.state.connection!, on: true })
    expect(machine.event({ tag: 'drain' })).toEqual([])
    machine.manual = false
    machine.event({ tag: 'congested', from: machine.state.connection!, on: false })
    expect(publishes(machine.effects)).toHaveLength(1000)
  })

  test('so does a short one of large messages', () => {
    const machine = new Machine(limits({ queue: { maxBytes: 10_000_000 } }))
    machine.detach()
    const large = () => message({ payload: Buffer.alloc(400_000) })
    machine.deliver(run(Array.from({ length: 10 }, large), matched(0)))
    machine.manual = true
    expect(publishes(machine.attach())).toHaveLength(3)
    expect(publishes(machine.event({ tag: 'drain' }))).toHaveLength(3)
  })

  test('messages of the client itself are withheld with no local [MQTT5-3.8.3-3]', () => {
    const effects = new Machine().deliver(run([message({ from: 'c' })], matched(0, { noLocal: true })))
    expect(effects).toMatchObject([{ tag: 'dropped', reason: 'no_local' }])
  })
})

describe('redelivery', () => {
  test('a new connection gets PUBRELs and unacknowledged PUBLISHes again, in order, with DUP and their identifiers [MQTT5-4.4.0-1] [MQTT311-4.4.0-1]', () => {
    const machine = new Machine()
    const all = [message({ qos: 2 }), message({ qos: 1 }), message({ qos: 2 }), message({ qos: 2 })]
    machine.deliver(run(all, matched(2)))
    machine.packets([ack('pubrec', 4), ack('pubrec', 1)])
    machine.detach()
    expect(sent(machine.attach())).toMatchObject([
      { cmd: 'pubrel', messageId: 4 },
      { cmd: 'pubrel', messageId: 1 },
      { cmd: 'publish', messageId: 2, dup: true, message: all[1] },
      { cmd: 'publish', messageId: 3, dup: true, message: all[2] },
    ])
  })

  test('a smaller receive maximum holds back what does not fit, and new messages behind it', () => {
    const machine = new Machine()
    machine.deliver(
      run(
        [1, 2, 3].map(() => message({ qos: 1 })),
        matched(1),
      ),
    )
    machine.detach()
    expect(publishes(machine.attach({ receiveMaximum: 2 })).map(({ messageId }) => messageId)).toEqual([1, 2])
    expect(publishes(machine.deliver(run([message({ qos: 1 })], matched(1))))).toEqual([])
    expect(publishes(machine.packets([ack('puback', 1)]))).toMatchObject([{ messageId: 3, dup: true }])
    expect(publishes(machine.packets([ack('puback', 2)]))).toMatchObject([{ messageId: 4, dup: false }])
  })

  test('a message that has been sent once does not expire any more [MQTT5-4.3.3-7]', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 2, expiresAtMs: 2000 })], matched(2)))
    machine.detach()
    machine.nowMs = 3000
    expect(publishes(machine.attach())).toHaveLength(1)
  })

  test('an identifier in flight is not given out again after a resume', () => {
    const machine = new Machine()
    machine.deliver(run([message({ qos: 1 }), message({ qos: 1 })], matched(1)))
    machine.packets([ack('puback', 1)])
    machine.detach()
    machine.attach()
    expect(publishes(machine.deliver(run([message({ qos: 1 })], matched(1))))).toMatchObject([{ messageId: 3 }])
  })
})

describe('identifiers', () => {
  test('pass over one that stays in flight, however many come and go meanwhile', () => {
    const inflight = new Inflight()
    const add = () => {
      const messageId = inflight.nextId()
      const packet = {
        cmd: 'publish',
        message: message(),
        qos: 1,
        retain: false,
        dup: false,
        messageId,
        ids: undefined,
      } as const
      inflight.add(packet, undefined, 0, 0)
      return messageId
    }
    const stuck = add()
    for (let i = 0; i < 140_000; i += 1) {
      const id = add()
      if (id === stuck || id < 1 || id > 65_535) throw new Error(`identifier ${id}`)
      if (inflight.puback(id) === undefined) throw new Error(`identifier ${id} is lost`)
    }
    expect(inflight.puback(stuck)?.messageId).toBe(stuck)
  })

  test('all 65535 can be in flight', () => {
    const inflight = new Inflight()
    const ids = new Set<number>()
    for (let i = 0; i < 65_535; i += 1) {
      const messageId = inflight.nextId()
      ids.add(messageId)
      inflight.add(
        { cmd: 'publish', message: message(), qos: 2, retain: false, dup: false, messageId, ids: undefined },
        undefined,
        i,
        i,
      )
    }
    expect(ids.size).toBe(65_535)
    expect(inflight.size).toBe(65_535)
  })
})

describe('payloads', () => {
  test('a message that waits is freed from the chunk it came in, for all who share it', () => {
    const chunk = Buffer.alloc(65_536, 'x')
    const shared = message({ payload: chunk.subarray(10, 20) })
    const machine = new Machine()
    machine.detach()
    machine.deliver(run([shared], matched(0)))
    expect(shared.payload.buffer).not.toBe(chunk.buffer)
    expect(shared.payload.toString()).toBe('xxxxxxxxxx')
  })

  test('a message that goes on at once is not copied', () => {
    const chunk = Buffer.alloc(65_536)
    const passing = message({ payload: chunk.subarray(10, 20) })
    new Machine().deliver(run([passing], matched(0)))
    expect(passing.payload.buffer).toBe(chunk.buffer)
  })
})

describe('shared subscriptions', () => {
  const share = { group: 'g', filter: 't' }
  const worker = () => {
    const machine = new Machine(limits({ maxInflight: 2 }))
    machine.subscribe(1, [{ topic: '$share/g/t', qos: 2 }])
    return machine
  }

  test('what a member that goes has not acknowledged is offered to others; QoS 2 in flight is not [MQTT5-4.8.2-4]', () => {
    const machine = worker()
    const all = [message({ qos: 1 }), message({ qos: 2 }), message({ qos: 1 }), message({ qos: 2 })]
    machine.deliver(run(all, matched(2, { share })))
    const [effect] = only(machine.detach(), 'redispatch')
    expect(effect?.inflight).toEqual([{ messageId: 1, message: all[0], share }])
    expect(effect?.queued.map((delivery) => delivery.message)).toEqual([all[2], all[3]])
  })

  test('what others took is gone, what nobody took waits for the client', () => {
    const machine = worker()
    const all = [message({ qos: 1 }), message({ qos: 1 }), message({ qos: 1 })]
    machine.deliver(run(all, matched(2, { share })))
    machine.detach()
    machine.event({ tag: 'redispatched', taken: [1], passed: [] })
    expect(publishes(machine.attach()).map((packet) => [packet.message, packet.dup])).toEqual([
      [all[1], true],
      [all[2], false],
    ])
  })

  test('what waits for the client keeps its place when nobody takes it', () => {
    const machine = worker()
    const all = [message({ qos: 1 }), message({ qos: 1 }), message({ qos: 1 }), message({ qos: 1 })]
    machine.deliver(run(all.slice(0, 3), matched(2, { share })), run(all.slice(3), matched(2)))
    machine.detach()
    machine.event({ tag: 'redispatched', taken: [], passed: [] })
    machine.attach()
    const rest = publishes(machine.packets([ack('puback', 1), ack('puback', 2)]))
    expect(rest.map((packet) => packet.message)).toEqual(all.slice(2))
  })

  test('what it holds of a group that it has left is offered to others when it ends', () => {
    const machine = worker()
    const [one] = [message({ qos: 1 })]
    machine.deliver(run([one!], matched(2, { share })))
    machine.packets([{ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['$share/g/t'] }])
    const [effect] = only(machine.event({ tag: 'discard', reasonCode: 0, reason: 'x' }), 'redispatch')
    expect(effect?.inflight.map((held) => held.message)).toEqual([one])
  })

  test('a message of an ordinary subscription stays', () => {
    const machine = worker()
    machine.deliver(run([message({ qos: 1 })], matched(2)))
    expect(only(machine.detach(), 'redispatch')).toEqual([])
  })
})

test('the acked effect names what the client has, when somebody wants to know', () => {
  const machine = new Machine()
  const [one, two] = [message({ qos: 1 }), message({ qos: 2 })]
  machine.deliver(run([one!, two!], matched(2)))
  expect(only(machine.packets([ack('puback', 1)]), 'acked')).toEqual([])
  machine.state.reportAcked = true
  expect(only(machine.packets([ack('pubrec', 2)]), 'acked')).toEqual([{ tag: 'acked', messages: [two] }])
  expect(machine.state.counters.acked).toBe(2)
})
