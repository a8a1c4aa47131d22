# frozen_string_literal: true

require "stepwright/testing"

root = File.expand_path("../..", __dir__)
plugin = ENV.fetch("SHOP_WASM", "#{root}/plugins/target/wasm32-wasip2/release/shop.wasm")
Stepwright::Testing.start(plugins: [plugin], templates: ["#{root}/config/templates/order_fulfillment.yaml"])

order = {
  order_id: "ORD-1",
  customer: { id: "C-1", email: "ada@example.org" },
  items: [{ sku: "MUG-RED", quantity: 2, unit_price_cents: 1250 }],
  shipping: { name: "Ada", street: "1 Main Street", city: "Turin", postal_code: "10100", country: "IT" },
  payment: { card_token: "tok_visa", amount_cents: 2500, currency: "EUR" }
}
result = Stepwright.run(template: "shop/order_fulfillment", context: order, idempotency_key: "ORD-1") do |event|
  puts event
end

case result
in { status: "complete" } then puts "shipped: #{result.outputs["ship_order"]}"
in { failed_steps: [step, *] } then puts "#{step.name} failed: #{step.failure}"
in { settled: false } then puts "it still runs: #{result.blocking_reason}"
end
