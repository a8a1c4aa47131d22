# frozen_string_literal: true

require "net/http"

require_relative "../errors"

module Stepwright
  module HTTP
    # Connections to one host, kept open between calls and shared by threads. The one used last is used first.
    #
    # A child process makes its own: two processes must not write to one socket.
    #
    # @api private
    class Pool
      Idle = Struct.new(:connection, :since)
      private_constant :Idle

      # @param configuration [Configuration]
      # @param clock [#call] seconds that only grow
      def initialize(configuration, clock: -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) })
        @configuration = configuration
        @uri = configuration.uri
        @clock = clock
        @mutex = Mutex.new
        @returned = ConditionVariable.new
        reset
      end

      # Lends a connection for the block. One whose block raises is closed: nobody knows what is left in it.
      #
      # @yieldparam connection [Net::HTTP] started
      # @return [Object] the block's value
      # @raise [Timeout] if every connection is lent for too long
      # @raise [Unavailable] if there is no connection to be had
      def with
        connection = take
        fine = false
        result = yield connection
        fine = true
        result
      ensure
        give_back(connection, fine) if connection
      end

      # A connection of its own, for a stream: it is not counted.
      #
      # @yieldparam connection [Net::HTTP] started
      def alone
        connection = connect
        yield connection
      ensure
        finish(connection) if connection
      end

      # Closes what nobody uses.
      #
      # @return [void]
      def close
        idle = @mutex.synchronize { @idle.slice!(0..) }
        idle.each { |one| finish(one.connection) }
      end

      # @return [Integer] connections that are open and not lent
      def idle_count = @mutex.synchronize { @idle.size }

      private

      def reset
        @pid = Process.pid
        @idle = []
        @lent = 0
      end

      def take
        idle, stale = claim
        stale.each { |connection| finish(connection) }
        idle || connect_claimed
      end

      # A place, the idle connection to use if there is one, and those that were idle for too long.
      def claim
        @mutex.synchronize do
          reset if @pid != Process.pid
          wait_for_room
          @lent += 1
          stale = []
          [newest(stale), stale]
        end
      end

      def wait_for_room
        deadline = @clock.call + @configuration.pool_timeout
        while @lent >= [@configuration.pool_size, 1].max
          left = deadline - @clock.call
          raise Timeout, exhausted if left <= 0

          @returned.wait(@mutex, left)
        end
      end

      def exhausted
        "all #{@configuration.pool_size} connections to #{@uri} were in use for #{@configuration.pool_timeout} s; " \
          "raise pool_size to the number of threads"
      end

      def connect_claimed
        connected = connect
      ensure
        released unless connected
      end

      def newest(stale)
        oldest = @clock.call - @configuration.keep_alive
        stale << @idle.shift.connection while @idle.first && @idle.first.since < oldest
        @idle.pop&.connection
      end

      def give_back(connection, fine)
        keep = fine && connection.started? && @pid == Process.pid
        @mutex.synchronize do
          @lent -= 1
          @idle << Idle.new(connection, @clock.call) if keep
          @returned.signal
        end
        finish(connection) unless keep
      end

      def released
        @mutex.synchronize do
          @lent -= 1
          @returned.signal
        end
      end

      def connect
        http = Net::HTTP.new(@uri.hostname, @uri.port, nil)
        http.use_ssl = @uri.scheme == "https"
        http.ca_file = @configuration.tls_ca if @configuration.tls_ca
        http.open_timeout = @configuration.open_timeout
        http.keep_alive_timeout = @configuration.keep_alive.ceil
        # Whether a call may be made twice is not for Net::HTTP to guess.
        http.max_retries = 0
        http.start
      rescue Net::OpenTimeout
        raise Unavailable, "no connection to #{@uri} within #{@configuration.open_timeout} s"
      rescue SystemCallError, SocketError, IOError, OpenSSL::SSL::SSLError => e
        raise Unavailable, "no connection to #{@uri}: #{e.message}"
      end

      def finish(connection)
        connection.finish if connection.started?
      rescue IOError
        nil
      end
    end
  end
end
