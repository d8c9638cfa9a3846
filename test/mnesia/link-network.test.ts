import { describe, expect, it } from 'vitest'
import type { LinkHandler, Peer } from '../../src/mnesia/link.ts'
import { LinkNetwork, type LinkNode } from '../support/link-network.ts'

/** Says a number to each peer now and then, and notes what it is told. */
class Chatter implements LinkHandler {
  readonly heard = new Map<string, number[]>()
  readonly peers = new Map<string, Peer>()
  readonly log: string[] = []
  #said = 0

  constructor(node: LinkNode) {
    node.handle('chatter', this)
  }

  say(): void {
    this.#said++
    for (const peer of this.peers.values()) peer.send({ tag: 'number', n: this.#said } as { tag: string })
  }

  up(peer: Peer): void {
    if (this.peers.has(peer.node)) throw new Error(`${peer.node} is up twice`)
    this.peers.set(peer.node, peer)
    this.log.push(`up ${peer.node} ${peer.epoch}`)
  }

  receive(peer: Peer, message: { readonly tag: string }): void {
    if (this.peers.get(peer.node) !== peer) throw new Error(`${peer.node} is not up`)
    const key = `${peer.node} ${peer.epoch}`
    const heard = this.heard.get(key) ?? []
    this.heard.set(key, heard)
    heard.push((message as unknown as { n: number }).n)
  }

  down(peer: Peer): void {
    if (this.peers.get(peer.node) !== peer) throw new Error(`${peer.node} is not up`)
    this.peers.delete(peer.node)
    this.log.push(`down ${peer.node}`)
  }
}

function chatters(network: LinkNetwork, ...names: string[]): Chatter[] {
  return names.map((name) => new Chatter(network.start(name)))
}

describe('the network of links', () => {
  it('connects every node to every other, and carries messages in order', () => {
    const network = new LinkNetwork({ seed: 1 })
    const [a, b, c] = chatters(network, 'a', 'b', 'c') as [Chatter, Chatter, Chatter]
    network.settle(1000)
    for (let i = 0; i < 5; i++) a.say()
    network.settle(1000)
    expect(b.heard.get('a 1')).toEqual([1, 2, 3, 4, 5])
    expect(c.heard.get('a 1')).toEqual([1, 2, 3, 4, 5])
    expect(network.node('b').connected()).toEqual([
      { node: 'a', epoch: 1, protocol: 1 },
      { node: 'c', epoch: 1, protocol: 1 },
    ])
  })

  it('keeps nodes apart that do not list each other as members', () => {
    const network = new LinkNetwork({ seed: 1 })
    const [a] = chatters(network, 'a', 'b') as [Chatter]
    network.node('a').setMembers(['a'])
    network.settle(1000)
    expect(a.log).toEqual([])
    network.node('a').setMembers(['a', 'b'])
    network.settle(1000)
    expect(a.log).toEqual(['up b 1'])
  })

  it('tells both sides of a cut, and connects them again when it is mended', () => {
    const network = new LinkNetwork({ seed: 2 })
    const [a, b] = chatters(network, 'a', 'b') as [Chatter, Chatter]
    network.settle(1000)
    network.cut('a', 'b')
    network.settle(1000)
    a.say()
    network.mend('a', 'b')
    network.settle(1000)
    expect(a.log).toEqual(['up b 1', 'down b', 'up b 1'])
    expect(b.log).toEqual(['up a 1', 'down a', 'up a 1'])
    expect(b.heard.size).toBe(0)
  })

  it('holds what happens to a frozen node until it thaws', () => {
    const network = new LinkNetwork({ seed: 3 })
    const [a, b] = chatters(network, 'a', 'b') as [Chatter, Chatter]
    network.settle(1000)
    network.freeze('b')
    a.say()
    network.advance(1000)
    expect(b.heard.size).toBe(0)
    network.thaw('b')
    expect(b.heard.get('a 1')).toEqual([1])
  })

  it('takes a frozen node for lost after a while, and gets it back', () => {
    const network = new LinkNetwork({ seed: 4 })
    const [a, b] = chatters(network, 'a', 'b') as [Chatter, Chatter]
    network.settle(1000)
    network.freeze('b')
    network.advance(10_000)
    expect(a.log).toEqual(['up b 1', 'down b'])
    network.thaw('b')
    network.settle(1000)
    expect(a.log).toEqual(['up b 1', 'down b', 'up b 1'])
    expect(b.log).toEqual(['up a 1', 'down a', 'up a 1'])
  })

  it('starts a node that was killed in a greater epoch', () => {
    const network = new LinkNetwork({ seed: 5 })
    const [a] = chatters(network, 'a', 'b') as [Chatter]
    network.settle(1000)
    network.kill('b')
    new Chatter(network.start('b'))
    network.settle(1000)
    expect(a.log).toEqual(['up b 1', 'down b', 'up b 2'])
  })

  it('keeps its promises under any faults, and runs alike for one seed', () => {
    const run = (seed: number): string => {
      const network = new LinkNetwork({ seed })
      const names = ['a', 'b', 'c', 'd']
      const running = new Map<string, Chatter>()
      const start = (name: string) => running.set(name, new Chatter(network.start(name)))
      for (const name of names) start(name)
      const faults: ((x: string, y: string) => void)[] = [
        (x, y) => network.cut(x, y),
        (x, y) => network.mend(x, y),
        (x, y) => network.drop(x, y),
        (x) => (network.isRunning(x) ? network.kill(x) : start(x)),
        (x) => network.isRunning(x) && network.freeze(x),
        (x) => network.isRunning(x) && network.thaw(x),
      ]
      for (let i = 0; i < 200; i++) {
        const [x, y] = [network.random.pick(names), network.random.pick(names)]
        if (network.random.below(2) === 0) network.random.pick(faults)(x, y)
        else if (network.isRunning(x) && !network.node(x).isFrozen) running.get(x)!.say()
        network.advance(network.random.below(30))
      }
      network.mendAll()
      for (const name of names) if (network.isRunning(name)) network.thaw(name)
      for (const name of names) if (!network.isRunning(name)) start(name)
      network.settle(10_000)
      for (const chatter of running.values()) {
        expect([...chatter.peers.keys()]).toHaveLength(3)
        for (const heard of chatter.heard.values()) {
          for (let i = 1; i < heard.length; i++) expect(heard[i]).toBeGreaterThan(heard[i - 1]!)
        }
      }
      return network.trace.hash
    }
    for (let seed = 1; seed <= 50; seed++) expect(run(seed)).toBe(run(seed))
  })
})
