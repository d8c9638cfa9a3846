import { pino } from 'pino'
import { beforeEach, describe, expect, it } from 'vitest'
import { aclClient } from '../../src/broker/access/acl.ts'
import { Hooks, stop } from '../../src/broker/hooks.ts'
import type { Message } from '../../src/broker/message.ts'
import { createMetrics, type Metrics } from '../../src/broker/monitor/metrics.ts'
import type { SubscribeEntry } from '../../src/broker/packet.ts'

let logged: { hook?: string; err?: { message: string } }[]
let metrics: Metrics
let hooks: Hooks

beforeEach(() => {
  logged = []
  metrics = createMetrics()
  hooks = new Hooks(pino({}, { write: (line: string) => logged.push(JSON.parse(line)) }), metrics)
})

const message = (topic: string): Message => ({
  id: '00',
  from: 'c',
  topic,
  payload: Buffer.alloc(0),
  qos: 0,
  retain: false,
  publishedAtMs: 0,
  expiresAtMs: Number.POSITIVE_INFINITY,
  properties: undefined,
})
const client = { clientId: 'c', username: undefined, peer: '127.0.0.1:1', protocolVersion: 5 } as const
const credentials = { ...client, password: undefined, host: '127.0.0.1' }

describe('a chain of callbacks', () => {
  it('runs from the highest priority down, equal ones in the order of registration', () => {
    const order: string[] = []
    hooks.on('session.created', () => void order.push('b'))
    hooks.on('session.created', () => void order.push('d'), -1)
    hooks.on('session.created', () => void order.push('a'), 5)
    hooks.on('session.created', () => void order.push('c'))
    hooks.notify('session.created', client)
    expect(order).toEqual(['a', 'b', 'c', 'd'])
  })

  it('ends where a callback stops it', () => {
    const order: string[] = []
    hooks.on('session.created', () => {
      order.push('first')
      return stop()
    })
    hooks.on('session.created', () => void order.push('second'))
    hooks.notify('session.created', client)
    expect(order).toEqual(['first'])
  })

  it('loses a callback that is taken out, once and only that one', () => {
    let calls = 0
    const count = () => void calls++
    const off = hooks.on('session.created', count)
    hooks.on('session.created', count)
    off()
    off()
    hooks.notify('session.created', client)
    expect(calls).toBe(1)
    expect(hooks.chains['session.created']).toHaveLength(1)
  })

  it('does not change while it runs', () => {
    let late = 0
    hooks.on('session.created', () => void hooks.on('session.created', () => void late++))
    hooks.notify('session.created', client)
    expect(late).toBe(0)
    hooks.notify('session.created', client)
    expect(late).toBe(1)
  })

  it('is known by name only', () => {
    expect(() => hooks.on('message.publsh' as 'message.publish', () => undefined)).toThrow(
      'there is no hook message.publsh',
    )
    expect(() => hooks.on('toString' as 'message.publish', () => undefined)).toThrow('there is no hook')
  })
})

describe('a callback that throws', () => {
  const fail = () => {
    throw new Error('broken')
  }

  it('is logged and counted, and a notification goes on to the next', () => {
    let reached = false
    hooks.on('message.acked', fail, 1)
    hooks.on('message.acked', () => {
      reached = true
    })
    hooks.notify('message.acked', 'c', message('t'))
    expect(reached).toBe(true)
    expect(metrics['hooks/failed']).toBe(1)
    expect(logged[0]).toMatchObject({ hook: 'message.acked', err: { message: 'broken' } })
  })

  it('drops the message, denies the access and the filters, refuses the client', async () => {
    hooks.on('message.publish', fail)
    hooks.on('client.authorize', fail)
    hooks.on('client.subscribe', fail)
    hooks.on('client.authenticate', fail)
    expect(hooks.publish(message('t'))).toBe('drop')
    expect(hooks.authorize(aclClient('c', undefined, '127.0.0.1'), 'publish', 't')).toBe('deny')
    expect(hooks.subscribe([{ topic: 'a', qos: 0 }], client)).toEqual(['deny'])
    expect(await hooks.authenticate(credentials)).toMatchObject({ outcome: 'refuse', reasonCode: 0x88 })
    expect(metrics['hooks/failed']).toBe(4)
  })

  it('does not keep a client from unsubscribing', () => {
    hooks.on('client.unsubscribe', fail)
    expect(hooks.unsubscribe(['a'], client)).toEqual(['a'])
  })
})

describe('message.publish', () => {
  it('hands each callback what the one before made of the message', () => {
    hooks.on('message.publish', (m) => ({ ...m, topic: `${m.topic}/1` }), 2)
    hooks.on('message.publish', () => undefined, 1)
    hooks.on('message.publish', (m) => ({ ...m, topic: `${m.topic}/2` }))
    expect(hooks.publish(message('t'))).toMatchObject({ topic: 't/1/2' })
  })

  it("ends the chain with 'drop'", () => {
    let reached = false
    hooks.on('message.publish', (m) => (m.topic.startsWith('private/') ? 'drop' : m), 1)
    hooks.on('message.publish', () => {
      reached = true
    })
    expect(hooks.publish(message('private/x'))).toBe('drop')
    expect(reached).toBe(false)
    expect(hooks.publish(message('x'))).toMatchObject({ topic: 'x' })
    expect(reached).toBe(true)
  })

  it('ends the chain with a message in stop', () => {
    hooks.on('message.publish', (m) => stop({ ...m, topic: 'last' }), 1)
    hooks.on('message.publish', () => 'drop')
    expect(hooks.publish(message('x'))).toMatchObject({ topic: 'last' })
  })

  it('returns the message itself when nobody is interested', () => {
    const same = message('t')
    expect(hooks.chains['message.publish']).toHaveLength(0)
    expect(hooks.publish(same)).toBe(same)
  })
})

describe('the other decisions', () => {
  it('client.subscribe changes and denies filters, and denies all when a callback loses one', () => {
    const entries: SubscribeEntry[] = [
      { topic: 'a', qos: 2 },
      { topic: 'b', qos: 2 },
    ]
    const off = hooks.on('client.subscribe', (all) => all.map((e) => (e !== 'deny' && e.topic === 'a' ? 'deny' : e)))
    expect(hooks.subscribe(entries, client)).toEqual(['deny', entries[1]])
    off()
    hooks.on('client.subscribe', (all) => all.slice(1))
    expect(hooks.subscribe(entries, client)).toEqual(['deny', 'deny'])
  })

  it('client.authenticate may take its time, and be undecided', async () => {
    hooks.on('client.authenticate', async () => undefined, 1)
    expect(await hooks.authenticate(credentials)).toBeUndefined()
    hooks.on('client.authenticate', async () => ({ outcome: 'accept', username: 'u' }) as const)
    expect(await hooks.authenticate(credentials)).toEqual({ outcome: 'accept', username: 'u' })
  })

  it('client.auth_step continues, and refuses a method that nobody knows', async () => {
    const step = { credentials, method: 'PLAIN', data: undefined, isFirst: true, reauthenticate: false, exchange: {} }
    expect(await hooks.authStep(step)).toMatchObject({ outcome: 'refuse', reasonCode: 0x8c })
    hooks.on('client.auth_step', async (_, { method }) =>
      method === 'PLAIN' ? ({ outcome: 'continue', data: Buffer.from('?') } as const) : undefined,
    )
    expect(await hooks.authStep(step)).toMatchObject({ outcome: 'continue' })
    expect(await hooks.authStep({ ...step, method: 'SCRAM' })).toMatchObject({ reasonCode: 0x8c })
  })

  it('client.authorize leaves it to the rules unless a callback has a verdict', () => {
    const who = aclClient('c', undefined, '127.0.0.1')
    hooks.on('client.authorize', (_, { clientId }, action, topic) =>
      clientId === 'c' && action === 'publish' && topic === 'no' ? stop('deny' as const) : undefined,
    )
    hooks.on('client.authorize', () => undefined)
    expect(hooks.authorize(who, 'publish', 'yes')).toBeUndefined()
    expect(hooks.authorize(who, 'publish', 'no')).toBe('deny')
  })
})
