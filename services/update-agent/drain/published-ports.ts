/** The TCP ports by which this machine is reached from outside, as Docker publishes them. Pure: its answers go in. */
import {Type, type Static} from 'typebox';

const nullable = <Schema extends ReturnType<typeof Type.Array>>(schema: Schema) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

/** `GET /containers/json`. */
export const PublishingContainer = Type.Object({
  Ports: nullable(
    Type.Array(
      Type.Object({
        IP: Type.Optional(Type.String()),
        PublicPort: Type.Optional(Type.Integer()),
        Type: Type.String(),
      }),
    ),
  ),
});
export type PublishingContainer = Static<typeof PublishingContainer>;

/** `GET /services`. A port in mode `host` is published by its task's container, and shows there. */
export const PublishingService = Type.Object({
  Endpoint: Type.Optional(
    Type.Object({
      Ports: nullable(
        Type.Array(
          Type.Object({
            Protocol: Type.Optional(Type.String()),
            PublishedPort: Type.Optional(Type.Integer()),
            PublishMode: Type.Optional(Type.String()),
          }),
        ),
      ),
    }),
  ),
});
export type PublishingService = Static<typeof PublishingService>;

/** Ascending, each once. What is published on loopback alone serves nobody outside. */
export function publishedPorts(
  containers: readonly PublishingContainer[],
  services: readonly PublishingService[],
): readonly number[] {
  const ports = new Set<number>();
  for (const {Ports} of containers) {
    for (const {IP, PublicPort, Type: protocol} of Ports ?? [])
      if (PublicPort !== undefined && protocol === 'tcp' && !isLoopback(IP)) ports.add(PublicPort);
  }
  for (const {Endpoint} of services) {
    // Docker leaves out what is the default: tcp, ingress.
    for (const {Protocol = 'tcp', PublishedPort, PublishMode = 'ingress'} of Endpoint?.Ports ?? [])
      if (PublishedPort !== undefined && Protocol === 'tcp' && PublishMode === 'ingress')
        ports.add(PublishedPort);
  }
  // Docker says 0 for a port that it has not chosen yet.
  return [...ports].filter(port => port > 0).sort((a, b) => a - b);
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || address?.startsWith('127.') === true;
}
