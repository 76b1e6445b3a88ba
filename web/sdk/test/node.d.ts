/** The little of node that the tests use; spares a dependency on its type package. */
declare module 'node:test' {
  type Body = (context: { mock: typeof mock }) => void | Promise<void>;
  export function test(name: string, body: Body): void;
  export const mock: {
    timers: { enable(timers?: string[]): void; tick(milliseconds: number): void; reset(): void };
  };
}
declare module 'node:assert/strict' {
  const assert: {
    (value: unknown, message?: string): asserts value;
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    throws(body: () => unknown, expected?: unknown): void;
    match(text: string, pattern: RegExp): void;
    notEqual(actual: unknown, expected: unknown, message?: string): void;
    rejects(promise: Promise<unknown>, expected?: unknown): Promise<void>;
  };
  export default assert;
}
declare function setImmediate(callback: (value?: any) => void): void;
