import test from 'ava';
import {EnrolmentError} from '../../../services/provisioner/enrolment/errors.ts';
import {checkMachineName, machineNames, serverNames} from '../../../services/provisioner/enrolment/names.ts';

const MACHINE = '11111111-2222-3333-4444-555555555555';

test('a machine is named by its UUID, its name, the loopback and what its creator adds, each once', t => {
  t.deepEqual(
    machineNames(MACHINE, 'Web-1', ['10.0.0.7', 'web-1', 'web.example.com', '127.0.0.1', 'fd00::7']),
    {
      dns: [`${MACHINE}.machine.hawser.internal`, 'web-1', 'web.example.com', 'localhost'],
      ip: ['10.0.0.7', '127.0.0.1', 'fd00::7', '::1'],
    },
  );
});

test('a server is named by what it is dialled by, and the loopback', t => {
  t.deepEqual(serverNames(['hawser.example.com', '192.0.2.1']), {
    dns: ['hawser.example.com', 'localhost'],
    ip: ['192.0.2.1', '127.0.0.1', '::1'],
  });
});

const hostile: Record<string, string> = {
  wildcard: '*.example.com',
  'another machine': `${MACHINE.replace('1', '2')}.machine.hawser.internal`,
  'our name space in capitals': 'X.Machine.Hawser.INTERNAL',
  empty: '',
  'empty label': 'a..b',
  'leading hyphen': '-a',
  'line break': 'a\nb',
  'zero byte': 'a\0.example.com',
  'number that reads as an address': '10.0.0.300',
  'label too long': 'a'.repeat(64),
  'not ASCII': 'b\u00fccher.example',
};
for (const [defect, name] of Object.entries(hostile)) {
  test(`a name is refused: ${defect}`, t => {
    t.is(t.throws(() => machineNames(MACHINE, 'ok', [name]), {instanceOf: EnrolmentError})?.code, 'bad-name');
    t.is(t.throws(() => checkMachineName(name), {instanceOf: EnrolmentError})?.code, 'bad-name');
  });
}
