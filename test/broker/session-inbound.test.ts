import { describe, expect, test } from 'vitest'
import { RC } from '../../src/broker/reason-codes.ts'
import { ack, client, limits, Machine, only, pid, publish, sent } from './session-support.ts'

const v311 = () => client({ protocolVersion: 4 })

function manual(info = client(), how = limits()): Machine {
  const machine = new Machine(how, info)
  machine.manual = true
  return machine
}

describe('a PUBLISH', () => {
  test('becomes a message with what goes on to subscribers', () => {
    const machine = manual()
    const [effect] = only(
      machine.packets([
        publish(0, 0, {
          retain: true,
          properties: { messageExpiryInterval: 10, topicAlias: 3, contentType: 'text', userProperties: { a: 'b' } },
        }),
      ]),
      'publish',
    )
    expect(effect?.ticket).toBe(0)
    expect(effect?.messages).toEqual([
      {
        id: 'own1',
        from: 'c',
        topic: 't',
        payload: Buffer.from('x'),
        qos: 0,
        retain: true,
        publishedAtMs: 1000,
        expiresAtMs: 11_000,
        properties: { contentType: 'text', userProperties: { a: 'b' } },
      },
    ])
  })

  test('the publishes of one chunk are routed as one list', () => {
    const effects = manual().packets([publish(0, 0), publish(1, 1), publish(2, 2)])
    expect(only(effects, 'publish').map(({ messages }) => messages.length)).toEqual([3])
  })

  test('what is published before a SUBSCRIBE is routed before it', () => {
    const machine = manual()
    const effects = machine.packets([
      publish(1, 1),
      { cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: 't', qos: 0 }], denied: [0] },
      publish(1, 3),
    ])
    expect(effects.map(({ tag }) => tag)).toEqual(['publish', 'subscribe'])
  })

  test('at QoS 1 and 2 owns its payload, at QoS 0 it is a view of the chunk', () => {
    const chunk = Buffer.alloc(65_536)
    const payload = chunk.subarray(0, 4)
    const [effect] = only(manual().packets([publish(0, 0, { payload }), publish(1, 1, { payload })]), 'publish')
    expect(effect?.messages[0]?.payload).toBe(payload)
    expect(effect?.messages[1]?.payload.buffer).not.toBe(chunk.buffer)
  })
})

describe('acknowledgement', () => {
  test('QoS 1 by PUBACK, QoS 2 by PUBREC, when the message is taken over', () => {
    const machine = manual()
    expect(sent(machine.packets([publish(1, 1), publish(2, 2)]))).toEqual([])
    expect(sent(machine.event({ tag: 'accepted', ticket: 1, codes: undefined }))).toEqual([
      { cmd: 'puback', messageId: 1 },
      { cmd: 'pubrec', messageId: 2 },
    ])
  })

  test('goes out in the order of the PUBLISHes, whichever is accepted first [MQTT5-4.6.0-2, 3]', () => {
    const machine = manual()
    machine.packets([publish(1, 1)])
    machine.packets([publish(1, 2, { denied: RC.not_authorized })])
    machine.packets([publish(1, 3)])
    expect(sent(machine.event({ tag: 'accepted', ticket: 3, codes: undefined }))).toEqual([])
    expect(sent(machine.event({ tag: 'accepted', ticket: 1, codes: undefined }))).toEqual([
      { cmd: 'puback', messageId: 1 },
      { cmd: 'puback', messageId: 2, reasonCode: RC.not_authorized },
      { cmd: 'puback', messageId: 3 },
    ])
  })

  test('tells a 5.0 client that nobody subscribes [MQTT5-3.4.2.1]; 3.1.1 has no word for it', () => {
    for (const [info, expected] of [
      [client(), { reasonCode: 0x10 }],
      [v311(), {}],
    ] as const) {
      const machine = manual(info)
      machine.packets([publish(1, 1), publish(2, 2)])
      expect(sent(machine.event({ tag: 'accepted', ticket: 1, codes: [0x10, 0x10] }))).toEqual([
        { cmd: 'puback', messageId: 1, ...expected },
        { cmd: 'pubrec', messageId: 2, ...expected },
      ])
      expect(machine.state.awaitingRel.has(2)).toBe(true)
    }
  })

  test('does not come for a connection that has gone', () => {
    const machine = manual()
    machine.packets([publish(1, 1)])
    machine.detach()
    machine.attach({ connection: pid(200) })
    machine.packets([publish(1, 1, { dup: true })])
    expect(sent(machine.event({ tag: 'accepted', ticket: 1, codes: undefined }))).toEqual([])
    expect(sent(machine.event({ tag: 'accepted', ticket: 2, codes: undefined }))).toHaveLength(1)
  })

  test('synced comes behind the acknowledgements of all publishes before it', () => {
    const machine = manual()
    expect(only(machine.packets([publish(0, 0)], true), 'synced')).toHaveLength(1)
    expect(only(machine.packets([publish(1, 1)], true), 'synced')).toEqual([])
    const effects = machine.event({ tag: 'accepted', ticket: 1, codes: undefined })
    expect(effects.map(({ tag }) => tag)).toEqual(['out', 'synced'])
  })
})

describe('a denied PUBLISH', () => {
  test('is not routed and is acknowledged with its code in 5.0', () => {
    const effects = new Machine().packets([
      publish(0, 0, { denied: RC.not_authorized }),
      publish(1, 1, { denied: RC.not_authorized }),
      publish(2, 2, { denied: RC.topic_name_invalid }),
    ])
    expect(only(effects, 'publish')).toEqual([])
    expect(sent(effects)).toEqual([
      { cmd: 'puback', messageId: 1, reasonCode: RC.not_authorized },
      { cmd: 'pubrec', messageId: 2, reasonCode: RC.topic_name_invalid },
    ])
  })

  test('is acknowledged like any other in 3.1.1, to the end of the exchange [MQTT311-3.3.5-2]', () => {
    const machine = new Machine(limits(), v311())
    const effects = machine.packets([publish(2, 2, { denied: RC.not_authorized })])
    expect(sent(effects)).toEqual([{ cmd: 'pubrec', messageId: 2 }])
    expect(sent(machine.packets([ack('pubrel', 2)]))).toEqual([{ cmd: 'pubcomp', messageId: 2 }])
  })

  test('ends its QoS 2 exchange in 5.0: the next PUBLISH with the identifier is a new message [MQTT5-4.3.3-9]', () => {
    const machine = new Machine()
    machine.packets([publish(2, 2, { denied: RC.not_authorized })])
    expect(only(machine.packets([publish(2, 2)]), 'publish')).toHaveLength(1)
  })

  test('a refusal after routing ends a QoS 2 exchange too, for its repetitions as well', () => {
    const machine = manual()
    machine.packets([publish(2, 2)])
    machine.packets([publish(2, 2, { dup: true })])
    expect(sent(machine.event({ tag: 'accepted', ticket: 1, codes: [RC.quota_exceeded] }))).toEqual([
      { cmd: 'pubrec', messageId: 2, reasonCode: RC.quota_exceeded },
      { cmd: 'pubrec', messageId: 2, reasonCode: RC.quota_exceeded },
    ])
    expect(machine.state.awaitingRel.size).toBe(0)
  })
})

describe('QoS 2', () => {
  test('a repeated PUBLISH is acknowledged again and not routed again [MQTT5-4.3.3-10] [MQTT311-4.3.3-2]', () => {
    const machine = new Machine()
    machine.packets([publish(2, 2)])
    const effects = machine.packets([publish(2, 2, { dup: true })])
    expect(only(effects, 'publish')).toEqual([])
    expect(sent(effects)).toEqual([{ cmd: 'pubrec', messageId: 2 }])
  })

  test('the same over a new connection of the session', () => {
    const machine = new Machine()
    machine.packets([publish(2, 2)])
    machine.detach()
    machine.attach({ connection: pid(200) })
    const effects = machine.packets([publish(2, 2, { dup: true })])
    expect(only(effects, 'publish')).toEqual([])
    expect(sent(effects)).toEqual([{ cmd: 'pubrec', messageId: 2 }])
  })

  test('PUBREL is answered by PUBCOMP and frees the identifier [MQTT5-4.3.3-11, 12]', () => {
    const machine = new Machine()
    machine.packets([publish(2, 2)])
    expect(sent(machine.packets([ack('pubrel', 2)]))).toEqual([{ cmd: 'pubcomp', messageId: 2 }])
    expect(only(machine.packets([publish(2, 2)]), 'publish')).toHaveLength(1)
  })

  test('a PUBREL for an identifier that is not known is answered with 0x92', () => {
    expect(sent(new Machine().packets([ack('pubrel', 9)]))).toEqual([
      { cmd: 'pubcomp', messageId: 9, reasonCode: RC.packet_identifier_not_found },
    ])
  })
})

describe('the receive maximum', () => {
  test('is passed by QoS 2 without PUBREL: the connection is closed with 0x93, nothing is dropped in silence [MQTT5-3.3.4-7]', () => {
    const machine = new Machine(limits({ maxAwaitingRel: 2 }))
    const effects = machine.packets([publish(2, 1), publish(2, 2), publish(2, 3), publish(2, 4)])
    expect(only(effects, 'publish')[0]?.messages).toHaveLength(2)
    expect(only(effects, 'close')).toMatchObject([{ reasonCode: RC.receive_maximum_exceeded }])
    expect(machine.packets([publish(0, 0)])).toEqual([])
  })

  test('is passed by QoS 1 that waits to be taken over', () => {
    const machine = manual(client(), limits({ maxAwaitingRel: 2 }))
    machine.packets([publish(1, 1), publish(1, 2)])
    machine.event({ tag: 'accepted', ticket: 1, codes: undefined })
    expect(only(machine.packets([publish(1, 3), publish(1, 4)]), 'close')).toEqual([])
    expect(only(machine.packets([publish(1, 5)]), 'close')).toHaveLength(1)
  })

  test('is not passed by as many as it allows, again and again', () => {
    const machine = new Machine(limits({ maxAwaitingRel: 2 }))
    for (let i = 0; i < 10; i += 1) {
      const effects = machine.packets([publish(1, 1), publish(2, 2), ack('pubrel', 2)])
      expect(only(effects, 'close')).toEqual([])
    }
  })

  test('begins anew with each connection', () => {
    const machine = new Machine(limits({ maxAwaitingRel: 2 }))
    machine.packets([publish(2, 1), publish(2, 2)])
    machine.detach()
    machine.attach({ connection: pid(200) })
    expect(only(machine.packets([publish(2, 3), publish(2, 4), ack('pubrel', 1), ack('pubrel', 2)]), 'close')).toEqual(
      [],
    )
  })

  test('does not bind 3.1.1 clients, who cannot know it, unless a limit of theirs is set', () => {
    const free = new Machine(limits({ maxAwaitingRel: 2 }), v311())
    const packets = Array.from({ length: 1000 }, (_, i) => publish(2, i + 1))
    expect(only(free.packets(packets), 'close')).toEqual([])
    const bound = new Machine(limits({ maxAwaitingRelV3: 2 }), v311())
    expect(only(bound.packets(packets), 'close')).toHaveLength(1)
  })
})
