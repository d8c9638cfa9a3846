/** All functions of OTP that a node exports by itself. */
import { Exports } from '../exports.ts'
import { erlangExports } from './erlang.ts'
import { observerBackendExports } from './observer-backend.ts'
import {
  applicationExports,
  codeExports,
  netAdmExports,
  netKernelExports,
  supervisorExports,
  sysExports,
  timerExports,
} from './otp.ts'

/** The allow-list of a new node. */
export function otpExports(): Exports {
  const exports = new Exports()
  exports.register('erlang', erlangExports())
  exports.register('timer', timerExports)
  exports.register('application', applicationExports)
  exports.register('supervisor', supervisorExports)
  exports.register('sys', sysExports)
  exports.register('net_adm', netAdmExports)
  exports.register('net_kernel', netKernelExports)
  exports.register('code', codeExports)
  exports.register('observer_backend', observerBackendExports)
  return exports
}
