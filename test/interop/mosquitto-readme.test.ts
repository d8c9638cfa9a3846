/**
 * "A cluster in one minute" of the README, as it is written: its commands in a shell, one after the other, print what it says. Only the ports are
 * the test's own, and bin/ is a folder of its own.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { program } from '../support/programs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PROGRAMS = { node: 'main', ctl: 'ctl-main', epmd: 'epmd-main' }

/** A folder with bin/ in it. */
async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'agner-readme-'))
  onTestFinished(() => rm(made, { recursive: true, force: true }))
  await mkdir(join(made, 'bin'))
  for (const [name, entry] of Object.entries(PROGRAMS)) {
    const path = join(made, 'bin', name)
    const words = [process.execPath, ...program(`src/boot/${entry}`)].map((word) => `'${word}'`)
    await writeFile(path, `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`)
    await chmod(path, 0o755)
  }
  return made
}

async function shell(script: string, cwd: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn('sh', ['-e', '-c', script], { cwd, env: { PATH: process.env.PATH, HOME: cwd, ...env } })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      out += chunk
    })
  }
  const [code] = (await once(child, 'close')) as [number]
  expect(code, out).toBe(0)
  return out
}

it('A cluster in one minute', { timeout: 180_000 }, async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
  const section = readme.split('### A cluster in one minute\n')[1]!
  const [commands, printed] = [...section.matchAll(/```(?:sh)?\n([\s\S]*?)```/g)].map((match) => match[1]!)
  const [first, second, epmd] = [await freePort(), await freePort(), await freePort()].map(String) as [
    string,
    string,
    string,
  ]
  const script = commands!.replaceAll('-p 1883', `-p ${first}`).replaceAll('2883', second)
  const env = { AGNER_EPMD_PORT: epmd, AGNER_LISTENERS__TCP__PORT: first }
  const cwd = await folder()
  // Whatever fails on the way, nothing is left running.
  const stop = (name: string) => `bin/ctl --name ${name}@127.0.0.1 --cookie secret stop || true`
  onTestFinished(() => shell(`${stop('n1')}; ${stop('n2')}; bin/epmd -kill || true`, cwd, env).then(() => {}))
  const lines = (await shell(script, cwd, env)).split('\n')
  const wanted = printed!.trimEnd().split('\n')
  expect(lines.filter((line) => wanted.includes(line))).toEqual(wanted)
})
