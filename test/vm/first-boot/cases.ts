/** All cases, in the order in which they run. */
import {disksCase} from './disks.ts';
import {badConfigCase, powerCutCase} from './failures.ts';
import {fwCfgCase} from './fw-cfg.ts';
import {growCase, memoryCase, noSerialCase, scsiCase} from './hardware.ts';
import type {Case} from './lab.ts';
import {networkCase} from './network.ts';
import {awsCase, metalCase, openstackCase, virtualboxCase} from './platforms.ts';
import {foreignUkiCase, secureBootCase, verityBootCase, verityLaterCase} from './tamper.ts';

export const cases: readonly Case[] = [
  fwCfgCase,
  networkCase,
  disksCase,
  awsCase,
  openstackCase,
  virtualboxCase,
  metalCase,
  badConfigCase,
  powerCutCase,
  verityBootCase,
  verityLaterCase,
  secureBootCase,
  foreignUkiCase,
  growCase,
  memoryCase,
  scsiCase,
  noSerialCase,
];
