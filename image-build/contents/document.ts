/** What both kinds of bill of materials have in common: the image that they describe and its identity. */
import {sha256} from '../../services/common/hash.ts';
import type {Component} from './inventory.ts';

export interface DescribedImage {
  readonly name: string;
  /** semver */
  readonly version: string;
  /** Seconds: the time in the document, so that two builds give the same bytes. */
  readonly epoch: number;
  /** dm-verity root hash of /usr, which names the release. */
  readonly rootHash?: string;
  readonly components: readonly Component[];
}

/** ISO 8601 to the second, in UTC. */
export function documentTime(epoch: number): string {
  return new Date(epoch * 1000).toISOString().replace('.000Z', 'Z');
}

/** A UUID (RFC 9562, version 8) that follows from `content` alone. */
export function derivedUuid(content: string): string {
  const hex = sha256(content);
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 3) | 8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
