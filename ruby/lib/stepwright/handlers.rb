# frozen_string_literal: true

require_relative "errors"

module Stepwright
  # The step handlers of this process, by name.
  class Handlers
    # A handler that is a block.
    Block = Struct.new(:handler_name, :body) do
      # @return [Proc] with +call+, as an instance of a handler has
      def new = body

      # @return [Boolean]
      def callable? = true

      # What stays the same when its file is loaded anew.
      #
      # @api private
      def place = body.source_location ? [handler_name, body.source_location.first] : self
    end

    def initialize
      @mutex = Mutex.new
      @classes = {}
    end

    # Takes a handler. A class of the same name takes the place of the one before, and so does a block of the same name in the
    # same file, since code is reloaded.
    #
    # @param handler [Class<StepHandler>, Block]
    # @return [void]
    def add(handler)
      key = handler.is_a?(Class) ? handler.name || handler : handler.place
      @mutex.synchronize { @classes[key] = handler }
    end

    # @param handler [Class<StepHandler>, Block]
    # @return [void]
    def remove(handler)
      @mutex.synchronize { @classes.delete_if { |_, known| known.equal?(handler) } }
    end

    # @return [Hash{String => Class<StepHandler>}] by name
    # @raise [ConfigurationError] if two have the same name
    def by_name
      all = @mutex.synchronize { @classes.values }
      all.select(&:callable?).each_with_object({}) do |handler, found|
        name = handler.handler_name
        raise ConfigurationError, "two handlers are called '#{name}': #{found[name]} and #{handler}" if found.key?(name)

        found[name] = handler
      end
    end

    # @param name [String]
    # @return [#call, nil] a new instance
    def build(name) = by_name[name]&.new

    # @return [Array<String>]
    def names = by_name.keys.sort
  end

  @handlers = Handlers.new

  class << self
    # @return [Handlers] the step handlers of this process
    attr_reader :handlers

    # Declares a handler as a block.
    #
    #   Stepwright.handler("send_receipt") { |task, sequence, step| { "sent" => true } }
    #
    # @param name [String, Symbol]
    # @yieldparam task [Call::Task]
    # @yieldparam sequence [Call::Sequence]
    # @yieldparam step [Call::Step]
    # @return [Handlers::Block]
    def handler(name, &body)
      raise ArgumentError, "a handler needs a block" unless body

      Handlers::Block.new(-name.to_s, body).tap { |block| handlers.add(block) }
    end
  end
end
