# frozen_string_literal: true

require_relative "../errors"
require_relative "payload"

module Stepwright
  module Wire
    # A body, or a part of one: fields in the order in which they are written. Unknown fields are ignored, since a newer peer may
    # send them; missing ones are an error, unless they are optional.
    class Shape
      # One field.
      Field = Struct.new(:name, :key, :kind, :optional, :default)

      # A kind of value: what is read, and what is written for it.
      Kind = Struct.new(:wanted, :check, :write) do
        # @api private
        def read(value, path)
          result = check.call(value, path)
          result.equal?(Shape::BAD) ? raise(ProtocolError, "#{path}: expected #{wanted}, got #{value.class}") : result
        end
      end

      # What a check returns for a value that is none of its kind.
      BAD = Object.new.freeze
      # Writes a value as it is.
      SAME = ->(value) { value }

      class << self
        # @return [Array<Field>]
        def fields = @fields ||= []

        # Declares a field.
        #
        # @param name [Symbol]
        # @param kind [Symbol, Class<Shape>, Array] a scalar, a shape, a list of one of those, or +[:pairs, kind]+
        # @param key [String] how it is spelled
        # @param optional [Hash] +default+: what stands for it where it is missing; it is not written then, unless +written+ is true
        def field(name, kind, key: name.to_s, **optional)
          default = optional.fetch(:default, nil)
          is_optional = optional.key?(:default)
          fields << Field.new(name, key, kind_of(kind), is_optional && !optional[:written] ? :skipped : is_optional, default)
          attr_reader name
        end

        # @param json [Hash]
        # @param path [String] where it stands, for messages
        # @return [Shape]
        # @raise [ProtocolError]
        def read(json, path = wire_name)
          raise ProtocolError, "#{path}: expected an object, got #{json.class}" unless json.is_a?(Hash)

          new(**fields.to_h { |field| [field.name, read_field(field, json, path)] })
        end

        # @return [String]
        def wire_name = name.split("::").last

        private

        def read_field(field, json, path)
          missing = field.optional ? json[field.key].nil? : !json.key?(field.key)
          return field.kind.read(json[field.key], "#{path}.#{field.key}") unless missing
          return field.default if field.optional

          raise ProtocolError, "#{path}: missing field '#{field.key}'"
        end

        def kind_of(kind)
          case kind
          when Symbol then SCALARS.fetch(kind)
          when Array then kind.size == 2 ? pairs(kind_of(kind.last)) : list(kind_of(kind.first))
          else Kind.new("an object", ->(json, path) { kind.read(json, path) }, ->(shape) { shape.to_wire })
          end
        end

        def list(kind)
          check = lambda do |json, path|
            json.is_a?(Array) ? json.each_with_index.map { |one, at| kind.read(one, "#{path}[#{at}]") }.freeze : BAD
          end
          Kind.new("a list", check, ->(all) { all.map { |one| kind.write.call(one) } })
        end

        # Pairs of a text and something, which may come in any order and twice.
        def pairs(kind)
          check = lambda do |json, path|
            next BAD unless json.is_a?(Array) && json.all? { |pair| pair.is_a?(Array) && pair.size == 2 && pair[0].is_a?(String) }

            json.map { |name, value| [name, kind.read(value, "#{path}.#{name}")].freeze }.freeze
          end
          Kind.new("a list of pairs", check, ->(all) { all.map { |name, value| [name, kind.write.call(value)] } })
        end
      end

      # Whole numbers that fit into so many bits, without a sign.
      WHOLE = lambda do |bits|
        ->(value, _) { value.is_a?(Integer) && value >= 0 && value.bit_length <= bits ? value : BAD }
      end
      private_constant :WHOLE

      # Kinds without parts.
      SCALARS = {
        u32: Kind.new("a whole number of 32 bits", WHOLE.call(32), SAME),
        u64: Kind.new("a whole number of 64 bits", WHOLE.call(64), SAME),
        i64: Kind.new("a whole number", ->(value, _) { value.is_a?(Integer) && value.bit_length < 64 ? value : BAD }, SAME),
        number: Kind.new("a number", ->(value, _) { value.is_a?(Numeric) ? value : BAD }, SAME),
        text: Kind.new("a text", ->(value, _) { value.is_a?(String) ? value : BAD }, SAME),
        boolean: Kind.new("true or false", ->(value, _) { [true, false].include?(value) ? value : BAD }, SAME),
        digest: Kind.new("sha256:<64 hexadecimal digits>",
                         ->(value, _) { value.is_a?(String) && value.match?(Fingerprint::PATTERN) ? value : BAD }, SAME),
        # Payloads are read as values, and written as values or as texts that are ready.
        json: Kind.new("anything", ->(value, _) { value }, SAME)
      }.freeze

      # @param values [Hash] by field; optional ones may be left out
      def initialize(**values)
        self.class.fields.each do |field|
          value = values.fetch(field.name) { field.optional ? field.default : raise(ArgumentError, "missing: #{field.name}") }
          instance_variable_set(:"@#{field.name}", value)
        end
        unknown = values.keys - self.class.fields.map(&:name)
        raise ArgumentError, "unknown: #{unknown.join(", ")}" unless unknown.empty?

        freeze
      end

      # @param changes [Hash]
      # @return [Shape] the same with other values
      def with(**changes) = self.class.new(**to_h, **changes)

      # @return [Hash{Symbol => Object}]
      def to_h = self.class.fields.to_h { |field| [field.name, public_send(field.name)] }

      # @return [Hash{String => Object}] for JSON, in the order of the fields
      def to_wire
        self.class.fields.each_with_object({}) do |field, json|
          value = public_send(field.name)
          next if field.optional == :skipped && value == field.default

          json[field.key] = field.kind.write.call(value)
        end
      end

      # @return [Boolean]
      def ==(other) = other.instance_of?(self.class) && other.to_h == to_h
      alias eql? ==

      # @return [Integer]
      def hash = [self.class, to_h].hash

      # @api private
      def deconstruct_keys(_keys) = to_h
    end
  end
end
