// Plugin {{plugin}}.

import { permanent, plugin } from "./stepwright.js";

const greet = {
  summary: "Greets a guest by name.",
  input: { type: "object", required: ["name"], properties: { name: { type: "string" } } },
  output: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
  run(guest, ctx) {
    if (guest.name === "") throw permanent("nobody is there to be greeted", { code: "no_name" });
    ctx.info(`greeting ${guest.name}`, { attempt: ctx.attempt });
    return { text: `Hello, ${guest.name}!` };
  },
};

export const handler = plugin({
  name: "{{plugin}}",
  version: "0.1.0",
  summary: "Greets people.",
  handlers: { greet },
});
