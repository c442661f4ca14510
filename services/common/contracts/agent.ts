/** `/etc/hawser/update.json`: how a host is updated. Written by Ignition when the machine is created. */
import {Type, type Static} from 'typebox';
import {Labels} from './fleet.ts';

export const AgentConfig = Type.Object(
  {
    /** Base address of the update server, `https://...`. */
    server: Type.String({pattern: '^https://', maxLength: 2048}),
    /**
     * Name checked in the server's certificate (against the fleet's CA); absent for `server.hawser.internal`, which all
     * servers of ours carry, so that any address may be dialled.
     */
    serverName: Type.Optional(Type.String({minLength: 1, maxLength: 253})),
    labels: Type.Optional(Labels),
    /** Repositories to fetch from instead of the server's own: a mirror is a copy. */
    repositories: Type.Optional(Type.Array(Type.String({maxLength: 2048}), {maxItems: 8})),
    /** Bytes a second; absent for no bound. */
    bytesPerSecond: Type.Optional(Type.Integer({minimum: 1024})),
    /** Seconds; the server's word wins when it is longer. */
    pollSeconds: Type.Optional(Type.Integer({minimum: 5, maximum: 86_400})),
    drain: Type.Optional(
      Type.Object(
        {
          /** Seconds that open connections are waited for, each hook and Swarm besides. */
          timeoutSeconds: Type.Optional(Type.Integer({minimum: 0, maximum: 86_400})),
          /**
           * TCP ports of this machine whose open connections are waited for; an empty list for none. When absent: those
           * that Docker publishes here, of containers (but on loopback alone) and, on a manager, of Swarm services in
           * mode ingress. On a worker the latter have to be named.
           */
          ports: Type.Optional(Type.Array(Type.Integer({minimum: 1, maximum: 65_535}), {maxItems: 64})),
          /** Seconds between leaving the address before all machines and the first check of connections. */
          leaveSeconds: Type.Optional(Type.Integer({minimum: 0, maximum: 600})),
          /** A drain that does not end in time: `wait` (default) puts the update off, `force` goes on. */
          onTimeout: Type.Optional(Type.Union([Type.Literal('wait'), Type.Literal('force')])),
        },
        {additionalProperties: false},
      ),
    ),
    health: Type.Optional(
      Type.Object(
        {
          /** Seconds after boot within which every check must have passed. */
          timeoutSeconds: Type.Optional(Type.Integer({minimum: 10, maximum: 3600})),
          /** Seconds for which they must then stay passed. */
          settleSeconds: Type.Optional(Type.Integer({minimum: 0, maximum: 3600})),
        },
        {additionalProperties: false},
      ),
    ),
  },
  {additionalProperties: false},
);
export type AgentConfig = Static<typeof AgentConfig>;

/** Files on a host that more than one part knows. */
export const agentFiles = {
  config: '/etc/hawser/update.json',
  /** The TUF root that this host trusts first; later roots follow from it by rotation. */
  trustedRoot: '/etc/hawser/tuf-root.json',
  state: '/var/lib/hawser/update',
  /** Executables that must end with 0 for the machine to be healthy. */
  healthChecks: '/etc/hawser/health.d',
  /** Executables called with `drain` or `return`, in order of their names (reversed on return). */
  drainHooks: '/etc/hawser/drain.d',
} as const;
