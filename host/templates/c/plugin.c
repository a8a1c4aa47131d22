// Plugin {{plugin}}.

#include "stepwright.h"

static sw_result greet(const sw_context *context) {
    const json *name = json_get(context->input, "name");
    if (!json_is(name, JSON_STRING)) return sw_invalid_input("name", JSON_STRING, name);
    if (*name->string == 0) return sw_permanent("no_name", "nobody is there to be greeted");
    const char *attempt = sw_format("%u", (unsigned)context->attempt);
    sw_log(SW_INFO, sw_format("greeting %s", name->string), SW_FIELDS({ "attempt", attempt }));
    const char *text = sw_format("Hello, %s!", name->string);
    return sw_output(sw_format("{\"text\":%s}", json_quoted(text)));
}

static const sw_handler handlers[] = {
    {
        .name = "greet",
        .summary = "Greets a guest by name.",
        .input = "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"} } }",
        .output = "{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{\"text\":{\"type\":\"string\"} } }",
        .run = greet,
    },
};

const sw_plugin plugin = {
    .name = "{{plugin}}",
    .version = "0.1.0",
    .summary = "Greets people.",
    .handlers_count = sizeof handlers / sizeof *handlers,
    .handlers = handlers,
};
