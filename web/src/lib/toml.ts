// The parts of a TOML text, so that they can be coloured. Not a parser: what a text means is the server's to say.
export type Part = readonly [kind: "comment" | "heading" | "key" | "string" | "value" | "mark" | "plain", text: string];

const one =
  /(?<comment>#.*)|(?<string>"""|'''|"(?:[^"\\]|\\.)*"?|'[^']*'?)|(?<value>\b(?:true|false|[+-]?\d[\w.+:-]*)\b)|(?<mark>[[\]{}=,]+)|(?<plain>[\w.-]+|\s+|.)/gu;

/** The parts of one line. */
export function parts(line: string): Part[] {
  const table = /^(\s*)(\[\[?[^\]]*\]\]?)(.*)$/.exec(line);
  if (table) return [["plain", table[1] ?? ""], ["heading", table[2] ?? ""], ...rest(table[3] ?? "")].filter((part): part is Part => part[1] !== "");
  const key = /^(\s*)((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)(\s*=)(.*)$/.exec(line);
  if (key) return [["plain", key[1] ?? ""], ["key", key[2] ?? ""], ["mark", key[3] ?? ""], ...rest(key[4] ?? "")].filter((part): part is Part => part[1] !== "");
  return rest(line);
}

function rest(text: string): Part[] {
  const found: Part[] = [];
  for (const match of text.matchAll(one)) {
    const [kind = "plain"] = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined) ?? [];
    // A key of a table in braces.
    const isKey = kind === "plain" && /^[\w.-]+$/.test(match[0]) && /^\s*=/.test(text.slice(match.index + match[0].length));
    found.push([isKey ? "key" : (kind as Part[0]), match[0]]);
  }
  return found;
}
