import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { aclClient, checkAcl, DEFAULT_ACL, defaultRules } from '../../src/broker/access/acl.ts'
import { type AclRule, parseAcl } from '../../src/broker/access/acl-file.ts'

function rules(text: string): readonly AclRule[] {
  const parsed = parseAcl(text, 'acl.conf')
  if (!parsed.ok) throw new Error(parsed.errors.join('\n'))
  return parsed.rules
}
const errors = (text: string) => {
  const parsed = parseAcl(text, 'acl.conf')
  return parsed.ok ? [] : parsed.errors
}

const bob = aclClient('c1', 'bob', '10.1.2.3')
const verdict = (text: string, action: 'publish' | 'subscribe', topic: string, client = bob) =>
  checkAcl(rules(text), client, action, topic)

describe('access rules', () => {
  it('go by the first that is about the access', () => {
    const text = '{deny, all, publish, ["a"]}. {allow, all, publish, ["#"]}. {deny, all}.'
    expect(verdict(text, 'publish', 'a')).toBe('deny')
    expect(verdict(text, 'publish', 'b')).toBe('allow')
    expect(verdict(text, 'subscribe', 'b')).toBe('deny')
    expect(verdict('{deny, all, publish, ["a"]}.', 'publish', 'b')).toBe('nomatch')
    expect(verdict('', 'publish', 'b')).toBe('nomatch')
  })

  it.each([
    ['all', true],
    ['{client, "c1"}', true],
    ['{client, "c2"}', false],
    ['{client, all}', true],
    ['{user, "bob"}', true],
    ['{user, "eve"}', false],
    ['{user, all}', true],
    ['{ipaddr, "10.0.0.0/8"}', true],
    ['{ipaddr, "127.0.0.1"}', false],
    [`{'and', [{user, "bob"}, {ipaddr, "10.0.0.0/8"}]}`, true],
    [`{'and', [{user, "bob"}, {ipaddr, "11.0.0.0/8"}]}`, false],
    [`{'or', [{user, "eve"}, {ipaddr, "10.0.0.0/8"}]}`, true],
    [`{'or', [{user, "eve"}, {'and', [{client, "c1"}, {user, "eve"}]}]}`, false],
  ])('about %s are about the client: %s', (who, expected) => {
    expect(verdict(`{allow, ${who}, pubsub, ["t"]}.`, 'publish', 't')).toBe(expected ? 'allow' : 'nomatch')
  })

  it('about users are about nobody who has no user name', () => {
    const anonymous = aclClient('c1', undefined, '10.1.2.3')
    expect(verdict('{allow, {user, all}, pubsub, ["t"]}.', 'publish', 't', anonymous)).toBe('nomatch')
    expect(verdict('{allow, all, pubsub, ["%u/t"]}.', 'publish', 'undefined/t', anonymous)).toBe('nomatch')
  })

  it.each(['%c', '$c'])('with %s stand for the client id, as one level', (level) => {
    const text = `{allow, all, pubsub, ["c/${level}/#"]}.`
    expect(verdict(text, 'publish', 'c/c1/x')).toBe('allow')
    expect(verdict(text, 'subscribe', 'c/c1/#')).toBe('allow')
    expect(verdict(text, 'publish', 'c/c2/x')).toBe('nomatch')
    expect(verdict(text, 'subscribe', 'c/+/#')).toBe('nomatch')
  })

  it('give nothing to a client whose id looks like a wildcard or like levels', () => {
    const text = '{allow, all, pubsub, ["c/%c/x", "d/%c"]}.'
    for (const id of ['+', '#', 'a/b']) {
      const client = aclClient(id, undefined, '10.1.2.3')
      expect(verdict(text, 'publish', 'c/other/x', client)).toBe('nomatch')
      expect(verdict(text, 'subscribe', 'c/+/x', client)).toBe('nomatch')
      expect(verdict(text, 'publish', 'd/a/b', client)).toBe('nomatch')
    }
  })

  it('with eq are about that filter only', () => {
    const text = '{deny, all, subscribe, [{eq, "#"}, {eq, "a/+"}]}. {allow, all}.'
    expect(verdict(text, 'subscribe', '#')).toBe('deny')
    expect(verdict(text, 'subscribe', 'a/+')).toBe('deny')
    expect(verdict(text, 'subscribe', 'a/b')).toBe('allow')
  })

  it.each([
    ['a/+', 'a/b', true],
    ['a/+', 'a/+', true],
    ['a/+', 'a/#', false],
    ['a/+', '+/b', false],
    ['a/#', 'a/#', true],
    ['a/#', 'a', true],
    ['a/#', 'a/+/c/#', true],
    ['#', 'a/#', true],
    ['#', '$SYS/#', false],
    ['+/a', '$SYS/a', false],
    ['+/+', '#', false],
  ])('that allow %s let a client subscribe %s: %s', (allowed, asked, expected) => {
    expect(verdict(`{allow, all, subscribe, ["${allowed}"]}.`, 'subscribe', asked)).toBe(expected ? 'allow' : 'nomatch')
  })

  it.each([
    ['secret/#', '#', true],
    ['secret/#', '+/x', true],
    ['secret/#', 'secret', true],
    ['secret/+/x', 'secret/a/#', true],
    ['secret/+/x', '+/a/+', true],
    ['secret/+/x', '+/a/y', false],
    ['secret/#', 'public/#', false],
    ['$SYS/#', '#', false],
    ['$SYS/#', '+/brokers', false],
    ['$SYS/#', '$SYS/brokers', true],
    ['a/b', 'a/b/c', false],
    ['+', '$SYS', false],
  ])('that deny %s keep a client from subscribing %s: %s', (denied, asked, expected) => {
    expect(verdict(`{deny, all, subscribe, ["${denied}"]}.`, 'subscribe', asked)).toBe(expected ? 'deny' : 'nomatch')
  })
})

describe('the rules as shipped', () => {
  const local = aclClient('c', undefined, '127.0.0.1')
  const dashboard = aclClient('c', 'dashboard', '10.0.0.1')
  const check = (client: typeof bob, action: 'publish' | 'subscribe', topic: string) =>
    checkAcl(defaultRules(), client, action, topic)

  it('show $SYS and # to clients on the same machine only, and $SYS to the user dashboard', () => {
    for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect(check(aclClient('c', undefined, host), 'subscribe', '$SYS/#')).toBe('allow')
      expect(check(aclClient('c', undefined, host), 'subscribe', '#')).toBe('allow')
    }
    expect(check(dashboard, 'subscribe', '$SYS/brokers')).toBe('allow')
    expect(check(dashboard, 'subscribe', '#')).toBe('deny')
    expect(check(bob, 'subscribe', '$SYS/brokers/n1/uptime')).toBe('deny')
    expect(check(bob, 'subscribe', '#')).toBe('deny')
    expect(check(bob, 'subscribe', 'a/#')).toBe('allow')
    expect(check(bob, 'publish', 'a/b')).toBe('allow')
  })

  it('let nobody publish below $SYS', () => {
    for (const client of [local, dashboard, bob]) expect(check(client, 'publish', '$SYS/brokers')).toBe('deny')
  })

  it('are those of etc/acl.conf', async () => {
    const text = await readFile(new URL('../../etc/acl.conf', import.meta.url), 'utf8')
    const withoutLines = (all: readonly AclRule[]) => all.map((rule) => ({ ...rule, line: 0 }))
    expect(withoutLines(rules(text))).toEqual(withoutLines(rules(DEFAULT_ACL)))
  })
})

describe('a mistake in an access file', () => {
  it.each([
    ['{allow, all}', 'expected a full stop after the rule, found the end of the file'],
    ['{permit, all}.', 'a rule is {allow | deny, all} or'],
    ['{allow, bob}.', 'a rule of two parts is {allow, all}'],
    ['{allow, all, read, ["a"]}.', 'the third part of a rule must be subscribe, publish or pubsub'],
    ['{allow, all, publish, []}.', 'the fourth part of a rule must be a list of topic filters'],
    ['{allow, all, publish, "a"}.', 'the fourth part of a rule must be a list of topic filters'],
    ['{allow, all, publish, ["a#"]}.', '"a#" is not a topic filter'],
    ['{allow, all, publish, ["#/a"]}.', '"#/a" is not a topic filter'],
    ['{allow, all, publish, [{eq, a}]}.', 'a topic filter must be "filter" or {eq, "filter"}'],
    ['{allow, {ipaddr, "10.0.0.0/64"}, publish, ["a"]}.', '{ipaddr, ...} takes "address" or "address/bits"'],
    ['{allow, {group, "x"}, publish, ["a"]}.', 'the second part must be all, {client, "id"}'],
    ['{allow, {\'and\', []}, publish, ["a"]}.', "{'and', ...} takes a list of"],
    ['{allow, {user, bob}, publish, ["a"]}.', '{user, ...} takes a string or all'],
    ['{allow, all, publish, ["a]}.', 'the " has no end on its line'],
    ['{allow; all}.', 'expected , or }, found ";"'],
    ['Allow.', 'expected a tuple, a list, a string or a word, found "A"'],
    [`${'['.repeat(100)}.`, 'the rule is nested too deeply'],
  ])('%s is reported', (text, expected) => {
    const found = errors(`%% a comment {\n\n${text}\n`)
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(expected)
    expect(found[0]).toMatch(/^acl.conf:[34]: /)
  })

  it('is reported with the others, each with its line', () => {
    const found = errors(
      '{allow, nobody}.\n{allow, all}.\n{deny, all, publish ["a"]}.\n\n{deny, all,\n write, ["a"]}.\n',
    )
    expect(found.map((error) => error.split(': ')[0])).toEqual(['acl.conf:1', 'acl.conf:3', 'acl.conf:6'])
  })

  it('is not a rule over several lines, a comment, or an escape', () => {
    const [rule] = rules('{allow, % who\n  {client, "say \\"hi\\""},\n publish, ["a"]}. % end')
    expect(rule).toMatchObject({ who: { kind: 'client', id: 'say "hi"' }, line: 1 })
  })
})
