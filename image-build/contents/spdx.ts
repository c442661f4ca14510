/** SPDX 2.3 document of an image, as JSON text. */
import {derivedUuid, documentTime, type DescribedImage} from './document.ts';
import type {Component} from './inventory.ts';

const DOCUMENT = 'SPDXRef-DOCUMENT';
const ROOT = 'SPDXRef-Image';

/** The document, ending with a newline; the same input gives the same bytes. `tool` is `name-version` of the writer. */
export function writeSpdx(image: DescribedImage, tool: string): string {
  const texts = new Map(image.components.flatMap(one => one.licences?.texts ?? []).map(one => [one.id, one]));
  const body = {
    creationInfo: {created: documentTime(image.epoch), creators: [`Tool: ${tool}`]},
    packages: [
      {
        SPDXID: ROOT,
        name: image.name,
        versionInfo: image.version,
        primaryPackagePurpose: 'OPERATING-SYSTEM',
        ...unstated,
        ...(image.rootHash === undefined ? {} : {comment: `dm-verity root hash of /usr: ${image.rootHash}`}),
      },
      ...image.components.map(writePackage),
    ],
    ...(texts.size === 0
      ? {}
      : {
          hasExtractedLicensingInfos: [...texts.values()]
            .sort((a, b) => (a.id < b.id ? -1 : 1))
            .map(one => ({licenseId: one.id, name: one.name, extractedText: one.text})),
        }),
    relationships: [
      relationship(DOCUMENT, 'DESCRIBES', ROOT),
      ...image.components.map(one => relationship(ROOT, 'CONTAINS', spdxId(one.key))),
      ...image.components.flatMap(one =>
        one.dependsOn.map(key => relationship(spdxId(one.key), 'DEPENDS_ON', spdxId(key))),
      ),
    ],
  };
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: DOCUMENT,
    name: `${image.name}-${image.version}`,
    documentNamespace: `urn:uuid:${derivedUuid(JSON.stringify([image.name, image.version, body]))}`,
    ...body,
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

const unstated = {
  downloadLocation: 'NOASSERTION',
  filesAnalyzed: false,
  licenseConcluded: 'NOASSERTION',
  licenseDeclared: 'NOASSERTION',
  copyrightText: 'NOASSERTION',
} as const;

function writePackage(component: Component) {
  const {hash, source} = component;
  return {
    SPDXID: spdxId(component.key),
    name: component.name,
    versionInfo: component.version,
    ...unstated,
    ...(component.licences === undefined ? {} : {licenseDeclared: component.licences.expression}),
    ...(component.maintainer === undefined ? {} : {supplier: writeSupplier(component.maintainer)}),
    ...(hash === undefined
      ? {}
      : {checksums: [{algorithm: hash.algorithm.replace('-', ''), checksumValue: hash.hex}]}),
    ...(source === undefined
      ? {}
      : {sourceInfo: `built from source package ${source.name} ${source.version}`}),
    ...(component.description === undefined ? {} : {summary: component.description}),
    externalRefs: [
      {referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: component.purl},
    ],
  };
}

function relationship(spdxElementId: string, relationshipType: string, relatedSpdxElement: string) {
  return {spdxElementId, relationshipType, relatedSpdxElement};
}

// SPDX 2.3, 7.2: letters, digits, `.` and `-` only. Every other byte becomes `.` and its hex value.
function spdxId(key: string): string {
  return `SPDXRef-${key.replaceAll(/[^A-Za-z0-9-]/g, character => (character === ':' ? '-' : `.${character.charCodeAt(0).toString(16)}`))}`;
}

// SPDX 2.3, 7.5: `Organization: name (address)`. Debian's maintainers are teams as often as people.
function writeSupplier(maintainer: string): string {
  const parts = /^"?(?<name>[^<"]*?)"?\s*<(?<address>[^<>]+)>$/.exec(maintainer)?.groups;
  const name = (parts?.['name'] ?? maintainer).replaceAll(/[()]/g, '').trim();
  return parts?.['address'] === undefined
    ? `Organization: ${name}`
    : `Organization: ${name} (${parts['address']})`;
}
