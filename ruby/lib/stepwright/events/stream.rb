# frozen_string_literal: true

require_relative "../backoff"
require_relative "../http/session"
require_relative "event"
require_relative "parser"

module Stepwright
  module Events
    # The events of a host from a position on, over one connection after another.
    #
    # @api private
    class Stream
      # @return [String, Integer, nil] the position that was read last
      attr_reader :position

      # @param session [HTTP::Session]
      # @param filters [Hash]
      # @param position [String, Integer, nil] +nil+ for new events only
      def initialize(session, filters, position)
        @session = session
        @filters = filters
        @position = position
        @yielding = false
      end

      # @return [Boolean] whether what was raised last came from the block
      def yielding? = @yielding

      # Reads one connection until it ends, or nothing came for so many seconds.
      #
      # @param silence [Numeric]
      # @yieldparam event [Event, nil] +nil+ is a sign of life
      # @return [void]
      # @raise [RequestError] if there is no such connection
      def read(silence:, &block)
        parser = Parser.new
        request = HTTP::Request.new(:get, "/events", query: @filters.merge(after: @position))
        @session.stream(request, accept: "text/event-stream", silence: silence) do |bytes|
          parser.feed(bytes) { |message| hand_over(message, &block) }
        end
      rescue Timeout
        raise if @yielding
      end

      # Reads for ever, from one connection to the next.
      #
      # @param silence [Numeric]
      # @yieldparam event [Event]
      # @return [void]
      # @raise [RequestError] if waiting would not help
      def follow(silence:)
        backoff = Backoff.new(base: 0.1, cap: 5)
        failures = 0
        loop do
          read(silence: silence) do |event|
            failures = 0
            yield event if event
          end
        rescue Unavailable, RateLimited => e
          raise if @yielding

          sleep([backoff.pause(failures += 1), e.retry_after.to_f].max)
        end
      end

      private

      # The position counts once the event was dealt with. What the block raises is its own affair.
      def hand_over(message)
        event = message && Event.of(message)
        @yielding = true
        yield event
        @yielding = false
        @position = event.position || @position if event
      end
    end
  end
end
