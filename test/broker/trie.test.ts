import { describe, expect, test } from 'vitest'
import { Trie } from '../../src/broker/routing/trie.ts'

const trieOf = (...filters: string[]) => {
  const trie = new Trie()
  for (const filter of filters) trie.insert(filter)
  return trie
}

const shape = (trie: Trie) => ({ size: trie.size, nodes: trie.nodeCount, edges: trie.edgeCount, words: trie.wordCount })

describe('the trie', () => {
  test('has a node per prefix and an edge per word', () => {
    const trie = trieOf('t/+/x', 't/+/y', 't/#')
    expect([trie.nodeCount, trie.edgeCount]).toEqual([6, 5])
    expect([trie.edgesOf(undefined), trie.edgesOf('t'), trie.edgesOf('t/+')]).toEqual([1, 2, 2])
    expect([trie.edgesOf('t/+/x'), trie.edgesOf('t/#'), trie.edgesOf('t/y')]).toEqual([0, 0, undefined])
  })

  test('matches parents of # and single levels of +', () => {
    const trie = trieOf('t/+/x', 't/+/y', 't/#')
    expect(trie.match('t/b/x').sort()).toEqual(['t/#', 't/+/x'])
    expect(trie.match('t')).toEqual(['t/#'])
    expect(trie.match('t/a')).toEqual(['t/#'])
    expect(trie.match('u')).toEqual([])
  })

  test('keeps wildcards in the first level away from every topic that begins with $', () => {
    const trie = trieOf('#', '+/x', '+', '$own/+', '$own/#')
    expect(trie.match('$own/x').sort()).toEqual(['$own/#', '$own/+'])
    expect(trie.match('$SYS')).toEqual([])
    expect(trie.match('own/x').sort()).toEqual(['#', '+/x'])
  })

  test('appends to a list that it is given', () => {
    expect(trieOf('a/#').match('a', ['a'])).toEqual(['a', 'a/#'])
  })

  test('does not take a wildcard in a name for its own edge', () => {
    expect(trieOf('a/+/b').match('a/+/b')).toEqual(['a/+/b'])
    expect(trieOf('a/#').match('a/#')).toEqual(['a/#'])
  })

  test('inserting twice is one filter, deleting a stranger is none', () => {
    const trie = trieOf('a/+')
    const before = shape(trie)
    expect(trie.insert('a/+')).toBe(false)
    expect(trie.delete('a/#')).toBe(false)
    expect(trie.delete('a')).toBe(false)
    expect(trie.delete('b/+/c')).toBe(false)
    expect(shape(trie)).toEqual(before)
    expect([trie.has('a/+'), trie.has('a'), trie.has('a/#')]).toEqual([true, false, false])
  })

  test('deleting a filter keeps what another one needs', () => {
    const trie = trieOf('t/+/x', 't/+/y', 't/#', 't/+')
    expect(trie.delete('t/+')).toBe(true)
    expect([trie.nodeCount, trie.edgeCount]).toEqual([6, 5])
    trie.delete('t/+/x')
    expect([trie.nodeCount, trie.edgeCount]).toEqual([5, 4])
    expect(trie.match('t/1/y').sort()).toEqual(['t/#', 't/+/y'])
  })

  test('is empty, root and words included, when every filter is gone', () => {
    const trie = trieOf('t/+/x', 't/#', '#', '+', '/+/')
    for (const filter of ['#', '/+/', 't/#', '+', 't/+/x']) expect(trie.delete(filter)).toBe(true)
    expect(shape(trie)).toEqual({ size: 0, nodes: 0, edges: 0, words: 0 })
    expect(trie.match('t')).toEqual([])
    expect(trie.edgesOf(undefined)).toBeUndefined()
  })

  test('matches names and filters deeper than the stack', () => {
    const deep = 'a/'.repeat(30_000)
    const trie = trieOf(`${deep}#`, `${'+/'.repeat(30_000)}a`)
    expect(trie.match(`${deep}a`).length).toBe(2)
  })

  test('grows and shrinks over 20,000 filters', () => {
    const trie = new Trie()
    const filters = Array.from({ length: 20_000 }, (_, i) => `dev/u${i}/+/#`)
    for (const filter of filters) trie.insert(filter)
    expect([trie.size, trie.nodeCount]).toEqual([20_000, 60_002])
    expect(trie.match('dev/u777/x/y')).toEqual(['dev/u777/+/#'])
    for (const filter of filters) trie.delete(filter)
    expect(shape(trie)).toEqual({ size: 0, nodes: 0, edges: 0, words: 0 })
  })
})
