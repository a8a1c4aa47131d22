# frozen_string_literal: true

require "json"
require "time"

require_relative "../errors"

module Stepwright
  # How the API is spoken to.
  #
  # @api private
  module HTTP
    # What the host answered: its JSON, or the error that it stands for.
    #
    # @api private
    class Answer
      # The error for each status.
      ERRORS = {
        400 => Invalid, 401 => Unauthorized, 403 => Forbidden, 404 => NotFound, 408 => Timeout, 409 => Conflict,
        410 => Expired, 413 => Invalid, 415 => Invalid, 422 => Invalid, 429 => RateLimited, 500 => ServerError,
        502 => Unavailable, 503 => Unavailable, 504 => Unavailable
      }.freeze
      # Errors that say when to come back.
      PATIENT = [RateLimited, Unavailable].freeze

      # @return [Integer]
      attr_reader :status

      # @param status [Integer]
      # @param headers [#[]]
      # @param body [String]
      def initialize(status, headers, body)
        @status = status
        @headers = headers
        @body = body
      end

      # @return [Object] the JSON of a good answer
      # @raise [RequestError] what a bad one means
      def json
        raise error unless (200..299).cover?(status)
        return {} if @body.empty?

        raise ProtocolError.new(foreign, status: status) unless json?

        parse || raise(ProtocolError.new("the answer is not JSON: #{@body[0, 80].inspect}", status: status))
      end

      # @return [String] the body of a good answer
      # @raise [RequestError] what a bad one means
      def text = (200..299).cover?(status) ? @body : raise(error)

      # @return [RequestError] what a bad answer means
      def error
        problem = json? ? parse : nil
        problem = {} unless problem.is_a?(Hash)
        type = ERRORS.fetch(status) { refusal?(problem) ? RequestError : ProtocolError }
        details = { code: problem["code"], status: status, errors: field_errors(problem),
                    request_id: @headers["x-request-id"] }
        details[:retry_after] = retry_after if PATIENT.include?(type)
        type.new(message(problem, details[:errors]), **details)
      end

      # @param now [Time]
      # @return [Float, nil] seconds that the host asks to wait
      def retry_after(now: Time.now)
        value = @headers["retry-after"].to_s.strip
        return value.to_f if value.match?(/\A\d+(\.\d+)?\z/)

        value.empty? ? nil : [Time.httpdate(value) - now, 0.0].max
      rescue ArgumentError
        nil
      end

      private

      def json? = @headers["content-type"].to_s.match?(%r{\Aapplication/(problem\+)?json\b}i)

      def parse
        JSON.parse(@body, max_nesting: 200)
      rescue JSON::ParserError
        nil
      end

      # A problem of the host's that this version has no class for.
      def refusal?(problem) = (400..499).cover?(status) && problem.key?("code")

      def field_errors(problem)
        Array(problem["errors"]).grep(Hash).map { |error| FieldError.new(error["field"], error["message"]) }
      end

      def message(problem, errors)
        text = problem["detail"] || problem["title"] || foreign
        errors.empty? ? text : "#{text} (#{errors.first(5).join("; ")}#{"; …" if errors.size > 5})"
      end

      def foreign
        "the answer with status #{status} is not from a Stepwright host: #{@headers["content-type"] || "no content type"}, " \
          "#{@body[0, 80].inspect}"
      end
    end
  end
end
