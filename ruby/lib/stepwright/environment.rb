# frozen_string_literal: true

module Stepwright
  # Which environment this process runs in.
  class Environment
    # The variables that name it, in the order in which they are looked at.
    VARIABLES = %w[STEPWRIGHT_ENV RAILS_ENV RACK_ENV APP_ENV].freeze
    # Without any of them.
    DEFAULT = "development"

    # @return [String]
    attr_reader :name

    # @param variables [#[]] usually +ENV+
    # @return [Environment] the first that is named
    def self.detect(variables = ENV)
      name = VARIABLES.map { |variable| variables[variable] }.find { |value| value && !value.strip.empty? }
      new(name ? name.strip : DEFAULT)
    end

    # @param name [#to_s]
    def initialize(name)
      @name = -name.to_s
      freeze
    end

    # @return [Boolean]
    def development? = name == "development"

    # @return [Boolean]
    def test? = name == "test"

    # @return [Boolean]
    def production? = name == "production"

    # @return [String]
    def to_s = name
    alias to_str to_s

    # @return [Boolean]
    def ==(other) = other.respond_to?(:to_str) && other.to_str == name
    alias eql? ==

    # @return [Integer]
    def hash = name.hash

    # @return [String]
    def inspect = name.inspect
  end
end
