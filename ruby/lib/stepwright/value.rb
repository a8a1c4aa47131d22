# frozen_string_literal: true

require_relative "errors"

module Stepwright
  # An answer of the host as an immutable value: readers for what is documented, +[]+ for the rest, compared by content,
  # usable in pattern matching.
  class Value
    # How a declared field is read, and what stands for it where it is missing.
    Field = Struct.new(:name, :key, :required, :read, :missing)

    # Milliseconds since 1970 as a moment.
    MOMENT = ->(ms) { Time.at(0, ms, :millisecond, in: "UTC").freeze }
    # Pairs, or a map, as a map of texts.
    MAP = ->(pairs) { pairs.to_h.freeze }
    # A payload or a plain value: as it came.
    PLAIN = ->(value) { value }

    class << self
      # @return [Hash{Symbol => Field}] by name
      def fields
        @fields ||= superclass.respond_to?(:fields) ? superclass.fields.dup : {}
      end

      # Declares a reader.
      #
      # @!macro [attach] field
      #   @!attribute [r] $1
      # @param name [Symbol]
      # @param kind [:plain, :moment, :map, Class<Value>, Array(Class<Value>)]
      # @param from [String] the field of the answer
      # @param required [Boolean] whether an answer without it is none
      def field(name, kind = :plain, from: name.to_s, required: false)
        fields[name] = Field.new(name, from, required, reader(kind), missing(kind)).freeze
        define_method(name) { @values[name] }
      end

      # @param json [Array<Hash>, nil]
      # @return [Array<Value>]
      def list(json)
        Array(json).map { |one| new(one) }.freeze
      end

      private

      def reader(kind)
        case kind
        when :plain then PLAIN
        when :moment then MOMENT
        when :map then MAP
        when Array then ->(json) { kind.first.list(json) }
        else ->(json) { kind.new(json) }
        end
      end

      # A missing list or map is an empty one, a missing value is none.
      def missing(kind)
        return [].freeze if kind.is_a?(Array)

        kind == :map ? {}.freeze : nil
      end
    end

    # @param json [Hash{String => Object}] as the host sent it
    # @raise [ProtocolError] if something essential is missing
    def initialize(json)
      raise ProtocolError, "expected #{self.class.name} as an object, got #{json.class}" unless json.is_a?(Hash)

      @json = json
      @values = self.class.fields.transform_values { |field| value(field) }.freeze
      freeze
    end

    # @param name [Symbol, String] a declared field, or any other one of the answer
    # @return [Object, nil]
    def [](name)
      @values.fetch(name.to_sym) { @json[name.to_s] }
    end

    # @return [Hash{Symbol => Object}] the declared fields, values within as hashes
    def to_h
      @values.transform_values { |value| plain(value) }
    end

    # @return [Hash{String => Object}] the answer as it came
    def as_json(*) = @json

    # @return [String]
    def to_json(*arguments) = @json.to_json(*arguments)

    # @api private
    def deconstruct_keys(_keys) = @values

    # @return [Boolean]
    def ==(other) = other.instance_of?(self.class) && other.as_json == @json
    alias eql? ==

    # @return [Integer]
    def hash = [self.class, @json].hash

    # @return [String]
    def inspect
      shown = @values.reject { |_, value| value.nil? }.map { |name, value| "#{name}=#{value.inspect}" }
      "#<#{self.class.name} #{shown.join(" ")}>"
    end

    private

    def value(field)
      json = @json[field.key]
      return field.read.call(json) unless json.nil?

      raise ProtocolError, "the answer has no '#{field.key}' (#{self.class.name})" if field.required

      field.missing
    end

    def plain(value)
      case value
      when Value then value.to_h
      when Array then value.map { |one| plain(one) }
      else value
      end
    end
  end

  # An answer whose fields are read by name, whatever they are: +record.p95_ms+, +record[:p95_ms]+. Objects within are records too.
  class Record < Value
    # @param json [Hash{String => Object}]
    def initialize(json)
      raise ProtocolError, "expected an object, got #{json.class}" unless json.is_a?(Hash)

      @json = json
      @values = json.to_h { |name, value| [name.to_sym, wrap(name, value)] }.freeze
      freeze
    end

    # @api private
    def respond_to_missing?(name, _include_private = false) = @values.key?(name) || super

    # @api private
    def method_missing(name, *arguments)
      arguments.empty? && @values.key?(name) ? @values[name] : super
    end

    private

    def wrap(name, value)
      case value
      when Hash then Record.new(value)
      when Array then value.map { |one| one.is_a?(Hash) ? Record.new(one) : one }.freeze
      when Integer then name == "at" || name.end_with?("_at") ? MOMENT.call(value) : value
      else value
      end
    end
  end
end
