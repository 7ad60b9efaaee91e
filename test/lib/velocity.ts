// A mapping template rendered as API Gateway does it. The syntax is velocityjs's; what values mean (Java's strings and
// maps, null, conditions) and API Gateway's variables are modelled here. What the model lacks, and what API Gateway's
// engine takes otherwise than velocityjs, throws: a template that renders here relies on neither.
import { Compile, Helper, parse } from 'velocityjs';

/** What API Gateway knows when it renders. A parameter may be null: one without a value. */
export interface Call {
  headers?: readonly (readonly [name: string, value: string | null])[];
  query?: readonly (readonly [name: string, value: string | null])[];
  /** The client's body, or what the integration answered. */
  body?: string;
  extendedRequestId?: string;
  requestTimeEpoch?: number;
  sourceIp?: string | null;
}

/** What a template makes: its text, and for a response the status and headers it sets. */
export interface Rendered { text: string; status: unknown; headers: Record<string, unknown> }

/** Renders the template. Throws on whatever the model does not hold. */
export function render(template: string, call: Call): Rendered {
  const asts = parse(template);
  for (const ast of (asts as unknown[]).flat(Infinity)) allow(ast as Partial<Node>);
  const headers: Record<string, unknown> = {};
  const override: Record<string, unknown> = { header: assignedOnce(headers) };
  const { headers: sent = [], query = [], body = '', extendedRequestId, requestTimeEpoch, sourceIp = null } = call;
  const text = new Template(asts, { valueMapper: assignable }).render({
    context: assignedOnce({ extendedRequestId, requestTimeEpoch, identity: { sourceIp }, responseOverride: assignedOnce(override) }),
    // Of a parameter given twice the last one counts. An empty body reads as an empty object.
    input: { body: body === '' ? '{}' : body, params: () => ({ header: new Map(sent), querystring: new Map(query) }) },
    util: UTIL,
  });
  return { text, status: override.status, headers };
}

const UTIL = {
  escapeJavaScript: (text: unknown) => escapeJavaScript(string(text)),
  base64Encode: (text: unknown) => Buffer.from(string(text), 'utf8').toString('base64'),
  urlDecode: (text: unknown) => decodeURIComponent(string(text).replaceAll('+', ' ')),
};

const ESCAPES: Record<string, string> = { '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r', '"': '\\"', "'": "\\'", '\\': '\\\\', '/': '\\/' };

/** As Apache's commons-lang 2: ASCII with JavaScript's escapes, of which \' is not JSON. */
export function escapeJavaScript(text: string): string {
  // Without the flag u, since a character beyond the first 65,536 is escaped as its two halves.
  return text.replace(/["'\\/]|[^ -\x7f]/g, (char) => ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`);
}

/** The methods of Java's String and Map that templates may call. */
const STRING: Record<string, (text: string, ...args: unknown[]) => unknown> = {
  length: (text) => text.length,
  toLowerCase: (text) => text.toLowerCase(),
  contains: (text, part) => text.includes(string(part)),
  endsWith: (text, part) => text.endsWith(string(part)),
  // The only pattern the templates have means the same in JavaScript, and its replacement stands for itself.
  replaceAll: (text, pattern, replacement) => {
    if (pattern !== "\\\\'" || replacement !== "'") throw new Error(`replaceAll(${String(pattern)}, ${String(replacement)}): accepts \\\\' and '`);
    return text.replaceAll(new RegExp(pattern, 'g'), replacement);
  },
};
const MAP: Record<string, (map: Map<unknown, unknown>, ...args: unknown[]) => unknown> = {
  keySet: (map) => [...map.keys()],
  get: (map, key) => map.get(string(key)) ?? null,
};

function string(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`${String(value)}: accepts a string`);
  return value;
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Error(`${String(value)} in a condition: accepts a comparison, since engines differ on what is true`);
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new Error(`${String(value)} in a comparison: accepts a number`);
  return value;
}

function same(left: unknown, right: unknown): boolean {
  const comparable = typeof left === typeof right && ['string', 'number'].includes(typeof left);
  if (!comparable) throw new Error(`${String(left)} == ${String(right)}: accepts two strings or two numbers`);
  return left === right;
}

/** What may be assigned: of null Velocity 1 makes no assignment at all, and the variable keeps what it had. */
function assignable(value: unknown): unknown {
  if (value === null || value === undefined) throw new Error('null is assigned: accepts a value');
  return Object.getPrototypeOf(value) === Object.prototype ? new Map(Object.entries(value)) : value;
}

/** API Gateway answers 500 when a template sets the same override twice. */
function assignedOnce(target: Record<string, unknown>): Record<string, unknown> {
  return new Proxy(target, {
    get: (object, name) => member(object, String(name)),
    set: (object, name, value) => {
      if (Object.hasOwn(object, name)) throw new Error(`${String(name)} is overridden twice: accepts one override`);
      return Reflect.set(object, name, value);
    },
  });
}

/** A node of velocityjs's tree, as far as it matters here. */
interface Node { type: string; id: string; leader: string; operator: string; expression: Node[]; condition: Node; args?: Node[] | false }

const ALLOWED: readonly unknown[] = ['references', 'set', 'if', 'elseif', 'else', 'foreach', 'comment'];

function allow({ type, condition }: Partial<Node>): void {
  if (type === undefined) return; // Plain text.
  if (!ALLOWED.includes(type)) throw new Error(`the directive ${type}: accepts #set, #if and #foreach`);
  if (condition && condition.type !== 'math') boolean(condition.type);
}

function member(base: unknown, name: string): unknown {
  if (typeof base === 'object' && base !== null && Object.hasOwn(base, name)) return (base as Record<string, unknown>)[name];
  throw new Error(`there is no ${name} in the model`);
}

function call(base: unknown, name: string, args: unknown[]): unknown {
  if (typeof base === 'string') return (member(STRING, name) as (typeof STRING)[string])(base, ...args);
  if (base instanceof Map) return (member(MAP, name) as (typeof MAP)[string])(base, ...args);
  return (member(base, name) as (...args: unknown[]) => unknown)(...args);
}

type Ast = Parameters<Compile['renderAstList']>[0] extends (infer A)[] | undefined ? A : never;
type Value = () => unknown;

const OPERATORS: Record<string, (left: Value, right: Value) => boolean> = {
  '&&': (left, right) => boolean(left()) && boolean(right()),
  '||': (left, right) => boolean(left()) || boolean(right()),
  '==': (left, right) => same(left(), right()),
  '!=': (left, right) => !same(left(), right()),
  '<': (left, right) => number(left()) < number(right()),
  '>': (left, right) => number(left()) > number(right()),
  not: (operand) => !boolean(operand()),
  parenthesis: (operand) => boolean(operand()),
};

/** The number of rounds after which API Gateway stops a loop. */
const ROUNDS = 1000;

/** velocityjs with the model's meaning of references, methods and conditions. */
class Template extends Compile {
  protected override getReferences(ast: Ast, printed?: boolean): string {
    const value: unknown = super.getReferences(ast);
    const { leader } = ast as unknown as Node;
    if (value === undefined) throw new Error(`${Helper.getRefText(ast as never)} is not set`);
    if (printed && value === null && leader !== '$!') throw new Error(`${Helper.getRefText(ast as never)} is null: accepts $! where it may be`);
    if (Array.isArray(value) && value.length > ROUNDS) throw new Error(`a list of ${value.length}: accepts at most ${ROUNDS}`);
    return (printed ? (value ?? '') : value) as string;
  }

  /** A step along a reference's path; velocityjs calls it. */
  getAttributes({ type, id, args }: Node, base: unknown): unknown {
    if (type === 'method') return call(base, id, (args || []).map((arg) => this.getLiteral(arg as never) as unknown));
    if (type === 'property' && !(base instanceof Map)) return member(base, id);
    throw new Error(`${type} ${id}: accepts a method or a property`);
  }

  protected override getExpression(ast: Ast): string {
    const { type, operator, expression } = ast as unknown as Node;
    if (type !== 'math') return super.getExpression(ast);
    if (!Object.hasOwn(OPERATORS, operator)) throw new Error(`the operator ${operator}: accepts ${Object.keys(OPERATORS).join(' ')}`);
    const [left, right] = expression.map((operand): Value => () => this.getExpression(operand as never));
    return OPERATORS[operator]!(left!, right!) as unknown as string;
  }
}
