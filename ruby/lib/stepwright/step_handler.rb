# frozen_string_literal: true

require_relative "call"
require_relative "errors"
require_relative "handlers"

module Stepwright
  # A step written in Ruby. A subclass that defines +call+ is known under its name in snake case, without its modules; +handles+
  # gives it another one. Each attempt gets an instance of its own.
  #
  #   class ChargeCard < Stepwright::StepHandler
  #     def call(task, sequence, step)
  #       order = sequence.fetch("validate_order")
  #       charge = Gateway.charge(order["total_cents"], key: step.idempotency_key)
  #       raise Stepwright::PermanentError.new("declined", error_code: "card_declined") if charge.declined?
  #       { "charge" => charge.id }
  #     end
  #   end
  #
  # A handler runs at least once: its worker may vanish after the deed and before the report. Hand the idempotency key on.
  class StepHandler
    class << self
      # Under which name templates know it.
      #
      # @param name [String, Symbol]
      # @return [void]
      def handles(name)
        @handles = -name.to_s
      end

      # @return [String]
      # @raise [ConfigurationError] if the class has no name of its own and was given none
      def handler_name
        return @handles if @handles
        raise ConfigurationError, "a handler without a name: say 'handles \"name\"' in the class" unless name

        name.split("::").last.gsub(/([A-Z]+)([A-Z][a-z])|([a-z\d])([A-Z])/, '\1\3_\2\4').downcase
      end

      # @return [Boolean] whether it defines +call+, so is no mere base of others
      def callable? = instance_method(:call).owner != StepHandler

      # @api private
      def inherited(subclass)
        super
        Stepwright.handlers.add(subclass)
      end
    end

    # Does the step.
    #
    # @param task [Call::Task] what it is a part of
    # @param sequence [Call::Sequence] what the steps before it returned
    # @param step [Call::Step] the attempt
    # @return [Hash, nil] the output
    # @raise [RetryableError] another attempt may succeed; so may one after any other exception
    # @raise [PermanentError] no attempt will succeed
    def call(task, sequence, step)
      raise NotImplementedError, "#{self.class} does not define call(task, sequence, step)"
    end
  end
end
