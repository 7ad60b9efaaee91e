// Errors a caller can mend, as RFC 9457 problem details. Anything else that is thrown is ours: a 500 without details.

/** What is wrong with one parameter or field. */
export interface FieldError {
  parameter: string;
  /** The value as received, shortened. */
  value: string;
  /** What would be accepted. */
  accepts: string;
}

const TITLES: Record<number, string> = {
  400: 'Bad request',
  401: 'No valid key',
  403: 'Not allowed with this key',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Took too long',
  409: 'Conflict',
  413: 'Content too large',
  415: 'Unsupported media type',
  422: 'Not accepted',
  431: 'Headers too large',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Not available now',
};

/** Wrong fields that an answer names, and characters of a name. */
const MOST_ERRORS = 20;
const MOST_NAME = 80;

/** A typed answer with a 4xx or 503 status; handlers throw it, one middleware turns it into the response. */
export class Problem extends Error {
  override name = 'Problem';
  constructor(
    readonly status: number,
    readonly detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
    readonly errors: readonly FieldError[] = [],
  ) {
    super(detail);
  }

  /** Names the first few of what is wrong: a body has room for thousands of names that nobody knows. */
  static ofFields(status: number, wrong: readonly FieldError[]): Problem {
    const errors = wrong.slice(0, MOST_ERRORS).map((error) => ({ ...error, parameter: error.parameter.slice(0, MOST_NAME) }));
    const detail = errors.map(({ parameter, value, accepts }) => `${parameter} ${value}: accepts ${accepts}`).join('; ');
    return new Problem(status, detail, {}, errors);
  }

  /** The response in API Gateway's shape. @param requestId by which the operator finds the request */
  response(requestId?: string): { statusCode: number; headers: Record<string, string>; body: string } {
    const { status, detail, errors } = this;
    return {
      statusCode: status,
      headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...this.headers },
      body: JSON.stringify({ title: TITLES[status] ?? 'Error', status, detail, ...(errors.length > 0 && { errors }), ...(requestId !== undefined && { request_id: requestId }) }),
    };
  }
}
