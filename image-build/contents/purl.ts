/** Package URLs (purl specification): how other tools recognise a component. */

/** `pkg:deb/debian/NAME@VERSION?arch=...&distro=...` */
export function debPurl(name: string, version: string, architecture: string, distribution: string): string {
  return `pkg:deb/debian/${encode(name.toLowerCase())}@${encode(version)}?arch=${encode(architecture)}&distro=${encode(distribution)}`;
}

/** `pkg:npm/%40scope/name@version` */
export function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.toLowerCase().split('/').map(encode).join('/')}@${encode(version)}`;
}

/** `pkg:generic/name@version`, for what has no package registry. */
export function genericPurl(name: string, version: string): string {
  return `pkg:generic/${encode(name)}@${encode(version)}`;
}

// purl: all but letters, digits, `.-_~` is percent-encoded, and the colon never is.
function encode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':');
}
