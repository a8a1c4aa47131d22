# frozen_string_literal: true

require_relative "dev"
require_relative "testing/shapes"

module Stepwright
  # A host for a test suite: one {Dev} from the first test to the last.
  #
  #   require "stepwright/testing"
  #   Stepwright::Testing.start(plugins: ["plugins/shop.wasm"], templates: ["config/steps/order.yaml"])
  module Testing
    @mutex = Mutex.new

    class << self
      # @return [Dev, nil] the one that runs
      attr_reader :host

      # Starts the host once, and points {Stepwright.configuration} at it. It is stopped when the process ends.
      #
      # @param plugins [Array<String>] components' files, registered in this order
      # @param templates [Array<String>] templates' files, or their texts
      # @param handlers [Handlers, nil] whose steps run in the suite's own process: {Stepwright.handlers} for all of them, in a
      #   Rails application with those in +app/steps+
      # @param options [Hash] see {Dev#initialize}
      # @return [Dev]
      def start(plugins: [], templates: [], handlers: nil, **options)
        @mutex.synchronize { @host ||= begin_suite(options) }
        @host.register(plugins: plugins, templates: templates)
        @host.work(handlers) if handlers
        @host
      end

      # Stops the host now.
      #
      # @return [void]
      def stop
        @mutex.synchronize { @host.tap { @host = nil } }&.stop
      end

      private

      def begin_suite(options)
        host = Dev.new(**options).start
        host.attach
        at_process_end
        host
      end

      def at_process_end
        return if @at_end

        @at_end = true
        pid = Process.pid
        stopping = -> { stop if Process.pid == pid }
        return at_exit(&stopping) unless minitest_runs_at_exit?

        ::Minitest.after_run(&stopping)
        at_exit { stopping.call unless orderly? } # then Minitest runs nothing, nor what was to come after it
      end

      # Whether tests are run by an +at_exit+ block of Minitest's, older than ours and so run after it. It may well be loaded
      # without: RSpec uses its assertions.
      def minitest_runs_at_exit?
        return false unless defined?(::Minitest) && ::Minitest.respond_to?(:after_run)

        installed = :@@installed_at_exit
        !::Minitest.class_variable_defined?(installed) || ::Minitest.class_variable_get(installed)
      end

      def orderly? = $!.nil? || ($!.is_a?(SystemExit) && $!.success?)
    end
  end
end
