# frozen_string_literal: true

require "json"
require "net/http"
require "securerandom"
require "uri"

require_relative "../errors"
require_relative "../version"

module Stepwright
  module HTTP
    # One call of the API, before it is made.
    #
    # @api private
    class Request
      # What each method is in Net::HTTP.
      METHODS = { get: Net::HTTP::Get, post: Net::HTTP::Post, delete: Net::HTTP::Delete }.freeze

      # @return [Symbol] +:get+, +:post+ or +:delete+
      attr_reader :verb
      # @return [String] path and query
      attr_reader :path
      # @return [Float] seconds that the host was asked to wait before it answers
      attr_reader :waits
      # @return [String] what the host's log calls it
      attr_reader :id

      # @param verb [Symbol]
      # @param path [String] below +/v1+
      # @param query [Hash] +nil+ values are left out, lists are joined by commas
      # @param json [Object, nil] the body
      # @param body [String, nil] the body, where it is no JSON
      # @param content_type [String]
      # @param idempotent [Boolean] whether it may safely be made twice
      # @param waits [Numeric] seconds
      # @param id [String]
      # @raise [Invalid] if JSON cannot hold the body
      def initialize(verb, path, query: {}, json: nil, body: nil, content_type: "application/json",
                     idempotent: verb == :get, waits: 0, id: SecureRandom.hex(8))
        @verb = verb
        @path = "/v1#{path}#{"?" if (encoded = encode(query)) && !encoded.empty?}#{encoded}"
        @body = body || (json.nil? ? nil : generate(json))
        @content_type = content_type
        @idempotent = idempotent
        @waits = waits
        @id = id
        freeze
      end

      # @return [Boolean] whether it may safely be made twice
      def idempotent? = @idempotent

      # @param token [String, nil]
      # @param accept [String]
      # @return [Net::HTTPRequest]
      def to_net(token, accept: "application/json")
        request = METHODS.fetch(verb).new(path)
        request["Accept"] = "#{accept}, application/problem+json"
        request["User-Agent"] = "stepwright-ruby/#{VERSION}"
        request["X-Request-Id"] = id
        request["Authorization"] = "Bearer #{token}" if token
        if @body
          request["Content-Type"] = @content_type
          request.body = @body
        elsif verb == :post
          request.body = ""
        end
        request
      end

      # @return [String]
      def to_s = "#{verb.upcase} #{path}"

      private

      def generate(json)
        JSON.generate(json)
      rescue JSON::JSONError, EncodingError => e
        raise Invalid, "JSON cannot hold the request: #{e.message}"
      end

      def encode(query)
        pairs = query.reject { |_, value| value.nil? || value == [] }
        URI.encode_www_form(pairs.transform_values { |value| value.is_a?(Array) ? value.join(",") : value })
      end
    end
  end
end
