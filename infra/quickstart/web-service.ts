/** The demonstration's service, as Docker's REST takes it. Pure. */
import {STOP_GRACE_SECONDS, pageMark, webCommand, webPort} from './web-image.ts';

const SECOND = 1_000_000_000;

export interface WebService {
  readonly name: string;
  readonly image: string;
  readonly version: string;
  readonly replicas: number;
}

/**
 * `POST /services/create`. Ports are published by the host that runs a task, not by Swarm's routing mesh: which machine
 * gets a request is then decided in one place, the balancer, and a task leaves service in one order: its machine says
 * that it is not ready, the balancer sees it, the connections end, the task is stopped. The mesh would add a second
 * choice, changed by gossip at its own pace (Swarm waits a fixed 2 s for it before it stops a task).
 */
export function serviceRequest({name, image, version, replicas}: WebService): object {
  return {
    Name: name,
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        Command: webCommand,
        Env: [`TEXT=${pageMark}${version} on {{.Node.Hostname}}`],
        StopGracePeriod: STOP_GRACE_SECONDS * SECOND,
        Healthcheck: {
          Test: [
            'CMD',
            '/bin/busybox',
            'wget',
            '-q',
            '-T',
            '10',
            '-O',
            '/dev/null',
            `http://127.0.0.1:${webPort}/`,
          ],
          Interval: 10 * SECOND,
          Timeout: 20 * SECOND,
          Retries: 3,
          StartPeriod: 30 * SECOND,
        },
      },
      RestartPolicy: {Condition: 'any', Delay: 2 * SECOND},
      Placement: {MaxReplicas: 1},
    },
    Mode: {Replicated: {Replicas: replicas}},
    EndpointSpec: {
      Ports: [{Protocol: 'tcp', TargetPort: webPort, PublishedPort: webPort, PublishMode: 'host'}],
    },
  };
}
