// Statements of `sql/` with their parameters filled in. Athena has no lists as parameters and no names, so the
// values are written into the text, the same for both engines.

/** A name or date of our own making: what a parameter may hold. Nothing a client sends ever gets here. */
const SAFE_TEXT = /^[A-Za-z0-9_.:#-]{0,100}$/;
// In place of an empty list, which SQL does not have; no run is called so.
const NONE = "'-'";

function literal(name: string, value: string | number): string {
  if (typeof value === 'number' ? Number.isSafeInteger(value) : SAFE_TEXT.test(value)) {
    return typeof value === 'number' ? String(value) : `'${value}'`;
  }
  throw new Error(`parameter ${name} ${JSON.stringify(value)}: accepts whole numbers and text of ${SAFE_TEXT.source}`);
}

/**
 * The statement's text with each `:name` replaced by its value; a list becomes `'a', 'b'`.
 * Throws on a parameter that is missing or not used, and on values that are not plain names, dates or whole numbers.
 */
export function render(text: string, parameters: Readonly<Record<string, string | number | readonly string[]>>): string {
  const unused = new Set(Object.keys(parameters));
  const code = text.replace(/--.*$/gm, '');
  const rendered = code.replace(/(?<!:):([a-z_]+)\b/g, (_, name: string) => {
    const value = parameters[name];
    if (value === undefined) throw new Error(`parameter ${name} is missing`);
    unused.delete(name);
    if (typeof value === 'string' || typeof value === 'number') return literal(name, value);
    return value.length === 0 ? NONE : value.map((entry) => literal(name, entry)).join(', ');
  });
  if (unused.size > 0) throw new Error(`parameters not used by the statement: ${[...unused].join(', ')}`);
  return rendered;
}
