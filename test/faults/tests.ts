/** Tests of the suite with a deliberate fault in the broker. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Fault } from './fault.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url))
const CONFIG = fileURLToPath(new URL('./vitest.config.ts', import.meta.url))

/** What vitest writes of a run: the part that is read. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/** A test, as `file: title`, and what it says. */
export interface TestFailure {
  readonly test: string
  readonly message: string
}

/**
 * Runs test files, or folders of them, with a fault in the broker, one of them after the other; `title`: only the tests whose names end with that. Resolves
 * with the first that fails; undefined when all pass. What has no end within the bound has failed. Throws when no test has run.
 */
export async function firstFailure(
  { what, changes }: Fault,
  files: readonly string[],
  boundSec: number,
  title?: string,
): Promise<TestFailure | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'agner-fault-'))
  const outputFile = join(folder, 'report.json')
  const pattern = title === undefined ? [] : ['-t', `${title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`]
  const args = [
    VITEST,
    'run',
    '--config',
    CONFIG,
    '--reporter=json',
    `--outputFile=${outputFile}`,
    ...pattern,
    ...files,
  ]
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, FAULT: JSON.stringify(changes) },
    stdio: 'ignore',
    detached: true,
  })
  // Its worker has a process of its own.
  const kill = () => process.kill(-child.pid!, 'SIGKILL')
  process.on('exit', kill)
  let isOver = false
  const timer = setTimeout(() => {
    isOver = true
    kill()
  }, boundSec * 1000)
  try {
    await new Promise((resolve) => child.on('exit', resolve))
    process.off('exit', kill)
    clearTimeout(timer)
    if (isOver) return { test: files.join(' '), message: `no end after ${boundSec} s` }
    const { testResults } = JSON.parse(readFileSync(outputFile, 'utf8')) as Report
    const ran = testResults.flatMap(({ name, assertionResults }) => {
      return assertionResults.map((each) => ({ ...each, file: relative(ROOT, name) }))
    })
    const failed = ran.find(({ status }) => status === 'failed')
    if (failed !== undefined) {
      return { test: `${failed.file}: ${failed.fullName}`, message: failed.failureMessages[0] ?? '' }
    }
    const broken = testResults.find(({ status }) => status === 'failed')
    if (broken !== undefined) return { test: relative(ROOT, broken.name), message: broken.message }
    if (!ran.some(({ status }) => status === 'passed'))
      throw new Error(`${what}: no test of ${files.join(' ')} has run`)
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
