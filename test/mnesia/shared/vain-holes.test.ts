import pino from 'pino'
import { expect, test } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import { SharedReplication } from '../../../src/mnesia/shared/replication.ts'
import { MemoryStore } from '../../../src/mnesia/store/memory-store.ts'
import { LinkNetwork } from '../../support/link-network.ts'

interface Row {
  readonly key: string
  readonly n: number
}

const T = table<Row>('t', { type: 'set', key: 'key', replication: 'shared', copies: 'ram_copies' })
const LIMITS = {
  logBytes: 1 << 10,
  windowBytes: 100,
  chunkBytes: 100,
  chunkRows: 3,
  progressMs: 200,
  reportMs: 1000,
  checkMs: 5000,
}
const ROWS = 200

test('members that have had different parts of what nobody has any more become the same, and nothing is told of a repair', async () => {
  let differed = 0
  for (let seed = 1; seed <= 10; seed++) {
    const network = new LinkNetwork({ seed })
    const start = (name: string, isNew: boolean) => {
      const links = network.start(name)
      const logger = pino({ level: 'silent' })
      const replication = new SharedReplication({ links, store: new MemoryStore(), logger, limits: LIMITS })
      return { links, replication, rows: replication.create(T, T.copies, { isNew }) }
    }
    const source = start('d', true)
    for (let n = 0; n < ROWS; n++) void source.rows.write({ key: `k${n}`, n })
    const others = ['b', 'c'].map((name) => start(name, false))
    const [b, c] = others as [(typeof others)[0], (typeof others)[0]]
    while (Math.max(b.rows.size, c.rows.size) < ROWS / 2) network.step()
    network.kill('d')
    for (const { links, replication } of others) {
      links.setMembers(['b', 'c'])
      replication.membersChanged()
    }
    if (b.rows.size !== c.rows.size) differed++
    network.advance(60_000)
    const sorted = [...b.rows.rows()].map(({ key }) => key).sort()
    expect([...c.rows.rows()].map(({ key }) => key).sort()).toEqual(sorted)
    for (const { replication } of others) {
      const { copies, counters } = replication.info()
      expect([seed, counters.repaired, copies]).toEqual([seed, 0, [['t', false, []]]])
      replication.stop()
    }
  }
  expect(differed).toBeGreaterThan(0)
})
