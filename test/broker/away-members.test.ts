/** Which members are away, and since when. */
import { expect, test } from 'vitest'
import { AwayMembers } from '../../src/broker/session/away-members.ts'
import { STORED_SESSION } from '../../src/broker/tables.ts'
import type { SystemEvent } from '../../src/mnesia/system-events.ts'
import { TestTables } from '../support/tables.ts'

/** The members as a node sees them, and its clock. */
function members(...others: string[]) {
  const tables = new TestTables('a@sim')
  const seen = { stopped: others, nowMs: 0, tell: (_: SystemEvent) => {} }
  const cluster = {
    open: tables.open.bind(tables),
    all: tables.all.bind(tables),
    status: () => ({ ...tables.status(), stopped: seen.stopped }),
    subscribe: (listener: (event: SystemEvent) => void) => {
      seen.tell = listener
      return () => {}
    },
  }
  const away = new AwayMembers(cluster, { monotonic: () => seen.nowMs })
  const released: string[] = []
  away.onRelease((node) => void released.push(node))
  const since = (...nodes: string[]) => nodes.map((node) => away.sinceMs(node))
  return { tables, seen, away, released, since }
}

test('a member is away from the start of this node until it says that its sessions are there', () => {
  const { seen, away, released, since } = members('b@sim', 'c@sim')
  seen.nowMs = 5
  away.ready('b@sim')
  expect([since('b@sim', 'c@sim', 'a@sim'), released]).toEqual([[undefined, 0, undefined], ['b@sim']])
  expect([away.isReady('b@sim'), away.isReady('c@sim')]).toEqual([true, false])
})

test('and from its loss, however often it is lost before it says so again', () => {
  const { seen, away, since } = members('b@sim')
  away.ready('b@sim')
  for (const nowMs of [10, 20]) {
    seen.nowMs = nowMs
    seen.tell({ tag: 'mnesia_down', node: 'b@sim', reason: 'nodedown' })
    seen.tell({ tag: 'mnesia_up', node: 'b@sim' })
    expect([since('b@sim'), away.isReady('b@sim')]).toEqual([[10], false])
  }
})

test('it is known to be away when its rows are hidden, before anybody is told', () => {
  const { tables, away, since } = members()
  tables.open(STORED_SESSION)
  const b = tables.member('b@sim')
  b.open(STORED_SESSION).write({ clientId: 'c', node: 'b@sim' })
  tables.settle()
  away.ready('b@sim')
  const atHidden: unknown[] = []
  tables.open(STORED_SESSION).subscribe(({ type }) => {
    if (type === 'hidden') atHidden.push(away.isReady('b@sim'), since('b@sim'))
  })
  tables.network.kill('b@sim')
  tables.settle()
  expect(atHidden[0]).toBe(false)
})

test('one that joins is away until it is ready, and one that is removed is not', () => {
  const { seen, released, since } = members('b@sim')
  seen.nowMs = 7
  seen.stopped = ['c@sim']
  seen.tell({ tag: 'members', members: ['a@sim', 'c@sim'] })
  expect([since('b@sim', 'c@sim'), released]).toEqual([[undefined, 7], ['b@sim']])
})
