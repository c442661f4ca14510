/** Glance: images, their bytes and what it says of them. */
import type {Readable} from 'node:stream';
import {Type, type Static} from 'typebox';
import {listAll} from './pages.ts';
import type {Session} from './session.ts';

const Maybe = <Schema extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Integer>>(
  schema: Schema,
) => Type.Optional(Type.Union([schema, Type.Null()]));

export const GlanceImage = Type.Object({
  id: Type.String(),
  name: Maybe(Type.String()),
  status: Type.String(),
  owner: Maybe(Type.String()),
  /** Bytes, once there are any. */
  size: Maybe(Type.Integer()),
  /** MD5, hex. */
  checksum: Maybe(Type.String()),
  os_hash_algo: Maybe(Type.String()),
  os_hash_value: Maybe(Type.String()),
  /** GiB. */
  min_disk: Maybe(Type.Integer()),
  /** MiB. */
  min_ram: Maybe(Type.Integer()),
  created_at: Maybe(Type.String()),
  hw_firmware_type: Maybe(Type.String()),
  architecture: Maybe(Type.String()),
});
export type GlanceImage = Static<typeof GlanceImage>;

export function listImages(
  session: Session,
  query: Readonly<Record<string, string>>,
): Promise<readonly GlanceImage[]> {
  return listAll(session, {service: 'image', path: '/images', key: 'images', item: GlanceImage, query});
}

export function getImage(session: Session, id: string): Promise<GlanceImage> {
  return session.ask('image', {method: 'GET', path: `/images/${id}`}, GlanceImage);
}

/** Makes the image without its bytes; `properties` are Glance's own and free ones side by side. */
export function createImage(
  session: Session,
  properties: Readonly<Record<string, string | number | readonly string[]>>,
): Promise<GlanceImage> {
  return session.ask('image', {method: 'POST', path: '/images', json: properties}, GlanceImage);
}

export async function uploadImage(
  session: Session,
  id: string,
  upload: {readonly open: () => Readable; readonly length: number},
): Promise<void> {
  const path = `/images/${id}/file`;
  await session.tell('image', {method: 'PUT', path, upload, contentType: 'application/octet-stream'});
}

export function downloadImage(session: Session, id: string): Promise<Readable> {
  return session.open('image', {method: 'GET', path: `/images/${id}/file`});
}

export async function deleteImage(session: Session, id: string): Promise<void> {
  await session.tell('image', {method: 'DELETE', path: `/images/${id}`});
}
