// The difference of two texts by their lines.
export type Line = readonly [kind: "same" | "gone" | "new", text: string];

/** Lines beyond this are compared as a whole: the work grows with the square of the lines. */
const linesMax = 3000;

export function difference(before: string, after: string): Line[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let begin = 0;
  while (begin < a.length && begin < b.length && a[begin] === b[begin]) begin += 1;
  let end = 0;
  while (end < a.length - begin && end < b.length - begin && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const same = (text: string): Line => ["same", text];
  return [
    ...a.slice(0, begin).map(same),
    ...middle(a.slice(begin, a.length - end), b.slice(begin, b.length - end)),
    ...a.slice(a.length - end).map(same),
  ];
}

function middle(a: readonly string[], b: readonly string[]): Line[] {
  if (a.length + b.length > linesMax) return [...a.map((text): Line => ["gone", text]), ...b.map((text): Line => ["new", text])];
  /** How many lines are in common from here on. */
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const row = common[i];
    for (let j = b.length - 1; row && j >= 0; j -= 1) row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  }
  const found: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push(["same", a[i] ?? ""]);
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) {
      found.push(["gone", a[i] ?? ""]);
      i += 1;
    } else {
      found.push(["new", b[j] ?? ""]);
      j += 1;
    }
  }
  return found;
}
