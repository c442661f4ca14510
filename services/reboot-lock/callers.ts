/** Callers: those that may not do what they ask, and those that do not wait for the answer. */
import type {FastifyRequest} from 'fastify';

/** Answered with its status, as fastify does for errors that carry one. */
export class CallerDenied extends Error {
  readonly statusCode: 401 | 403;

  constructor(statusCode: 401 | 403, message: string) {
    super(message);
    this.name = 'CallerDenied';
    this.statusCode = statusCode;
  }
}

/** Whether the connection on which the request came is still open for its answer. */
export function stillWaits(request: FastifyRequest): () => boolean {
  const {socket} = request.raw;
  return () => !socket.destroyed && !socket.readableEnded;
}
