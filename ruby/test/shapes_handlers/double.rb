# frozen_string_literal: true

# A step in Ruby that the plugin `shapes` can read, and that reads one of its steps.
class Double < Stepwright::StepHandler
  def call(_task, sequence, step)
    before = sequence.fetch("second")
    { "value" => before["value"] * 2, "trail" => before["trail"] + [step.name] }
  end
end
