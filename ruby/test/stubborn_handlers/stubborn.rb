# frozen_string_literal: true

# A step whose first attempt never ends by itself.
class Stubborn < Stepwright::StepHandler
  def call(task, _sequence, step)
    File.write(task["mark"], "#{step.attempt}\n", mode: "a")
    sleep if step.attempt == 1
    { "attempt" => step.attempt, "key" => step.idempotency_key }
  end
end
