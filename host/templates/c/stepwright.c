// The other side of stepwright.h: what goes over the border, laid out as the component model's canonical ABI has it, and a reader of
// JSON. On wasm32 a record is laid out as a C struct with the same fields; an option is a byte and its value.

#include "stepwright.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// How deep the JSON of a host is nested, at most.
#define DEPTH_MAX 127

static void *taken(size_t bytes) {
    void *at = calloc(1, bytes ? bytes : 1);
    // The host sees a trap, and which limit was reached.
    if (!at) __builtin_trap();
    return at;
}

static const char *formatted(const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    size_t bytes = (size_t)vsnprintf(NULL, 0, format, again) + 1;
    va_end(again);
    char *text = taken(bytes);
    vsnprintf(text, bytes, format, values);
    return text;
}

const char *sw_format(const char *format, ...) {
    va_list values;
    va_start(values, format);
    const char *text = formatted(format, values);
    va_end(values);
    return text;
}

// ---- Reading and writing JSON -------------------------------------------------------------------------------------------------

typedef struct { const char *at; int depth; } reader;

static bool read_value(reader *in, json *out);

static void skip_space(reader *in) {
    while (*in->at && strchr(" \t\r\n", *in->at)) in->at++;
}

static bool read_word(reader *in, const char *word) {
    size_t bytes = strlen(word);
    if (strncmp(in->at, word, bytes)) return false;
    in->at += bytes;
    return true;
}

static bool read_hex(reader *in, uint32_t *out) {
    *out = 0;
    for (int digit = 0; digit < 4; digit++, in->at++) {
        const char *digits = "0123456789abcdef", *found = *in->at ? strchr(digits, *in->at | 0x20) : NULL;
        if (!found) return false;
        *out = *out * 16 + (uint32_t)(found - digits);
    }
    return true;
}

static char *put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    // As many ones as there are bytes in all, and a zero.
    *out++ = (char)((0xff00 >> (more + 1) & 0xff) | code >> 6 * more);
    while (more--) *out++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return out;
}

// A zero would end the text too early, so it is refused.
static bool read_escape(reader *in, char **out) {
    const char *names = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t", *found = strchr(names, *in->at);
    if (*in->at && found) {
        *(*out)++ = meant[found - names];
        in->at++;
        return true;
    }
    uint32_t code, low;
    if (*in->at++ != 'u' || !read_hex(in, &code) || code == 0) return false;
    if (code >= 0xd800 && code <= 0xdfff) {
        if (code >= 0xdc00 || !read_word(in, "\\u") || !read_hex(in, &low) || low < 0xdc00 || low > 0xdfff) return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, code);
    return true;
}

static bool read_string(reader *in, const char **out) {
    if (*in->at++ != '"') return false;
    // What is read is never longer than what it is written as.
    size_t bytes = 0;
    while (in->at[bytes] && in->at[bytes] != '"') bytes += in->at[bytes] == '\\' && in->at[bytes + 1] ? 2 : 1;
    char *text = taken(bytes + 1);
    *out = text;
    while (*in->at != '"') {
        if ((unsigned char)*in->at < 0x20) return false;
        if (*in->at != '\\') {
            *text++ = *in->at++;
        } else {
            in->at++;
            if (!read_escape(in, &text)) return false;
        }
    }
    in->at++;
    return true;
}

static bool read_many(reader *in, json *out, char end) {
    size_t room = 0;
    in->at++;
    skip_space(in);
    if (*in->at == end) return in->at++;
    for (;;) {
        if (out->count == room) {
            room = room ? room * 2 : 4;
            out->values = realloc(out->values, room * sizeof *out->values);
            out->keys = realloc(out->keys, room * sizeof *out->keys);
            if (!out->values || !out->keys) __builtin_trap();
        }
        skip_space(in);
        if (end == '}') {
            if (!read_string(in, &out->keys[out->count])) return false;
            skip_space(in);
            if (*in->at++ != ':') return false;
        }
        if (!read_value(in, &out->values[out->count++])) return false;
        skip_space(in);
        if (*in->at == end) return in->at++;
        if (*in->at++ != ',') return false;
    }
}

static bool read_nested(reader *in, json *out, char end) {
    if (++in->depth > DEPTH_MAX) return false;
    bool good = read_many(in, out, end);
    in->depth--;
    return good;
}

static bool read_value(reader *in, json *out) {
    *out = (json){ .kind = JSON_NULL };
    skip_space(in);
    switch (*in->at) {
    case 'n': return read_word(in, "null");
    case 't': out->kind = JSON_BOOLEAN; out->boolean = true; return read_word(in, "true");
    case 'f': out->kind = JSON_BOOLEAN; return read_word(in, "false");
    case '"': out->kind = JSON_STRING; return read_string(in, &out->string);
    case '[': out->kind = JSON_ARRAY; return read_nested(in, out, ']');
    case '{': out->kind = JSON_OBJECT; return read_nested(in, out, '}');
    }
    if (*in->at != '-' && (*in->at < '0' || *in->at > '9')) return false;
    char *end;
    out->kind = JSON_NUMBER;
    out->number = strtod(in->at, &end);
    in->at = end;
    return true;
}

const json *json_read(const char *text) {
    reader in = { .at = text };
    json *value = taken(sizeof *value);
    if (!read_value(&in, value)) return NULL;
    skip_space(&in);
    return *in.at ? NULL : value;
}

const json *json_get(const json *object, const char *key) {
    if (!json_is(object, JSON_OBJECT)) return NULL;
    // Of several the last counts.
    for (size_t at = object->count; at--;)
        if (!strcmp(object->keys[at], key)) return &object->values[at];
    return NULL;
}

bool json_is(const json *value, json_kind kind) {
    return value && value->kind == kind;
}

const char *json_quoted(const char *text) {
    char *quoted = taken(strlen(text) * 6 + 3), *out = quoted;
    *out++ = '"';
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20) {
            out += sprintf(out, "\\u%04x", byte);
            continue;
        }
        if (byte == '"' || byte == '\\') *out++ = '\\';
        *out++ = *text;
    }
    *out++ = '"';
    return quoted;
}

// ---- What handlers say --------------------------------------------------------------------------------------------------------

sw_result sw_output(const char *json) {
    return (sw_result){ .how = SW_OUTPUT, .text = json };
}

sw_result sw_permanent(const char *code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    sw_result result = { .how = SW_PERMANENT, .text = formatted(format, values), .code = code };
    va_end(values);
    return result;
}

sw_result sw_retryable(const char *code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    sw_result result = { .how = SW_RETRYABLE, .text = formatted(format, values), .code = code };
    va_end(values);
    return result;
}

sw_result sw_invalid_input(const char *key, json_kind expected, const json *found) {
    static const char *const names[] = { "null", "boolean", "number", "string", "array", "object" };
    const char *what = found ? names[found->kind] : "nothing";
    return sw_permanent(
        "invalid_input", "the task context cannot be read at %s: expected %s, found %s", key, names[expected], what);
}

const json *sw_parent_output(const sw_context *context, const char *step) {
    for (size_t at = 0; at < context->parents_count; at++)
        if (!strcmp(context->parents[at].step, step)) return context->parents[at].output;
    return NULL;
}

// ---- The border ---------------------------------------------------------------------------------------------------------------

#define IMPORT(module, name) __attribute__((import_module("stepwright:step/" module "@0.1.0"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

typedef struct { const char *at; size_t bytes; } wire_text;
typedef struct { uint8_t some; wire_text text; } wire_option;
typedef struct { uint8_t some; uint64_t number; } wire_option_u64;
typedef struct { const void *at; size_t count; } wire_list;
typedef struct { wire_text first, second; } wire_pair;

typedef struct {
    wire_text task_id, step_name;
    uint32_t attempt, retry_limit;
    wire_text idempotency_key;
    uint64_t deadline_ms;
    wire_text task_context, config;
    wire_list parents, tags;
} wire_context;

typedef struct { wire_text name; wire_context context; } wire_call;

typedef struct { wire_text message; wire_option code, details; wire_option_u64 retry_after_ms; } wire_error;

typedef struct {
    uint8_t failed;
    union {
        wire_text output;
        struct { uint8_t permanent; wire_error error; } failure;
    };
} wire_result;

typedef struct { wire_text step; uint8_t optional; wire_option schema; } wire_parent_read;
typedef struct { wire_text name, summary; wire_option input, config, output; wire_list parents; } wire_handler;
typedef struct { wire_text name, version, summary; wire_list handlers, hosts, directories, environment, secrets; } wire_description;

IMPORT("log", "write") void host_write(int, const char *, size_t, const wire_pair *, size_t);
IMPORT("host", "progress") void host_progress(double, const char *, size_t);
IMPORT("host", "cancelled") int host_cancelled(void);
IMPORT("host", "secret") void host_secret(const char *, size_t, wire_option *);

static wire_text give(const char *text) {
    return (wire_text){ text, strlen(text) };
}

static wire_option give_some(const char *text) {
    return text ? (wire_option){ 1, give(text) } : (wire_option){ 0 };
}

static const char *take(wire_text text) {
    char *copy = taken(text.bytes + 1);
    return memcpy(copy, text.at, text.bytes);
}

static wire_pair *pairs(const sw_tag *tags, size_t count) {
    wire_pair *given = taken(count * sizeof *given);
    for (size_t at = 0; at < count; at++) given[at] = (wire_pair){ give(tags[at].key), give(tags[at].value) };
    return given;
}

void sw_log(sw_level level, const char *message, size_t fields_count, const sw_tag *fields) {
    host_write(level, message, strlen(message), pairs(fields, fields_count), fields_count);
}

void sw_progress(double fraction, const char *note) {
    host_progress(fraction, note, strlen(note));
}

bool sw_cancelled(void) {
    return host_cancelled();
}

const char *sw_secret(const char *name) {
    wire_option value = { 0 };
    host_secret(name, strlen(name), &value);
    return value.some ? take(value.text) : NULL;
}

// Where the host puts what it hands over.
EXPORT("cabi_realloc") void *wire_realloc(void *old, size_t old_bytes, size_t align, size_t bytes) {
    (void)old_bytes;
    if (bytes == 0) return (void *)align;
    void *at = realloc(old, bytes);
    if (!at) __builtin_trap();
    return at;
}

static wire_list texts(const char *const *texts) {
    size_t count = 0;
    while (texts && texts[count]) count++;
    wire_text *given = taken(count * sizeof *given);
    for (size_t at = 0; at < count; at++) given[at] = give(texts[at]);
    return (wire_list){ given, count };
}

static wire_handler described(const sw_handler *handler) {
    wire_parent_read *parents = taken(handler->parents_count * sizeof *parents);
    for (size_t at = 0; at < handler->parents_count; at++) {
        const sw_parent_read *parent = &handler->parents[at];
        parents[at] = (wire_parent_read){ give(parent->step), parent->optional, give_some(parent->schema) };
    }
    return (wire_handler){
        .name = give(handler->name),
        .summary = give(handler->summary),
        .input = give_some(handler->input),
        .config = give_some(handler->config),
        .output = give_some(handler->output),
        .parents = { parents, handler->parents_count },
    };
}

EXPORT("stepwright:step/handler@0.1.0#describe") const wire_description *wire_describe(void) {
    wire_handler *handlers = taken(plugin.handlers_count * sizeof *handlers);
    for (size_t at = 0; at < plugin.handlers_count; at++) handlers[at] = described(&plugin.handlers[at]);
    wire_description *description = taken(sizeof *description);
    *description = (wire_description){
        .name = give(plugin.name),
        .version = give(plugin.version),
        .summary = give(plugin.summary),
        .handlers = { handlers, plugin.handlers_count },
        .hosts = texts(plugin.hosts),
        .directories = texts(plugin.directories),
        .environment = texts(plugin.environment),
        .secrets = texts(plugin.secrets),
    };
    return description;
}

static sw_result run(const char *name, const sw_context *context) {
    if (!context->input || !context->config)
        return sw_permanent("invalid_input", "the task context or the step's config has a zero in a text");
    for (size_t at = 0; at < plugin.handlers_count; at++)
        if (!strcmp(plugin.handlers[at].name, name)) return plugin.handlers[at].run(context);
    return sw_permanent("unknown_handler", "no handler %s in the plugin", name);
}

static sw_context context_of(const wire_context *wire) {
    const wire_pair *parents = wire->parents.at, *tags = wire->tags.at;
    sw_parent *outputs = taken(wire->parents.count * sizeof *outputs);
    for (size_t at = 0; at < wire->parents.count; at++)
        outputs[at] = (sw_parent){ take(parents[at].first), json_read(take(parents[at].second)) };
    sw_tag *labels = taken(wire->tags.count * sizeof *labels);
    for (size_t at = 0; at < wire->tags.count; at++)
        labels[at] = (sw_tag){ take(tags[at].first), take(tags[at].second) };
    return (sw_context){
        .task_id = take(wire->task_id),
        .step_name = take(wire->step_name),
        .attempt = wire->attempt,
        .retry_limit = wire->retry_limit,
        .idempotency_key = take(wire->idempotency_key),
        .deadline_ms = wire->deadline_ms,
        .input = json_read(take(wire->task_context)),
        .config = json_read(take(wire->config)),
        .parents_count = wire->parents.count,
        .parents = outputs,
        .tags_count = wire->tags.count,
        .tags = labels,
    };
}

EXPORT("stepwright:step/handler@0.1.0#handle") const wire_result *wire_handle(const wire_call *call) {
    sw_context context = context_of(&call->context);
    sw_result result = run(take(call->name), &context);
    wire_result *given = taken(sizeof *given);
    if (result.how == SW_OUTPUT) {
        given->output = give(result.text);
        return given;
    }
    given->failed = 1;
    given->failure.permanent = result.how == SW_PERMANENT;
    given->failure.error = (wire_error){
        .message = give(result.text),
        .code = give_some(result.code),
        .details = give_some(result.details),
        .retry_after_ms = { result.retry_after_ms > 0, result.retry_after_ms },
    };
    return given;
}
