import { describe, expect, it } from 'vitest'
import { parseArgs } from '../../src/boot/args.ts'

const parse = (...argv: string[]) => parseArgs(argv, '1.2.3')
const started = (...argv: string[]) => {
  const invocation = parse(...argv)
  if (invocation.kind !== 'start') throw new Error(JSON.stringify(invocation))
  return invocation.options
}
const refusal = (...argv: string[]) => {
  const invocation = parse(...argv)
  return invocation.kind === 'refuse' ? invocation.problem : undefined
}

describe('the command line', () => {
  it('takes a name, a cookie, a file, a directory and any number of --set', () => {
    const line = '--name n1@127.0.0.1 --cookie x --config a.toml --data-dir d --set a=1 --set b=2'
    expect(started(...line.split(' '))).toEqual({
      name: 'n1@127.0.0.1',
      cookie: 'x',
      config: 'a.toml',
      dataDir: 'd',
      sets: ['a=1', 'b=2'],
      detached: false,
    })
  })

  it("takes Erlang's spellings", () => {
    expect(started('-name', 'n1@127.0.0.1', '-setcookie', 'x', '-detached')).toMatchObject({
      name: 'n1@127.0.0.1',
      cookie: 'x',
      detached: true,
    })
    expect(started('-name=n1@127.0.0.1').name).toBe('n1@127.0.0.1')
  })

  it('puts the data directory under the name of the node', () => {
    expect(started('--name', 'n1@127.0.0.1').dataDir).toBe('data/n1@127.0.0.1')
  })

  it('needs a name', () => {
    expect(refusal('--cookie', 'x')).toBe('a node needs a name: --name n1@127.0.0.1')
  })

  it.each([['--sname', 'n1'], ['--hidden'], ['--join', 'n2@127.0.0.1'], ['--console'], ['--yes']])(
    'says that %s is not available yet',
    (...option) => {
      expect(refusal('--name', 'n1@127.0.0.1', ...option)).toContain(`${option[0]} is not available yet: `)
    },
  )

  it('refuses unknown options with the one that was meant, stray words and missing values', () => {
    expect(refusal('--nam', 'x')).toBe("unknown option '--nam' (Did you mean --name?)")
    expect(refusal('--name', 'n1@127.0.0.1', 'stray')).toContain('too many arguments')
    expect(refusal('--name')).toContain("option '--name <NAME@HOST>' argument missing")
  })

  it('prints help and version', () => {
    expect(parse('--version')).toEqual({ kind: 'print', text: '1.2.3\n' })
    const help = parse('--help')
    expect(help.kind).toBe('print')
    for (const option of ['--name', '--cookie', '--config', '--data-dir', '--set', '--detached', '--hash-password']) {
      expect(help.kind === 'print' && help.text).toContain(option)
    }
  })
})
