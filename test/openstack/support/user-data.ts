/** What Nova keeps as a server's user data, read as the machine would read it. */
import {gunzipSync} from 'node:zlib';
import {Type} from 'typebox';
import {EnrolmentConfig} from '../../../services/common/contracts/enrolment.ts';
import {parseJson} from '../../../services/common/parse.ts';
import type {Session} from '../../../machine-drivers/drivers/openstack/client/session.ts';

const Served = Type.Object({server: Type.Object({'OS-EXT-SRV-ATTR:user_data': Type.String()})});

const Ignition = Type.Object({
  passwd: Type.Object({users: Type.Array(Type.Object({sshAuthorizedKeys: Type.Array(Type.String())}))}),
  storage: Type.Object({
    files: Type.Array(
      Type.Object({
        path: Type.String(),
        contents: Type.Object({source: Type.String(), compression: Type.Optional(Type.String())}),
      }),
    ),
  }),
});

/** As text; only administrators are shown it. */
export async function userDataOf(admin: Session, serverId: string): Promise<string> {
  const {server} = await admin.ask('compute', {method: 'GET', path: `/servers/${serverId}`}, Served);
  return Buffer.from(server['OS-EXT-SRV-ATTR:user_data'], 'base64').toString();
}

/** The keys that may log in, and by what the machine enrols. */
export function readFirstBoot(userData: string): {
  readonly keys: readonly string[];
  readonly enrolment: EnrolmentConfig;
} {
  const {passwd, storage} = parseJson(Ignition, userData, 'the user data');
  const file = storage.files.find(({path}) => path === '/etc/hawser/enrolment.json');
  if (file === undefined) throw new Error('the user data has no enrolment');
  const [, base64, data = ''] = /^data:[^,]*?(;base64)?,(.*)$/s.exec(file.contents.source) ?? [];
  const packed = base64 === undefined ? Buffer.from(decodeURIComponent(data)) : Buffer.from(data, 'base64');
  const bytes = file.contents.compression === 'gzip' ? gunzipSync(packed) : packed;
  return {
    keys: passwd.users.flatMap(user => user.sshAuthorizedKeys),
    enrolment: parseJson(EnrolmentConfig, bytes.toString(), 'the enrolment'),
  };
}
