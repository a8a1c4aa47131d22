# frozen_string_literal: true

require "forwardable"

require_relative "stepwright/version"
require_relative "stepwright/errors"
require_relative "stepwright/configuration"
require_relative "stepwright/client"
require_relative "stepwright/step_handler"

# Workflows whose steps are sandboxed WebAssembly components, or Ruby.
#
#   Stepwright.configure { |c| c.url = "https://stepwright.internal:7780" }
#   result = Stepwright.run(template: "shop/order_fulfillment", context: { order_id: "ORD-1" }) { |event| puts event }
#   result.success? # => true
module Stepwright
  # Not everybody needs these, and what they need in turn.
  autoload :Dev, File.expand_path("stepwright/dev", __dir__)
  autoload :Webhook, File.expand_path("stepwright/webhook", __dir__)

  @mutex = Mutex.new

  class << self
    extend Forwardable

    # @return [Environment] which environment this process runs in
    def environment = configuration.environment
    alias env environment

    # @return [Configuration] what is configured: from the file and variables at first
    def configuration
      @mutex.synchronize { @configuration ||= Configuration.load }
    end

    # Changes the configuration. Calls after it use the new one.
    #
    # @yieldparam configuration [Configuration]
    # @return [Configuration]
    def configure
      changed = configuration.dup
      yield changed
      self.configuration = changed
    end

    # @param configuration [Configuration, nil] +nil+ reads file and variables anew
    def configuration=(configuration)
      old = @mutex.synchronize do
        @configuration = configuration
        @client.tap { @client = nil }
      end
      old&.close
    end

    # @return [Client] the one that the methods of this module use
    def client
      configuration = self.configuration
      @mutex.synchronize { @client ||= Client.new(configuration) }
    end

    # @return [Logger, nil]
    def logger = configuration.logger

    # @!method initialize_task(...) see {Client::Tasks#initialize_task}
    # @!method handle(...) see {Client::Tasks#handle}
    # @!method run(...) see {Client::Tasks#run}
    def_delegators :client, *Client::Tasks.public_instance_methods(false),
                   *Client::Operations.public_instance_methods(false),
                   *Client::Registry.public_instance_methods(false),
                   *Client::Performance.public_instance_methods(false),
                   *Client::Streams.public_instance_methods(false),
                   *Client::System.public_instance_methods(false)
  end
end

require_relative "stepwright/railtie" if defined?(Rails::Railtie)
