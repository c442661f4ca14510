/** Blessing, condemning, rebooting. */
import {exec} from '../../common/exec.ts';
import {describeError} from '../../common/errors.ts';
import type {BootPort} from '../ports.ts';
import type {Esp} from './esp.ts';

const BLESS = '/usr/lib/systemd/systemd-bless-boot';
const TIMEOUT_MS = 60_000;

/** `own` is the version that runs. */
export function systemBoot(esp: Esp, own: () => Promise<string>, log: (line: string) => void): BootPort {
  // systemd's own way first, which knows which entry was booted; by the entry's name where that does not work.
  const mark = async (word: 'good' | 'bad') => {
    try {
      await exec([BLESS, word], {timeoutMs: TIMEOUT_MS});
    } catch (error) {
      log(`systemd-bless-boot ${word}: ${describeError(error)}`);
    }
  };
  return {
    async bless() {
      try {
        const version = await own();
        if (esp.entryOf(await esp.list(), version) !== 'good') {
          await mark('good');
          await esp.bless(version);
        }
        return {kind: 'blessed'};
      } catch (error) {
        return {kind: 'bless-failed', detail: describeError(error)};
      }
    },
    async markBad(version) {
      await mark('bad');
      await esp.markBad(version);
    },
    async reboot() {
      try {
        // Returns at once; RebootWatchdogSec= is for a shutdown that hangs.
        await exec(['systemctl', 'reboot', '--no-wall', '--no-block'], {timeoutMs: TIMEOUT_MS});
        return {kind: 'reboot-requested'};
      } catch (error) {
        return {kind: 'reboot-failed', detail: describeError(error)};
      }
    },
  };
}
