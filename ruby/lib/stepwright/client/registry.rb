# frozen_string_literal: true

require_relative "../results/plugin"

module Stepwright
  class Client
    # Templates and plugins.
    module Registry
      # The type of a component's bytes.
      WASM = "application/wasm"

      # @return [Array<Template>]
      def templates = listed(Template, "templates", "/templates")

      # @param reference [String] +namespace/name+, or with +@version+
      # @return [Template] with its source
      # @raise [NotFound]
      def template(reference) = Template.new(get(*template_path(reference)))

      # What a task that is started now would run.
      #
      # @param reference [String]
      # @return [Record]
      def plan(reference)
        path, query = template_path(reference)
        Record.new(get("#{path}/plan", query))
      end

      # Registers a template. The same text again changes nothing.
      #
      # @param source [String] YAML
      # @return [Template]
      # @raise [Invalid] with every problem and its line
      # @raise [Conflict] if the version is registered with another text
      def register_template(source)
        Template.new(post("/templates", body: source.to_str, content_type: "application/yaml", idempotent: true))
      end

      # @return [Array<Plugin>]
      def plugins = listed(Plugin, "plugins", "/plugins")

      # @param name [String] +namespace/name+
      # @return [Record] all its versions
      # @raise [NotFound]
      def plugin(name) = Record.new(get(plugin_path(name)))

      # @param reference [String] +namespace/name@version+
      # @return [Plugin] with its handlers and their schemas
      # @raise [NotFound]
      def plugin_version(reference) = Plugin.new(get(version_path(reference)))

      # Registers a plugin. The same component again changes nothing.
      #
      # @param component [String, #read] the component's bytes, or something that they are read from
      # @param name [String, nil] in place of its own
      # @param version [String, nil] in place of its own
      # @param signature [String, nil] in base64
      # @return [Plugin]
      # @raise [Invalid]
      def register_plugin(component, name: nil, version: nil, signature: nil)
        bytes = component.respond_to?(:read) ? component.read : component
        query = { name: name, version: version, signature: signature }
        Plugin.new(post("/plugins", body: bytes, content_type: WASM, query: query, idempotent: true))
      end

      # Ends what {#disable_plugin}, {#yank_plugin} and {#quarantine_plugin} began.
      #
      # @param reference [String] +namespace/name@version+
      # @param reason [String]
      # @param by [String, nil]
      # @return [Record]
      def enable_plugin(reference, reason:, by: nil) = plugin_deed(reference, "enable", reason, by)

      # Nothing new finds it.
      #
      # @param (see #enable_plugin)
      # @return (see #enable_plugin)
      def disable_plugin(reference, reason:, by: nil) = plugin_deed(reference, "disable", reason, by)

      # Only a requirement of exactly this version still finds it.
      #
      # @param (see #enable_plugin)
      # @return (see #enable_plugin)
      def yank_plugin(reference, reason:, by: nil) = plugin_deed(reference, "yank", reason, by)

      # Disables it and pauses its component.
      #
      # @param (see #enable_plugin)
      # @return (see #enable_plugin)
      def quarantine_plugin(reference, reason:, by: nil) = plugin_deed(reference, "quarantine", reason, by)

      private

      def version_path(reference)
        name, version = reference.to_s.split("@", 2)
        raise ArgumentError, "'#{reference}' names no version; write namespace/name@version" unless version

        "#{plugin_path(name)}/versions/#{segment(version)}"
      end

      def plugin_deed(reference, deed, reason, by)
        Record.new(post("#{version_path(reference)}/#{deed}", who({ reason: reason }, by)))
      end
    end
  end
end
