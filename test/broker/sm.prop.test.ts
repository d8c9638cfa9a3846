import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Connection, SessionNode } from './session-node.ts'
import { will } from './session-support.ts'

const IDS = ['a', 'b']

type Step =
  | { do: 'connect'; id: number; clean: boolean; expirySec: number; willDelaySec: number }
  | { do: 'disconnect' | 'crash'; which: number }
  | { do: 'kill_session' | 'kick' | 'discard'; id: number }
  | { do: 'restart_sm' }
  | { do: 'advance'; seconds: number }
  | { do: 'settle' }

const id = fc.nat(IDS.length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('connect' as const),
      id,
      clean: fc.boolean(),
      expirySec: fc.constantFrom(0, 5, 50),
      willDelaySec: fc.constantFrom(0, 3, 100),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('disconnect' as const, 'crash' as const), which: fc.nat(20) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('kill_session' as const, 'kick' as const, 'discard' as const), id }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart_sm' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), seconds: fc.integer({ min: 1, max: 20 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
)

function check(node: SessionNode, connections: readonly Connection[], disturbed: boolean): void {
  const rows = [...node.sessions.list()]
  const living = node.livingSessions().map(({ key }) => key)
  // The registry names every living session, and no other.
  expect(rows.map(({ pid }) => pid.key).sort()).toEqual([...living].sort())
  for (const clientId of IDS) {
    const alive = connections.filter((each) => each.isAlive && each.info.clientId === clientId)
    // A restarted manager has forgotten whom it was to answer.
    if (disturbed) continue
    expect(alive.length).toBeLessThanOrEqual(1)
    if (alive.length === 0) continue
    expect(alive[0]!.answer?.tag).toBe('opened')
    expect(node.sessions.lookup(clientId)?.pid.equals(alive[0]!.session.session)).toBe(true)
  }
}

async function play(seed: number, steps: readonly Step[]): Promise<void> {
  const node = await new SessionNode(seed).start()
  const connections: Connection[] = []
  let disturbed = false
  for (const each of steps) {
    switch (each.do) {
      case 'connect':
        connections.push(
          node.connect({
            clientId: IDS[each.id]!,
            cleanStart: each.clean,
            expirySec: each.expirySec,
            will: will({ delaySec: each.willDelaySec }),
          }),
        )
        break
      case 'disconnect':
      case 'crash': {
        const connection = connections[each.which]
        if (connection?.isAlive !== true) break
        if (each.do === 'disconnect' && connection.answer?.tag === 'opened') connection.disconnect()
        else connection.crash()
        break
      }
      case 'kill_session': {
        const row = node.sessions.lookup(IDS[each.id]!)
        // Its connection would close when it learns of that; these do not monitor.
        for (const one of connections) if (one.isAlive && one.info.clientId === IDS[each.id]) one.crash()
        if (row !== undefined) node.runtime.exit(row.pid, 'kill')
        break
      }
      case 'kick':
      case 'discard':
        node.sessions[each.do](IDS[each.id]!)
        break
      case 'restart_sm':
        disturbed = true
        node.runtime.exit(node.runtime.whereis('sm')!, 'kill')
        await node.startSm()
        break
      case 'advance':
        await node.simulation.advance(each.seconds * 1000)
        break
      case 'settle':
        await node.run()
        check(node, connections, disturbed)
        break
    }
  }
  await node.run()
  check(node, connections, disturbed)
  // Everything comes to an end: no session, no row and no route outlives its time.
  for (const connection of connections) if (connection.isAlive) connection.crash()
  await node.simulation.advance('200s')
  expect(node.livingSessions()).toEqual([])
  expect(node.sessions.count).toBe(0)
  expect(node.routing.stats().subscribers.count).toBe(0)
  expect(node.simulation.time.nextInMs).toBeUndefined()
  node.simulation.stop()
}

test('whatever connections, crashes and operators do, there is one session per client id and the registry knows it', async () => {
  await fc.assert(fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 40, size: 'max' }), play), {
    numRuns: 150,
  })
})
