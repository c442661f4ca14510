import test from 'ava';
import * as fc from 'fast-check';
import type {TSchema} from 'typebox';
import {Value} from 'typebox/value';
import {EnrolmentConfig, EnrolmentGrant} from '../../services/common/contracts/enrolment.ts';
import {EnrolAgentError} from '../../services/enrol-agent/errors.ts';
import {parseConfig, parseGrant} from '../../services/enrol-agent/messages.ts';

const config = {
  machine: '11111111-2222-3333-4444-555555555555',
  name: 'web-1',
  generation: 1,
  token: 'A'.repeat(43),
  expires: 1_795_447_442,
  server: {url: 'https://hawser.example.com:8443', ca: 'PEM'},
};
const grant = {
  machine: config.machine,
  generation: 1,
  certificate: 'PEM',
  ca: 'PEM',
  fleetCa: 'PEM',
  mac: 'a'.repeat(64),
};

// Values that sit on the edges of what a field may be.
const odd = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.constantFrom(
    null,
    true,
    undefined,
    {},
    [],
    '',
    'x'.repeat(64),
    'x'.repeat(65),
    'x'.repeat(16_384),
    'x'.repeat(16_385),
  ),
);

function agree(
  name: string,
  parse: (json: string) => unknown,
  schema: TSchema,
  good: Record<string, unknown>,
): void {
  test(`${name}: what is read by hand is what the contract allows`, t => {
    t.deepEqual(parse(JSON.stringify(good)), good);
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), odd, (field, value) => {
        const json = JSON.stringify({...good, [field]: value});
        let read = true;
        try {
          parse(json);
        } catch (error) {
          t.true(error instanceof EnrolAgentError);
          read = false;
        }
        t.is(read, Value.Check(schema, JSON.parse(json)), json);
      }),
      {numRuns: 500},
    );
  });
}
agree('enrolment.json', parseConfig, EnrolmentConfig, config);
agree('grant', parseGrant, EnrolmentGrant, grant);

test('a server is called over HTTPS or not at all', t => {
  for (const url of ['http://hawser.example.com', 'file:///etc/passwd', 'hawser.example.com', '']) {
    t.throws(
      () => parseConfig(JSON.stringify({...config, server: {url, ca: 'PEM'}})),
      {code: 'bad-config'},
      url,
    );
  }
});

test('an error about the enrolment file never shows the token', t => {
  for (const text of [
    JSON.stringify(config).slice(0, -1),
    JSON.stringify({...config, generation: 'x'}),
    config.token,
  ]) {
    const error = t.throws(() => parseConfig(text), {instanceOf: EnrolAgentError});
    t.false(`${error?.stack} ${String(error?.cause)}`.includes(config.token));
  }
});
