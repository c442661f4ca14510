/** Who makes a request, as the server established it from certificate or token. Routes see this and nothing else. */

export const operatorRoles = ['viewer', 'operator', 'admin'] as const;
export type OperatorRole = (typeof operatorRoles)[number];

export type Caller =
  | {readonly kind: 'machine'; readonly uuid: string; readonly name: string}
  | {readonly kind: 'operator'; readonly name: string; readonly role: OperatorRole}
  | {readonly kind: 'anonymous'};

export type Operator = Extract<Caller, {kind: 'operator'}>;

/** Whether `role` may do what `needed` may: each role can do all that those before it can. */
export function roleCovers(role: OperatorRole, needed: OperatorRole): boolean {
  return operatorRoles.indexOf(role) >= operatorRoles.indexOf(needed);
}
