import { testSchedules } from './run-schedules.ts'

testSchedules(501, 500)
