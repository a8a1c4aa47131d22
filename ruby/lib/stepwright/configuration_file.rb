# frozen_string_literal: true

require "erb"
require "yaml"

require_relative "errors"

module Stepwright
  # +config/stepwright.yml+: settings by environment, merged over those under +default+. ERB is evaluated first.
  #
  # @api private
  class ConfigurationFile
    # What every environment is merged over.
    DEFAULT = "default"

    # @param path [String]
    def initialize(path)
      @path = path
    end

    # @param environment [#to_s]
    # @return [Hash{String => Object}] the settings for it
    # @raise [ConfigurationError]
    def settings(environment)
      sections = document.to_h { |name, settings| [name.to_s, section(name, settings)] }
      merge(sections.fetch(DEFAULT, {}), sections.fetch(environment.to_s, {}))
    end

    private

    def document
      text = ERB.new(File.read(@path), trim_mode: "-").result
      parsed = YAML.safe_load(text, permitted_classes: [Symbol], aliases: true, filename: @path) || {}
      return parsed if parsed.is_a?(Hash)

      raise ConfigurationError, "#{@path}: expected a map of environments, found #{parsed.class}"
    rescue Psych::SyntaxError => e
      raise ConfigurationError, "#{@path}:#{e.line}:#{e.column}: #{[e.problem, e.context].compact.join(" ")}"
    rescue Psych::Exception => e
      raise ConfigurationError, "#{@path}: #{e.message}"
    rescue SystemCallError => e
      raise ConfigurationError, "#{@path}: failed to read it: #{e.message}"
    end

    # Never prints the value: it may be a token.
    def section(name, settings)
      return settings || {} if settings.nil? || settings.is_a?(Hash)

      raise ConfigurationError, "#{@path}: #{name}: expected a map of settings, found #{settings.class}; settings stand below an " \
                                "environment's name, or below #{DEFAULT} for all"
    end

    def merge(base, over)
      base.merge(over) do |_, old, new|
        next old if new.nil?

        old.is_a?(Hash) && new.is_a?(Hash) ? merge(old, new) : new
      end
    end
  end
end
