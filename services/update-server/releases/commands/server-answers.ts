/** What these commands read of the update server's answers: an answer may hold more. */
import {Type, type Static} from 'typebox';
import {SemverText} from '../../../common/contracts/release.ts';

export const OfferedChannel = Type.Object({
  name: Type.String(),
  promotion: Type.Optional(Type.Object({version: SemverText})),
});
export type OfferedChannel = Static<typeof OfferedChannel>;

export const OfferedChannels = Type.Object({channels: Type.Array(OfferedChannel)});
