/** `users`: the users that the broker knows itself. */
import { hashPassword } from '../../broker/access/auth-password.ts'
import { type Command, done, OK, refused } from '../command.ts'
import { tooMany } from '../format.ts'

const SALT_BYTES = 16

export const users: Command = {
  name: 'users',
  usages: [
    { syntax: 'users list', text: 'Names of all users' },
    { syntax: 'users add <Username> <Password>', text: 'Add a user, or change the password of one' },
    { syntax: 'users del <Username>', text: 'Delete a user' },
  ],
  async run({ runtime, services }, [action, name, password, ...more]) {
    const known = services.access.users
    if (action === 'list' && name === undefined) {
      const names = known.names().sort()
      const refusal = tooMany('users', names.length)
      if (refusal !== undefined) return refusal
      return done(names, names)
    }
    if (more.length > 0 || name === undefined) return undefined
    if (action === 'add' && password !== undefined) {
      const salt = new Uint8Array(SALT_BYTES)
      runtime.system.randomFill(salt)
      known.add(name, await hashPassword(Buffer.from(password), salt))
      return OK
    }
    if (action !== 'del' || password !== undefined) return undefined
    return known.delete(name)
      ? OK
      : refused(`Error: there is no user ${name} that was added by this command`, 'not_found')
  },
}
