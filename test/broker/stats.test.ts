import { describe, expect, it } from 'vitest'
import { STAT_NAMES, Stats } from '../../src/broker/monitor/stats.ts'

describe('statistics', () => {
  it('hold the last count and the greatest of any sample', () => {
    const stats = new Stats()
    let clients = 3
    stats.source('clients', () => clients)
    stats.sample()
    clients = 7
    stats.sample()
    clients = 2
    stats.sample()
    expect([stats.count('clients'), stats.max('clients')]).toEqual([2, 7])
  })

  it('are zero before the first sample and for what nobody counts', () => {
    const stats = new Stats()
    stats.source('routes', () => 5)
    expect([stats.count('routes'), stats.max('topics')]).toEqual([0, 0])
  })

  it('come as sorted pairs of count and max', () => {
    const stats = new Stats()
    stats.set('retained', 4)
    stats.set('retained', 1)
    const entries = stats.entries()
    expect(entries).toHaveLength(STAT_NAMES.length * 2)
    expect(entries.map(([name]) => name)).toEqual(entries.map(([name]) => name).sort())
    expect(Object.fromEntries(entries)).toMatchObject({ 'retained/count': 1, 'retained/max': 4, 'clients/count': 0 })
  })
})
