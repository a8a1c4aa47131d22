# frozen_string_literal: true

module Stepwright
  # Spans of time as the API writes them: +250ms+, +30s+, +5m+, +2h+, +1d+.
  module Duration
    # Seconds in each unit.
    UNITS = { "ms" => 0.001, "s" => 1.0, "m" => 60.0, "h" => 3_600.0, "d" => 86_400.0 }.freeze
    # A number and a unit.
    PATTERN = /\A(\d+)(ms|s|m|h|d)\z/

    module_function

    # @param value [Numeric, String] seconds, or a text such as +5m+
    # @return [String] as the API reads it, to the millisecond
    # @raise [ArgumentError]
    def text(value)
      return value.match?(PATTERN) ? value : raise(ArgumentError, refusal(value)) if value.is_a?(String)

      seconds = seconds(value)
      seconds == seconds.to_i ? "#{seconds.to_i}s" : "#{(seconds * 1_000).ceil}ms"
    end

    # @param value [Numeric, String] seconds, or a text such as +5m+
    # @return [Float] seconds
    # @raise [ArgumentError]
    def seconds(value)
      if value.is_a?(String)
        number, unit = PATTERN.match(value)&.captures
        raise ArgumentError, refusal(value) unless number

        return number.to_i * UNITS.fetch(unit)
      end
      # ActiveSupport's durations are numbers by +to_f+ only.
      raise ArgumentError, refusal(value) if value.nil? || !value.respond_to?(:to_f) || value.to_f.negative?

      value.to_f
    end

    # @api private
    def refusal(value)
      "#{value.inspect} is not a span of time; write seconds (30, 0.25) or a text such as '250ms', '30s', '5m', '2h', '1d'"
    end
  end
end
