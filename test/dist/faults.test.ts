/**
 * Three nodes under random kills, restarts, resets and freezes: every monitor and every link tells exactly once, nothing is left
 * behind, and in the end all nodes are connected again.
 */
import { describe, expect, it } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { Process } from '../../src/actors/process.ts'
import type { Ref } from '../../src/actors/ref.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import { Cluster, nameOf } from './cluster.ts'

const NODES = ['a', 'b', 'c']
const SEEDS = 25
const ROUNDS = 12

interface Watch {
  readonly target: Pid
  readonly ref: Ref
}

describe('three nodes under faults', () => {
  it('monitors and links tell exactly once, and nothing is left behind', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const cluster = new Cluster({ seed, nodes: NODES, options: { netTicktimeMs: 2000 } })
      const { random } = cluster.sim
      const messages: unknown[] = []
      const watcher = cluster
        .runtime('a')
        .process(cluster.runtime('a').spawn({ receive: (message) => void messages.push(message) }, { trapExit: true }))!
      const watches: Watch[] = []
      for (let round = 0; round < ROUNDS; round++) {
        for (const name of ['b', 'c']) watches.push(watch(watcher, startTarget(cluster, name)))
        await cluster.sim.advance(random.below(50))
        await fault(cluster)
        await cluster.sim.advance(random.below(4000))
        for (const pair of [
          ['a', 'b'],
          ['a', 'c'],
          ['b', 'c'],
        ])
          cluster.net.thaw(`${pair[0]}.sim`, `${pair[1]}.sim`)
      }
      await cluster.sim.advance('60s')
      check(`seed ${seed}`, cluster, watcher, watches, messages)
      for (const name of ['b', 'c']) void cluster.distribution(name).connect(nameOf('a'))
      await cluster.sim.advance('60s')
      for (const name of NODES) {
        expect(cluster.distribution(name).nodes().sort(), `seed ${seed}`).toEqual(
          NODES.filter((other) => other !== name).map(nameOf),
        )
      }
      cluster.sim.stop()
    }
  })
})

/** Lives until its node is killed, except one in three, which ends soon. */
function startTarget(cluster: Cluster, name: string): Pid {
  const runtime = cluster.runtime(name)
  const pid = runtime.spawn({ receive: () => {} })
  if (cluster.sim.random.below(3) === 0)
    runtime.timers.set(cluster.sim.random.below(3000), () => runtime.exit(pid, 'ended'))
  return pid
}

function watch(watcher: Process, target: Pid): Watch {
  watcher.link(target)
  return { target, ref: watcher.monitor(target) }
}

async function fault(cluster: Cluster): Promise<void> {
  const { random } = cluster.sim
  const [left, right] = random.pick([
    ['a', 'b'],
    ['a', 'c'],
    ['b', 'c'],
  ] as const)
  switch (random.below(5)) {
    case 0:
      cluster.net.reset(`${left}.sim`, `${right}.sim`)
      break
    case 1:
      cluster.freeze(left, right)
      break
    case 2: {
      cluster.kill(right)
      await cluster.sim.advance(random.below(200))
      cluster.start(right)
      break
    }
    case 3:
      // Ended on purpose, the mesh would leave it so.
      if (left === 'a') cluster.distribution(left).disconnect(nameOf(right))
      break
    case 4:
      break
  }
}

function check(name: string, cluster: Cluster, watcher: Process, watches: readonly Watch[], messages: unknown[]): void {
  const isAlive = (pid: Pid): boolean => cluster.runtime(pid.node).process(pid) !== undefined
  for (const { target, ref } of watches) {
    const downs = messages.filter((message) => isDownMessage(message) && message.ref.equals(ref))
    const exits = messages.filter((message) => isExitMessage(message) && message.from.equals(target))
    const held = [...(watcher.monitors ?? [])].some((monitor) => monitor.ref.equals(ref))
    const linked = watcher.links?.has(target) ?? false
    expect([downs.length, exits.length], `${name}: ${target.key}`).toEqual([held ? 0 : 1, linked ? 0 : 1])
    if (held || linked) expect(isAlive(target), `${name}: ${target.key}`).toBe(true)
    for (const message of [...downs, ...exits] as { reason: unknown }[]) {
      expect(['ended', 'noconnection', 'noproc', 'killed'], name).toContain(message.reason)
    }
  }
  for (const other of ['b', 'c']) {
    const counts = cluster.distribution('a').peer(nameOf(other))?.counts
    const links = [...(watcher.links ?? [])].filter((pid) => pid.node === nameOf(other)).length
    expect(counts?.links ?? 0, name).toBe(links)
    const theirs = cluster.distribution(other).peer(nameOf('a'))?.counts
    expect(theirs?.peerMonitors ?? 0, name).toBe(counts?.ownMonitors ?? 0)
    expect(cluster.runtime(other).footprint().foreignMonitors, name).toBe(theirs?.peerMonitors ?? 0)
  }
}
