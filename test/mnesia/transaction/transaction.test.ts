/** Transactions over the tables of whole nodes, under virtual time. */
import { describe, expect, it } from 'vitest'
import { table } from '../../../src/mnesia/definition.ts'
import type { Table } from '../../../src/mnesia/table.ts'
import type { Transaction, TransactionResult } from '../../../src/mnesia/transaction/transaction.ts'
import type { TransactionOptions } from '../../../src/mnesia/transaction/transactions.ts'
import { MnesiaWorld } from '../mnesia-world.ts'

interface Account {
  readonly id: string
  readonly balance: number
}

const ACCOUNT = table<Account>('account', { type: 'set', key: 'id', replication: 'shared', copies: 'disc_copies' })
const LOG = table<{ id: string; entry: number }>('log', {
  type: 'bag',
  key: 'id',
  replication: 'shared',
  copies: 'ram_copies',
})
const ROUTE = table<Account>('owned', { type: 'set', key: 'id', replication: 'owned', copies: 'ram_copies' })

async function cluster(names: readonly string[], seed = 1) {
  const world = new MnesiaWorld({ seed })
  await world.clusterOf(names, { tables: [ACCOUNT, LOG, ROUTE] })
  const account = (name: string): Table<Account> => world.table(name, ACCOUNT)
  const run = <T>(
    name: string,
    body: (tx: Transaction) => T | Promise<T>,
    options?: TransactionOptions,
  ): Promise<TransactionResult<T>> => world.mnesia(name).transaction(world.mnesia(name).runtime, body, options)
  return { world, account, run }
}

async function balanceOf(tx: Transaction, accounts: Table<Account>, id: string): Promise<number> {
  return (await tx.read(accounts, id))[0]?.balance ?? 0
}

describe('a transaction', () => {
  it('gives its value, and its writes are on all members when it is over', async () => {
    const { world, account, run } = await cluster(['a', 'b', 'c'])
    const result = await world.settle(
      run('a', async (tx) => {
        await tx.write(account('a'), { id: 'x', balance: 1 })
        await tx.write(account('a'), { id: 'y', balance: 2 })
        return 'done'
      }),
    )
    expect(result).toEqual({ ok: true, value: 'done', unconfirmed: [] })
    for (const name of ['a', 'b', 'c']) expect([...account(name).keys()].sort()).toEqual(['x', 'y'])
  })

  it('sees what it has written itself, before anybody else does', async () => {
    const { world, account, run } = await cluster(['a', 'b'])
    account('a').write({ id: 'x', balance: 1 })
    account('a').write({ id: 'gone', balance: 9 })
    const seen = await world.settle(
      run('a', async (tx) => {
        const accounts = account('a')
        await tx.write(accounts, { id: 'x', balance: 2 })
        await tx.write(accounts, { id: 'new', balance: 3 })
        await tx.delete(accounts, 'gone')
        expect(accounts.get('x')).toEqual({ id: 'x', balance: 1 })
        const all = await tx.select(accounts, () => true)
        const keys = (await tx.keys(accounts)).sort()
        return { all: all.map(({ balance }) => balance).sort(), keys, one: await tx.match(accounts, { balance: 3 }) }
      }),
    )
    expect(seen).toMatchObject({ value: { all: [2, 3], keys: ['new', 'x'], one: [{ id: 'new', balance: 3 }] } })
  })

  it('writes and deletes rows of a bag one by one', async () => {
    const { world, run } = await cluster(['a', 'b'])
    const log = (name: string) => world.table(name, LOG)
    log('a').write({ id: 'k', entry: 1 })
    const read = await world.settle(
      run('a', async (tx) => {
        await tx.write(log('a'), { id: 'k', entry: 2 })
        await tx.deleteObject(log('a'), { id: 'k', entry: 1 })
        return tx.read(log('a'), 'k')
      }),
    )
    expect(read).toMatchObject({ ok: true, value: [{ id: 'k', entry: 2 }] })
    expect(log('b').read('k')).toEqual([{ id: 'k', entry: 2 }])
  })

  it('that aborts, or whose function throws, has changed nothing and says why', async () => {
    const { world, account, run } = await cluster(['a', 'b'])
    const aborted = await world.settle(
      run('a', async (tx) => {
        await tx.write(account('a'), { id: 'x', balance: 1 })
        tx.abort('no money')
      }),
    )
    expect(aborted).toEqual({ ok: false, reason: { tag: 'aborted', reason: 'no money' } })
    const error = new Error('a mistake')
    const failed = await world.settle(
      run('a', async (tx) => {
        await tx.write(account('a'), { id: 'x', balance: 1 })
        throw error
      }),
    )
    expect(failed).toEqual({ ok: false, reason: { tag: 'error', error } })
    expect([account('a').size, account('b').size]).toEqual([0, 0])
    const next = await world.settle(run('b', (tx) => tx.write(account('b'), { id: 'x', balance: 5 })))
    expect(next.ok).toBe(true)
  })

  it('within another is forgotten when it aborts, and the outer one goes on', async () => {
    const { world, account, run } = await cluster(['a', 'b'])
    const result = await world.settle(
      run('a', async (tx) => {
        await tx.write(account('a'), { id: 'outer', balance: 1 })
        const inner = await tx.nested(async () => {
          await tx.write(account('a'), { id: 'inner', balance: 1 })
          tx.abort('inner')
        })
        const other = await tx.nested(() => tx.write(account('a'), { id: 'other', balance: 1 }))
        return [inner.ok, other.ok]
      }),
    )
    expect(result).toMatchObject({ ok: true, value: [false, true] })
    expect([...account('b').keys()].sort()).toEqual(['other', 'outer'])
  })

  it('is for shared tables, while it runs', async () => {
    const { world, account, run } = await cluster(['a', 'b'])
    const owned = await world.settle(run('a', (tx) => tx.read(world.table('a', ROUTE), 'x')))
    expect(owned).toMatchObject({ ok: false, reason: { tag: 'error', error: { fault: 'no_transaction' } } })
    let kept: Transaction | undefined
    await world.settle(
      run('a', (tx) => {
        kept = tx
      }),
    )
    await expect(kept!.read(account('a'), 'x')).rejects.toMatchObject({ fault: 'no_transaction' })
  })

  it('that asks for a majority aborts in a minority, and goes on in the other side', async () => {
    const { world, account, run } = await cluster(['a', 'b', 'c'])
    world.cut('a', 'c')
    world.cut('b', 'c')
    await world.advance('1s')
    const write = (name: string) =>
      world.settle(run(name, (tx) => tx.write(account(name), { id: name, balance: 1 }), { majority: true }))
    expect(await write('c')).toEqual({ ok: false, reason: { tag: 'no_majority' } })
    expect(await write('a')).toMatchObject({ ok: true })
    expect(account('c').size).toBe(0)
  })

  it('gives back the locks of a node that dies in the middle', async () => {
    const { world, account, run } = await cluster(['a', 'b', 'c'])
    const isIn: string[] = []
    void run('c', async (tx) => {
      await tx.lockTable(account('c'), 'write')
      isIn.push('c')
      await new Promise(() => {})
    })
    await world.advance('1s')
    expect(isIn).toEqual(['c'])
    const waiting = run('a', (tx) => tx.write(account('a'), { id: 'x', balance: 1 }))
    world.kill('c')
    expect(await world.settle(waiting)).toMatchObject({ ok: true })
    expect(account('b').has('x')).toBe(true)
  })

  it('gives up after as many tries as it may have', async () => {
    const { world, account, run } = await cluster(['a', 'b'])
    void run('a', async (tx) => {
      await tx.lockTable(account('a'), 'write')
      await new Promise(() => {})
    })
    await world.advance('1s')
    const result = await world.settle(run('b', (tx) => tx.write(account('b'), { id: 'x', balance: 1 }), { retries: 3 }))
    expect(result).toEqual({ ok: false, reason: { tag: 'too_many_retries' } })
  })
})

describe('transactions that run at the same time', () => {
  it('lose no update and keep every sum, on any nodes, with members that come and go', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const { world, account, run } = await cluster(['a', 'b', 'c'], seed)
      const ids = ['x', 'y', 'z']
      for (const id of ids) account('a').write({ id, balance: 100 })
      await world.advance('1s')
      const pick = <T>(from: readonly T[]): T => world.sim.random.pick([...from])
      let increments = 0
      const transfers = Array.from({ length: 20 }, async () => {
        const node = pick(['a', 'b'])
        const [from, to] = [pick(ids), pick(ids)]
        const result = await run(node, async (tx) => {
          const accounts = account(node)
          const before = await balanceOf(tx, accounts, from)
          await tx.write(accounts, { id: from, balance: before - 1 })
          await tx.write(accounts, { id: to, balance: (await balanceOf(tx, accounts, to)) + 1 })
          await tx.write(accounts, { id: 'count', balance: (await balanceOf(tx, accounts, 'count')) + 1 })
        })
        if (result.ok) increments++
      })
      if (seed % 3 === 0) world.kill('c')
      if (seed % 3 === 1) {
        world.cut('b', 'c')
        world.cut('a', 'c')
      }
      await world.settle(Promise.all(transfers))
      for (const name of ['a', 'b']) {
        const sum = ids.reduce((total, id) => total + account(name).get(id)!.balance, 0)
        expect({ seed, name, sum, count: account(name).get('count')?.balance }).toEqual({
          seed,
          name,
          sum: 300,
          count: 20,
        })
      }
      expect(increments).toBe(20)
      world.sim.stop()
    }
  })
})
