/** All functions of OTP that a node exports by itself. */
import { Exports } from '../exports.ts'
import { appmonInfoExports } from './appmon-info.ts'
import { erlangExports } from './erlang.ts'
import { observerBackendExports } from './observer-backend.ts'
import {
  applicationExports,
  codeExports,
  genEventExports,
  moduleInfo,
  netAdmExports,
  netKernelExports,
  procLibExports,
  supervisorExports,
  sysExports,
  timerExports,
} from './otp.ts'
import { etsExports, mnesiaExports } from './tables.ts'

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
  exports.register('gen_event', genEventExports)
  exports.register('proc_lib', procLibExports)
  exports.register('observer_backend', observerBackendExports)
  exports.register('appmon_info', appmonInfoExports)
  exports.register('ets', etsExports)
  exports.register('mnesia', mnesiaExports)
  exports.registerForAll('module_info/1', moduleInfo)
  return exports
}
