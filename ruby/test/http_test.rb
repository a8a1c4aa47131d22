# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/api_server"
require_relative "support/certificates"
require "minitest/mock"
require "tmpdir"

# Connections, tries, timeouts and errors, over real sockets.
class HttpTest < Minitest::Test
  include Support::WithServer

  GOOD = [200, { status: "ok", version: "0.1.0" }].freeze

  def fails(type, &block) = assert_raises(type, &block)

  def test_a_connection_is_kept_and_shared_by_threads
    server.on("GET /v1/health", GOOD)
    20.times { assert_equal "ok", client.health.status }
    assert_equal 1, server.connections
    8.times.map { Thread.new { 5.times { client.health } } }.each(&:join)
    assert_operator server.connections, :<=, 5, "pool_size is 5"
    pid = fork { exit!(client.health.status == "ok" ? 0 : 1) }
    assert_predicate Process.wait2(pid).last, :success?
    assert_equal server.requests.map(&:connection).uniq.size, server.connections
    refute_includes server.requests[0..-2].map(&:connection), server.requests.last.connection, "a child has connections of its own"
  end

  def test_what_stood_idle_for_too_long_is_not_used
    now = 0.0
    pool = Stepwright::HTTP::Pool.new(configuration, clock: -> { now })
    pool.with { |connection| assert_predicate connection, :started? }
    now = 29.0
    pool.with { nil }
    assert_equal 1, pool.idle_count
    now = 60.0
    pool.with { nil }
    server.on("GET /v1/health", GOOD)
    client.health # accepted after the others
    assert_equal 3, server.connections
    pool.close
    assert_equal 0, pool.idle_count
  end

  def test_the_headers_of_a_request
    server.on("GET /v1/health", GOOD)
    client_with(token: "sw_secret").health
    headers = server.requests.last.headers
    assert_equal ["Bearer sw_secret", "stepwright-ruby/#{Stepwright::VERSION}"], headers.values_at("authorization", "user-agent")
    assert_match(/\A\h{16}\z/, headers["x-request-id"])
    client.health
    assert_nil server.requests.last.headers["authorization"]
  end

  def test_each_status_is_an_error_of_its_own
    { 400 => Stepwright::Invalid, 401 => Stepwright::Unauthorized, 403 => Stepwright::Forbidden, 404 => Stepwright::NotFound,
      408 => Stepwright::Timeout, 409 => Stepwright::Conflict, 410 => Stepwright::Expired, 422 => Stepwright::Invalid,
      429 => Stepwright::RateLimited, 500 => Stepwright::ServerError, 503 => Stepwright::Unavailable,
      405 => Stepwright::RequestError, 451 => Stepwright::RequestError, 301 => Stepwright::ProtocolError }.each do |status, type|
      server.on("POST /v1/tasks", server.problem(status, "some_code", "that is why"))
      error = assert_raises(Stepwright::RequestError) { client.initialize_task(template: "a/b") }
      assert_instance_of type, error
      assert_equal ["that is why", "some_code", status], [error.message, error.code, error.status]
      assert_equal server.requests.last.headers["x-request-id"], error.request_id
    end
    assert_empty pauses, "without an idempotency key nothing is started twice"
    server.on("POST /v1/tasks", [405, "no", { "content-type" => "text/plain" }])
    fails(Stepwright::ProtocolError) { client.initialize_task(template: "a/b") }
  end

  def test_events_that_are_kept_no_more
    server.on("GET /v1/events", server.problem(410, "events_expired", "events from position 3 on are not kept any more"))
    assert_equal "events_expired", fails(Stepwright::Expired) { client.events(after: 3) { flunk } }.code
  end

  def test_what_json_cannot_hold_is_invalid
    [Float::NAN, "\xff", "\xff".b, Array.new(101).inject { |inner, _| [inner] }].each do |value|
      error = fails(Stepwright::Invalid) { client.initialize_task(template: "a/b", context: { value: value }) }
      assert_match(/\AJSON cannot hold the request: /, error.message)
    end
    assert_empty server.requests
  end

  def test_problems_name_fields
    errors = [{ field: "context.order_id", message: "is missing" }, { field: "context.n", message: "is no number" }]
    server.on("POST /v1/tasks", server.problem(422, "invalid_context", "the context does not fit", errors: errors))
    error = fails(Stepwright::Invalid) { client.initialize_task(template: "a/b") }
    assert_equal errors, error.errors.map(&:to_h)
    assert_equal({ "context.order_id" => ["is missing"], "context.n" => ["is no number"] }, error.by_field)
    assert_equal "the context does not fit (context.order_id: is missing; context.n: is no number)", error.message
    case error
    in { code: "invalid_context", errors: [{ field: "context.order_id" }, *] } then pass
    end
  end

  def test_safe_calls_are_made_again_with_growing_pauses
    answers = [:close, server.problem(503, "unavailable", "draining"), server.problem(429, "rate_limited", "slowly", headers: { "retry-after" => "2" }), GOOD]
    server.on("GET /v1/health") { answers.shift }
    assert_equal "ok", client.health.status
    assert_equal 1, server.requests.map { |request| request.headers["x-request-id"] }.uniq.size
    assert_equal 3, pauses.size
    assert_includes 0.05..0.1, pauses[0]
    assert_includes 0.1..0.2, pauses[1]
    assert_equal 2.0, pauses[2], "what the host asks for wins"
  end

  def test_there_is_an_end_to_trying
    server.on("GET /v1/health", server.problem(503, "unavailable", "the database is away"))
    fails(Stepwright::Unavailable) { client.health }
    assert_equal 4, server.requests.size
    server.on("GET /v1/health", server.problem(429, "rate_limited", "slowly", headers: { "retry-after" => "3600" }))
    error = fails(Stepwright::RateLimited) { client.health }
    assert_equal [3600.0, 5], [error.retry_after, server.requests.size], "an hour is not waited for"
    server.on("GET /v1/tasks/1", server.problem(404, "task_not_found", "there is no task 1"))
    fails(Stepwright::NotFound) { client.task(1) }
    assert_equal 6, server.requests.size
  end

  def test_a_start_with_a_key_may_be_tried_again_and_one_without_may_not
    started = [201, { id: 42, created: true, steps: [] }]
    answers = [:close, started]
    server.on("POST /v1/tasks") { answers.shift }
    assert_equal 42, client.initialize_task(template: "a/b", idempotency_key: "order-1").task_id
    answers = [:close, started]
    fails(Stepwright::Unavailable) { client.initialize_task(template: "a/b") }
    assert_equal [started], answers
  end

  def test_silence_is_a_timeout_and_no_host_is_unavailable
    gate = Thread::Queue.new
    server.on("GET /v1/health") { gate.pop }
    error = fails(Stepwright::Timeout) { client_with(read_timeout: 0.05, retries: 0).health }
    assert_match(%r{GET /v1/health: no answer within 0.05 s}, error.message)
    gate.close
    unbound = TCPServer.open("127.0.0.1", 0) { |free| free.addr[1] }
    error = fails(Stepwright::Unavailable) { client_with(url: "http://127.0.0.1:#{unbound}", retries: 1).health }
    assert_match(/no connection to http.*refused/i, error.message)
    assert_equal 1, pauses.size
  end

  def test_what_speaks_no_http_is_no_host
    server.on("GET /v1/health") { ->(socket) { socket.write("SSH-2.0-OpenSSH_9.2\r\n") } }
    assert_match(%r{GET /v1/health: the answer is no HTTP: .*SSH-2.0}, fails(Stepwright::ProtocolError) { client.health }.message)
    server.on("GET /v1/events") { ->(socket) { socket.write("SSH-2.0-OpenSSH_9.2\r\n") } }
    fails(Stepwright::ProtocolError) { client.events { flunk } }
    server.on("GET /v1/health") { ->(socket) { socket.write("HTTP/1.1 200 OK\r\nno header\r\n\r\n") } }
    fails(Stepwright::ProtocolError) { client.health }
    assert_empty pauses
  end

  # Net::HTTP connects anew by itself where a connection was closed meanwhile.
  def test_no_connection_in_time_is_unavailable
    pool = Object.new
    def pool.with = raise(Net::OpenTimeout)
    def pool.alone = raise(Net::OpenTimeout)
    late = configuration(retries: 0)
    session = Stepwright::HTTP::Pool.stub(:new, pool) { Stepwright::HTTP::Session.new(late) }
    request = Stepwright::HTTP::Request.new(:get, "/health")
    [-> { session.json(request) }, -> { session.stream(request, accept: "*/*", silence: 1) { flunk } }].each do |call|
      assert_match(%r{GET /v1/health: no connection within 5.0 s}, fails(Stepwright::Unavailable, &call).message)
    end
  end

  def test_a_full_pool_says_so
    pool = Stepwright::HTTP::Pool.new(configuration(pool_size: 1, pool_timeout: 0.01))
    error = pool.with { fails(Stepwright::Timeout) { pool.with { flunk } } }
    assert_match(/all 1 connections to .* were in use for 0.01 s; raise pool_size/, error.message)
    pool.with { pass }
    assert_raises(RuntimeError) { pool.with { raise "broken" } }
    assert_equal 0, pool.idle_count
  end

  def test_what_is_no_host_is_said_to_be_none
    server.on("GET /v1/health", [200, "<html>hello", { "content-type" => "text/html" }])
    assert_match(/not from a Stepwright host: text\/html, "<html>hello"/, fails(Stepwright::ProtocolError) { client.health }.message)
    server.on("GET /v1/health", [502, "bad gateway", { "content-type" => "text/plain" }])
    fails(Stepwright::Unavailable) { client_with(retries: 0).health }
    server.on("GET /v1/health", [200, "{", {}])
    assert_match(/not JSON/, fails(Stepwright::ProtocolError) { client.health }.message)
    server.on("GET /v1/health", [200, { text: "x" * 2_000 }])
    assert_match(/larger than answer_bytes_max/, fails(Stepwright::ProtocolError) { client_with(answer_bytes_max: 1_000).health }.message)
    server.on("GET /v1/tasks/1", [200, { state: "pending" }])
    assert_match(/has no 'id'/, fails(Stepwright::ProtocolError) { client.task(1) }.message)
  end

  def test_tls_with_a_root_of_ones_own
    Dir.mktmpdir do |folder|
      certificates = Support::Certificates.new(folder)
      context = OpenSSL::SSL::SSLContext.new
      context.add_certificate(OpenSSL::X509::Certificate.new(File.read(certificates.gate)), OpenSSL::PKey.read(File.read(certificates.gate_key)))
      secure = Support::ApiServer.new(tls: context)
      secure.on("GET /v1/health", GOOD)
      trusting = client_with(url: secure.url, tls_ca: certificates.ca)
      3.times { assert_equal "ok", trusting.health.status }
      assert_equal 1, secure.connections
      error = fails(Stepwright::Unavailable) { client_with(url: secure.url, retries: 0).health }
      assert_match(/certificate verify failed/, error.message)
      trusting.close
      secure.close
    end
  end

  def test_retry_after_may_be_a_date
    answer = Stepwright::HTTP::Answer.new(503, { "retry-after" => "Thu, 26 Nov 2026 06:00:10 GMT" }, "")
    assert_equal 10.0, answer.retry_after(now: Time.utc(2026, 11, 26, 6))
    assert_equal 0.0, answer.retry_after(now: Time.utc(2026, 11, 27))
    assert_nil Stepwright::HTTP::Answer.new(503, { "retry-after" => "soon" }, "").retry_after
  end

  def test_pauses_double_up_to_the_cap
    backoff = ->(rand) { Stepwright::Backoff.new(base: 0.1, cap: 5, random: Struct.new(:rand).new(rand)) }
    assert_equal [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0], (1..8).map { |failures| backoff[1.0].pause(failures).round(9) }
    assert_equal [0.05, 2.5], [1, 100].map { |failures| backoff[0.0].pause(failures) }
  end
end
