import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OutboundAliases } from '../../src/broker/connection/topic-alias.ts'

describe('outbound topic aliases', () => {
  it('are set at the first use of a topic and stand for it afterwards', () => {
    const aliases = new OutboundAliases(2)
    expect(['a', 'b', 'a', 'b'].map((topic) => aliases.use(topic))).toEqual([
      { alias: 1, topic: true },
      { alias: 2, topic: true },
      { alias: 1, topic: false },
      { alias: 2, topic: false },
    ])
  })

  it('are not used towards a client that allows none [MQTT5-3.1.2-26] [MQTT5-3.1.2-27]', () => {
    expect(new OutboundAliases(0).use('a')).toBeUndefined()
  })

  it('stay with topics that recur while others pass by', () => {
    const aliases = new OutboundAliases(2)
    aliases.use('often')
    for (let i = 0; i < 10; i++) {
      aliases.use(`once/${i}`)
      expect(aliases.use('often')).toEqual({ alias: 1, topic: false })
    }
  })

  it('never mean another topic to the client than to us, whatever is sent or dropped', () => {
    const step = fc.record({ topic: fc.nat(8).map(String), dropped: fc.boolean() })
    fc.assert(
      fc.property(fc.nat(4), fc.array(step, { maxLength: 200 }), (maximum, steps) => {
        const aliases = new OutboundAliases(maximum)
        const client = new Map<number, string>()
        for (const { topic, dropped } of steps) {
          const out = aliases.use(topic)
          expect(out === undefined).toBe(maximum === 0)
          if (out === undefined) continue
          expect(out.alias).toBeGreaterThan(0)
          expect(out.alias).toBeLessThanOrEqual(maximum)
          if (dropped && out.topic) {
            aliases.forget(topic)
            continue
          }
          if (out.topic) client.set(out.alias, topic)
          expect(client.get(out.alias)).toBe(topic)
        }
      }),
    )
  })
})
