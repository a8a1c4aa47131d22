# frozen_string_literal: true

require "digest/sha2"
require "json"

module Stepwright
  # What a worker and its orchestrator say to each other.
  #
  # @api private
  module Wire
    # A JSON text that is carried as it is: what was fingerprinted is what is sent.
    class Payload
      # The deepest nesting that the host takes.
      DEPTH_MAX = 127

      # @return [String] the JSON text
      attr_reader :text

      # @param value [Object] anything that JSON can hold
      # @return [Payload]
      # @raise [JSON::GeneratorError, JSON::NestingError] if JSON cannot hold it
      def self.of(value) = new(JSON.generate(value, max_nesting: DEPTH_MAX))

      # @param text [String] JSON
      def initialize(text)
        @text = text.dup.force_encoding(Encoding::UTF_8).freeze
        raise JSON::GeneratorError, "a text is not UTF-8" unless @text.valid_encoding?

        freeze
      end

      # @return [Integer]
      def bytes = text.bytesize

      # @return [Object] what it holds
      def value = JSON.parse(text, max_nesting: DEPTH_MAX)

      # @api private
      def to_json(*) = text

      # @return [Boolean]
      def ==(other) = other.is_a?(Payload) && other.text == text
      alias eql? ==

      # @return [Integer]
      def hash = text.hash
    end

    # Fingerprints, spelled +sha256:+ and 64 hexadecimal digits.
    module Fingerprint
      # How one is spelled.
      PATTERN = /\Asha256:[0-9a-f]{64}\z/

      module_function

      # @param bytes [String]
      # @return [String]
      def of(bytes) = "sha256:#{Digest::SHA256.hexdigest(bytes)}"

      # @param output [Payload]
      # @return [String] the fingerprint of an outcome that completed
      def of_output(output) = of(output.text)

      # @param error [Failure]
      # @return [String] the fingerprint of an outcome that failed: class, code and message
      def of_failure(error) = of("#{error.failure_class}\0#{error.code}\0#{error.message}")
    end
  end
end
