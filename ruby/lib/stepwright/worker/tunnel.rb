# frozen_string_literal: true

require "openssl"
require "socket"

require_relative "../errors"
require_relative "token"

module Stepwright
  class Worker
    # The way through a gate: a unix socket of our own, whose connections come out at the gate once that has let them in.
    #
    #   DEALER -ipc- tunnel -tcp- TLS - "STEPWRIGHT/1 <token>\n" - gate
    #
    # @api private
    class Tunnel
      # Seconds for the connection, TLS and the first line together.
      GREETING_SECONDS = 5
      # The longest first line, in bytes.
      LINE_BYTES_MAX = 256
      # A certificate in PEM.
      CERTIFICATE = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/m
      # Bytes that are copied at once.
      CHUNK_BYTES = 64 << 10

      # The gate does not let us in.
      class Refused < Error; end

      # @return [String] the socket to connect to
      attr_reader :path

      # @param endpoint [Endpoint] a gate
      # @param path [String] in a folder that only this user can enter
      # @param settings [WorkerSettings]
      # @param logger [Logger, nil]
      def initialize(endpoint, path, settings, logger: nil)
        @endpoint = endpoint
        @path = path
        @settings = settings
        @logger = logger
        @server = UNIXServer.new(path)
        @thread = Thread.new { serve }
        @thread.name = "stepwright-tunnel"
      end

      # @return [void]
      def close
        @thread.kill
        @thread.join
        @server.close
        File.unlink(path) if File.socket?(path)
      end

      private

      # One at a time: the worker has one connection.
      def serve
        loop do
          worker = @server.accept
          begin
            pass(worker)
          rescue SystemCallError, SocketError, IOError, OpenSSL::OpenSSLError, Error => e
            @logger&.warn("the way through the gate #{@endpoint} ended: #{e.message}")
          ensure
            worker.close
          end
        end
      end

      def pass(worker)
        gate = connect
        begin
          greet(gate)
          relay(gate, worker)
        ensure
          gate.close
        end
      end

      def connect
        deadline = now + GREETING_SECONDS
        tcp = Socket.tcp(@endpoint.host, @endpoint.port, connect_timeout: GREETING_SECONDS)
        tcp.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
        @endpoint.tls? ? secure(tcp, deadline) : tcp
      end

      def secure(tcp, deadline)
        tls = OpenSSL::SSL::SSLSocket.new(tcp, context)
        tls.sync_close = true
        tls.hostname = @endpoint.host unless address?
        until_done(tls, deadline) { tls.connect_nonblock(exception: false) }
        tls.post_connection_check(@endpoint.host)
        tls
      rescue StandardError
        tcp.close
        raise
      end

      # The files are read anew, so that what was replaced counts from the next connection on.
      def context
        context = OpenSSL::SSL::SSLContext.new
        context.min_version = OpenSSL::SSL::TLS1_3_VERSION
        context.verify_mode = OpenSSL::SSL::VERIFY_PEER
        @settings.tls_ca ? context.ca_file = @settings.tls_ca : context.cert_store = system_roots
        show(context) if @settings.tls_certificate
        context
      end

      # Our own certificate, followed by those between it and its root.
      def show(context)
        chain = File.read(@settings.tls_certificate).scan(CERTIFICATE).map { |text| OpenSSL::X509::Certificate.new(text) }
        raise ConfigurationError, "tls_certificate: #{@settings.tls_certificate} holds no certificate in PEM" if chain.empty?
        raise ConfigurationError, "tls_certificate needs tls_key beside it" unless @settings.tls_key

        context.add_certificate(chain.first, OpenSSL::PKey.read(File.read(@settings.tls_key)), chain.drop(1))
      end

      def system_roots = OpenSSL::X509::Store.new.tap(&:set_default_paths)

      def address? = @endpoint.host.match?(/\A[\d.]+\z|:/)

      def greet(gate)
        pump = @endpoint.pump > 1 ? " #{@endpoint.pump}" : ""
        gate.write("STEPWRIGHT/1 #{Token.read(@settings.token_file)}#{pump}\n")
        line = first_line(gate, now + GREETING_SECONDS)
        return if line.start_with?("OK ")

        raise Refused, line.start_with?("NO ") ? line.delete_prefix("NO ") : "it is no gate that answers"
      end

      # Byte by byte, since what follows the line belongs to somebody else.
      def first_line(gate, deadline)
        line = +""
        loop do
          byte = until_done(gate, deadline) { gate.read_nonblock(1, exception: false) }
          raise Refused, "it closed the connection" if byte.nil?
          return line if byte == "\n"

          line << byte
          raise Refused, "its first line is too long" if line.bytesize > LINE_BYTES_MAX
        end
      end

      def until_done(socket, deadline)
        loop do
          result = yield
          return result unless %i[wait_readable wait_writable].include?(result)

          left = deadline - now
          io = [socket.to_io]
          ready = left.positive? && (result == :wait_readable ? IO.select(io, nil, nil, left) : IO.select(nil, io, nil, left))
          raise Refused, "it did not answer within #{GREETING_SECONDS} s" unless ready
        end
      end

      # Copies both ways until either side ends. What one side does not take is waited for before more is read for it.
      def relay(gate, worker)
        ways = { gate => String.new, worker => String.new } # what each is still to be given
        other = { gate => worker, worker => gate }
        loop do
          ways.each { |to, bytes| give(to, bytes) }
          readers = ways.keys.select { |from| ways[other[from]].empty? }
          moved = readers.map { |from| take(from, ways[other[from]]) }
          return if moved.include?(nil)

          await(ways, readers) unless moved.any?
        end
      end

      def give(to, bytes)
        return if bytes.empty?

        written = to.write_nonblock(bytes, exception: false)
        bytes.slice!(0, written) if written.is_a?(Integer)
      end

      # Whether something came; nil at the end.
      def take(from, bytes)
        part = from.read_nonblock(CHUNK_BYTES, exception: false)
        return if part.nil?
        return false if part.is_a?(Symbol)

        bytes << part
        true
      end

      def await(ways, readers)
        writers = ways.reject { |_, bytes| bytes.empty? }.keys
        IO.select(readers.map(&:to_io), writers.map(&:to_io))
      end

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
