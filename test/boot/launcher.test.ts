/** bin/node is a shell script that stands beside the real runtime: run here from a folder with a stand-in for the program. */
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const LAUNCHER = new URL('../../bin/node', import.meta.url).pathname
/** Where the runtime that runs this test is found. */
const RUNTIME = dirname(process.execPath)

let folder: string
let root: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agner-launcher-'))
  root = join(folder, 'a package')
  await mkdir(join(root, 'bin'), { recursive: true })
  await mkdir(join(root, 'build/src/boot'), { recursive: true })
  await copyFile(LAUNCHER, join(root, 'bin/node'))
  await writeFile(join(root, 'package.json'), '{"type":"module"}')
  const program = 'console.log(JSON.stringify(["agner", process.execArgv, process.argv.slice(2), process.cwd()]))'
  await writeFile(join(root, 'build/src/boot/main.js'), program)
})
afterAll(() => rm(folder, { recursive: true }))

/** Options of the runtime that nodes are started with. */
const SET_BY_US = ['--max-semi-space-size=8']

interface Ran {
  code: number
  stdout: string
  stderr: string
}

function run(
  program: string,
  args: string[],
  path: string[] = [RUNTIME, '/usr/bin', '/bin'],
  options = '',
): Promise<Ran> {
  const env = { ...process.env, PATH: path.join(':'), NODE_OPTIONS: options }
  return new Promise((resolve) => {
    execFile(program, args, { cwd: tmpdir(), env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}
const launcher = () => join(root, 'bin/node')
const agner = async (...args: string[]) => JSON.parse((await run(launcher(), args)).stdout) as unknown[]

describe('bin/node', () => {
  it('starts our program for each option of ours, with arguments and folder as they are', async () => {
    expect(await agner('--name', 'n1@127.0.0.1', '--set', 'a=b c', '', '*')).toEqual([
      'agner',
      SET_BY_US,
      ['--name', 'n1@127.0.0.1', '--set', 'a=b c', '', '*'],
      tmpdir(),
    ])
    for (const option of ['-name', '-setcookie', '--cookie', '--set=x=y', '--detached', '--hidden', '--sname']) {
      expect(await agner(option, 'x')).toEqual(['agner', SET_BY_US, [option, 'x'], tmpdir()])
    }
  })

  it("takes the runtime's options before ours", async () => {
    expect(await agner('--max-old-space-size=512', '--no-warnings', '--name', 'n1@127.0.0.1')).toEqual([
      'agner',
      [...SET_BY_US, '--max-old-space-size=512', '--no-warnings'],
      ['--name', 'n1@127.0.0.1'],
      tmpdir(),
    ])
  })

  it('leaves the size of the young generation to whoever has set it', async () => {
    const options = '--max-semi-space-size=32'
    const { stdout } = await run(launcher(), ['--name', 'x'], undefined, options)
    expect(JSON.parse(stdout)).toEqual(['agner', [], ['--name', 'x'], tmpdir()])
    const own = await agner(options, '--name', 'x')
    expect((own[1] as string[]).at(-1)).toBe(options)
  })

  it('is the runtime for everything else', async () => {
    expect((await run(launcher(), ['--version'])).stdout).toBe(`${process.version}\n`)
    expect((await run(launcher(), ['-v'])).stdout).toBe(`${process.version}\n`)
    expect((await run(launcher(), ['-e', 'console.log(process.argv.slice(1))', '--', '--name', 'x'])).stdout).toContain(
      '--name',
    )
    const script = join(folder, 'script.cjs')
    await writeFile(script, 'console.log(process.argv.slice(2).join()); process.exit(7)')
    expect(await run(launcher(), [script, '--name', 'x', '--set'])).toMatchObject({
      code: 7,
      stdout: '--name,x,--set\n',
    })
    expect((await run(launcher(), ['--no-such-option'])).code).toBe(9)
  })

  it('shows our help when that is all that is asked', async () => {
    expect(await agner('--help')).toEqual(['agner', SET_BY_US, ['--help'], tmpdir()])
    expect((await run(launcher(), ['-h'])).stdout).toContain('Usage: node [options]')
  })

  it('works through symbolic links, and from PATH', async () => {
    const links = join(folder, 'links')
    await mkdir(links)
    await symlink('../a package/bin/node', join(links, 'first'))
    await symlink(join(links, 'first'), join(links, 'node'))
    for (const program of [join(links, 'first'), join(links, 'node'), 'node']) {
      const { stdout } = await run(program, ['--name', 'x'], [links, RUNTIME, '/usr/bin', '/bin'])
      expect(JSON.parse(stdout)).toEqual(['agner', SET_BY_US, ['--name', 'x'], tmpdir()])
    }
  })

  it('never takes itself, a link to itself or a copy of itself for the runtime', async () => {
    const [link, copy] = [join(folder, 'link'), join(folder, 'copy')]
    await mkdir(link)
    await mkdir(copy)
    await symlink(launcher(), join(link, 'node'))
    await copyFile(LAUNCHER, join(copy, 'node'))
    await chmod(join(copy, 'node'), 0o755)
    const path = [dirname(launcher()), link, copy, RUNTIME, '/usr/bin', '/bin']
    expect((await run('node', ['--version'], path)).stdout).toBe(`${process.version}\n`)
    const tools = join(folder, 'tools')
    await mkdir(tools)
    for (const tool of ['sh', 'dirname', 'readlink']) await symlink(await which(tool), join(tools, tool))
    const none = await run(launcher(), ['--version'], [dirname(launcher()), link, copy, tools])
    expect(none).toMatchObject({ code: 127, stderr: expect.stringContaining('no Node.js on PATH') })
  })

  it('says what to do when nothing has been built', async () => {
    const bare = join(folder, 'bare/bin')
    await mkdir(bare, { recursive: true })
    await copyFile(LAUNCHER, join(bare, 'node'))
    const { code, stderr } = await run(join(bare, 'node'), ['--name', 'x'])
    expect([code, stderr]).toEqual([1, `agner: not built yet; run: cd ${join(folder, 'bare')} && npm ci\n`])
  })
})

async function which(tool: string): Promise<string> {
  return (await run('/bin/sh', ['-c', `command -v ${tool}`])).stdout.trim()
}
