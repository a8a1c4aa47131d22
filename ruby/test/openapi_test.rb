# frozen_string_literal: true

require_relative "support/setup"

# Every call against the API's own document: the path, the query and the body are ones that it knows, and the answer's fields that
# results read are ones that it has.
class OpenapiTest < Minitest::Test
  DOCUMENT = ENV["OPENAPI"] || File.join(Support::ROOT, "docs/reference/openapi.json")
  # Calls that are answered without end, and are checked by themselves.
  STREAMS = %w[events].freeze
  WHY = { reason: "because", by: "ada" }.freeze
  CALLS = {
    initialize_task: [{ template: "a/b", context: {}, idempotency_key: "k", tags: { a: 1 }, priority: 1, at: Time.at(0), in: nil }],
    initialize_tasks: [[{ template: "a/b", in: 3 }]], handle: [1], task: [1], attempts: [1], history: [1],
    tasks: [{ state: "error", namespace: "a", template: "b", before: 3 }],
    cancel: [1, WHY], pause: [1, WHY], resume: [1, WHY], retry: [1, { step: "a", **WHY }], resolve: [1, { step: "a", output: 1, **WHY }],
    skip: [1, { step: "a", **WHY }], pauses: [], pause_all: [:plugin, "a/b", WHY], resume_all: [:task, 1, WHY],
    templates: [], template: ["a/b@1.0.0"], plan: ["a/b@1.0.0"], register_template: ["x"],
    plugins: [], plugin: ["a/b"], plugin_version: ["a/b@1.0.0"], register_plugin: ["x", { name: "a/b", version: "1.0.0", signature: "x" }],
    enable_plugin: ["a/b@1.0.0", WHY], disable_plugin: ["a/b@1.0.0", WHY], yank_plugin: ["a/b@1.0.0", WHY], quarantine_plugin: ["a/b@1.0.0", WHY],
    analytics: [{ since: "1h", namespace: "a" }], system_health: [], execution_context: [1], levels: [1], viable_steps: [1],
    slowest_tasks: [{ since: 60, namespace: "a", template: "b", version: "1.0.0", limit: 3 }], slowest_steps: [{ since: "1h", limit: 3 }],
    health: [], ready?: [], workers: [{ all: true }], orchestrators: [], batch: [1],
    batches: [{ worker: "w", state: "open", since: "1h", limit: 3, before: 3 }],
    tokens: [], create_token: [{ name: "a", scope: "read", expires_in: "90d" }], revoke_token: [1],
    webhooks: [], webhook: ["shop"], create_webhook: [{ name: "shop", url: "https://a.example", events: ["task.*"], namespace: "a", template: "b", after: "0", secret: "whsec_", by: "ada" }],
    enable_webhook: ["shop"], disable_webhook: ["shop"], remove_webhook: ["shop"]
  }.freeze
  # Which schema each result reads.
  RESULTS = { "Task" => Stepwright::Task, "TaskSummary" => Stepwright::TaskSummary, "Step" => Stepwright::StepRecord, "StepReason" => Stepwright::Reason,
              "Attempt" => Stepwright::Attempt, "Failure" => Stepwright::Failure, "StartedTask" => Stepwright::InitializedTask,
              "RegisteredPlugin" => Stepwright::Plugin, "RegisteredTemplate" => Stepwright::Template }.freeze

  # What results read of other answers.
  ELSEWHERE = { "Step" => %w[handler], "RegisteredPlugin" => %w[state bytes registered_at handlers], "RegisteredTemplate" => %w[registered_at source] }.freeze

  # Notes a call in place of making it.
  class Recorder
    Made = Class.new(StandardError)
    attr_reader :request

    def json(request)
      @request = request
      raise Made
    end
    alias text json
  end

  def setup
    skip "the document is not there yet: docs/reference/openapi.json" unless File.file?(DOCUMENT)
    @document = JSON.parse(File.read(DOCUMENT))
  end

  def request_of(call, arguments)
    recorder = Recorder.new
    client = Stepwright::Client.new(Stepwright::Configuration.new, session: recorder)
    *positional, keywords = arguments.last.is_a?(Hash) ? arguments : [*arguments, {}]
    assert_raises(Recorder::Made) { client.public_send(call, *positional, **keywords) }
    recorder.request
  end

  def operation_of(request)
    path = request.path.split("?").first
    template = @document["paths"].keys.find { |known| path.match?(/\A#{Regexp.escape(known).gsub(/\\\{\w+\\\}/, "[^/]+")}\z/) && @document["paths"][known][request.verb.to_s] }
    assert template, "there is no #{request}"
    @document["paths"][template][request.verb.to_s]
  end

  def resolve(schema)
    reference = schema && schema["$ref"]
    reference ? @document.dig(*reference.delete_prefix("#/").split("/")) : schema
  end

  def fields(schema)
    schema = resolve(schema)
    [*schema["properties"]&.keys, *(schema["allOf"] || []).flat_map { |part| fields(part) }]
  end

  def test_every_call_is_one_that_the_document_has
    calls = Stepwright::Client.included_modules.select { |part| part.name&.start_with?("Stepwright::Client::") }.flat_map { |part| part.public_instance_methods(false) }
    assert_equal calls.map(&:to_s).sort - STREAMS - ["run"], CALLS.keys.map(&:to_s).sort
    CALLS.each do |call, arguments|
      request = request_of(call, arguments)
      operation = operation_of(request)
      known = (operation["parameters"] || []).select { |parameter| parameter["in"] == "query" }.map { |parameter| parameter["name"] }
      asked = URI.decode_www_form(request.path.split("?", 2)[1].to_s).map(&:first)
      assert_empty asked - known, "#{call}: the query of #{request}"
      check_body(call, request, operation)
    end
  end

  def test_the_stream_of_events_has_the_filters_of_the_document
    operation = @document.dig("paths", "/v1/events", "get")
    known = operation["parameters"].map { |parameter| parameter["name"] }
    assert_empty %w[after task namespace template name last-event-id] - known
    assert_includes operation["responses"]["200"]["content"].keys, "text/event-stream"
    names = @document.dig("components", "schemas", "EventName", "enum")
    assert_empty Stepwright::Event::SETTLING - names
  end

  def check_body(call, request, operation)
    net = request.to_net(nil)
    return if net.body.to_s.empty?

    content = operation.dig("requestBody", "content") || {}
    assert_includes content.keys, net["Content-Type"], "#{call}: the body of #{request}"
    return unless net["Content-Type"] == "application/json"

    schema = content["application/json"]["schema"]
    sent = JSON.parse(net.body)
    assert_empty sent.keys - fields(schema), "#{call}: the body of #{request}"
    assert_empty (resolve(schema)["required"] || []) - sent.keys, "#{call}: the body of #{request}"
  end

  def test_every_status_has_an_error_that_the_readme_names
    statuses = @document["paths"].values.flat_map(&:values).grep(Hash).flat_map { |operation| operation["responses"].keys.map(&:to_i) }.uniq
    readme = File.read(File.expand_path("../README.md", __dir__))
    statuses.reject { |status| (200..299).cover?(status) }.each do |status|
      error = Stepwright::HTTP::Answer.new(status, {}, "").error
      refute_instance_of Stepwright::ProtocolError, error, "status #{status}"
      assert_match(/^\|.*\b#{error.class.name.split("::").last}\b.*\|.*\b#{status}\b/, readme)
    end
  end

  def test_results_read_fields_that_there_are
    RESULTS.each do |name, result|
      schema = @document["components"]["schemas"][name]
      assert schema, "there is no schema #{name}: #{@document["components"]["schemas"].keys.sort.join(" ")}"
      missing = result.fields.values.map(&:key) - fields(schema) - ELSEWHERE.fetch(name, [])
      assert_empty missing, name
    end
  end
end
