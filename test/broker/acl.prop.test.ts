import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aclClient, checkAcl } from '../../src/broker/access/acl.ts'
import { parseAcl } from '../../src/broker/access/acl-file.ts'
import { matches } from '../../src/broker/routing/topic.ts'

const client = aclClient('c', 'u', '10.0.0.1')
const word = fc.constantFrom('a', 'b', '$s')
const name = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('/'))
const filter = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('+')), { maxLength: 3 }), fc.boolean())
  .map(([words, hash]) => (hash || words.length === 0 ? [...words, '#'] : words).join('/'))

/** Every topic of up to five levels of the words: enough to tell any two of the filters above apart. */
const TOPICS: string[] = []
for (let level = [''], depth = 0; depth < 5; depth++) {
  level = level.flatMap((prefix) => ['a', 'b', '$s', 'z'].map((next) => (prefix === '' ? next : `${prefix}/${next}`)))
  TOPICS.push(...level)
}

function decide(permission: 'allow' | 'deny', rule: string, action: 'publish' | 'subscribe', topic: string): boolean {
  const parsed = parseAcl(`{${permission}, all, pubsub, ["${rule}"]}.`, 'x')
  if (!parsed.ok) throw new Error(parsed.errors.join())
  return checkAcl(parsed.rules, client, action, topic) === permission
}

describe('a rule', () => {
  it('is about a publish when its filter matches the topic', () => {
    fc.assert(
      fc.property(filter, name, fc.constantFrom('allow', 'deny'), (rule, topic, permission) => {
        expect(decide(permission, rule, 'publish', topic)).toBe(matches(topic, rule))
      }),
    )
  })

  it('that allows is about a subscription when it matches every topic of it', () => {
    fc.assert(
      fc.property(filter, filter, (rule, asked) => {
        const expected = TOPICS.every((topic) => !matches(topic, asked) || matches(topic, rule))
        expect(decide('allow', rule, 'subscribe', asked)).toBe(expected)
      }),
    )
  })

  it('that denies is about a subscription when it matches some topic of it', () => {
    fc.assert(
      fc.property(filter, filter, (rule, asked) => {
        const expected = TOPICS.some((topic) => matches(topic, asked) && matches(topic, rule))
        expect(decide('deny', rule, 'subscribe', asked)).toBe(expected)
      }),
    )
  })

  it('parser answers any text with rules or errors', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      '.',
      'allow',
      'all',
      'deny',
      '"a"',
      "'or'",
      'publish',
      '\n',
      '%',
      ' ',
    )
    fc.assert(
      fc.property(fc.array(piece), fc.string(), (pieces, noise) => {
        const parsed = parseAcl(pieces.join('') + noise, 'x')
        if (!parsed.ok) for (const error of parsed.errors) expect(error).toMatch(/^x:\d+: /)
      }),
    )
  })
})
