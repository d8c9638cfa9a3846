/** Writes the published tables from the statements and the names of the tests: `node --import tsx test/conformance/table.ts`. */
import { writeFileSync } from 'node:fs'
import { conformancePage } from './mnesia/published.ts'
import { conformanceTable } from './statements.ts'

writeFileSync(new URL('../../docs/mqtt-conformance.md', import.meta.url), conformanceTable())
writeFileSync(new URL('../../docs/mnesia-conformance.md', import.meta.url), conformancePage())
