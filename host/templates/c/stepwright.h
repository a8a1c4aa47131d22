// What stands between the handlers of this plugin and the interface of its host, stepwright:step@0.1.0. Made by
// 'stepwright plugin new'; it is yours to change.
//
// Nothing is freed: every call has an instance of its own, and its memory goes with it. Texts are UTF-8 and end with a zero.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// JSON that was read.
typedef enum { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_kind;

typedef struct json {
    json_kind kind;
    bool boolean;
    double number;
    const char *string;
    // Of an array or an object: how many values, and what they are; of an object also under which keys.
    size_t count;
    struct json *values;
    const char **keys;
} json;

// The value of a text; NULL if it is no JSON.
const json *json_read(const char *text);
// The value under a key; NULL if there is none, or no object.
const json *json_get(const json *object, const char *key);
// Whether a value is there, and of this kind.
bool json_is(const json *value, json_kind kind);
// A text as JSON writes it, in quotes.
const char *json_quoted(const char *text);

// The output of a direct parent; null if it was skipped.
typedef struct { const char *step; const json *output; } sw_parent;
// A label of the task.
typedef struct { const char *key, *value; } sw_tag;

// The attempt that a handler runs in.
typedef struct {
    const char *task_id;
    const char *step_name;
    // Which try this is, counted from 1.
    uint32_t attempt;
    uint32_t retry_limit;
    // The same for every attempt of this step: hand it to whatever must not happen twice.
    const char *idempotency_key;
    // When the attempt will be ended, in milliseconds since 1970.
    uint64_t deadline_ms;
    // What the task was started with, and the step's configuration; null if it has none.
    const json *input, *config;
    size_t parents_count;
    const sw_parent *parents;
    size_t tags_count;
    const sw_tag *tags;
} sw_context;

// The output of the direct parent called `step`; NULL if it has no such parent.
const json *sw_parent_output(const sw_context *context, const char *step);

// How a handler ends: with one of the functions below.
typedef struct {
    enum { SW_OUTPUT, SW_PERMANENT, SW_RETRYABLE } how;
    // JSON, or one sentence for a person.
    const char *text;
    const char *code;
    // More for programs, as JSON; may be NULL.
    const char *details;
    // When to try again; the step's own back-off if it is 0.
    uint64_t retry_after_ms;
} sw_result;

// An output, as JSON.
sw_result sw_output(const char *json);
// A failure that no attempt will mend, with a code for programs and a sentence as printf makes it.
__attribute__((format(printf, 2, 3))) sw_result sw_permanent(const char *code, const char *format, ...);
// A failure that another attempt may mend.
__attribute__((format(printf, 2, 3))) sw_result sw_retryable(const char *code, const char *format, ...);
// The input has something else than this at a key.
sw_result sw_invalid_input(const char *key, json_kind expected, const json *found);

typedef enum { SW_TRACE, SW_DEBUG, SW_INFO, SW_WARN, SW_ERROR } sw_level;

// Writes one line into the step's log, with fields: SW_FIELDS({ "key", "value" }, …) or SW_NO_FIELDS.
void sw_log(sw_level level, const char *message, size_t fields_count, const sw_tag *fields);
#define SW_FIELDS(...) sizeof((sw_tag[]){ __VA_ARGS__ }) / sizeof(sw_tag), (sw_tag[]){ __VA_ARGS__ }
#define SW_NO_FIELDS 0, NULL

// Says how far the step is: from 0 to 1, and a note for people.
void sw_progress(double fraction, const char *note);
// Whether the attempt was told to stop.
bool sw_cancelled(void);
// The value of a granted secret, or what stands for it until a request leaves; NULL if it is not granted.
const char *sw_secret(const char *name);
// A text as printf makes it, in memory of its own.
__attribute__((format(printf, 1, 2))) const char *sw_format(const char *format, ...);

// A direct parent whose output a handler reads. Templates are checked against it.
typedef struct { const char *step; bool optional; const char *schema; } sw_parent_read;

// One handler. Schemas are JSON Schemas, and may be NULL.
typedef struct {
    const char *name, *summary, *input, *config, *output;
    sw_result (*run)(const sw_context *context);
    size_t parents_count;
    const sw_parent_read *parents;
} sw_handler;

// The plugin. What it would like to be granted are lists that end with NULL, or NULL. Define exactly one, called `plugin`.
typedef struct {
    const char *name, *version, *summary;
    const char *const *hosts, *const *directories, *const *environment, *const *secrets;
    size_t handlers_count;
    const sw_handler *handlers;
} sw_plugin;

extern const sw_plugin plugin;
