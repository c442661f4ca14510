/** URLs: which schemes may be fetched from, and `data:` URLs (RFC 2397), into which contents are packed. */

const SCHEMES = ['http', 'https', 'tftp', 's3', 'gs', 'data'];

/** The scheme in lower case, or '' when there is none. */
export function urlScheme(url: string): string {
  return /^([a-z][a-z\d+.-]*):/iu.exec(url)?.[1]?.toLowerCase() ?? '';
}

/** What is wrong with the URL of something to fetch. The empty URL counts as absent, as in Ignition. */
export function resourceUrlProblem(url: string): string | undefined {
  if (url === '') return undefined;
  const scheme = urlScheme(url);
  if (scheme === '') return `"${shorten(url)}" is not a URL`;
  if (scheme === 'data') return dataUrlProblem(url);
  if (!SCHEMES.includes(scheme)) {
    return `URLs with "${scheme}:" cannot be fetched; use ${SCHEMES.join(', ')}`;
  }
  const problem = addressProblem(url);
  if (problem !== undefined) return problem;
  // Ignition: an S3 versionId that is given must not be empty.
  if (scheme === 's3' && /[?&]versionId(?:=?(?:&|$))/u.test(url))
    return 'the versionId of the S3 object is empty';
  return undefined;
}

export function tangUrlProblem(url: string): string | undefined {
  return webUrlProblem(url, 'a Tang server');
}

export function proxyUrlProblem(url: string): string | undefined {
  return webUrlProblem(url, 'a proxy');
}

function webUrlProblem(url: string, what: string): string | undefined {
  const scheme = urlScheme(url);
  return scheme === 'http' || scheme === 'https' ? addressProblem(url) : `${what} needs an http or https URL`;
}

/** At least as strict as Go's url.Parse, which Ignition uses: no stray characters, whole escapes, a host. */
function addressProblem(url: string): string | undefined {
  if (!/^[\x21-\x7E]+$/u.test(url))
    return 'the URL contains spaces or characters that must be written as %XX';
  if (/%(?![\dA-Fa-f]{2})/u.test(url)) return 'the URL contains a "%" without two hex digits';
  const authority = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/iu.exec(url)?.[1] ?? '';
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  if (host === '' || host.startsWith(':')) return `"${shorten(url)}" names no host`;
  const valid = /^(?:[\w.~!$&'()*+,;=-]+|\[[\da-f:.]+\])(?::\d*)?$/iu.test(host);
  const userInfo = authority.slice(0, Math.max(0, authority.lastIndexOf('@')));
  if (!valid || !/^[\w.~!$&'()*+,;=:%-]*$/u.test(userInfo) || !URL.canParse(url)) {
    return `"${shorten(url)}" is not a valid URL`;
  }
  return undefined;
}

function dataUrlProblem(url: string): string | undefined {
  const comma = url.indexOf(',');
  if (comma < 0) return 'the data URL has no comma before its data';
  const header = url.slice('data:'.length, comma);
  const data = url.slice(comma + 1);
  const token = "[\\w!#$%&'*+.^`{|}~-]+";
  if (!new RegExp(`^(?:${token}/${token})?(?:;${token}=${token})*(?:;base64)?$`, 'u').test(header)) {
    return `"${shorten(header)}" is not the header of a data URL`;
  }
  if (header.endsWith(';base64')) {
    const valid = data.length % 4 === 0 && /^[\d+/A-Za-z]*={0,2}$/u.test(data);
    return valid ? undefined : 'the data URL does not hold valid base64';
  }
  if (/%(?![\dA-Fa-f]{2})/u.test(data)) return 'the data URL contains a "%" without two hex digits';
  return /^[\w\-.!~*'();/?:@&=+$,%]*$/u.test(data)
    ? undefined
    : 'the data URL contains characters that must be written as %XX';
}

/** A `data:` URL for `bytes`: escaped text or base64, whichever is shorter. */
export function dataUrl(bytes: Uint8Array): string {
  const encoded = `;base64,${base64(bytes)}`;
  let escaped = ',';
  for (const byte of bytes) {
    escaped += PLAIN.has(byte)
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    if (escaped.length > encoded.length) break;
  }
  return `data:${escaped.length <= encoded.length ? escaped : encoded}`;
}

/** RFC 2396 unreserved characters, and those reserved ones that mean nothing inside data. */
const PLAIN = new Set([...new TextEncoder().encode("-_.!~*'()/:@=+,;$&"), ...alphanumerics()]);

function alphanumerics(): Uint8Array {
  return new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789');
}

const CHUNK = 0x8000;

function base64(bytes: Uint8Array): string {
  let binary = '';
  for (let start = 0; start < bytes.length; start += CHUNK) {
    binary += String.fromCharCode(...bytes.subarray(start, start + CHUNK));
  }
  return btoa(binary);
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
