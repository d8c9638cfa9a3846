import { describe, expect, test } from 'vitest'
import {
  filterKey,
  isWildcard,
  matches,
  parseFilter,
  validateFilter,
  validateName,
} from '../../src/broker/routing/topic.ts'

const LIMITS = { maxLevels: 4, maxBytes: 12 }

describe('topic names', () => {
  test.each(['a', '/', '/a', 'a/', 'a//b', 'a b', '$SYS/x', 'Ĳ/é'])('%j is valid', (name) => {
    expect(validateName(name)).toBeUndefined()
  })

  test.each([
    ['', 'empty'],
    ['a/+', 'wildcard_in_name'],
    ['a#', 'wildcard_in_name'],
    ['a\0b', 'null_character'],
  ])('%j is refused as %s', (name, reason) => {
    expect(validateName(name)).toBe(reason)
  })

  test('limits count levels and bytes of UTF-8, and hold exactly', () => {
    expect(validateName('a/b/c/d', LIMITS)).toBeUndefined()
    expect(validateName('a/b/c/d/e', LIMITS)).toBe('too_many_levels')
    expect(validateName('123456789012', LIMITS)).toBeUndefined()
    expect(validateName('1234567890123', LIMITS)).toBe('too_long')
    expect(validateName('éééééé', LIMITS)).toBeUndefined()
    expect(validateName('ééééééa', LIMITS)).toBe('too_long')
  })
})

describe('topic filters', () => {
  test.each(['#', '+', '/', '/+', '+/#', 'a/#', 'a/+/b', '+/+', '$SYS/#', 'a//#'])('%j is valid', (filter) => {
    expect(validateFilter(filter)).toBeUndefined()
  })

  test.each([
    ['', 'empty'],
    ['a\0', 'null_character'],
    ['a#', 'misplaced_wildcard'],
    ['a/#/b', 'misplaced_wildcard'],
    ['#/a', 'misplaced_wildcard'],
    ['##', 'misplaced_wildcard'],
    ['a+', 'misplaced_wildcard'],
    ['a+/b', 'misplaced_wildcard'],
    ['+a', 'misplaced_wildcard'],
    ['++', 'misplaced_wildcard'],
    ['a/b+/c', 'misplaced_wildcard'],
  ])('%j is refused as %s', (filter, reason) => {
    expect(validateFilter(filter)).toBe(reason)
  })

  test('limits hold for filters too', () => {
    expect(validateFilter('a/+/c/#', LIMITS)).toBeUndefined()
    expect(validateFilter('a/+/c/+/#', LIMITS)).toBe('too_many_levels')
    expect(validateFilter('1234567890/#', LIMITS)).toBeUndefined()
    expect(validateFilter('12345678901/#', LIMITS)).toBe('too_long')
  })

  test('only filters with + or # are wildcards', () => {
    expect(['a', 'a/b', '$SYS/x'].map(isWildcard)).toEqual([false, false, false])
    expect(['#', 'a/+', 'a/+/b'].map(isWildcard)).toEqual([true, true, true])
  })
})

describe('prefixes of filters', () => {
  const parsed = (text: string) => {
    const result = parseFilter(text)
    if (!result.ok) throw new Error(result.reason)
    const { filter, group, local } = result.value
    return { filter, group, local }
  }

  test('a plain filter has neither group nor local', () => {
    expect(parsed('a/+')).toEqual({ filter: 'a/+', group: undefined, local: false })
    expect(parsed('$SYS/#')).toEqual({ filter: '$SYS/#', group: undefined, local: false })
    expect(parsed('$share')).toEqual({ filter: '$share', group: undefined, local: false })
    expect(parsed('$queue')).toEqual({ filter: '$queue', group: undefined, local: false })
  })

  test('$share/g/T is group g of T, and T keeps its own slashes', () => {
    expect(parsed('$share/g/a/#')).toEqual({ filter: 'a/#', group: 'g', local: false })
    expect(parsed('$share/g//')).toEqual({ filter: '/', group: 'g', local: false })
    expect(parsed('$share/g/$SYS/#')).toEqual({ filter: '$SYS/#', group: 'g', local: false })
  })

  test('$queue/T is the group $queue of T', () => {
    expect(parsed('$queue/T')).toEqual({ filter: 'T', group: '$queue', local: false })
    expect(parsed('$share/$queue/T')).toEqual(parsed('$queue/T'))
  })

  test('$local/T is local, also around and inside a group', () => {
    expect(parsed('$local/T')).toEqual({ filter: 'T', group: undefined, local: true })
    expect(parsed('$local/$share/g/T')).toEqual({ filter: 'T', group: 'g', local: true })
    expect(parsed('$share/g/$local/T')).toEqual({ filter: 'T', group: 'g', local: true })
    expect(parsed('$local/$queue/T')).toEqual({ filter: 'T', group: '$queue', local: true })
  })

  test.each([
    ['$share/g', 'invalid_share'],
    ['$share/', 'invalid_share'],
    ['$share//T', 'invalid_share'],
    ['$share/g/', 'empty'],
    ['$share/g+/T', 'invalid_share'],
    ['$share/#/T', 'invalid_share'],
    ['$share/a/$share/b/T', 'invalid_share'],
    ['$queue/$share/b/T', 'invalid_share'],
    ['$share/b/$queue/T', 'invalid_share'],
    ['$queue/$queue/T', 'invalid_share'],
    ['$queue/', 'empty'],
    ['$local/', 'empty'],
    ['$local/$local/T', 'invalid_share'],
    ['$share/g/a#', 'misplaced_wildcard'],
    ['', 'empty'],
  ])('%j is refused as %s', (text, reason) => {
    expect(parseFilter(text)).toEqual({ ok: false, reason })
  })

  test('every spelling of one subscription has one key', () => {
    const key = (text: string) => {
      const result = parseFilter(text)
      return result.ok ? result.value.key : result.reason
    }
    expect(key('a')).toBe('a')
    expect(key('$queue/T')).toBe('$share/$queue/T')
    expect(key('$share/g/$local/T')).toBe('$local/$share/g/T')
    expect(key('$local/$share/g/T')).toBe('$local/$share/g/T')
    expect(filterKey('T', undefined, true)).toBe('$local/T')
  })

  test('limits apply to the filter without its prefix', () => {
    expect(parseFilter('$local/$share/group/a/b/c/d', LIMITS).ok).toBe(true)
    expect(parseFilter('$share/g/a/b/c/d/e', LIMITS)).toEqual({ ok: false, reason: 'too_many_levels' })
  })
})

describe('matching', () => {
  test.each([
    ['sport/tennis/player1', 'sport/tennis/player1/#'],
    ['sport/tennis/player1/ranking', 'sport/tennis/player1/#'],
    ['sport', 'sport/#'],
    ['sport/', 'sport/+'],
    ['/finance', '+/+'],
    ['/finance', '/+'],
    ['sport/tennis', 'sport/+'],
    ['$SYS/monitor/Clients', '$SYS/#'],
    ['$SYS/monitor/Clients', '$SYS/monitor/+'],
    ['a//b', 'a/+/b'],
    ['a/$x', 'a/+'],
  ])('%j matches %j', (name, filter) => {
    expect(matches(name, filter)).toBe(true)
  })

  test.each([
    ['sport', 'sport/+'],
    ['sport/tennis/player1', 'sport/+'],
    ['/finance', '+'],
    ['$SYS/x', '#'],
    ['$SYS/x', '+/x'],
    ['$own/x', '+/x'],
    ['$own', '#'],
    ['a/b', 'a'],
    ['A', 'a'],
    ['ab', 'a/#'],
  ])('%j does not match %j', (name, filter) => {
    expect(matches(name, filter)).toBe(false)
  })
})
