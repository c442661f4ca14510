/** Callers that may not do what they ask. */

/** Answered with its status, as fastify does for errors that carry one. */
export class CallerDenied extends Error {
  readonly statusCode: 401 | 403;

  constructor(statusCode: 401 | 403, message: string) {
    super(message);
    this.name = 'CallerDenied';
    this.statusCode = statusCode;
  }
}
