/**
 * The registry of normative statements: which there are, whom each binds, and which tests show it.
 *
 * The lists are written by hand (`statements-mqtt311.ts`, `statements-mqtt5.ts`); the tests are found by their names,
 * which begin with the ids in brackets. `statements.test.ts` holds the two together and keeps docs/mqtt-conformance.md,
 * made by `node --import tsx test/conformance/table.ts`, up to date.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { MQTT5_STATEMENTS } from './statements-mqtt5.ts'
import { MQTT311_STATEMENTS } from './statements-mqtt311.ts'

/** One normative statement. */
export interface Statement {
  /** Without the leading `MQTT-`, as the standard writes it. */
  readonly id: string
  readonly subject: 'server' | 'client' | 'both'
  readonly text: string
  /** Why no test of a running server shows it; undefined when a test must. */
  readonly untested: string | undefined
}

/** A standard, its statements, and the prefix of the files that test it. */
export interface Standard {
  readonly title: string
  readonly filePrefix: string
  readonly statements: readonly Statement[]
}

function parse(list: string): Statement[] {
  return list
    .trim()
    .split('\n')
    .map((line) => {
      const [id, subject, text, untested] = line.split('|').map((part) => part.trim())
      if (!id || !text || (subject !== 'server' && subject !== 'client' && subject !== 'both')) {
        throw new Error(`not a statement: ${line}`)
      }
      return { id, subject, text, untested }
    })
}

/** The two standards. */
export const STANDARDS: readonly Standard[] = [
  { title: 'MQTT 3.1.1', filePrefix: 'mqtt311-', statements: parse(MQTT311_STATEMENTS) },
  { title: 'MQTT 5.0', filePrefix: 'mqtt5-', statements: parse(MQTT5_STATEMENTS) },
]

/** The files whose test names begin with each id, by id. */
export function testFilesById(standard: Standard): Map<string, string[]> {
  const folder = new URL('.', import.meta.url)
  const byId = new Map<string, string[]>()
  for (const file of readdirSync(folder).sort()) {
    if (!file.startsWith(standard.filePrefix) || !file.endsWith('.test.ts')) continue
    for (const [, ids = ''] of readFileSync(new URL(file, folder), 'utf8').matchAll(/['`]((?:\[MQTT-[^\]]+\] ?)+)/g)) {
      for (const [, id = ''] of ids.matchAll(/\[MQTT-([^\]]+)\]/g)) {
        const files = byId.get(id) ?? []
        if (!files.includes(file)) byId.set(id, [...files, file])
      }
    }
  }
  return byId
}

/** docs/mqtt-conformance.md, whole. */
export function conformanceTable(): string {
  const lines = [
    '# MQTT conformance',
    '',
    'Every normative statement of the two OASIS standards, in our own words, with the tests that show it, or the reason',
    'why no test of a running server can. The tests speak raw bytes over TCP to a running broker; each is named by the',
    'ids that it shows. Made by `npm run conformance-table` from test/conformance; a test fails when it is out of date.',
  ]
  for (const standard of STANDARDS) {
    const files = testFilesById(standard)
    const tested = standard.statements.filter(({ id }) => files.has(id)).length
    lines.push('', `## ${standard.title}`, '')
    lines.push(`${standard.statements.length} statements, ${tested} with a test.`, '')
    lines.push('| statement | binds | what it says | test, or why none |', '| --- | --- | --- | --- |')
    for (const { id, subject, text, untested } of standard.statements) {
      const shown = files.get(id)?.map((file) => `[${file}](../test/conformance/${file})`)
      lines.push(`| MQTT-${id} | ${subject} | ${text} | ${shown?.join(', ') ?? untested ?? 'no test'} |`)
    }
  }
  return `${lines.join('\n')}\n`
}
