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
      isShortName: false,
      hidden: false,
      join: undefined,
      yes: false,
      rename: false,
      cookie: 'x',
      config: 'a.toml',
      dataDir: 'd',
      sets: ['a=1', 'b=2'],
      detached: false,
      console: false,
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

  it('takes a short name, alone or with a host, and no second name', () => {
    expect(started('-sname', 'n1')).toMatchObject({ name: 'n1', isShortName: true })
    expect(started('--sname=n1@host')).toMatchObject({ name: 'n1@host', isShortName: true })
    expect(refusal('--name', 'n1@127.0.0.1', '--sname', 'n1')).toContain('give --name or --sname, not both')
  })

  it('takes a node to join, what goes with it, and whether to be hidden', () => {
    const line = ['--name', 'n1@127.0.0.1', '--join', 'n2@127.0.0.1', '--yes', '-hidden']
    expect(started(...line)).toMatchObject({ join: 'n2@127.0.0.1', hidden: true })
    expect(refusal('--name', 'n1@127.0.0.1', '--yes')).toBe('--yes goes with --join, and there is no --join')
  })

  it('needs a name', () => {
    expect(refusal('--cookie', 'x')).toBe('a node needs a name: --name n1@127.0.0.1')
  })

  it('refuses a shell in the background', () => {
    expect(refusal('--name', 'n1@127.0.0.1', '--console', '--detached')).toContain('--console needs the terminal')
  })

  it('refuses unknown options with the one that was meant, stray words and missing values', () => {
    expect(refusal('--nam', 'x')).toBe("unknown option '--nam' (Did you mean --name?)")
    expect(refusal('--name', 'n1@127.0.0.1', 'stray')).toContain('too many arguments')
    expect(refusal('--name')).toContain("option '--name <NAME@HOST>' argument missing")
  })

  it('prints help and version', () => {
    expect(parse('--version')).toEqual({ kind: 'print', text: '1.2.3\n' })
    const help = parse('--help')
    expect(help.kind).toBe('print')
    const options =
      '--name --sname --cookie --hidden --join --yes --config --data-dir --set --detached --hash-password'.split(' ')
    for (const option of options) expect(help.kind === 'print' && help.text).toContain(option)
  })
})
