# frozen_string_literal: true

require_relative "client/operations"
require_relative "client/performance"
require_relative "client/registry"
require_relative "client/streams"
require_relative "client/system"
require_relative "client/tasks"
require_relative "http/session"

module Stepwright
  # The host's API. Safe for threads; one for a process is enough.
  class Client
    include Tasks
    include Operations
    include Registry
    include Performance
    include Streams
    include System

    # @return [Configuration]
    attr_reader :configuration

    # @param configuration [Configuration] kept as it is now
    # @param session [HTTP::Session, nil] what makes the calls
    def initialize(configuration, session: nil)
      @configuration = configuration.dup.freeze
      @session = session || HTTP::Session.new(@configuration)
    end

    # Closes the connections that nobody uses. The client may be used again.
    #
    # @return [void]
    def close = @session.close

    # @return [String]
    def inspect = "#<#{self.class.name} #{configuration.url}>"

    private

    def get(path, query = {}, waits: 0)
      @session.json(HTTP::Request.new(:get, path, query: query, waits: waits))
    end

    def post(path, json = nil, **options)
      @session.json(HTTP::Request.new(:post, path, json: json, **options))
    end

    def delete(path)
      @session.json(HTTP::Request.new(:delete, path))
    end

    # A list under its own name, of an answer that has nothing else.
    def listed(kind, name, path, query = {})
      kind.list(fetch(get(path, query), name))
    end

    def fetch(answer, name)
      answer.is_a?(Hash) && answer.fetch(name) { raise ProtocolError, "the answer has no '#{name}'" }
    end

    def page(kind, name, path, query)
      answer = get(path, query)
      Page.new(kind.list(fetch(answer, name)), answer["next"]) do |before|
        page(kind, name, path, query.merge(before: before))
      end
    end

    def segment(text) = URI.encode_www_form_component(text.to_s).gsub("+", "%20")

    # +namespace/name+ and, where there is one, the version of a reference.
    def template_path(reference)
      name, version = qualified(reference).split("@", 2)
      namespace, name = name.split("/", 2)
      raise ArgumentError, "'#{reference}' names no namespace; write namespace/name, or set the namespace" unless name

      ["/templates/#{segment(namespace)}/#{segment(name)}", { version: version }]
    end

    def qualified(reference)
      reference = reference.to_s
      namespace = configuration.namespace
      reference.include?("/") || namespace.nil? ? reference : "#{namespace}/#{reference}"
    end

    def plugin_path(name)
      namespace, name = name.to_s.split("/", 2)
      raise ArgumentError, "'#{namespace}' is no plugin's name; write namespace/name" unless name

      "/plugins/#{segment(namespace)}/#{segment(name)}"
    end
  end
end
