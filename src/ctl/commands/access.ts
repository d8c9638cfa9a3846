/** `acl` and `alarms`: the access rules of this node, and what somebody should look at. */
import type { Alarm } from '../../broker/monitor/alarm.ts'
import { type Command, done, NOT_FOUND, OK, refused } from '../command.ts'
import { record, unixSeconds } from '../format.ts'

export const acl: Command = {
  name: 'acl',
  usages: [{ syntax: 'acl reload', text: 'Read the file of the access rules again' }],
  async run({ services: { access } }, words) {
    if (words.length !== 1 || words[0] !== 'reload') return undefined
    const parsed = await access.reload()
    return parsed.ok ? OK : refused(['The rules in force stay.', ...parsed.errors].join('\n'), 'bad_rules')
  },
}

export const alarms: Command = {
  name: 'alarms',
  usages: [
    { syntax: 'alarms list', text: 'Active alarms of this node, the oldest first' },
    { syntax: 'alarms clear <Id>', text: 'Clear an alarm; whoever still sees the condition raises it again' },
  ],
  run({ services }, [action, id, ...more]) {
    if (action === 'list' && id === undefined) {
      const all = services.alarms.list()
      return done(all.map(alarmLine), all)
    }
    if (action !== 'clear' || id === undefined || more.length > 0) return undefined
    return services.alarms.clear(id) ? OK : NOT_FOUND
  },
}

function alarmLine({ id, severity, title, summary, raisedAtMs }: Alarm): string {
  return record('Alarm', id, [
    ['severity', severity],
    ['title', title],
    ['summary', summary],
    ['raised_at', unixSeconds(raisedAtMs)],
  ])
}
