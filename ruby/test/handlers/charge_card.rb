# frozen_string_literal: true

# A handler that the tests' workers load.
class ChargeCard < Stepwright::StepHandler
  def call(task, _sequence, step)
    { "charged" => task["order_id"], "key" => step.idempotency_key }
  end
end
