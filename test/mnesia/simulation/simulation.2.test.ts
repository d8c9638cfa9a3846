import { testSchedules } from './run-schedules.ts'

testSchedules(401, 400)
