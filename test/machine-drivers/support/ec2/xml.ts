/** Just enough of EC2's XML to change an answer on its way: items of a set, and single elements. */

/** The direct `<item>`s of the first `<name>` in `xml`, and how to put others in their place. */
export function itemsOf(
  xml: string,
  name: string,
): {readonly items: readonly string[]; replace(items: readonly string[]): string} {
  const open = xml.indexOf(`<${name}>`);
  if (open === -1) return {items: [], replace: () => xml};
  const start = open + name.length + 2;
  const items: string[] = [];
  const tag = /<(\/?)item>|<\/([A-Za-z]+)>/g;
  tag.lastIndex = start;
  let depth = 0;
  let begin = start;
  let end = start;
  for (let match = tag.exec(xml); match !== null; match = tag.exec(xml)) {
    if (match[2] === name && depth === 0) {
      end = match.index;
      break;
    }
    if (match[2] !== undefined) continue;
    if (match[1] === '') {
      if (depth === 0) begin = match.index;
      depth += 1;
    } else {
      depth -= 1;
      if (depth === 0) items.push(xml.slice(begin, tag.lastIndex));
    }
  }
  return {items, replace: others => xml.slice(0, start) + others.join('') + xml.slice(end)};
}

/** Text of the first element of that name. */
export function elementText(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
}

/** `xml` with the element's whole content replaced, or put before `</before>` where there is none. */
export function setElement(xml: string, name: string, content: string, before: string): string {
  const element = `<${name}>${content}</${name}>`;
  const start = xml.indexOf(`<${name}>`);
  const end = xml.indexOf(`</${name}>`);
  if (start !== -1 && end !== -1) return xml.slice(0, start) + element + xml.slice(end + name.length + 3);
  const empty = xml.indexOf(`<${name}/>`);
  if (empty !== -1) return xml.slice(0, empty) + element + xml.slice(empty + name.length + 3);
  const at = xml.lastIndexOf(`</${before}>`);
  return xml.slice(0, at) + element + xml.slice(at);
}

export function ec2Error(code: string, message: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>`;
}
