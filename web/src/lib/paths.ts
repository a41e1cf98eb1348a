// Paths as the API has them: what is no text, and `%`, stand as `%` and two hexadecimal digits.

/** For people: as text, with a mark where there is none. */
export function shown(path: string): string {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (let at = 0; at < path.length; ) {
    const digits = path[at] === "%" ? path.slice(at + 1, at + 3) : "";
    if (/^[0-9A-Fa-f]{2}$/.test(digits)) {
      bytes.push(Number.parseInt(digits, 16));
      at += 3;
    } else {
      const letter = String.fromCodePoint(path.codePointAt(at) ?? 0xfffd);
      bytes.push(...encoder.encode(letter));
      at += letter.length;
    }
  }
  const text = new TextDecoder().decode(new Uint8Array(bytes));
  // Control characters, and those that change the direction of what follows.
  return text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}

export interface Step {
  readonly name: string;
  readonly path: string;
}

/** The folders on the way to a path, without the root. */
export function steps(path: string): Step[] {
  const names = path.split("/").filter(Boolean);
  return names.map((name, at) => ({ name: shown(name), path: `/${names.slice(0, at + 1).join("/")}` }));
}

/** The folder that something is in; the root has none above it. */
export function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
