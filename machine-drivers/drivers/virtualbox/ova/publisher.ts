/** `hawser image publish --to virtualbox`: an appliance file that VirtualBox, and others, import. */
import {resolve} from 'node:path';
import {flagString} from '../../../../services/common/command.ts';
import type {Publisher} from '../../../publisher.ts';

export const virtualboxPublisher: Publisher = {
  target: 'virtualbox',
  flags: [
    {
      name: 'virtualbox-file',
      type: 'string',
      env: 'VIRTUALBOX_FILE',
      summary: 'the .ova to write; HAWSER_HOME/published/NAME-VERSION.ova when absent',
    },
  ],
  configure: (flags, {cwd}) => {
    const file = flagString(flags, 'virtualbox-file');
    return Promise.resolve(file === undefined ? {} : {file: resolve(cwd, file)});
  },
  // The archive's library is loaded only when one is written.
  publish: async (image, settings, host) =>
    (await import('./write.ts')).writeAppliance(image, settings, host),
};
