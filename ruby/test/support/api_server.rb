# frozen_string_literal: true

require "json"
require "openssl"
require "socket"
require "uri"

module Support
  # A small HTTP server that speaks the API's contract: each route answers what the test says.
  class ApiServer
    # What was asked.
    Request = Struct.new(:verb, :path, :query, :headers, :body, :connection, keyword_init: true) do
      def json = JSON.parse(body)
    end

    attr_reader :requests, :port

    # With `tls`, an SSLContext, it speaks TLS.
    def initialize(tls: nil)
      @tls = tls
      @routes = {}
      @requests = []
      @mutex = Mutex.new
      @server = TCPServer.new("127.0.0.1", 0)
      @port = @server.addr[1]
      @connections = 0
      @threads = []
      @acceptor = Thread.new { loop { accept(@server.accept) } }
    end

    def url = "#{@tls ? "https" : "http"}://127.0.0.1:#{port}"

    # Answers with `[status, json, headers]`, `[status, text, headers]`, `:close`, or a block that writes to the socket.
    def on(route, answer = nil, &block)
      @routes[route] = block || ->(_) { answer }
    end

    def connections = @mutex.synchronize { @connections }

    def close
      @acceptor.kill
      @threads.each(&:kill)
      @server.close
    end

    def problem(status, code, detail, errors: nil, headers: {})
      body = { type: "/v1/errors/#{code}", title: code, status: status, code: code, detail: detail, errors: errors }.compact
      [status, body, { "content-type" => "application/problem+json" }.merge(headers)]
    end

    private

    def accept(socket)
      number = @mutex.synchronize { @connections += 1 }
      @threads << Thread.new do
        Thread.current.report_on_exception = false
        socket = OpenSSL::SSL::SSLSocket.new(socket, @tls).tap { |secured| secured.sync_close = true } if @tls
        socket.accept if @tls
        serve(socket, number)
      rescue SystemCallError, IOError, OpenSSL::SSL::SSLError
        nil
      ensure
        socket.close
      end
    end

    def serve(socket, number)
      while (request = read(socket, number))
        @mutex.synchronize { @requests << request }
        answer = route(request)
        return if answer == :close
        return answer.call(socket) if answer.is_a?(Proc)

        write(socket, *answer, request)
      end
    end

    def read(socket, number)
      line = socket.gets or return
      verb, target, = line.split
      headers = {}
      while (header = socket.gets.chomp) != ""
        name, value = header.split(": ", 2)
        headers[name.downcase] = value
      end
      body = socket.read(headers["content-length"].to_i)
      path, query = target.split("?", 2)
      Request.new(verb: verb, path: path, query: URI.decode_www_form(query.to_s).to_h, headers: headers, body: body, connection: number)
    end

    def route(request)
      handler = @routes["#{request.verb} #{request.path}"]
      handler ? handler.call(request) : problem(404, "not_found", "there is no #{request.path}")
    end

    def write(socket, status, body, headers = {}, request)
      text = body.is_a?(String) ? body : JSON.generate(body)
      all = { "content-type" => "application/json", "content-length" => text.bytesize, "x-request-id" => request.headers["x-request-id"] }
      socket.write("HTTP/1.1 #{status} X\r\n#{all.merge(headers).map { |name, value| "#{name}: #{value}\r\n" }.join}\r\n#{text}")
    end
  end

  # What tests of the client share.
  module WithServer
    attr_reader :server, :client, :pauses

    def setup
      super
      @server = ApiServer.new
      @pauses = []
      @client = client_with
    end

    def teardown
      client.close
      server.close
      super
    end

    def configuration(**settings)
      configuration = Stepwright::Configuration.new(environment: Stepwright::Environment.new("test"))
      configuration.merge!({ url: server.url, logger: Logger.new(IO::NULL) }.merge(settings))
    end

    def client_with(**settings)
      configuration = configuration(**settings)
      session = Stepwright::HTTP::Session.new(configuration, sleeper: ->(seconds) { pauses << seconds })
      Stepwright::Client.new(configuration, session: session)
    end
  end
end
