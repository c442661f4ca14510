/**
 * Our two CAs, and who may have which certificate. The fleet's CA signs machines and Hawser's own servers; the
 * operators' CA signs the people who may command Docker. They are separate because dockerd accepts every client that
 * its `--tlscacert` signed: with one CA a stolen machine certificate would open every other machine.
 */
import {randomBytes, X509Certificate} from 'node:crypto';
import {join} from 'node:path';
import type {Clock} from '../../common/clock.ts';
import {serverStableName} from '../../common/contracts/server.ts';
import {createFolderOnce, readFolder, replaceFolder} from './ca-folder.ts';
import {
  createCa,
  createLeafKey,
  loadSigner,
  signLeaf,
  type KeyAndCertificate,
  type Signer,
  type Validity,
} from './certificates.ts';
import {readCsr, type ProvenKey} from './csr.ts';
import {EnrolmentError} from './errors.ts';
import {checkExtraNames, machineNames, serverNames} from './names.ts';

const DAY_MS = 86_400_000;
/** Machines boot with clocks that are hours off: certificates begin this long before they are signed. */
const BACKDATE_MS = DAY_MS;
const LEAF_DAYS = 397;
const CA_DAYS = 3650;
/** A client certificate with less than this left is made again. */
const RENEW_DAYS = 30;

export interface MachineCertificate {
  /** Who asks, as {@link Authority.prove} found it. */
  readonly key: ProvenKey;
  readonly machine: string;
  readonly name: string;
  /** Further host names and addresses that the machine is dialled by. */
  readonly extraNames: readonly string[];
}

/** What `docker` needs on the operator's side; the three files lie in `folder`, so it serves as DOCKER_CERT_PATH. */
export interface ClientCertificate {
  readonly cert: string;
  /** PKCS#8, PEM. */
  readonly key: string;
  /** PEM of the fleet's CA. */
  readonly ca: string;
  readonly folder: string;
}

export interface Authority {
  /** PEM of the CA that machines' and servers' certificates are checked against. */
  readonly fleetCa: string;
  /** PEM of the CA that operators' certificates are checked against. */
  readonly operatorsCa: string;
  /** Checks a PKCS#10 request; throws `bad-csr` or `weak-key`. */
  prove(csrPem: string): Promise<ProvenKey>;
  signMachine(request: MachineCertificate): Promise<string>;
  /** A certificate with a fresh key for a server of ours, by its stable name and by `names`; nothing is kept. */
  signServer(names: readonly string[]): Promise<KeyAndCertificate>;
  /** The certificate of `user`, kept in `<home>/operators/<user>` and renewed when it runs out. */
  clientCertificate(user: string, options?: {readonly fresh?: boolean}): Promise<ClientCertificate>;
}

const FLEET = {certificate: 'ca.pem', key: 'ca-key.pem'} as const;
const OPERATORS = {certificate: 'operators-ca.pem', key: 'operators-ca-key.pem'} as const;

/** Opens the CAs in `<home>/ca`, made on first use. Throws `broken-ca` or `ca-expired`. */
export async function openAuthority(options: {home: string; clock: Clock}): Promise<Authority> {
  const {home, clock} = options;
  const folder = join(home, 'ca');
  const pems = await loadOrCreate(folder, validity(clock.now(), CA_DAYS));
  const fleet = await checkedSigner(folder, pems.fleet, clock.now());
  const operators = await checkedSigner(folder, pems.operators, clock.now());
  const leafValidity = (signer: Signer): Validity => {
    const {notBefore, notAfter} = validity(clock.now(), LEAF_DAYS);
    return {
      notBefore,
      notAfter: new Date(Math.min(notAfter.getTime(), signer.certificate.notAfter.getTime())),
    };
  };

  return {
    fleetCa: pems.fleet.certificate,
    operatorsCa: pems.operators.certificate,
    prove: readCsr,
    signMachine: request =>
      signLeaf(fleet, {
        commonName: request.name,
        publicKey: request.key,
        names: machineNames(request.machine, request.name, request.extraNames),
        use: ['server', 'client'],
        ...leafValidity(fleet),
      }),
    signServer: async names => {
      const {key, publicKey} = await createLeafKey();
      const leaf = {
        commonName: 'hawser server',
        publicKey,
        names: serverNames([serverStableName, ...checkExtraNames(names)]),
      };
      return {key, certificate: await signLeaf(fleet, {...leaf, use: ['server'], ...leafValidity(fleet)})};
    },
    clientCertificate: async (user, {fresh = false} = {}) => {
      checkUser(user);
      const kept = join(home, 'operators', user);
      const found = await readClient(kept);
      if (!fresh && found !== undefined && isCurrent(found, pems, clock.now()))
        return {...found, folder: kept};

      const {key, publicKey} = await createLeafKey();
      const cert = await signLeaf(operators, {
        commonName: user,
        publicKey,
        use: ['client'],
        ...leafValidity(operators),
      });
      const files = {'cert.pem': cert, 'key.pem': key, 'ca.pem': pems.fleet.certificate};
      if (!(await createFolderOnce(kept, files))) {
        const other = await readClient(kept);
        if (!fresh && other !== undefined && isCurrent(other, pems, clock.now()))
          return {...other, folder: kept};
        await replaceFolder(kept, files);
      }
      return {cert, key, ca: pems.fleet.certificate, folder: kept};
    },
  };
}

interface CaPems {
  readonly fleet: KeyAndCertificate;
  readonly operators: KeyAndCertificate;
}

async function loadOrCreate(folder: string, span: Validity): Promise<CaPems> {
  const existing = await readCas(folder);
  if (existing !== undefined) return existing;
  const id = randomBytes(4).toString('hex'); // so that two installations' CAs can be told apart
  const fleet = await createCa(`Hawser fleet CA ${id}`, span);
  const operators = await createCa(`Hawser operators CA ${id}`, span);
  const made = await createFolderOnce(folder, {
    [FLEET.certificate]: fleet.certificate,
    [FLEET.key]: fleet.key,
    [OPERATORS.certificate]: operators.certificate,
    [OPERATORS.key]: operators.key,
  });
  if (made) return {fleet, operators};
  const winner = await readCas(folder);
  if (winner === undefined) throw brokenCa(folder);
  return winner;
}

async function readCas(folder: string): Promise<CaPems | undefined> {
  const names = [FLEET.certificate, FLEET.key, OPERATORS.certificate, OPERATORS.key] as const;
  const files = await readFolder(folder, names);
  if (Object.keys(files).length === 0) return undefined;
  const take = (side: typeof FLEET | typeof OPERATORS): KeyAndCertificate => {
    const certificate = files[side.certificate];
    const key = files[side.key];
    if (certificate === undefined || key === undefined) throw brokenCa(folder);
    return {certificate, key};
  };
  return {fleet: take(FLEET), operators: take(OPERATORS)};
}

async function checkedSigner(folder: string, ca: KeyAndCertificate, now: Date): Promise<Signer> {
  let signer: Signer;
  try {
    signer = await loadSigner(ca);
  } catch (error) {
    throw brokenCa(folder, error);
  }
  if (signer.certificate.notAfter > now) return signer;
  throw new EnrolmentError(
    'ca-expired',
    `the CA in ${folder} ended on ${signer.certificate.notAfter.toISOString()}`,
    {
      remedy: 'move the folder away and enrol the machines again',
    },
  );
}

function brokenCa(folder: string, cause?: unknown): EnrolmentError {
  return new EnrolmentError('broken-ca', `the CA in ${folder} is not complete`, {
    remedy: 'restore the folder from a backup; without it every machine must be enrolled again',
    cause,
  });
}

async function readClient(folder: string): Promise<Omit<ClientCertificate, 'folder'> | undefined> {
  const files = await readFolder(folder, ['cert.pem', 'key.pem', 'ca.pem']);
  const {'cert.pem': cert, 'key.pem': key, 'ca.pem': ca} = files;
  return cert === undefined || key === undefined || ca === undefined ? undefined : {cert, key, ca};
}

function isCurrent(client: Omit<ClientCertificate, 'folder'>, pems: CaPems, now: Date): boolean {
  const certificate = new X509Certificate(client.cert);
  return (
    client.ca === pems.fleet.certificate &&
    certificate.checkIssued(new X509Certificate(pems.operators.certificate)) &&
    new Date(certificate.validTo).getTime() - now.getTime() > RENEW_DAYS * DAY_MS
  );
}

function checkUser(user: string): void {
  if (/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(user)) return;
  throw new EnrolmentError('bad-name', `"${user}" cannot be an operator's name`, {
    remedy: 'use letters, digits, dots, hyphens and underscores, at most 64',
  });
}

function validity(now: Date, days: number): Validity {
  // X.509 times have whole seconds.
  const start = Math.floor(now.getTime() / 1000) * 1000;
  return {notBefore: new Date(start - BACKDATE_MS), notAfter: new Date(start + days * DAY_MS)};
}
