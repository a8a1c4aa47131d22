# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/api_server"

# The API's calls, over real sockets.
class ClientTest < Minitest::Test
  include Support::WithServer

  STEPS = [{ id: 65_536, name: "first", handler: "start", parents: [], state: "ready" },
           { id: 65_537, name: "second", handler: "add", parents: ["first"], state: "pending" }].freeze
  # As the host prints it, in 2026.
  TASK = {
    id: 1, plan: 1, namespace: "shapes", template: "two", version: "1.0.0", state: "complete", priority: 0, idempotency_key: nil,
    created_at: 1_795_673_779_419, started_at: 1_795_673_779_421, finished_at: 1_795_673_779_488, steps: 2, steps_finished: 2,
    steps_in_error: 0, context: { n: 4 }, tags: [%w[tenant north]], pauses: [],
    steps_detail: STEPS.map { |step| step.merge(state: "complete", attempt: 1, failures: 0, output: { value: 4 }, execution_us: 343) },
    execution_status: "all_complete", recommended_action: "finalize_task", completion_percent: 100, reasons: [], notes: []
  }.freeze
  FAILURE = { class: "permanent", code: "card_declined", message: "declined", retryable: false }.freeze
  FAILED = TASK.merge(
    state: "error", finished_at: nil, steps_finished: 1, steps_in_error: 1,
    steps_detail: [TASK[:steps_detail][0], TASK[:steps_detail][1].merge(state: "error", output: nil, failure: FAILURE)],
    reasons: [{ step: "second", why: "failed for good: declined", advice: "resolve it" }]
  ).freeze

  def asked = server.requests.last

  def test_initialize_task
    server.on("POST /v1/tasks", [201, { id: 1, created: true, namespace: "shapes", template: "two", version: "1.0.0", state: "pending", steps: STEPS }])
    at = Time.utc(2026, 11, 26, 6, 30)
    task = client.initialize_task(template: "shapes/two", context: { n: 4 }, tags: { tenant: :north }, priority: 2, at: at, idempotency_key: "k")
    assert_equal({ "template" => "shapes/two", "context" => { "n" => 4 }, "idempotency_key" => "k", "tags" => { "tenant" => "north" },
                   "priority" => 2, "at" => "2026-11-26T06:30:00.000Z" }, asked.json)
    assert_equal [1, 1, true, 2, { "first" => 65_536, "second" => 65_537 }], [task.task_id, task.id, task.created?, task.step_count, task.step_mapping]
    assert_equal [["second", ["first"], "add"]], task.workflow_steps.drop(1).map { |step| [step.name, step.depends_on, step.handler] }
    client_with(namespace: "shapes").initialize_task(template: "two@1.0.0", in: 90)
    assert_equal({ "template" => "shapes/two@1.0.0", "context" => {}, "in" => "90s" }, asked.json)
    client.initialize_task(template: "a/b", in: 0.25)
    assert_equal "250ms", asked.json["in"]
    assert_raises(ArgumentError) { client.initialize_task(template: "a/b", in: "soon") }
  end

  def test_moments_are_taken_as_they_are
    server.on("POST /v1/tasks", [201, { id: 1, created: true, steps: [] }])
    ours = Time.new(2026, 11, 26, 8, 30, 0, "+02:00").freeze
    theirs = Time.new(2026, 11, 26, 8, 30, 0, "+02:00")
    text = +"2026-11-26T06:30:00Z"
    def text.to_time = Time.at(0) # as with ActiveSupport
    [ours, theirs, DateTime.new(2026, 11, 26, 6, 30)].each do |at|
      client.initialize_task(template: "a/b", at: at)
      assert_equal "2026-11-26T06:30:00.000Z", asked.json["at"]
    end
    assert_equal 7_200, theirs.utc_offset
    client.initialize_task(template: "a/b", at: text)
    assert_equal "2026-11-26T06:30:00Z", asked.json["at"]
  end

  def test_initialize_tasks
    server.on("POST /v1/tasks/bulk", [200, { tasks: [{ id: 1, created: true }, { id: 2, created: false }] }])
    started = client.initialize_tasks([{ template: "a/b", context: { n: 1 } }, { "template" => "a/b", "idempotency_key" => "k" }])
    assert_equal [[1, true], [2, false]], started.map { |one| [one.id, one.created] }
    assert_equal({ "tasks" => [{ "template" => "a/b", "context" => { "n" => 1 } }, { "template" => "a/b", "idempotency_key" => "k" }] }, asked.json)
  end

  def test_handle_waits_in_slices_until_the_task_settles
    answers = [TASK.merge(state: "in_progress", settled: false), TASK.merge(settled: true)]
    server.on("GET /v1/tasks/1/wait") { [200, answers.shift] }
    result = client.handle(1, timeout: "2m")
    assert_equal %w[30s 30s], server.requests.map { |request| request.query["timeout"] }
    assert_equal [true, true, false, "complete", 2, 0.069], [result.success?, result.settled?, result.timed_out?, result.status, result.steps_executed, result.total_time.round(3)]
    assert_equal [{ "first" => { "value" => 4 }, "second" => { "value" => 4 } }, [], nil], [result.outputs, result.failed_steps, result.blocking_reason]
    case result
    in { status: "complete", task: { completion_percent: 100 } } then pass
    end
  end

  def test_handle_tells_what_blocks
    server.on("GET /v1/tasks/1/wait", [200, FAILED.merge(settled: true)])
    result = client.handle(1)
    assert_equal [false, true, "error", 1, "second: failed for good: declined"],
                 [result.success?, result.settled?, result.status, result.steps_executed, result.blocking_reason]
    failure = result.failed_steps.first.failure
    assert_equal ["permanent (card_declined): declined", false], [failure.to_s, failure.retryable?]
    server.on("GET /v1/tasks/1/wait", [200, TASK.merge(state: "in_progress", settled: false)])
    assert_predicate client.handle(1, timeout: 0), :timed_out?
    server.on("GET /v1/events") { ->(socket) { stream(socket) } }
    server.on("GET /v1/tasks/2", server.problem(404, "task_not_found", "there is no task 2"))
    assert_equal "task_not_found", assert_raises(Stepwright::NotFound) { client.handle(2) { flunk } }.code
  end

  def test_a_host_that_restarts_is_waited_for
    answers = [*[:close] * 5, [200, TASK.merge(settled: true)]]
    server.on("GET /v1/tasks/1/wait") { answers.shift }
    assert_predicate client.handle(1), :success?
    assert_equal 4, pauses.size, "three tries again, a pause of half a second, and one more"
    server.on("GET /v1/tasks/1/wait", :close)
    assert_raises(Stepwright::Unavailable) { client.handle(1, timeout: 0) }
  end

  def stream(socket, *events)
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: hello\r\n")
    events.each { |id, name, data| socket.write("id: #{id}\nevent: #{name}\ndata: #{JSON.generate(data)}\n\n") }
  end

  def test_run_tells_events_as_they_come_over_as_many_connections_as_it_takes
    server.on("POST /v1/tasks", [201, { id: 1, created: true, steps: [] }])
    server.on("GET /v1/tasks/1", [200, TASK.merge(state: "in_progress")])
    server.on("GET /v1/tasks/1/wait", [200, TASK.merge(settled: true)])
    parts = [[[1, "task.started", { task: 1 }], [2, "step.completed", { task: 1, step_name: "first" }]],
             [[3, "task.completed", { task: 1 }], [4, "task.started", { task: 1 }]]]
    server.on("GET /v1/events") { parts.shift.then { |part| ->(socket) { stream(socket, *part) } } }
    seen = []
    result = client.run(template: "shapes/two") { |event| seen << event }
    assert_equal %w[task.started step.completed task.completed], seen.map(&:name)
    assert_equal [nil, "first", nil], seen.map(&:step)
    assert_equal ["step.completed first (task 1)", "2", 1], [seen[1].to_s, seen[1].position, seen[1].task_id]
    asked = server.requests.select { |request| request.path == "/v1/events" }
    assert_equal [%w[1 0], %w[1 2]], asked.map { |request| request.query.values_at("task", "after") }
    assert_equal "text/event-stream, application/problem+json", asked.first.headers["accept"]
    assert_predicate result, :success?
  end

  # Tells of task 1 over connections that tell so much each; the last one stays open. Returns the names of what was told.
  def told(*connections, **options)
    @open = Thread::Queue.new
    server.on("GET /v1/events") do
      part = connections.shift
      next part unless part.nil? || part.first.is_a?(Array)

      ->(socket) { stream(socket, *part.to_a.map { |id, name, at| [id, name, { task: 1, at: at }] }).then { @open.pop if connections.empty? } }
    end
    server.on("GET /v1/tasks/1/wait", [200, TASK.merge(settled: true)])
    names = []
    client.handle(1, **options) { |event| names << event.name }
    names
  ensure
    @open.close
  end

  RETRIED = [[1, "task.started", 1], [2, "task.failed", 2], [3, "task.reopened", 3]].freeze

  def test_a_task_that_was_retried_is_told_of_to_its_new_end
    server.on("GET /v1/tasks/1", [200, TASK.merge(state: "in_progress", finished_at: nil)])
    assert_equal %w[task.started task.failed task.reopened task.completed], told([*RETRIED, [4, "task.completed", 4]])
    server.on("GET /v1/tasks/1", [200, FAILED.merge(finished_at: 4)])
    assert_equal %w[task.started task.failed task.reopened task.failed], told([*RETRIED, [4, "task.failed", 4]])
    server.on("GET /v1/tasks/1", [200, TASK.merge(finished_at: 4)])
    assert_equal %w[task.started task.failed task.reopened task.completed], told([*RETRIED, [4, "task.completed", 4]])
    assert_operator server.requests.size, :<=, 3 * 4, "each time a stream, at most two looks, and the wait"
  end

  def test_a_connection_that_breaks_just_before_the_end_leaves_nothing_out
    server.on("GET /v1/tasks/1", [200, TASK])
    assert_equal %w[task.started task.completed], told([[1, "task.started", 1]], [[2, "task.completed", 2]])
    assert_equal %w[task.started task.completed], told([[1, "task.started", 1]], :close, [[2, "task.completed", 2]])
    assert_equal %w[task.started], told([[1, "task.started", 1]], nil), "what is kept no more is not waited for"
  end

  def test_no_room_for_a_stream_is_waited_for
    server.on("GET /v1/tasks/1", [200, TASK.merge(state: "in_progress")])
    full = server.problem(429, "rate_limited", "no place", headers: { "retry-after" => "0.2" })
    before = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    assert_equal %w[task.completed], told(full, [[1, "task.completed", 1]])
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - before, :>=, 0.2
    answers = [full] * 4 << [200, TASK.merge(state: "in_progress")]
    server.on("GET /v1/tasks/1") { answers.shift }
    assert_equal %w[task.completed], told(full, [[1, "task.completed", 1]]), "nor does a look without room end it"
    server.on("GET /v1/events", full)
    server.on("GET /v1/tasks/1", [200, TASK.merge(state: "in_progress")])
    assert_predicate client.handle(1, timeout: 0.1) { flunk }, :settled?
    connections = [server.problem(429, "rate_limited", "no place", headers: { "retry-after" => "0.5" }), ->(socket) { stream(socket, [1, "task.started", {}]) }]
    server.on("GET /v1/events") { connections.shift }
    before = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    assert_equal "task.started", client.events.first.name
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC) - before, :>=, 0.5
  end

  def test_a_task_is_looked_at_more_often_than_a_silent_host_gives_signs_of_life
    looks = File.read(File.join(Support::ROOT, "host/crates/api/src/routes/events.rs"))[/SILENT_LOOKS: u32 = (\d+)/, 1]
    assert_operator Stepwright::Client::Streams::TASK_SILENCE, :<, looks.to_i
  end

  def test_what_the_block_raises_is_its_own_affair
    server.on("GET /v1/events") { ->(socket) { stream(socket, [1, "task.started", { task: 1 }]) } }
    [Stepwright::Unavailable, Stepwright::RateLimited, Stepwright::Timeout, Errno::EPIPE, Net::ReadTimeout, RuntimeError].each do |type|
      assert_raises(type) { client.handle(1) { raise type } }
      assert_raises(type) { client.events { raise type } }
    end
    assert_empty pauses
  end

  def test_events_go_on_where_they_ended
    server.on("GET /v1/events") do |request|
      request.query["after"] == "7" ? ->(socket) { stream(socket, [8, "task.started", { task: 2 }]) } : :close
    end
    assert_equal 8, client.events(after: 7, namespace: "shop").first.position.to_i
    assert_equal({ "after" => "7", "namespace" => "shop" }, asked.query)
    server.on("GET /v1/events", server.problem(401, "unauthorized", "no token"))
    assert_raises(Stepwright::Unauthorized) { client.events { flunk } }
  end

  def test_operators_verbs
    verbs = { cancel: "cancel", pause: "pause", resume: "resume", retry: "retry", resolve: "resolve" }
    verbs.each do |verb, path|
      server.on("POST /v1/tasks/1/#{path}", [200, TASK])
      assert_equal "complete", client.public_send(verb, 1, reason: "because").state
      assert_equal({ "reason" => "because" }, asked.json)
    end
    %w[retry resolve skip].each { |verb| server.on("POST /v1/tasks/1/steps/a%20b/#{verb}", [200, TASK]) }
    by = client_with(by: "ada")
    by.retry(1, step: "a b", reason: "again")
    assert_equal({ "reason" => "again", "by" => "ada" }, asked.json)
    by.resolve(1, step: "a b", output: nil, reason: "done by hand", by: "bob")
    assert_equal({ "reason" => "done by hand", "output" => nil, "by" => "bob" }, asked.json)
    server.on("POST /v1/tasks/2/cancel", server.problem(409, "conflict", "task 2 is complete"))
    assert_raises(Stepwright::Conflict) { client.cancel(2, reason: "late") }
    server.on("POST /v1/pauses", [200, { target: { kind: "plugin", name: "a/b" }, reason: "slow" }])
    server.on("DELETE /v1/pauses", [200, {}])
    assert_equal "a/b", client.pause_all(:plugin, "a/b", reason: "slow").target.name
    client.resume_all(:plugin, "a/b", reason: "fast")
    assert_equal({ "target" => { "kind" => "plugin", "name" => "a/b" }, "reason" => "fast" }, asked.json)
  end

  def test_lists_go_on_page_by_page
    summary = TASK.slice(:id, :namespace, :template, :version, :state, :steps)
    server.on("GET /v1/tasks") do |request|
      before = (request.query["before"] || 5).to_i
      ids = [before - 1, before - 2].select(&:positive?)
      [200, { tasks: ids.map { |id| summary.merge(id: id) }, next: ids.last.to_i > 1 ? ids.last : nil }]
    end
    page = client.tasks(state: %w[complete error], namespace: "shapes", limit: 2)
    assert_equal [[4, 3], 3, false], [page.map(&:id), page.next_cursor, page.last?]
    assert_equal({ "state" => "complete,error", "namespace" => "shapes", "limit" => "2" }, asked.query)
    assert_equal [4, 3, 2], page.all.first(3).map(&:id)
    assert_equal [4, 3, 2, 1], page.all.map(&:id).to_a
    assert_nil page.next_page.next_page
  end

  def test_templates_and_plugins
    server.on("POST /v1/templates", [201, { namespace: "shop", name: "order", version: "1.0.0", created: true }])
    template = client.register_template("template: order\n")
    assert_equal ["application/yaml", "template: order\n"], [asked.headers["content-type"], asked.body]
    assert_equal ["shop/order@1.0.0", true], [template.ref, template.created?]
    server.on("GET /v1/templates/shop/order", [200, { namespace: "shop", name: "order", version: "1.0.0", source: "x" }])
    assert_equal "x", client.template("shop/order@1.0.0").source
    assert_equal({ "version" => "1.0.0" }, asked.query)
    assert_raises(ArgumentError) { client.template("order") }
    server.on("POST /v1/plugins", [201, { name: "a/b", version: "1.0.0", digest: "sha256:0", created: true, asked: [] }])
    plugin = client.register_plugin(StringIO.new("\0asm"), name: "a/b")
    assert_equal ["application/wasm", "\0asm", { "name" => "a/b" }, "a/b@1.0.0"], [asked.headers["content-type"], asked.body, asked.query, plugin.ref]
    server.on("POST /v1/plugins/a/b/versions/1.0.0/yank", [200, { name: "a/b" }])
    client.yank_plugin("a/b@1.0.0", reason: "broken")
  end

  def test_performance_and_the_system
    server.on("GET /v1/analytics/metrics", [200, { tasks: { active: 2 }, health_score: 97 }])
    metrics = client.analytics(since: 3_600, namespace: "shop")
    assert_equal [97, 2], [metrics.health_score, metrics.tasks.active]
    assert_equal({ "since" => "3600s", "namespace" => "shop" }, asked.query)
    server.on("GET /v1/analytics/slowest/steps", [200, { sampled: false, steps: [{ step_name: "ship", execution_us: 9, recorded_at: 0 }] }])
    slowest = client.slowest_steps(since: "1h", limit: 1)
    assert_equal [false, "ship", Time.at(0)], [slowest.sampled, slowest.steps.first.step_name, slowest.steps.first.recorded_at]
    assert_equal({ "since" => "1h", "limit" => "1" }, asked.query)
    server.on("GET /v1/tasks/1/execution", [200, { critical_path: %w[a b], bottleneck: nil }])
    assert_equal [%w[a b], nil], client.execution_context(1).then { |context| [context.critical_path, context.bottleneck] }
    server.on("GET /v1/ready", [200, { status: "ready", checks: [] }])
    assert_predicate client, :ready?
    server.on("GET /v1/ready", [503, { status: "unavailable", checks: [] }])
    refute_predicate client, :ready?
    server.on("GET /v1/workers", [200, { workers: [{ id: 1, name: "w", seen_at: 1_000 }] }])
    assert_equal Time.at(1), client.workers(all: true).first.seen_at
    server.on("GET /v1/tasks/1/attempts", [200, { attempts: [{ step_name: "a", status: "failed", failure: FAILURE, attempt: 1 }] }])
    assert_equal "declined", client.attempts(1).first.failure.message
  end

  def test_results_are_values
    task = Stepwright::Task.new(JSON.parse(JSON.generate(TASK)))
    again = Stepwright::Task.new(JSON.parse(JSON.generate(TASK)))
    assert_equal [task, task.hash], [again, again.hash]
    refute_equal task, Stepwright::Task.new("id" => 2, "state" => "pending")
    assert_predicate task, :frozen?
    assert_equal [2, Time.utc(2026, 11, 26, 6, 16, 19.419r), { "tenant" => "north" }], [task.step_count, task.created_at, task.tags]
    assert_equal ["first", { "value" => 4 }], task.to_h[:steps].first.values_at(:name, :output)
    assert_equal({ "n" => 4 }, task.context)
    assert_equal ["343", "add", nil], [task.step(:second)[:execution_us].to_s, task.step(:second).handler, task.step(:none)]
    assert_equal "later", Stepwright::Task.new("id" => 1, "state" => "x", "newer" => "later")[:newer]
    bare = Stepwright::Task.new("id" => 1, "state" => "pending")
    assert_equal [[], {}, [], nil], [bare.steps, bare.tags, bare.reasons, bare.duration]
    assert_includes task.inspect, "state=\"complete\""
    record = Stepwright::Record.new("a" => { "b" => [{ "c" => 1 }] })
    assert_equal [1, { a: { b: [{ c: 1 }] } }], [record.a.b.first.c, record.to_h]
    assert_raises(NoMethodError) { record.missing }
    case record
    in { a: { b: [{ c: 1 }] } } then pass
    end
  end

  def test_the_readme_gives_calls_the_keywords_that_they_have
    text = File.read(File.expand_path("../README.md", __dir__))[/^## Calls$.*?^## /m]
    alone = text.scan(/`(\w+)\(([^`]*)\)/)
    together = text.scan(/((?:`\w+`(?:, )?)+) `\(([^`]*)\)`/).flat_map { |names, all| names.scan(/\w+/).product([all]) }
    assert_equal %w[cancel pause resume], together.map(&:first)
    (alone + together).each do |name, all|
      known = client.method(name).parameters
      next if all.start_with?("[") || known.any? { |kind, _| kind == :keyrest }

      assert_empty all.scan(/\w+(?=:)/) - known.map { |_, parameter| parameter.to_s }, name
    end
    assert_includes alone.to_h.fetch("resolve"), "output:"
  end

  def test_the_module_speaks_for_one_client
    server.on("GET /v1/health", [200, { status: "ok" }])
    Stepwright.configuration = configuration
    assert_equal "ok", Stepwright.health.status
    before = Stepwright.client
    Stepwright.configure { |changed| changed.namespace = "shop" }
    refute_same before, Stepwright.client
    assert_equal ["shop", server.url], [Stepwright.client.configuration.namespace, Stepwright.client.configuration.url]
  ensure
    Stepwright.configuration = nil
  end

  def test_event_streams_may_be_cut_anywhere
    text = ": c\r\nid: 1\r\nevent: a\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\nretry: 5\ndata: {}\n\nid: 2\rdata: {\"é\":1}\r\r".b
    (1..text.bytesize).each do |step|
      parser = Stepwright::Events::Parser.new
      messages = []
      text.scan(/.{1,#{step}}/mn) { |part| parser.feed(part) { |message| messages << message } }
      assert_equal [nil, ["1", "a", "{\"x\":\n1}"], ["1", "message", "{}"], ["2", "message", "{\"é\":1}"]], messages.map { |message| message&.to_a }, "in parts of #{step}"
    end
  end
end
