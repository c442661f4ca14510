/** What `npm test` runs, in order: quick suites first, machines last. */

export interface Suite {
  readonly name: string;
  /** Patterns of AVA. */
  readonly files: readonly string[];
  /** Tests at once; 1 where each uses the whole machine. */
  readonly concurrency: number;
  /** AVA's limit for a silent test file. */
  readonly timeout: string;
  /** Needs the built image. */
  readonly needsImage: boolean;
  /** Runs only when it is named. */
  readonly onlyByName?: boolean;
}

export const suites: readonly Suite[] = [
  {
    name: 'quick',
    files: [
      'test/{bench,cli,common,enrol-agent,image-build,infra,machine-drivers,provisioner}/**',
      'test/{labs,overlay-agent,overlay-allocator,reboot-lock,update-agent,update-server}/**',
    ],
    concurrency: 2,
    timeout: '5m',
    needsImage: false,
  },
  // real dockerd and etcd in namespaces: some memory, and the whole machine
  {
    name: 'clusters',
    files: ['test/cluster/{drain,form}.test.ts'],
    concurrency: 1,
    timeout: '10m',
    needsImage: false,
  },
  // containers of two dockerd on one overlay network
  {
    name: 'overlay',
    files: ['test/cluster/overlay.test.ts'],
    concurrency: 1,
    timeout: '10m',
    needsImage: false,
    onlyByName: true,
  },
  {name: 'slow', files: ['test/slow/**'], concurrency: 1, timeout: '20m', needsImage: true},
  {
    name: 'machines',
    files: ['test/e2e/{boot,machine}.test.ts'],
    concurrency: 1,
    timeout: '20m',
    needsImage: true,
  },
  {
    name: 'updates',
    files: ['test/e2e/update.test.ts'],
    concurrency: 1,
    timeout: '20m',
    needsImage: true,
    onlyByName: true,
  },
  // against a cloud that infra/labs/openstack/main.ts brings up, and runs this suite in
  {
    name: 'openstack',
    files: ['test/openstack/**'],
    concurrency: 1,
    timeout: '60m',
    needsImage: false,
    onlyByName: true,
  },
];
