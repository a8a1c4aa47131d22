# frozen_string_literal: true

require_relative "support/setup"
require "open3"
require "stepwright/testing"

# The signatures in sig/.
class SignaturesTest < Minitest::Test
  SIG = File.expand_path("../sig", __dir__)

  def test_they_are_valid
    skip "rbs is not here; Ruby bundles it" unless Gem::Specification.find_all_by_name("rbs").any?
    out, status = Open3.capture2e(RbConfig.ruby, "-W0", Gem.bin_path("rbs", "rbs"), "-I", SIG, "validate", "--silent")
    assert_predicate status, :success?, out
  end

  def test_every_call_and_every_field_has_one
    text = Dir["#{SIG}/*.rbs"].map { |file| File.read(file) }.join
    calls = Stepwright::Client.included_modules.select { |part| part.name&.start_with?("Stepwright::Client::") }.flat_map { |part| part.public_instance_methods(false) }
    fields = [Stepwright::Task, Stepwright::StepRecord, Stepwright::Attempt, Stepwright::Failure, Stepwright::InitializedTask, Stepwright::Plugin, Stepwright::Template].flat_map { |value| value.fields.keys }
    settings = [Stepwright::Configuration, Stepwright::WorkerSettings].flat_map { |group| group.settings.keys }
    missing = calls.reject { |name| text.match?(/def #{Regexp.escape(name.to_s)}:/) } + (fields + settings).uniq.reject { |name| text.match?(/attr_(reader|accessor) #{name}:/) }
    assert_empty missing
  end
end
