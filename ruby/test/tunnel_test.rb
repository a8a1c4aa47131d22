# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/certificates"
require "stepwright/worker/endpoint"
require "stepwright/worker/tunnel"
require "tmpdir"

# The way through a gate, against a gate of the test's own.
class TunnelTest < Minitest::Test
  parallelize_me! # each has processes and folders of its own

  TOKEN = "sw_#{"a7" * 32}"

  def setup
    @folder = Dir.mktmpdir
    @certificates = Support::Certificates.new(@folder)
    @token = File.join(@folder, "token")
    File.write(@token, "#{TOKEN}\n", perm: 0o600)
    @log = StringIO.new
    @server = TCPServer.new("127.0.0.1", 0)
  end

  def teardown
    @tunnel&.close
    @thread&.kill
    @server.close
    FileUtils.remove_entry(@folder)
  end

  # A gate that does with each connection what the block says.
  def gate(tls: false, &block)
    @thread = Thread.new do
      loop do
        socket = @server.accept
        socket = OpenSSL::SSL::SSLSocket.new(socket, tls_context).tap { |secured| secured.sync_close = true }.accept if tls
        block.call(socket)
      rescue SystemCallError, IOError, OpenSSL::SSL::SSLError
        socket&.close
      end
    end
    @thread.report_on_exception = false
  end

  def tls_context
    OpenSSL::SSL::SSLContext.new.tap do |context|
      context.add_certificate(OpenSSL::X509::Certificate.new(File.read(@certificates.gate)), OpenSSL::PKey.read(File.read(@certificates.gate_key)))
    end
  end

  # A connection through a tunnel to the gate.
  def through(scheme, pump: nil, **settings)
    endpoint = Stepwright::Worker::Endpoint.parse("#{scheme}://127.0.0.1:#{@server.addr[1]}#{"/#{pump}" if pump}")
    values = Stepwright::WorkerSettings.new.merge!({ token_file: @token, tls_ca: @certificates.ca }.merge(settings))
    @tunnel = Stepwright::Worker::Tunnel.new(endpoint, File.join(@folder, "tunnel"), values, logger: Logger.new(@log))
    UNIXSocket.new(@tunnel.path)
  end

  # What is said of a way that ends; the tunnel logs before it closes.
  def end_of(worker)
    assert_nil worker.read(1)
    @log.string.scan(/ended: (.*)/).last&.first
  end

  def test_megabytes_pass_both_ways_at_once
    [[:tcp, false], [:tls, true]].each do |scheme, tls|
      lines = Thread::Queue.new
      gate(tls: tls) do |socket|
        lines << socket.gets
        socket.write("OK 0f1e\n")
        loop { socket.write(socket.readpartial(50_000)) }
      end
      worker = through(scheme, pump: 2)
      bytes = Random.new(7).bytes(5_000_000)
      writer = Thread.new { worker.write(bytes) }
      assert_equal Digest::SHA256.hexdigest(bytes), Digest::SHA256.hexdigest(worker.read(bytes.bytesize)), scheme
      writer.join
      assert_equal "STEPWRIGHT/1 #{TOKEN} 2\n", lines.pop
      worker.close
      @tunnel.close
      refute_path_exists File.join(@folder, "tunnel")
      @thread.kill
      @thread.join
    end
    @tunnel = nil
  end

  def test_one_way_after_another
    gate do |socket|
      assert_equal "STEPWRIGHT/1 #{TOKEN}\n", socket.gets
      socket.write("OK 0f1e\nhello")
      socket.close
    end
    3.times do |at|
      worker = at.zero? ? through(:tcp) : UNIXSocket.new(@tunnel.path)
      assert_equal "hello", worker.read
    end
    refute_includes @log.string, TOKEN
  end

  def test_why_there_is_no_way
    gate { |socket| [socket.gets, socket.write("NO the token is wrong, revoked or expired\n"), socket.close] }
    assert_equal "the token is wrong, revoked or expired", end_of(through(:tcp))
    File.chmod(0o644, @token)
    assert_match(/mode 644, so other users could read it; run 'chmod 600/, end_of(UNIXSocket.new(@tunnel.path)))
  end

  def test_who_is_no_gate
    gate { |socket| [socket.gets, socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), socket.close] }
    assert_equal "it is no gate that answers", end_of(through(:tcp))
  end

  def test_a_gate_that_is_not_trusted
    gate(tls: true) { flunk }
    other = Support::Certificates.new(Dir.mktmpdir(nil, @folder))
    assert_match(/certificate verify failed/, end_of(through(:tls, tls_ca: other.ca)))
  end

  def test_tokens
    read = ->(path) { assert_raises(Stepwright::ConfigurationError) { Stepwright::Worker::Token.read(path) }.message }
    assert_equal TOKEN, Stepwright::Worker::Token.read(@token)
    assert_match(/a gate wants a token/, read[nil])
    assert_match(/there is no token file .*; make a token .*'stepwright token create/, read["/none"])
    short = File.join(@folder, "short").tap { |path| File.write(path, "secret", perm: 0o600) }
    assert_match(/has 6 characters; it must have 16 to 128 visible/, read[short])
  end
end
