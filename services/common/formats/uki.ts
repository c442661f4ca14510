/** Reader of unified kernel images (UAPI.5): the sections by name, and the profiles that share them. */
import {FormatError} from './errors.ts';
import {sectionContent, type Pe} from './pe.ts';

export const ukiSections = [
  '.linux',
  '.initrd',
  '.cmdline',
  '.osrel',
  '.uname',
  '.pcrpkey',
  '.pcrsig',
  '.profile',
  '.sbat',
  '.ucode',
  '.splash',
  '.dtb',
  '.dtbauto',
  '.hwids',
  '.efifw',
] as const;
export type UkiSection = (typeof ukiSections)[number];

export interface Uki {
  /** What stands before the first `.profile`: the default of every profile. */
  readonly base: ReadonlyMap<UkiSection, Uint8Array>;
  /** One per `.profile` section, in order: only what the profile sets itself, `.profile` included. */
  readonly profiles: readonly ReadonlyMap<UkiSection, Uint8Array>[];
}

/** The UKI sections of a PE image. Throws {@link FormatError} `not-uki` for one without kernel, or with a section twice. */
export function readUki(pe: Pe): Uki {
  const base = new Map<UkiSection, Uint8Array>();
  const profiles: Map<UkiSection, Uint8Array>[] = [];
  let current = base;
  for (const section of pe.sections) {
    const name = ukiSections.find(one => one === section.name);
    if (name === undefined) continue;
    if (name === '.profile') {
      current = new Map();
      profiles.push(current);
    }
    // UAPI.5: `.dtbauto`, `.efifw` may appear several times; no other section may.
    if (current.has(name) && name !== '.dtbauto' && name !== '.efifw') {
      throw new FormatError('not-uki', `the unified kernel image has the section ${name} twice`);
    }
    current.set(name, sectionContent(pe, section));
  }
  if (!base.has('.linux'))
    throw new FormatError('not-uki', 'the PE image has no kernel in it, so it is no unified kernel image');
  return {base, profiles};
}

/** A text section (`.cmdline`, `.osrel`, `.uname`, `.sbat`, `.profile`) without the NUL bytes at its end. */
export function ukiText(sections: ReadonlyMap<UkiSection, Uint8Array>, name: UkiSection): string | undefined {
  const content = sections.get(name);
  return content === undefined ? undefined : new TextDecoder().decode(content).replace(/\0+$/, '');
}
