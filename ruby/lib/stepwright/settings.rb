# frozen_string_literal: true

require "did_you_mean"

require_relative "duration"
require_relative "errors"

module Stepwright
  # A group of named settings with a kind and a default each. Whatever is assigned is checked at once; a blank is the default.
  class Settings
    # One setting of a group.
    Setting = Struct.new(:name, :kind, :default)

    # What each kind takes, and what it makes of it.
    KINDS = {
      text: ->(value) { value.to_s unless value.is_a?(Enumerable) },
      count: ->(value) { Integer(value.to_s, 10).then { |count| count unless count.negative? } },
      seconds: ->(value) { Duration.seconds(value) },
      texts: ->(value) { (value.is_a?(String) ? value.split(",").map(&:strip) : Array(value)).map(&:to_s).freeze },
      labels: ->(value) { value.to_h { |name, label| [name.to_s, label.to_s] }.freeze },
      any: ->(value) { value }
    }.freeze

    # What each kind is called in messages.
    WANTED = {
      text: "a text", count: "a whole number", seconds: "seconds, or a text such as '30s'",
      texts: "a list of texts", labels: "a map of texts", any: "anything"
    }.freeze

    class << self
      # @return [Hash{Symbol => Setting}] by name
      def settings = @settings ||= {}

      # Declares a setting.
      #
      # @!macro [attach] setting
      #   @!attribute [rw] $1
      #   @return [$2] declared as +$*+
      # @param name [Symbol]
      # @param kind [Symbol] one of {KINDS}
      # @param default [Object] already in the kind's form
      def setting(name, kind, default = nil)
        settings[name] = Setting.new(name, kind, default).freeze
        define_method(name) { @values.fetch(name) }
        define_method(:"#{name}=") { |value| assign(name, value) }
      end
    end

    def initialize
      @values = self.class.settings.transform_values(&:default)
    end

    # @api private
    def initialize_copy(other)
      super
      @values = @values.dup
    end

    # Takes settings by name, as from a file.
    #
    # @param values [Hash]
    # @param origin [String] where they come from, for messages
    # @return [self]
    def merge!(values, origin: "settings")
      values.each do |name, value|
        known = self.class.settings[name.to_s.to_sym] || raise(ConfigurationError, unknown(name, origin))
        assign(known.name, value, origin: origin)
      end
      self
    end

    # @return [Hash{Symbol => Object}]
    def to_h = @values.dup

    # @return [Boolean]
    def ==(other) = other.instance_of?(self.class) && other.to_h == to_h

    private

    def assign(name, value, origin: nil)
      setting = self.class.settings.fetch(name)
      @values[name] = blank?(value) ? setting.default : convert(setting, value, origin)
    end

    # A name in a file with nothing behind it.
    def blank?(value) = value.nil? || (value.is_a?(String) && value.strip.empty?)

    def convert(setting, value, origin)
      converted = KINDS.fetch(setting.kind).call(value)
      return converted unless converted.nil?

      refuse(setting, value, origin)
    rescue ArgumentError, TypeError, NoMethodError
      refuse(setting, value, origin)
    end

    def refuse(setting, value, origin)
      wanted = WANTED.fetch(setting.kind)
      raise ConfigurationError, "#{"#{origin}: " if origin}#{setting.name}: #{value.inspect} is not #{wanted}"
    end

    def unknown(name, origin)
      names = self.class.settings.keys.map(&:to_s)
      meant = DidYouMean::SpellChecker.new(dictionary: names).correct(name.to_s).first
      hint = meant ? "did you mean '#{meant}'?" : "known are #{names.join(", ")}"
      "#{origin}: unknown setting '#{name}'; #{hint}"
    end
  end
end
