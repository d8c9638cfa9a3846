import { describe, expect, it } from 'vitest'
import type { ProtocolLimits } from '../../src/broker/connection/protocol-state.ts'
import type { Packet, PublishPacket } from '../../src/broker/packet.ts'
import { Machine, publishPacket, versions } from './protocol-harness.ts'

const v5 = { protocolVersion: 5 } as const

/** The reason code of the DISCONNECT that was sent, 0 when the connection closed without one, undefined when it lives. */
function ended(m: Machine): number | undefined {
  if (!m.isClosed) return undefined
  const packet = m.sent.find((each) => each.cmd === 'disconnect')
  return packet?.reasonCode ?? 0
}

describe('a PUBLISH', () => {
  it('goes to the session with all others of its chunk in one message', () => {
    const m = new Machine().connect()
    m.packets(publishPacket({ topic: 'a' }), { cmd: 'puback', messageId: 3 }, publishPacket({ topic: 'b', qos: 1 }))
    expect(m.all('to_session')).toHaveLength(1)
    expect(m.passed).toMatchObject([{ topic: 'a', denied: 0 }, { cmd: 'puback' }, { topic: 'b', denied: 0 }])
  })

  it('that is denied is dropped at QoS 0 and acknowledged at QoS 1 and 2 [MQTT311-3.3.5-2]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion })
      m.mayPublish = (topic) => topic === 'mine'
      m.packets(publishPacket(), publishPacket({ qos: 1 }), publishPacket({ qos: 2 }), publishPacket({ topic: 'mine' }))
      expect(m.passed).toMatchObject([
        { qos: 1, denied: 0x87 },
        { qos: 2, denied: 0x87 },
        { topic: 'mine', denied: 0 },
      ])
      expect(m.counted).toEqual(['publish_denied', 'publish_denied', 'publish_denied'])
      expect(m.isClosed).toBe(false)
    }
  })

  it('is authorized once for a run of the same topic, and anew with each chunk', () => {
    const asked: string[] = []
    const m = new Machine().connect()
    m.mayPublish = (topic) => {
      asked.push(topic)
      return asked.length !== 4
    }
    const packets = () => ['a', 'a', 'b', 'a'].map((topic) => publishPacket({ topic, qos: 1 }))
    m.packets(...packets())
    expect(asked).toEqual(['a', 'b', 'a'])
    m.packets(publishPacket({ topic: 'a', qos: 1 }))
    expect(asked).toHaveLength(4)
    expect(m.passed.at(-1)).toMatchObject({ denied: 0x87 })
  })

  it('that is denied ends the connection where that is configured, after what came before it', () => {
    const m = new Machine({ denyAction: 'disconnect' }).connect(v5)
    m.mayPublish = (topic) => topic === 'mine'
    m.packets(publishPacket({ topic: 'mine' }), publishPacket(), publishPacket({ topic: 'mine' }))
    expect(m.passed).toHaveLength(1)
    expect(ended(m)).toBe(0x87)
    expect(m.effects.map((effect) => effect.tag).slice(-4)).toEqual(['to_session', 'send', 'detach', 'close'])
  })

  it.each([
    ['1/2/3/4/5/6', 0x90],
    ['x'.repeat(101), 0x90],
    ['$SYS/brokers/x', 0],
    ['$other/x', 0],
    ['1/2/3/4/5', 0],
    ['/////'.slice(1), 0],
  ])('on topic %s is refused with %i', (topic, denied) => {
    const m = new Machine().connect(v5)
    // Twice, since the verdict on a topic is remembered for the next PUBLISH.
    m.packets(publishPacket({ topic, qos: 1 }), publishPacket({ topic, qos: 1 }))
    expect(m.passed).toMatchObject([{ denied }, { denied }])
  })

  const faults: [string, Partial<ProtocolLimits>, Partial<PublishPacket>, number][] = [
    ['QoS is not supported [MQTT5-3.2.2-11]', { maximumQoS: 1 }, { qos: 2 }, 0x9b],
    ['RETAIN is not supported [MQTT5-3.2.2-14]', { retainAvailable: false }, { retain: true }, 0x9a],
    ['alias is 0 [MQTT5-3.3.2-8]', {}, { properties: { topicAlias: 0 } }, 0x94],
    ['alias is above the maximum [MQTT5-3.3.2-9]', {}, { properties: { topicAlias: 5 } }, 0x94],
    ['alias is unknown [MQTT5-3.3.2.3.4]', {}, { topic: '', properties: { topicAlias: 1 } }, 0x82],
    ['topic is empty without alias [MQTT5-4.7.3-1]', {}, { topic: '' }, 0x90],
    ['response topic has wildcards [MQTT5-3.3.2-14]', {}, { properties: { responseTopic: 'a/#' } }, 0x90],
    ['properties have a subscription id [MQTT5-3.3.4-6]', {}, { properties: { subscriptionIdentifier: 1 } }, 0x82],
  ]
  it.each(faults)('whose %s ends the connection', (_what, limits, packet, code) => {
    const m = new Machine(limits).connect(v5)
    m.packets(publishPacket(packet), publishPacket({ topic: 'after' }))
    expect(ended(m)).toBe(code)
    expect(m.passed).toEqual([])
    expect(m.counted).toEqual(['protocol_error'])
    expect(m.all('detach')).toMatchObject([{ publishWill: true }])
  })

  it('sets, uses and changes a topic alias [MQTT5-3.3.2-12]', () => {
    const m = new Machine().connect(v5)
    const aliased = (topic: string) => publishPacket({ topic, properties: { topicAlias: 4 } })
    m.packets(aliased('one'), aliased(''), aliased('two'), aliased(''))
    expect(m.passed).toMatchObject([{ topic: 'one' }, { topic: 'one' }, { topic: 'two' }, { topic: 'two' }])
  })

  it('cannot use the alias of an earlier connection [MQTT5-3.3.2-7]', () => {
    const aliased = publishPacket({ topic: '', properties: { topicAlias: 1 } })
    const first = new Machine().connect(v5)
    first.packets(publishPacket({ topic: 'a', properties: { topicAlias: 1 } }))
    const second = new Machine().connect(v5)
    second.packets(aliased)
    expect(ended(second)).toBe(0x82)
  })

  it('whose payload is not the UTF-8 that it claims is refused when that is checked', () => {
    const packet = () =>
      publishPacket({ qos: 1, payload: Buffer.from([0xff]), properties: { payloadFormatIndicator: true } })
    const strict = new Machine({ validatePayloadFormat: true }).connect(v5)
    strict.packets(packet())
    expect(strict.passed).toMatchObject([{ denied: 0x99 }])
    const lenient = new Machine().connect(v5)
    lenient.packets(packet())
    expect(lenient.passed).toMatchObject([{ denied: 0 }])
  })
})

describe('a SUBSCRIBE', () => {
  const subscribe = (...filters: string[]): Packet => ({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: filters.map((topic) => ({ topic, qos: 1 })),
  })

  it('has each filter judged on its own [MQTT311-3.9.3-1] [MQTT5-3.9.3-1]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion })
      m.maySubscribe = (filter) => filter !== 'secret/#'
      m.packets(subscribe('a', 'secret/#', '$share/g/secret/#', '$queue/b'))
      const code = protocolVersion === 5 ? 0x87 : 0x80
      expect(m.passed).toMatchObject([{ cmd: 'subscribe', messageId: 1, denied: [0, code, code, 0] }])
    }
  })

  const limited: [string, Partial<ProtocolLimits>, number][] = [
    ['1/2/3/4/5/#', {}, 0x8f],
    ['$share/g/1/2/3/4/5', {}, 0],
    ['x'.repeat(101), {}, 0x8f],
    ['a/+', { wildcardSubscriptionAvailable: false }, 0xa2],
    ['$share/g/#', { wildcardSubscriptionAvailable: false }, 0xa2],
    ['$share/g/a', { wildcardSubscriptionAvailable: false }, 0],
    ['$share/g/a', { sharedSubscriptionAvailable: false }, 0x9e],
    ['$queue/a', { sharedSubscriptionAvailable: false }, 0x9e],
    ['$SYS/#', {}, 0],
    ['$shared/x', { sharedSubscriptionAvailable: false }, 0],
  ]
  it.each(limited)('to %s under the limits %j has that filter answered by %i', (filter, limits, code) => {
    const m = new Machine(limits).connect(v5)
    m.packets(subscribe(filter, 'ok'))
    expect(m.passed).toMatchObject([{ denied: [code, 0] }])
    expect(m.isClosed).toBe(false)
  })

  it('with an identifier has every filter refused where there are none', () => {
    const m = new Machine({ subscriptionIdentifiersAvailable: false }).connect(v5)
    m.packets({ ...subscribe('a', 'b'), properties: { subscriptionIdentifier: 3 } } as Packet)
    expect(m.passed).toMatchObject([{ denied: [0xa1, 0xa1] }])
  })

  it('is granted no more than the maximum QoS', () => {
    const m = new Machine({ maximumQoS: 0 }).connect(v5)
    m.packets(subscribe('a'))
    expect(m.passed).toMatchObject([{ subscriptions: [{ qos: 0 }], denied: [0] }])
  })

  it.each([
    'a#',
    'a/#/b',
    'a+',
    '+a/b',
    'a/b+/c',
    '#/a',
    '$share/g',
    '$share//a',
    '$share/g/',
    '$share/+/a',
    '$share/g#/a',
    '$queue/',
  ])(
    'to %s is a protocol error [MQTT311-4.7.1-2] [MQTT311-4.7.1-3] [MQTT5-4.7.1-1] [MQTT5-4.8.2-1] [MQTT5-4.8.2-2]',
    (filter) => {
      const m = new Machine().connect(v5)
      m.packets(subscribe('fine', filter))
      expect(ended(m)).toBe(0x8f)
      expect(m.passed).toEqual([])
    },
  )

  it.each(['#', '+', '+/+', '/+', '+/', 'a/+/b/#', '/', '$share/g/#', '$share/a b/+'])('to %s is taken', (filter) => {
    const m = new Machine().connect(v5)
    m.packets(subscribe(filter))
    expect(m.passed).toMatchObject([{ denied: [0] }])
  })

  it('with no local on a shared filter is a protocol error [MQTT5-3.8.3-4]', () => {
    const m = new Machine().connect(v5)
    m.packets({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '$share/g/a', qos: 0, nl: true }] })
    expect(ended(m)).toBe(0x82)
  })

  it('or UNSUBSCRIBE without filters is a protocol error [MQTT311-3.8.3-3] [MQTT311-3.10.3-2] [MQTT5-3.8.3-2] [MQTT5-3.10.3-2]', () => {
    const subscribing = new Machine().connect(v5)
    subscribing.packets(subscribe())
    const unsubscribing = new Machine().connect(v5)
    unsubscribing.packets({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: [] })
    expect([ended(subscribing), ended(unsubscribing)]).toEqual([0x82, 0x82])
  })
})

describe('other packets', () => {
  it('PINGREQ is answered by PINGRESP [MQTT311-3.12.4-1] [MQTT5-3.12.4-1]', () => {
    const m = new Machine().connect()
    m.packets({ cmd: 'pingreq' }, { cmd: 'pingreq' })
    expect(m.sent.map((packet) => packet.cmd)).toEqual(['connack', 'pingresp', 'pingresp'])
  })

  it('acknowledgements and UNSUBSCRIBE go to the session in order', () => {
    const m = new Machine().connect()
    m.packets(
      { cmd: 'puback', messageId: 1 },
      { cmd: 'pubrec', messageId: 2 },
      { cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a'] },
      { cmd: 'pubrel', messageId: 4 },
      { cmd: 'pubcomp', messageId: 5 },
    )
    expect(m.passed.map((packet) => packet.cmd)).toEqual(['puback', 'pubrec', 'unsubscribe', 'pubrel', 'pubcomp'])
  })

  const servers: Packet[] = [
    { cmd: 'connack', sessionPresent: false, reasonCode: 0 },
    { cmd: 'suback', messageId: 1, granted: [0] },
    { cmd: 'unsuback', messageId: 1, granted: [0] },
    { cmd: 'pingresp' },
  ]
  it.each(servers)('$cmd is the server to send, so from a client it is a protocol error', (packet) => {
    const m = new Machine().connect(v5)
    m.packets(packet)
    expect(ended(m)).toBe(0x82)
  })
})

describe('a DISCONNECT', () => {
  it('discards the will, unless it has another reason code than 0 [MQTT311-3.1.2-10] [MQTT5-3.14.4-3]', () => {
    const willOf = (protocolVersion: 3 | 4 | 5, reasonCode?: number) => {
      const m = new Machine().connect({ protocolVersion })
      m.packets(reasonCode === undefined ? { cmd: 'disconnect' } : { cmd: 'disconnect', reasonCode })
      expect(m.all('close')).toHaveLength(1)
      expect(ended(m)).toBe(0)
      return m.all('detach').map((effect) => effect.publishWill)
    }
    expect(willOf(3)).toEqual([false])
    expect(willOf(4)).toEqual([false])
    expect(willOf(5)).toEqual([false])
    expect(willOf(5, 0)).toEqual([false])
    expect(willOf(5, 4)).toEqual([true])
    expect(willOf(5, 0x80)).toEqual([true])
  })

  it('is the last packet that is heard [MQTT311-3.14.4-2] [MQTT5-3.14.4-1]', () => {
    const m = new Machine().connect()
    m.packets(publishPacket({ topic: 'before' }), { cmd: 'disconnect' }, publishPacket({ topic: 'after' }))
    m.packets(publishPacket({ topic: 'later' }))
    expect(m.passed).toMatchObject([{ topic: 'before' }])
    expect(m.effects.map((effect) => effect.tag).slice(-3)).toEqual(['to_session', 'detach', 'close'])
  })

  it('can change the session expiry, within the limit, unless it was 0 [MQTT5-3.14.2.2.2]', () => {
    const change = (from: number, to: number) => {
      const m = new Machine({ maxSessionExpirySec: 100 }).connect({
        ...v5,
        properties: { sessionExpiryInterval: from },
      })
      m.packets({ cmd: 'disconnect', properties: { sessionExpiryInterval: to } })
      return [m.all('detach')[0]!.expirySec, ended(m)]
    }
    expect(change(10, 20)).toEqual([20, 0])
    expect(change(10, 0)).toEqual([0, 0])
    expect(change(10, 500)).toEqual([100, 0])
    expect(change(0, 0)).toEqual([0, 0])
    expect(change(0, 1)).toEqual([undefined, 0x82])
  })
})

describe('an enhanced authentication', () => {
  const properties = { authenticationMethod: 'SCRAM', authenticationData: Buffer.from('hello') }
  const auth = (reasonCode: number, authenticationMethod = 'SCRAM'): Packet => ({
    cmd: 'auth',
    reasonCode,
    properties: authenticationMethod === '' ? {} : { authenticationMethod, authenticationData: Buffer.from('d') },
  })
  function challenged(): Machine {
    const m = new Machine()
    m.packets({ cmd: 'connect', protocolId: 'MQTT', clientId: 'c', clean: true, keepalive: 0, ...v5, properties })
    m.auth({ outcome: 'continue', data: Buffer.from('challenge') })
    return m
  }

  it('goes back and forth until CONNACK, which names the method [MQTT5-4.12.0-2] [MQTT5-4.12.0-3] [MQTT5-4.12.0-5]', () => {
    const m = challenged()
    expect(m.sent).toMatchObject([
      {
        cmd: 'auth',
        reasonCode: 0x18,
        properties: { authenticationMethod: 'SCRAM', authenticationData: Buffer.from('challenge') },
      },
    ])
    m.packets(auth(0x18))
    expect(m.all('auth_step')).toMatchObject([{ method: 'SCRAM', isFirst: false }])
    m.auth({ outcome: 'accept', data: Buffer.from('final') })
    m.opened()
    expect(m.connack).toMatchObject({
      reasonCode: 0,
      properties: { authenticationMethod: 'SCRAM', authenticationData: Buffer.from('final') },
    })
    expect(m.all('pause')).toHaveLength(1)
    expect(m.all('resume')).toHaveLength(1)
  })

  it('can be refused at any step [MQTT5-4.12.0-1] [MQTT5-4.12.0-4]', () => {
    const m = challenged()
    m.packets(auth(0x18))
    m.auth({ outcome: 'refuse', reasonCode: 0x8c, reason: 'unsupported' })
    expect(m.connack).toMatchObject({ reasonCode: 0x8c })
    expect(m.isClosed).toBe(true)
  })

  it.each([
    ['another packet [MQTT5-3.1.2-30]', { cmd: 'pingreq' } as Packet, 0x82],
    ['another method [MQTT5-4.12.0-5]', auth(0x18, 'PLAIN'), 0x8c],
    ['no method', auth(0x18, ''), 0x8c],
    ['a re-authentication', auth(0x19), 0x82],
  ])('is ended by %s', (_what, packet, code) => {
    const m = challenged()
    m.packets(packet)
    expect(m.connack).toMatchObject({ reasonCode: code })
    expect(m.isClosed).toBe(true)
  })

  it('is ended quietly by DISCONNECT', () => {
    const m = challenged()
    m.packets({ cmd: 'disconnect' })
    expect(m.isClosed).toBe(true)
    expect(m.connack).toBeUndefined()
  })

  it('is not begun with a client that named no method [MQTT5-4.12.0-6] [MQTT5-4.12.0-7]', () => {
    const asked = new Machine()
    asked.packets({ cmd: 'connect', protocolId: 'MQTT', clientId: 'c', clean: true, keepalive: 0, ...v5 })
    asked.auth({ outcome: 'continue' })
    expect(asked.connack).toMatchObject({ reasonCode: 0x83 })
    const spoke = new Machine().connect(v5)
    spoke.packets(auth(0x19))
    expect(ended(spoke)).toBe(0x82)
  })

  it('can be repeated while connected, and other packets go on meanwhile [MQTT5-4.12.1]', () => {
    const m = new Machine().connect({ ...v5, properties })
    m.packets(auth(0x19), publishPacket({ topic: 'meanwhile' }))
    expect(m.all('auth_step')).toMatchObject([{ isFirst: true }])
    expect(m.passed).toMatchObject([{ topic: 'meanwhile' }])
    m.auth({ outcome: 'continue' })
    m.packets(auth(0x18))
    m.auth()
    expect(m.sent.slice(1)).toMatchObject([
      { cmd: 'auth', reasonCode: 0x18 },
      { cmd: 'auth', reasonCode: 0 },
    ])
    m.packets(auth(0x19))
    expect(m.all('auth_step').map((effect) => effect.isFirst)).toEqual([true, false, true])
    m.auth({ outcome: 'refuse', reasonCode: 0x87, reason: 'no more' })
    expect(ended(m)).toBe(0x87)
  })

  it.each([
    ['another method [MQTT5-4.12.1-1]', auth(0x19, 'PLAIN'), 0x82],
    ['a step that was not asked for', auth(0x18), 0x82],
    ['success, which is the server to say', auth(0), 0x82],
  ])('cannot be repeated with %s', (_what, packet, code) => {
    const m = new Machine().connect({ ...v5, properties })
    m.packets(packet)
    expect(ended(m)).toBe(code)
  })
})
