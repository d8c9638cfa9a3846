/** The trie against a list of filters that is scanned with `matches`, over random inserts, deletes and names. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matches } from '../../src/broker/routing/topic.ts'
import { Trie } from '../../src/broker/routing/trie.ts'

const word = fc.constantFrom('a', 'b', '', '$x', 'ab')
const name = fc.array(word, { minLength: 1, maxLength: 4 }).map((list) => list.join('/') || 'a')
const filter = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('+')), { minLength: 0, maxLength: 4 }), fc.boolean())
  .map(([list, rest]) => (rest ? [...list, '#'] : list).join('/'))
  .map((text) => (/[+#]/.test(text) ? text : text === '' ? '#' : `${text}/#`))

const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('insert' as const), filter }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('delete' as const), filter }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('match' as const), name }) },
)

/** Nodes that a set of filters needs: its distinct prefixes and the root. */
function prefixes(filters: Iterable<string>): number {
  const nodes = new Set<string>()
  for (const text of filters) {
    const list = text.split('/')
    for (let i = 0; i <= list.length; i++) nodes.add(JSON.stringify(list.slice(0, i)))
  }
  return nodes.size
}

test('the trie agrees with a scan of a list, in matches and in size, and ends empty', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), fc.array(name, { maxLength: 5 }), (commands, names) => {
      const trie = new Trie()
      const model = new Set<string>()
      for (const step of commands) {
        if (step.op === 'insert') {
          expect(trie.insert(step.filter)).toBe(!model.has(step.filter))
          model.add(step.filter)
        } else if (step.op === 'delete') {
          expect(trie.delete(step.filter)).toBe(model.delete(step.filter))
        } else {
          expect(trie.match(step.name).sort()).toEqual([...model].filter((f) => matches(step.name, f)).sort())
        }
        expect(trie.size).toBe(model.size)
        expect(trie.nodeCount).toBe(prefixes(model))
        expect(trie.edgeCount).toBe(Math.max(0, trie.nodeCount - 1))
      }
      for (const text of names) {
        expect(trie.match(text).sort()).toEqual([...model].filter((f) => matches(text, f)).sort())
      }
      for (const text of model) expect(trie.delete(text)).toBe(true)
      expect([trie.size, trie.nodeCount, trie.edgeCount, trie.wordCount]).toEqual([0, 0, 0, 0])
    }),
    { numRuns: 400 },
  )
})
