/** A setting that nothing reads and a counter that nothing counts would be promises that nobody keeps. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SETTINGS } from '../../src/boot/config-file.ts'
import { HOOK_NAMES, type HookName } from '../../src/broker/hooks.ts'
import { METRIC_NAMES } from '../../src/broker/monitor/metrics.ts'
import { flatten } from '../../src/broker/settings.ts'

const SRC = new URL('../../src', import.meta.url).pathname

/** All of the source but where things are declared, without comments. */
function codeWithout(declarations: RegExp): string {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !declarations.test(path))
    .map((path) => readFileSync(join(SRC, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''))
    .join('\n')
}

const code = codeWithout(/^(boot\/config-file|broker\/(config|settings|metrics))\.ts$/)
const callers = codeWithout(/^broker\/hooks\.ts$/)

/** Decisions have a method each. */
const METHODS: Partial<Record<HookName, string>> = {
  'client.auth_step': 'hooks.authStep(',
  'client.authenticate': 'hooks.authenticate(',
  'client.authorize': 'hooks.authorize(',
  'client.subscribe': 'hooks.subscribe(',
  'client.unsubscribe': 'hooks.unsubscribe(',
  'message.publish': 'hooks.publish(',
}

/** Names that are put together, such as those in `delivery/dropped/${reason}`, by their prefix. */
const prefixes = [...code.matchAll(/`([a-z0-9_]+\/[a-z0-9_/]*)\$\{/g)].map(([, prefix]) => prefix!)

describe('the source', () => {
  it.each(flatten(SETTINGS).map(([path, { field }]) => [path.join('.'), field]))('reads %s', (_, field) => {
    expect(code).toMatch(new RegExp(`\\b${field}\\b`))
  })

  it.each(METRIC_NAMES)('counts %s', (name) => {
    expect(code.includes(`'${name}'`) || prefixes.some((prefix) => name.startsWith(prefix))).toBe(true)
  })

  it.each(HOOK_NAMES)('runs %s', (name) => {
    expect(callers.includes(METHODS[name] ?? `hooks.notify('${name}'`)).toBe(true)
  })
})
