// Plugin examples/packing-js: what polyglot/rust does, in JavaScript.

import { permanent, plugin } from "./stepwright.js";

const line = {
  type: "object",
  required: ["sku", "quantity"],
  properties: { sku: { type: "string" }, quantity: { type: "integer", minimum: 0 } },
};
const parcel = {
  type: "object",
  required: ["lines", "pieces"],
  properties: { lines: { type: "array", items: line }, pieces: { type: "integer", minimum: 0 } },
};

const pack_order = {
  summary: "Fills parcels one after the other, in the order of the lines.",
  input: { type: "object", required: ["order_id"], properties: { order_id: { type: "string" } } },
  config: { type: "object", required: ["pieces_max"], properties: { pieces_max: { type: "integer", minimum: 0 } } },
  output: {
    type: "object",
    required: ["order_id", "parcels"],
    properties: { order_id: { type: "string" }, parcels: { type: "array", items: parcel } },
  },
  run({ order_id }, ctx) {
    const { pieces_max } = ctx.config();
    if (pieces_max === 0) throw permanent("pieces_max is 0: nothing fits into such a parcel", { code: "no_room" });
    const parcels = pack(ctx.parent("reserve_inventory").lines, pieces_max);
    if (parcels.length === 0) {
      throw permanent(`nothing is reserved for order ${order_id}`, { code: "nothing_to_pack" });
    }
    ctx.info(`order ${order_id} leaves in ${parcels.length} parcels`, { language: "JavaScript" });
    return { order_id, parcels };
  },
};

function pack(lines, pieces_max) {
  const parcels = [];
  for (const { sku, quantity } of lines) {
    let left = quantity;
    while (left > 0) {
      if (parcels.length === 0 || parcels.at(-1).pieces === pieces_max) parcels.push({ lines: [], pieces: 0 });
      const parcel = parcels.at(-1);
      const fits = Math.min(left, pieces_max - parcel.pieces);
      parcel.lines.push({ sku, quantity: fits });
      parcel.pieces += fits;
      left -= fits;
    }
  }
  return parcels;
}

export const handler = plugin({
  name: "examples/packing-js",
  version: "1.0.0",
  summary: "Packs orders into parcels, in JavaScript.",
  handlers: { pack_order },
});
