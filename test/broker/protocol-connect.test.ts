import { describe, expect, it } from 'vitest'
import type { ProtocolLimits } from '../../src/broker/connection/protocol-state.ts'
import type { ConnackPacket, ConnectPacket } from '../../src/broker/packet.ts'
import { connectPacket, Machine, publishPacket, session, versions } from './protocol-harness.ts'

const will = { topic: 'w', payload: Buffer.from('gone'), qos: 1 as const, retain: false }

describe('the first packet', () => {
  it.each(versions)(
    'is answered by CONNACK once the client is accepted and its session open (version %i)',
    (protocolVersion) => {
      const m = new Machine()
      m.packets(connectPacket({ protocolVersion }))
      expect(m.all('authenticate')).toHaveLength(1)
      expect(m.all('open')).toEqual([])
      m.auth()
      expect(m.all('open')[0]!.client).toMatchObject({ clientId: 'c1', protocolVersion, keepAliveSec: 60 })
      expect(m.connack).toBeUndefined()
      m.opened()
      expect(m.connack).toMatchObject(protocolVersion === 5 ? { reasonCode: 0 } : { returnCode: 0 })
      expect(m.isClosed).toBe(false)
    },
  )

  it.each([
    { cmd: 'pingreq' } as const,
    publishPacket(),
    { cmd: 'disconnect' } as const,
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] } as const,
  ])('closes the connection silently when it is $cmd [MQTT311-3.1.0-1] [MQTT5-3.1.0-1]', (packet) => {
    const m = new Machine()
    m.packets(packet as never)
    expect(m.isClosed).toBe(true)
    expect(m.sent).toEqual([])
    expect(m.all('detach')).toEqual([])
  })

  it('must come within the connect timeout', () => {
    const m = new Machine()
    expect(m.all('arm')).toEqual([{ tag: 'arm', timer: 'connect', delayMs: 10_000 }])
    m.event({ tag: 'timer', timer: 'connect', nowMs: 10_000 })
    expect(m.isClosed).toBe(true)
    expect(m.counted).toEqual(['connect_timeout'])
  })

  it('is answered by server busy when authentication or opening takes longer than the timeout', () => {
    const m = new Machine()
    m.packets(connectPacket({ protocolVersion: 5 }))
    m.event({ tag: 'timer', timer: 'connect', nowMs: 10_000 })
    expect(m.connack).toMatchObject({ reasonCode: 0x89 })
    m.auth()
    expect(m.all('open')).toEqual([])
  })

  it('may be followed by packets at once, which are handled after CONNACK [MQTT311-3.1.4-5]', () => {
    const m = new Machine()
    m.packets(connectPacket(), publishPacket({ topic: 'a' }))
    expect(m.all('pause')).toHaveLength(1)
    m.packets({ cmd: 'pingreq' })
    m.auth()
    expect(m.passed).toEqual([])
    const effects = m.opened().map((effect) => (effect.tag === 'send' ? effect.packet.cmd : effect.tag))
    expect(effects).toEqual(['disarm', 'connack', 'connected', 'arm', 'pingresp', 'to_session', 'resume'])
  })

  it('may not be followed by more packets than are kept', () => {
    const m = new Machine({ maxPipelinedPackets: 2 })
    m.packets(connectPacket({ protocolVersion: 5 }), publishPacket(), publishPacket(), publishPacket())
    expect(m.connack).toMatchObject({ reasonCode: 0x97 })
    expect(m.isClosed).toBe(true)
  })

  it('makes what follows it go unheard when it is refused [MQTT311-3.1.4-5] [MQTT5-3.1.4-6]', () => {
    const m = new Machine()
    m.packets(connectPacket(), publishPacket())
    m.auth({ outcome: 'refuse', reasonCode: 0x87, reason: 'no' })
    m.opened()
    expect(m.passed).toEqual([])
    expect(m.all('close')).toHaveLength(1)
  })

  it('is handled when its sender has left behind it, and only then is the session let go', () => {
    const m = new Machine()
    m.packets(connectPacket(), publishPacket({ topic: 'last' }), { cmd: 'disconnect' })
    m.event({ tag: 'socket_closed', reason: 'closed', isWritable: false })
    m.auth()
    m.opened()
    expect(m.passed).toMatchObject([{ topic: 'last' }])
    expect(m.all('detach')).toMatchObject([{ publishWill: false, reason: 'normal' }])
    expect(m.all('close')).toHaveLength(1)
  })
})

describe('a CONNECT', () => {
  interface Refusal {
    readonly what: string
    readonly packet: Partial<ConnectPacket>
    readonly limits?: Partial<ProtocolLimits>
    /** Return code of 3.1 or 3.1.1, reason code of 5.0; undefined when there is no CONNACK. */
    readonly code: number | undefined
  }
  const v5 = { protocolVersion: 5 } as const
  const refusals: Refusal[] = [
    { what: 'of a level that is not served [MQTT311-3.1.2-2]', packet: {}, limits: { protocolVersions: [5] }, code: 1 },
    {
      what: 'of 5.0 where it is not served [MQTT5-3.1.2-2]',
      packet: v5,
      limits: { protocolVersions: [4] },
      code: 0x84,
    },
    { what: 'of 3.1 without client id', packet: { protocolVersion: 3, clientId: '' }, code: 2 },
    { what: 'without client id and not clean [MQTT311-3.1.3-8]', packet: { clientId: '', clean: false }, code: 2 },
    { what: 'with a client id that is too long', packet: { clientId: 'x'.repeat(65) }, code: 2 },
    { what: 'with a client id of too many bytes', packet: { ...v5, clientId: 'é'.repeat(33) }, code: 0x85 },
    {
      what: 'with receive maximum 0 [MQTT5-3.1.2.11.3]',
      packet: { ...v5, properties: { receiveMaximum: 0 } },
      code: 0x82,
    },
    { what: 'with maximum packet size 0', packet: { ...v5, properties: { maximumPacketSize: 0 } }, code: 0x82 },
    {
      what: 'with authentication data but no method',
      packet: { ...v5, properties: { authenticationData: Buffer.from('x') } },
      code: 0x82,
    },
    { what: 'with a wildcard in its will topic', packet: { ...v5, will: { ...will, topic: 'a/+' } }, code: 0x90 },
    { what: 'of 3.1.1 with a wildcard in its will topic', packet: { will: { ...will, topic: '#' } }, code: undefined },
    {
      what: 'with a will topic that is too deep',
      packet: { ...v5, will: { ...will, topic: '1/2/3/4/5/6' } },
      code: 0x90,
    },
    {
      what: 'with a will of a QoS that is not supported [MQTT5-3.2.2-12]',
      packet: { ...v5, will: { ...will, qos: 2 } },
      limits: { maximumQoS: 1 },
      code: 0x9b,
    },
    {
      what: 'with a retained will where there is no retaining [MQTT5-3.2.2-13]',
      packet: { ...v5, will: { ...will, retain: true } },
      limits: { retainAvailable: false },
      code: 0x9a,
    },
  ]
  it.each(refusals)('$what is refused before anybody is asked', ({ packet, limits, code }) => {
    const m = new Machine(limits)
    m.packets(connectPacket(packet))
    expect(m.all('authenticate')).toEqual([])
    expect(m.all('close')).toHaveLength(1)
    const answer = m.connack
    expect(answer?.reasonCode ?? answer?.returnCode).toBe(code)
    expect(m.all('refused').map((effect) => effect.code)).toEqual(code === undefined ? [] : [code])
    if (answer !== undefined) expect(answer.sessionPresent).toBe(false)
    if (packet.protocolVersion === 5) expect(answer).toHaveProperty('reasonCode')
  })

  it('without client id gets one when it is clean [MQTT311-3.1.3-6]', () => {
    const m = new Machine().connect({ clientId: '' })
    expect(m.all('open')[0]!.client.clientId).toBe('assigned-1')
    expect(m.connack).toEqual({ cmd: 'connack', sessionPresent: false, returnCode: 0 })
  })

  it('of 5.0 without client id is told which one it got, clean or not [MQTT5-3.1.3-6] [MQTT5-3.1.3-7] [MQTT5-3.2.2-16]', () => {
    const m = new Machine().connect({ ...v5, clientId: '', clean: false })
    expect(m.connack!.properties).toMatchObject({ assignedClientIdentifier: 'assigned-1' })
  })

  it('is told that its session was present in 3.1.1 and 5.0, and in 3.1 nothing [MQTT311-3.2.2-2] [MQTT5-3.2.2-3]', () => {
    const present = versions.map(
      (protocolVersion) => new Machine().connect({ protocolVersion }, true).connack!.sessionPresent,
    )
    expect(present).toEqual([false, true, true])
  })

  it('that comes twice is a protocol error [MQTT311-3.1.0-2] [MQTT5-3.1.0-2]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion, will })
      m.packets(connectPacket({ protocolVersion }))
      expect(m.isClosed).toBe(true)
      expect(m.all('detach')).toMatchObject([{ session, publishWill: true }])
      expect(m.sent.slice(1)).toMatchObject(protocolVersion === 5 ? [{ cmd: 'disconnect', reasonCode: 0x82 }] : [])
    }
  })

  it('keeps a copy of the will, not a view of the chunk', () => {
    const chunk = Buffer.from('gone')
    const m = new Machine().connect({ will: { ...will, payload: chunk } })
    chunk.fill(0)
    expect(m.all('open')[0]!.client.will!.payload.toString()).toBe('gone')
  })

  it('hands the will on with its delay and expiry taken out of the properties', () => {
    const properties = { willDelayInterval: 5, messageExpiryInterval: 9, contentType: 'text' }
    const m = new Machine().connect({ ...v5, will: { ...will, properties } })
    expect(m.all('open')[0]!.client.will).toMatchObject({
      delaySec: 5,
      expirySec: 9,
      properties: { contentType: 'text' },
    })
  })

  it('is refused when the client may not publish its will', () => {
    const codes = [4, 5].map((protocolVersion) => {
      const m = new Machine()
      m.mayPublish = (topic) => topic !== 'w'
      m.connect({ protocolVersion: protocolVersion as 4 | 5, will })
      expect(m.all('open')).toEqual([])
      return m.connack!.reasonCode ?? m.connack!.returnCode
    })
    expect(codes).toEqual([5, 0x87])
  })

  it.each([
    [4, 0x86, 4],
    [4, 0x87, 5],
    [3, 0x88, 3],
    [5, 0x86, 0x86],
    [5, 0x8a, 0x8a],
  ] as const)(
    'that authentication refuses is answered in the terms of version %i (%i → %i) [MQTT311-3.2.2-4]',
    (protocolVersion, reasonCode, code) => {
      const m = new Machine()
      m.packets(connectPacket({ protocolVersion }))
      m.auth({ outcome: 'refuse', reasonCode, reason: 'no' })
      expect(m.connack!.reasonCode ?? m.connack!.returnCode).toBe(code)
      expect(m.all('close')).toHaveLength(1)
    },
  )

  it('can be sent to another server', () => {
    const m = new Machine()
    m.packets(connectPacket(v5))
    m.auth({ outcome: 'refuse', reasonCode: 0x9c, reason: 'full', serverReference: 'other:1883' })
    expect(m.connack).toMatchObject({ reasonCode: 0x9c, properties: { serverReference: 'other:1883' } })
  })

  it('is refused when its session cannot be opened', () => {
    const m = new Machine()
    m.packets(connectPacket())
    m.auth()
    m.event({ tag: 'refused', reasonCode: 0x97, reason: 'too many sessions' })
    expect(m.connack).toMatchObject({ returnCode: 3, sessionPresent: false })
    expect(m.all('detach')).toEqual([])
  })

  it('takes the user name and client id that authentication puts in place', () => {
    const m = new Machine()
    m.packets(connectPacket({ ...v5, username: 'u' }))
    m.auth({ outcome: 'accept', username: 'cert', clientId: 'from-cert' })
    m.opened()
    expect(m.all('open')[0]!.client).toMatchObject({ username: 'cert', clientId: 'from-cert' })
    expect(m.connack!.properties).toMatchObject({ assignedClientIdentifier: 'from-cert' })
  })

  it('expires as its version says', () => {
    const expiry = (packet: Partial<ConnectPacket>) =>
      new Machine({ maxSessionExpirySec: 1000 }).connect(packet).all('open')[0]!.client.expirySec
    expect(expiry({ clean: true })).toBe(0)
    expect(expiry({ clean: false })).toBe(7200)
    expect(expiry({ ...v5, clean: false })).toBe(0) // [MQTT5-3.1.2.11.2]
    expect(expiry({ ...v5, properties: { sessionExpiryInterval: 60 } })).toBe(60)
    expect(expiry({ ...v5, properties: { sessionExpiryInterval: 0xffffffff } })).toBe(1000)
  })
})

describe('a CONNACK of 5.0', () => {
  function properties(packet: Partial<ConnectPacket>, limits: Partial<ProtocolLimits>): ConnackPacket['properties'] {
    const unlimited = { topicAliasMaximum: 0, maxPacketBytes: 268_435_460 }
    return new Machine({ ...unlimited, ...limits }).connect({ ...packet, protocolVersion: 5 }).connack!.properties
  }

  it('says nothing where the defaults of the standard hold', () => {
    expect(properties({}, {})).toEqual({})
  })

  it.each([
    [{ receiveMaximum: 20 }, { receiveMaximum: 20 }],
    [{ topicAliasMaximum: 8 }, { topicAliasMaximum: 8 }],
    [{ maxPacketBytes: 1000 }, { maximumPacketSize: 1000 }],
    [{ maximumQoS: 1 as const }, { maximumQoS: 1 }],
    [{ retainAvailable: false }, { retainAvailable: false }],
    [{ wildcardSubscriptionAvailable: false }, { wildcardSubscriptionAvailable: false }],
    [{ sharedSubscriptionAvailable: false }, { sharedSubscriptionAvailable: false }],
    [{ subscriptionIdentifiersAvailable: false }, { subscriptionIdentifiersAvailable: false }],
    [{ maxKeepAliveSec: 30 }, { serverKeepAlive: 30 }],
    [{ maxKeepAliveSec: 60 }, {}],
  ])('tells the limits %j by %j', (limits, expected) => {
    expect(properties({}, limits)).toEqual(expected)
  })

  it('tells the session expiry when it is not the one asked for [MQTT5-3.2.2.3.2]', () => {
    const asked = { properties: { sessionExpiryInterval: 500 } }
    expect(properties(asked, { maxSessionExpirySec: 100 })).toEqual({ sessionExpiryInterval: 100 })
    expect(properties(asked, { maxSessionExpirySec: 500 })).toEqual({})
  })

  it('overrides a keep alive of none [MQTT5-3.2.2-21]', () => {
    expect(properties({ keepalive: 0 }, { maxKeepAliveSec: 30 })).toEqual({ serverKeepAlive: 30 })
  })

  it('has response information only for a client that asked for it [MQTT5-3.1.2-28]', () => {
    const answers = [true, false].map((requestResponseInformation) => {
      const m = new Machine()
      m.packets(connectPacket({ protocolVersion: 5, properties: { requestResponseInformation } }))
      m.auth({ outcome: 'accept', responseInformation: 'replies/c1' })
      m.opened()
      return m.connack!.properties!.responseInformation
    })
    expect(answers).toEqual(['replies/c1', undefined])
  })

  it('is preceded by what the client takes', () => {
    const m = new Machine().connect({
      protocolVersion: 5,
      properties: { maximumPacketSize: 99, topicAliasMaximum: 100, requestProblemInformation: false },
    })
    expect(m.all('version')).toEqual([
      { tag: 'version', version: 5, maxPacketBytes: 99, topicAliasMaximum: 16, problemInformation: false },
    ])
  })
})

describe('bytes that are no packet', () => {
  const error = { reasonCode: 0x84, reason: 'unsupported level', answer: 'connack', version: 4 } as const

  it('are answered by CONNACK when they were a CONNECT of an unknown level [MQTT311-3.1.2-2] [MQTT5-3.1.2-2]', () => {
    const old = new Machine()
    old.event({ tag: 'malformed', error })
    expect(old.connack).toMatchObject({ returnCode: 1 })
    const newer = new Machine()
    newer.event({ tag: 'malformed', error: { ...error, version: 5 } })
    expect(newer.connack).toMatchObject({ reasonCode: 0x84 })
  })

  it('close silently before CONNECT otherwise', () => {
    const m = new Machine()
    m.event({ tag: 'malformed', error: { ...error, reasonCode: 0x81, answer: 'close' } })
    expect(m.sent).toEqual([])
    expect(m.all('close')).toHaveLength(1)
  })

  it('are answered by DISCONNECT in 5.0 after CONNACK [MQTT5-4.13.1-1]', () => {
    for (const protocolVersion of versions) {
      const m = new Machine().connect({ protocolVersion })
      m.event({ tag: 'malformed', error: { ...error, reasonCode: 0x81, answer: 'disconnect' } })
      expect(m.sent.slice(1)).toMatchObject(protocolVersion === 5 ? [{ cmd: 'disconnect', reasonCode: 0x81 }] : [])
      expect(m.isClosed).toBe(true)
    }
  })

  it('that follow a CONNECT wait until the packets before them are answered', () => {
    const m = new Machine()
    m.packets(connectPacket({ protocolVersion: 5 }), publishPacket({ qos: 1 }))
    m.event({ tag: 'malformed', error: { ...error, reasonCode: 0x81, answer: 'disconnect', version: 5 } })
    m.auth()
    m.opened()
    expect(m.passed).toHaveLength(1)
    expect(m.sent.map((packet) => packet.cmd)).toEqual(['connack', 'disconnect'])
  })
})
