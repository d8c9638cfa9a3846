/** docs/mnesia-conformance.md, as the statements say it. */
import { CLUSTER_STATEMENTS } from './cluster-statements.ts'
import { STATEMENTS, type Statement } from './statements.ts'

const HEAD = `# Mnesia conformance

What Mnesia's reference manual says of its functions, in our own words, as far as it is claimed here. Each statement that is marked *same* or *differs* is a program of operations
([statements.ts](../test/conformance/mnesia/statements.ts), and of several nodes [cluster-statements.ts](../test/conformance/mnesia/cluster-statements.ts)) that tests run on our
tables and, where Erlang is installed, on Mnesia itself; random programs of one node are compared as well. What is not claimed stands at the end, with what there is instead. What our tables promise beyond Mnesia is in [mnesia.md](mnesia.md). Made by \`npm run conformance-table\`; a test fails when it is out of date.
`

/** The page. */
export function conformancePage(): string {
  const none = STATEMENTS.filter(({ program }) => program === undefined)
  const told = STATEMENTS.filter(({ program }) => program !== undefined)
  const lines = [HEAD, ...compared('one node', told), ...compared('several nodes', CLUSTER_STATEMENTS)]
  lines.push('## Not claimed', '', '| function | what it does | instead |', '| --- | --- | --- |')
  for (const { of, says, why } of none) lines.push(row(of, says, why!))
  return `${lines.join('\n')}\n`
}

function compared(nodes: string, statements: readonly Omit<Statement, 'program'>[]): string[] {
  const same = statements.filter(({ ours }) => ours === undefined)
  const different = statements.filter(({ ours }) => ours !== undefined)
  const lines = [
    `## The same, on ${nodes}: ${same.length} statements`,
    '',
    '| function | what it says |',
    '| --- | --- |',
  ]
  for (const { of, says } of same) lines.push(row(of, says))
  lines.push('', `## Different on purpose, on ${nodes}: ${different.length}`, '')
  lines.push('| function | what Mnesia does | here | why |', '| --- | --- | --- | --- |')
  for (const statement of different) lines.push(row(statement.of, statement.says, here(statement), statement.why!))
  return [...lines, '']
}

function here({ ours }: Pick<Statement, 'ours'>): string {
  return ours!.length === 0 ? 'nothing happens' : `\`${ours!.map((result) => JSON.stringify(result)).join(', ')}\``
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
