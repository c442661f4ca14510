/** A driver whose waiting takes a fraction of the time: what it waits for is as real as ever. */
import {systemClock, type Clock} from '../../../services/common/clock.ts';
import type {Driver, DriverHost} from '../../../machine-drivers/driver.ts';

/** A clock that runs `factor` times as fast. */
export function hurriedClock(factor: number): Clock {
  const start = Date.now();
  return {
    now: () => new Date(start + (Date.now() - start) * factor),
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

export function hurried(driver: Driver, factor: number): Driver {
  const clock = hurriedClock(factor);
  const quick = (host: DriverHost): DriverHost => ({...host, clock});
  return {
    ...driver,
    ensure: (step, machine, host) => driver.ensure(step, machine, quick(host)),
    start: (machine, host) => driver.start(machine, quick(host)),
    stop: (machine, host, grace) => driver.stop(machine, quick(host), grace),
    kill: (machine, host) => driver.kill(machine, quick(host)),
    destroy: (machine, host) => driver.destroy(machine, quick(host)),
  };
}
