/** CycloneDX 1.6 bill of materials (ECMA-424) of an image, as JSON text. */
import {derivedUuid, documentTime, type DescribedImage} from './document.ts';
import type {Component} from './inventory.ts';

/** The document, ending with a newline; the same input gives the same bytes. */
export function writeCycloneDx(image: DescribedImage): string {
  const rootRef = `image:${image.name}@${image.version}`;
  const body = {
    metadata: {
      timestamp: documentTime(image.epoch),
      component: {
        type: 'operating-system',
        'bom-ref': rootRef,
        name: image.name,
        version: image.version,
        ...(image.rootHash === undefined
          ? {}
          : {properties: [{name: 'hawser:usr-root-hash', value: image.rootHash}]}),
      },
    },
    components: image.components.map(writeComponent),
    dependencies: [
      {ref: rootRef, dependsOn: image.components.map(one => one.key)},
      ...image.components.map(one => ({ref: one.key, dependsOn: one.dependsOn})),
    ],
  };
  const serialNumber = `urn:uuid:${derivedUuid(JSON.stringify(body))}`;
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber,
    version: 1,
    ...body,
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

function writeComponent(component: Component) {
  const {source} = component;
  const properties = [
    ...(component.architecture === undefined
      ? []
      : [{name: 'hawser:architecture', value: component.architecture}]),
    ...(source === undefined
      ? []
      : [
          {name: 'hawser:source:name', value: source.name},
          {name: 'hawser:source:version', value: source.version},
        ]),
  ];
  return {
    type: component.kind === 'own' ? 'application' : 'library',
    'bom-ref': component.key,
    ...(component.maintainer === undefined ? {} : {supplier: {name: component.maintainer}}),
    name: component.name,
    version: component.version,
    ...(component.description === undefined ? {} : {description: component.description}),
    ...(component.hash === undefined
      ? {}
      : {hashes: [{alg: component.hash.algorithm, content: component.hash.hex}]}),
    ...(component.licences === undefined ? {} : {licenses: [{expression: component.licences.expression}]}),
    purl: component.purl,
    ...(isWebAddress(component.homepage)
      ? {externalReferences: [{type: 'website', url: component.homepage}]}
      : {}),
    ...(properties.length === 0 ? {} : {properties}),
  };
}

function isWebAddress(text: string | undefined): boolean {
  return text !== undefined && /^https?:\/\/[!-~]+$/.test(text) && URL.canParse(text);
}
