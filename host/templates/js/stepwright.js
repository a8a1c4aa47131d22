// What stands between the handlers of this plugin and the interface of its host, stepwright:step@0.1.0. Made by
// 'stepwright plugin new'; it is yours to change.

import { cancelled, progress, secret } from "stepwright:step/host@0.1.0";
import { write } from "stepwright:step/log@0.1.0";

/** Why a step has no output. */
export class StepError extends Error {
  constructor(tag, message, { code, details, retryAfterMs } = {}) {
    super(message);
    Object.assign(this, { tag, code, details, retryAfterMs });
  }
}

/** A failure that no attempt will mend: throw it. */
export const permanent = (message, options) => new StepError("permanent", message, options);

/** A failure that another attempt may mend: throw it. */
export const retryable = (message, options) => new StepError("retryable", message, options);

/** The attempt that a handler runs in. */
export class Context {
  #facts;
  #configSchema;

  constructor(facts, configSchema) {
    this.#facts = facts;
    this.#configSchema = configSchema;
  }

  get taskId() { return this.#facts.taskId; }
  get stepName() { return this.#facts.stepName; }
  /** Which try this is, counted from 1. */
  get attempt() { return this.#facts.attempt; }
  get retryLimit() { return this.#facts.retryLimit; }
  /** The same for every attempt of this step: hand it to whatever must not happen twice. */
  get idempotencyKey() { return this.#facts.idempotencyKey; }
  /** When the attempt will be ended, in milliseconds since 1970. */
  get deadlineMs() { return Number(this.#facts.deadlineMs); }
  /** The task's labels. */
  get tags() { return Object.fromEntries(this.#facts.tags.map(({ key, value }) => [key, value])); }
  /** The outputs of the direct parents, by step. */
  get parents() {
    return Object.fromEntries(this.#facts.parents.map(({ step, output }) => [step, JSON.parse(output)]));
  }

  /** The step's configuration; an empty object if it has none. */
  config() {
    return read(this.#facts.config, this.#configSchema, ["the step's config", "invalid_config"]) ?? {};
  }

  /** The output of the direct parent called `step`; `null` if it was skipped. */
  parent(step) {
    const found = this.#facts.parents.find((parent) => parent.step === step);
    if (found) return JSON.parse(found.output);
    const known = this.#facts.parents.map((parent) => parent.step).join(", ") || "none";
    throw permanent(`step ${this.stepName} has no parent ${step}; it has ${known}`, { code: "unknown_parent" });
  }

  debug(message, fields) { log("debug", message, fields); }
  info(message, fields) { log("info", message, fields); }
  warn(message, fields) { log("warn", message, fields); }
  error(message, fields) { log("error", message, fields); }

  /** Says how far the step is: from 0 to 1, and a note for people. */
  progress(fraction, note = "") { progress(fraction, note); }
  /** Whether the attempt was told to stop. */
  cancelled() { return cancelled(); }

  /** The value of a granted secret. */
  secret(name) {
    const value = secret(name);
    if (value == null) throw permanent(`secret ${name} is not granted`, { code: "secret_not_granted" });
    return value;
  }
}

/**
 * The plugin: export what this returns as `handler`.
 *
 * `handlers` has an object for each: `summary`, JSON Schemas as `input`, `config` and `output`, those of the parents' outputs that it
 * reads as `parents`, by step, and `run(input, ctx)`.
 */
export function plugin({ name, version, summary, wishes = {}, handlers }) {
  const { hosts = [], directories = [], environment = [], secrets = [] } = wishes;
  return {
    describe: () => ({
      name,
      version,
      summary,
      handlers: Object.entries(handlers).map(([handler, { summary = "", input, config, output, parents = {} }]) => ({
        name: handler,
        summary,
        inputSchema: text(input),
        configSchema: text(config),
        outputSchema: text(output),
        parents: Object.entries(parents).map(([step, schema]) => ({ step, optional: false, schema: text(schema) })),
      })),
      wishes: { hosts, directories, environment, secrets },
    }),
    handle: (handler, facts) => {
      try {
        const found = handlers[handler];
        if (!found) {
          const known = Object.keys(handlers).join(", ");
          throw permanent(`no handler ${handler}: the plugin has ${known}`, { code: "unknown_handler" });
        }
        const input = read(facts.taskContext, found.input, ["the task context", "invalid_input"]);
        return JSON.stringify(found.run(input, new Context(facts, found.config)) ?? null);
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

function failure(error) {
  const known = error instanceof StepError;
  const val = {
    message: known ? error.message : `${error}`,
    code: known ? error.code : "exception",
    details: text(known ? error.details : { stack: `${error?.stack}` }),
  };
  if (known && error.tag === "permanent") return { tag: "permanent", val };
  // What nobody thought of may not happen again; the retry limit ends it.
  const retryAfterMs = error.retryAfterMs === undefined ? undefined : BigInt(error.retryAfterMs);
  return { tag: "retryable", val: { ...val, retryAfterMs } };
}

function read(json, schema, [subject, code]) {
  const value = JSON.parse(json);
  const wrong = schema && !(value === null && code === "invalid_config") && mismatch(value, schema, "");
  if (!wrong) return value;
  const at = wrong.at && ` at ${wrong.at}`;
  throw permanent(`${subject} cannot be read${at}: ${wrong.why}`, { code, details: wrong });
}

/** Where a value differs from a schema, for the words of JSON Schema that handlers need most. */
function mismatch(value, schema, at) {
  const found = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const types = [schema.type ?? []].flat();
  const fits = (type) => type === found || (type === "integer" && Number.isInteger(value));
  if (types.length && !types.some(fits)) return { at, why: `expected ${types.join(" or ")}, found ${found}` };
  if (schema.enum && !schema.enum.includes(value)) return { at, why: `expected one of ${schema.enum.join(", ")}` };
  if (value < schema.minimum) return { at, why: `expected at least ${schema.minimum}, found ${value}` };
  if (found === "object") {
    const missing = (schema.required ?? []).find((key) => !(key in value));
    if (missing) return { at, why: `missing field ${missing}` };
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      const wrong = key in value && mismatch(value[key], inner, at ? `${at}.${key}` : key);
      if (wrong) return wrong;
    }
  }
  if (found === "array" && schema.items) {
    for (const [index, item] of value.entries()) {
      const wrong = mismatch(item, schema.items, `${at}[${index}]`);
      if (wrong) return wrong;
    }
  }
  return undefined;
}

function log(level, message, fields = {}) {
  write(level, message, Object.entries(fields).map(([key, value]) => ({ key, value: String(value) })));
}

function text(value) {
  return value === undefined ? undefined : JSON.stringify(value);
}
