import { describe, expect, it } from 'vitest'
import { createMetrics, EMQTTD_METRICS, METRIC_NAMES } from '../../src/broker/monitor/metrics.ts'

/** What `emqttd_ctl broker metrics` of emqttd 1.1.3 prints. */
const PRINTED = `
  bytes/received bytes/sent messages/dropped messages/qos0/received messages/qos0/sent messages/qos1/received
  messages/qos1/sent messages/qos2/received messages/qos2/sent messages/received messages/retained messages/sent
  packets/connack packets/connect packets/disconnect packets/pingreq packets/pingresp packets/puback/received
  packets/puback/sent packets/pubcomp/received packets/pubcomp/sent packets/publish/received packets/publish/sent
  packets/pubrec/received packets/pubrec/sent packets/pubrel/received packets/pubrel/sent packets/received packets/sent
  packets/suback packets/subscribe packets/unsuback packets/unsubscribe`

describe('the counters of a node', () => {
  it('include the 33 of emqttd by name', () => {
    expect([...EMQTTD_METRICS].sort()).toEqual(PRINTED.trim().split(/\s+/))
    expect(EMQTTD_METRICS).toHaveLength(33)
  })

  it('start at zero, have distinct names, and belong to one node', () => {
    const [a, b] = [createMetrics(), createMetrics()]
    expect(Object.keys(a)).toEqual(METRIC_NAMES)
    expect(new Set(METRIC_NAMES).size).toBe(METRIC_NAMES.length)
    expect(new Set(Object.values(a))).toEqual(new Set([0]))
    a['packets/publish/received'] += 2
    expect([a['packets/publish/received'], b['packets/publish/received']]).toEqual([2, 0])
  })

  it('count past 32 bits', () => {
    const metrics = createMetrics()
    for (let i = 0; i < 3; i++) metrics['bytes/received'] += 2 ** 40
    expect(metrics['bytes/received']).toBe(3 * 2 ** 40)
  })
})
