# frozen_string_literal: true

require "stepwright/dev"

class ProcessPayment < Stepwright::StepHandler # a step in Ruby, run by this very process
  def call(_task, sequence, step)
    order = sequence.fetch("validate_order")
    { payment_id: "PAY/#{step.idempotency_key}", amount_cents: order["total_cents"], currency: order["currency"] }
  end
end

Stepwright::Dev.start(plugins: ["shop.wasm"], templates: [<<~YAML]) # a host of its own, for as long as the script runs
  template: order
  namespace: shop
  version: 1.0.0
  plugin: examples/shop@^1 # the other three are sandboxed WebAssembly
  steps:
    - { name: validate_order, handler: validate_order }
    - { name: reserve_inventory, handler: reserve_inventory, depends_on: validate_order }
    - { name: process_payment, plugin: external, handler: process_payment, depends_on: validate_order }
    - { name: ship_order, handler: ship_order, depends_on: [reserve_inventory, process_payment] }
YAML

order = { order_id: "ORD-1", customer: { id: "C-1", email: "ada@example.org" },
          items: [{ sku: "MUG-RED", quantity: 2, unit_price_cents: 1250 }],
          shipping: { name: "Ada", street: "1 Main Street", city: "Turin", postal_code: "10100", country: "IT" },
          payment: { card_token: "tok_visa", amount_cents: 2500, currency: "EUR" } }
result = Stepwright.run(template: "shop/order", context: order) { |event| puts event }
puts "#{result.status}: #{result.outputs["ship_order"]}"
