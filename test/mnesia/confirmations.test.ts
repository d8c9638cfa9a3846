/** `wait: 'members'`: when a write is complete, every member that is linked then has it, or is named. */
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { type CopyKind, type TableDefinition, table } from '../../src/mnesia/definition.ts'
import { OwnedReplication } from '../../src/mnesia/owned/owned-replication.ts'
import { SharedReplication } from '../../src/mnesia/shared/replication.ts'
import { MemoryStore } from '../../src/mnesia/store/memory-store.ts'
import type { Table, WriteOutcome } from '../../src/mnesia/table.ts'
import { LinkNetwork, type LinkNode } from '../support/link-network.ts'

interface Row {
  readonly key: string
}

const LOGGER = pino({ level: 'silent' })
const SEEDS = 20

function definition(replication: 'owned' | 'shared'): TableDefinition<Row> {
  return table<Row>('t', { type: 'set', key: 'key', replication, copies: 'ram_copies' })
}

const OPENED: Readonly<Record<'owned' | 'shared', (links: LinkNode) => Table<Row>>> = {
  owned: (links) => {
    const replication = new OwnedReplication({ links, store: new MemoryStore(), logger: LOGGER })
    links.handle('owned', replication)
    return replication.open(definition('owned'))
  },
  shared: (links) => {
    const replication = new SharedReplication({ links, store: new MemoryStore(), logger: LOGGER })
    return replication.create(definition('shared'), 'ram_copies', { isNew: true })
  },
}

/** Three nodes; `b` is cut off from `a`, and `a` has written what it has not had. */
function apart(open: (links: LinkNode) => Table<Row>, seed: number) {
  const network = new LinkNetwork({ seed })
  const tables = new Map(['a', 'b', 'c'].map((name) => [name, open(network.start(name))]))
  network.advance(2000)
  network.cut('a', 'b')
  network.cut('b', 'c')
  network.advance(100)
  const [a, b] = [tables.get('a')!, tables.get('b')!]
  void a.write({ key: 'k' })
  network.advance(100)
  const isLinked = () =>
    network
      .node('a')
      .connected()
      .some(({ node }) => node === 'b')
  const untilLinked = () => {
    network.mend('a', 'b')
    while (!isLinked()) network.step()
  }
  /** Returns whether `b` is as it was said to be when it was complete. */
  const outcomeOf = async (waiting: Promise<WriteOutcome> | undefined, key: string): Promise<boolean> => {
    let outcome: WriteOutcome | undefined = waiting === undefined ? { unconfirmed: [] } : undefined
    void waiting?.then((it) => {
      outcome = it
    })
    for (;;) {
      for (let i = 0; i < 8; i++) await undefined
      if (outcome !== undefined) return !isLinked() || b.has(key) || outcome.unconfirmed.includes('b')
      network.step()
    }
  }
  return { network, a, untilLinked, outcomeOf }
}

describe.each(Object.entries(OPENED))('a member whose link comes back: %s tables', (_, open) => {
  test('while a write waits for another one has it when that is complete, or is named', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { network, a, untilLinked, outcomeOf } = apart(open, seed)
      network.freeze('c')
      const waiting = a.write({ key: 'l' }, { wait: 'members' })
      untilLinked()
      network.thaw('c')
      expect([seed, await outcomeOf(waiting, 'l')]).toEqual([seed, true])
    }
  })

  test('has what was written before, when what changes nothing waits for the members', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { a, untilLinked, outcomeOf } = apart(open, seed)
      untilLinked()
      expect([seed, await outcomeOf(a.batch([], { wait: 'members' }), 'k')]).toEqual([seed, true])
    }
  })
})

test('the members are waited for in an owned table of which this node has got a copy since they were linked', async () => {
  const network = new LinkNetwork({ seed: 1 })
  const open = (name: string, copy: CopyKind) => {
    const links = network.start(name)
    const replication = new OwnedReplication({ links, store: new MemoryStore(), logger: LOGGER })
    links.handle('owned', replication)
    return { replication, rows: replication.open(definition('owned'), copy) }
  }
  const [a, b] = [open('a', 'none'), open('b', 'ram_copies')]
  network.advance(100)
  a.replication.setCopy('t', 'ram_copies')
  const waiting = a.rows.write({ key: 'k' }, { wait: 'members' })
  network.advance(500)
  expect(await waiting).toEqual({ unconfirmed: [] })
  expect([waiting !== undefined, b.rows.has('k')]).toEqual([true, true])
})
