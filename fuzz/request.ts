/** An HTTP request before it is written, so that any part of it can be spoilt. */
export interface Request {
  method: string;
  target: string;
  version: string;
  headers: [name: string, value: string][];
  body: Buffer;
}

/** Sets a header, or takes it away when the value is undefined. */
export function setHeader(request: Request, name: string, value: string | undefined): void {
  request.headers = request.headers.filter(([other]) => other.toLowerCase() !== name.toLowerCase());
  if (value !== undefined) request.headers.push([name, value]);
}

/** A request as bytes; characters of the head up to U+00FF are one byte each, others are their UTF-8. */
export function writeRequest({ method, target, version, headers, body }: Request): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([toBytes(`${method} ${target} ${version}\r\n${lines.join("")}\r\n`), body]);
}

function toBytes(text: string): Buffer {
  return /^[\0-\xff]*$/.test(text) ? Buffer.from(text, "latin1") : Buffer.from(text);
}
