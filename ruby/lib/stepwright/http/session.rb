# frozen_string_literal: true

require_relative "../backoff"
require_relative "answer"
require_relative "pool"
require_relative "request"

module Stepwright
  module HTTP
    # Makes calls: over the pool, within the timeouts, again where that is safe.
    #
    # @api private
    class Session
      # Faults of a connection: what was asked for may have been done or not.
      BROKEN = [SystemCallError, SocketError, IOError, OpenSSL::SSL::SSLError, Net::ProtocolError].freeze
      # Answers that are no HTTP.
      FOREIGN = [Net::HTTPBadResponse, Net::HTTPHeaderSyntaxError].freeze
      # What may be over soon.
      PASSING = [Unavailable, RateLimited, Timeout].freeze

      # @param configuration [Configuration]
      # @param sleeper [#call] waits for so many seconds
      # @param random [#rand]
      def initialize(configuration, sleeper: ->(seconds) { sleep(seconds) }, random: Random)
        @configuration = configuration
        @pool = Pool.new(configuration)
        @backoff = Backoff.new(base: configuration.retry_base, cap: configuration.retry_cap, random: random)
        @sleeper = sleeper
      end

      # @param request [Request]
      # @return [Object] the answer's JSON
      # @raise [RequestError]
      def json(request) = again(request) { once(request).json }

      # @param request [Request]
      # @return [String] the answer's body
      # @raise [RequestError]
      def text(request) = again(request) { once(request, accept: "*/*").text }

      # Reads an endless answer as it comes, once.
      #
      # @param request [Request]
      # @param accept [String]
      # @param silence [Numeric] seconds without a byte after which it is given up
      # @yieldparam bytes [String]
      # @return [void]
      # @raise [RequestError]
      def stream(request, accept:, silence:)
        yielding = false
        @pool.alone do |connection|
          connection.read_timeout = silence
          connection.request(request.to_net(@configuration.secret, accept: accept)) do |response|
            raise answer(response, read(response)).error unless response.code == "200"

            response.read_body do |bytes|
              yielding = true
              yield bytes
              yielding = false
            end
          end
        end
      rescue Net::ReadTimeout
        raise if yielding # what the block raises is its own affair

        raise Timeout, "#{request}: nothing came for #{silence} s"
      rescue Net::OpenTimeout, *BROKEN, *FOREIGN => e
        raise if yielding

        raise fault(e, request)
      end

      # @return [void]
      def close = @pool.close

      private

      def again(request)
        failures = 0
        begin
          yield
        rescue *PASSING => e
          failures += 1
          seconds = again_in(e, failures, request)
          raise unless seconds

          @configuration.logger&.info { "#{request}: #{e.message}; again in #{seconds.round(2)} s" }
          @sleeper.call(seconds)
          retry
        end
      end

      def again_in(error, failures, request)
        pause(error, failures) if request.idempotent? && failures <= @configuration.retries
      end

      # Seconds to wait, or nil if the host wants more patience than there is.
      def pause(error, failures)
        asked = error.respond_to?(:retry_after) ? error.retry_after : nil
        return @backoff.pause(failures) unless asked

        [asked, @backoff.pause(failures)].max if asked <= @configuration.retry_after_cap
      end

      def once(request, accept: "application/json")
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        answer = @pool.with { |connection| exchange(connection, request, accept) }
        log(request, answer, started)
        answer
      rescue Net::ReadTimeout, Net::WriteTimeout
        raise Timeout.new("#{request}: no answer within #{seconds(request)} s", request_id: request.id)
      rescue Net::OpenTimeout, *BROKEN, *FOREIGN => e
        raise fault(e, request)
      end

      def fault(error, request)
        case error
        when *FOREIGN then ProtocolError.new("#{request}: the answer is no HTTP: #{error.message}", request_id: request.id)
        when Net::OpenTimeout
          Unavailable.new("#{request}: no connection within #{@configuration.open_timeout} s", request_id: request.id)
        else Unavailable.new("#{request}: the connection broke: #{error.message}", request_id: request.id)
        end
      end

      def exchange(connection, request, accept)
        connection.read_timeout = seconds(request)
        body = nil
        response = connection.request(request.to_net(@configuration.secret, accept: accept)) do |answering|
          body = read(answering)
        end
        answer(response, body)
      end

      def seconds(request) = @configuration.read_timeout + request.waits

      def read(response)
        body = +""
        response.read_body do |part|
          body << part
          next unless body.bytesize > @configuration.answer_bytes_max

          raise ProtocolError, "the answer is larger than answer_bytes_max, #{@configuration.answer_bytes_max} bytes"
        end
        body.force_encoding(Encoding::UTF_8)
      end

      def answer(response, body) = Answer.new(response.code.to_i, response, body)

      def log(request, answer, started)
        @configuration.logger&.debug do
          milliseconds = ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - started) * 1_000).round(1)
          "#{request} #{answer.status} #{milliseconds} ms #{request.id}"
        end
      end
    end
  end
end
