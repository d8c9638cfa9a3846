/** Who is given what is kept for a group, and how long it stays on disc. */
import { expect, onTestFinished, test } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { Told } from '../../src/broker/forward/peer.ts'
import { type GroupKeeperOptions, groupKeeper } from '../../src/broker/group/group-keeper.ts'
import { GroupLog } from '../../src/broker/group/group-log.ts'
import { groupSpace, type KeptMessage, readKept } from '../../src/broker/group/rows.ts'
import type { QoS } from '../../src/broker/packet.ts'
import { matchedOf } from '../../src/broker/routing/matched.ts'
import { Receipt } from '../../src/broker/routing/receipt.ts'
import type { Member } from '../../src/broker/routing/shared-sub.ts'
import type { Subscriber } from '../../src/broker/routing/subscribers.ts'
import { LossyDisc } from '../../src/testing/lossy-store.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { message, pidOf } from '../support/routing.ts'
import { TestTables } from '../support/tables.ts'

const [A, B, C] = ['a@sim', 'b@sim', 'c@sim'] as const
const SHARE = { group: 'g', filter: 't' }
/** How long the disc takes for a flush. */
const FLUSH_MS = 200

const pidAt = (node: string) => pidOf(1, { name: node, creation: 1 })

/** Node `a` with its keeper, the members of a group, and what they are sent. */
function scene() {
  const sim = simulate({ seed: 1, nodes: ['a'] })
  onTestFinished(() => sim.stop())
  const runtime = sim.node('a')
  const disc = new LossyDisc({ timers: sim.time, random: sim.random, flushMs: [FLUSH_MS, FLUSH_MS] })
  const log = new GroupLog({
    ...{ store: disc.open(), catchUp: () => {}, maxBytes: 1e6, maxAgeMs: 1e6, now: () => runtime.clock.now() },
    ...{ onDropped: () => {}, onUnreadable: () => {} },
  })
  const tables = new TestTables(A)
  for (const other of [B, C]) tables.member(other)
  tables.settle()
  const members: string[] = []
  const notReady = new Set<string>()
  const awaited: string[] = []
  /** What members have been given, as `node id`, with what is said of it. */
  const given: { readonly what: string; readonly receipt?: Receipt; readonly told?: Told | undefined }[] = []
  const lost: string[] = []
  const looks: (() => void)[] = []
  const releases: (() => void)[] = []
  const memberAt = (node: string): Member => {
    const subscriber = node === A ? ({} as Subscriber) : undefined
    const matched = { ...matchedOf(2, false, false, undefined), share: SHARE }
    return { pid: pidAt(node), subscriber, matched } as Member
  }
  const into = (all: (() => void)[]) => (listener: (node: string) => void) => {
    all.push(() => listener(B))
    return () => {}
  }
  const options: GroupKeeperOptions = {
    log,
    pubsub: {
      memberFor: (_message, _share, exclude?: Pid) => {
        const node = members.find((each) => exclude?.node !== each)
        return node === undefined ? undefined : memberAt(node)
      },
      give: ({ id }, { pid }) => {
        const receipt = new Receipt()
        receipt.expect()
        given.push({ what: `${pid.node} ${id}`, receipt })
        return receipt
      },
    },
    routing: { awaitedOn: () => awaited, onMembers: into(looks) },
    forwarding: {
      canKeep: true,
      sendTo: ({ node }, { batch }, _receipt, told) => {
        given.push({ what: `${node} ${batch.messages[0]!.id}`, told })
        return true
      },
      keep: (node, [batch], receipt) => {
        receipt.expect()
        given.push({ what: `${node} is asked for ${batch!.messages[0]!.id}`, receipt })
      },
    },
    mnesia: tables,
    away: { isReady: (node) => !notReady.has(node), onRelease: into(releases) },
    recent: { forget: () => {} },
    onLost: ({ id }) => void lost.push(id),
  }
  const onDisc = (id: string): KeptMessage | undefined => {
    const row = disc.contents.get(groupSpace(SHARE), id)
    return row === undefined ? undefined : readKept(row)
  }
  return {
    ...{ sim, log, disc, members, notReady, awaited, given, lost, onDisc },
    all: () => given.map(({ what }) => what),
    /** A message is on disc. */
    keep: async (id: string, qos: QoS) => {
      void log.add(SHARE, [message('t', id, { qos })])
      await sim.advance(FLUSH_MS)
    },
    start: async () => {
      const started = groupKeeper.start(runtime, options)
      await sim.advance('10ms')
      await started
    },
    change: async (of: 'members' | 'readiness') => {
      for (const look of of === 'members' ? looks : releases) look()
      await sim.advance('10ms')
    },
  }
}

test('a message of QoS 1 stays on disc until a node has taken it over, and goes to another member when that is lost', async () => {
  const { sim, members, given, all, keep, start, onDisc } = scene()
  await keep('1', 1)
  members.push(B, C)
  await start()
  await sim.advance(2 * FLUSH_MS)
  expect([all(), onDisc('1')?.message.id]).toEqual([[`${B} 1`], '1'])
  given[0]!.told!('lost')
  await sim.advance(2 * FLUSH_MS)
  expect([all(), onDisc('1')?.message.id]).toEqual([[`${B} 1`, `${C} 1`], '1'])
  given[1]!.told!('taken')
  await sim.advance(2 * FLUSH_MS)
  expect(onDisc('1')).toBeUndefined()
})

test('a message of QoS 2 goes to a node when that is noted on disc, and when that is lost it alone is asked for it', async () => {
  const { sim, members, given, all, keep, start, onDisc } = scene()
  await keep('1', 2)
  members.push(B, C)
  await start()
  expect(all()).toEqual([])
  await sim.advance(FLUSH_MS)
  expect([all(), onDisc('1')?.mayHave]).toEqual([[`${B} 1`], B])
  given[0]!.told!('lost')
  await sim.advance(2 * FLUSH_MS)
  expect([all(), onDisc('1')?.mayHave]).toEqual([[`${B} 1`, `${B} is asked for 1`], B])
  given[1]!.receipt!.taken()
  await sim.advance(2 * FLUSH_MS)
  expect(onDisc('1')).toBeUndefined()
})

test('what is given to a session of the node stays on disc until that takes it off', async () => {
  const { sim, members, given, all, log, keep, start, onDisc } = scene()
  await keep('1', 1)
  members.push(A)
  await start()
  await sim.advance(2 * FLUSH_MS)
  expect([all(), onDisc('1')?.message.id]).toEqual([[`${A} 1`], '1'])
  // It has ended without having got round to it.
  members[0] = B
  given[0]!.receipt!.taken()
  await sim.advance(2 * FLUSH_MS)
  expect([all(), log.has(SHARE, '1')]).toEqual([[`${A} 1`, `${B} 1`], true])
})

test('what nobody is there for waits for a member that comes, or for a node that says that it is ready, and is lost when none may come', async () => {
  const { members, notReady, awaited, lost, all, keep, start, change } = scene()
  await keep('1', 1)
  awaited.push(B)
  await start()
  expect([all(), lost]).toEqual([[], []])
  members.push(C)
  notReady.add(C)
  await change('members')
  expect(all()).toEqual([])
  notReady.clear()
  await change('readiness')
  expect(all()).toEqual([`${C} 1`])
  members.pop()
  await keep('2', 1)
  await change('members')
  expect([all(), lost]).toEqual([[`${C} 1`], []])
  members.push(B)
  await change('members')
  expect(all()).toEqual([`${C} 1`, `${B} 2`])
  members.pop()
  awaited.pop()
  await keep('3', 1)
  await change('members')
  expect(lost).toEqual(['3'])
})
