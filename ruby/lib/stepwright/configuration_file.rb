# frozen_string_literal: true

require "erb"
require "yaml"

require_relative "errors"

module Stepwright
  # +config/stepwright.yml+: settings by environment, merged over those under +default+. ERB is evaluated first.
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
      sections = document
      merge(section(sections, DEFAULT), section(sections, environment.to_s))
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

    def section(sections, name)
      section = sections.fetch(name, nil) || {}
      return section if section.is_a?(Hash)

      raise ConfigurationError, "#{@path}: #{name}: expected a map of settings, found #{section.inspect}"
    end

    def merge(base, over)
      base.merge(over) do |_, old, new|
        old.is_a?(Hash) && new.is_a?(Hash) ? merge(old, new) : new
      end
    end
  end
end
