# frozen_string_literal: true

module Stepwright
  # Everything that this gem raises by itself.
  class Error < StandardError
    # @return [Hash{Symbol => Object}] for pattern matching
    def deconstruct_keys(_keys)
      { message: message }
    end
  end

  # A setting that cannot be used; the message names it, where it came from, and what would be right.
  class ConfigurationError < Error; end

  # One thing that is wrong with a request.
  class FieldError
    # @return [String] the field's path, such as +context.order_id+ or +line 3, column 5+
    attr_reader :field
    # @return [String] what is wrong with it
    attr_reader :message

    # @param field [String]
    # @param message [String]
    def initialize(field, message)
      @field = field.to_s
      @message = message.to_s
      freeze
    end

    # @return [Hash{Symbol => String}]
    def to_h = { field: field, message: message }

    # (see Error#deconstruct_keys)
    def deconstruct_keys(_keys) = to_h

    # @return [Boolean]
    def ==(other) = other.is_a?(FieldError) && other.to_h == to_h
    alias eql? ==

    # @return [Integer]
    def hash = to_h.hash

    # @return [String]
    def to_s = field.empty? ? message : "#{field}: #{message}"
  end

  # What the host answered in place of what was asked for, or that it did not answer. As such, without a class of its own: a refusal
  # of a newer host, which {#code} names.
  class RequestError < Error
    # @return [String, nil] the stable code, such as +task_not_found+
    attr_reader :code
    # @return [Integer, nil] the HTTP status, if there was an answer
    attr_reader :status
    # @return [String, nil] what the host's log calls this request
    attr_reader :request_id
    # @return [Array<FieldError>] what is wrong with which field
    attr_reader :errors

    # @param message [String]
    # @param code [String, nil]
    # @param status [Integer, nil]
    # @param request_id [String, nil]
    # @param errors [Array<FieldError>]
    def initialize(message = nil, code: nil, status: nil, request_id: nil, errors: [])
      super(message)
      @code = code
      @status = status
      @request_id = request_id
      @errors = errors.freeze
    end

    # (see Error#deconstruct_keys)
    def deconstruct_keys(_keys)
      { message: message, code: code, status: status, request_id: request_id, errors: errors }
    end
  end

  # There is no such task, step, template, plugin, …
  class NotFound < RequestError; end

  # The request is wrong; {#errors} says which fields. Also raised here, if JSON cannot hold it.
  class Invalid < RequestError
    # @return [Hash{String => Array<String>}] messages by field
    def by_field
      errors.group_by(&:field).transform_values { |errors| errors.map(&:message) }
    end
  end

  # The deed is impossible in the state that the thing is in.
  class Conflict < RequestError; end

  # What was asked for is kept no more: events after that position, of which some were removed.
  class Expired < RequestError; end

  # There is no token, or a wrong, revoked or expired one.
  class Unauthorized < RequestError; end

  # The token does not have the scope that this needs.
  class Forbidden < RequestError; end

  # Too many requests; {#retry_after} says when there is room again.
  class RateLimited < RequestError
    # @return [Float, nil] seconds
    attr_reader :retry_after

    # @param message [String]
    # @param retry_after [Float, nil]
    # @param details [Hash] see {RequestError#initialize}
    def initialize(message = nil, retry_after: nil, **details)
      super(message, **details)
      @retry_after = retry_after
    end
  end

  # The host cannot be reached, drains, or has lost its database.
  class Unavailable < RequestError
    # @return [Float, nil] seconds after which the host wants to be asked again
    attr_reader :retry_after

    # @param message [String]
    # @param retry_after [Float, nil]
    # @param details [Hash] see {RequestError#initialize}
    def initialize(message = nil, retry_after: nil, **details)
      super(message, **details)
      @retry_after = retry_after
    end
  end

  # There was no answer in time. What was asked for may have been done all the same.
  class Timeout < RequestError; end

  # The host failed at it.
  class ServerError < RequestError; end

  # The answer is not what the API promises: another version, something else than a host, or no HTTP at all.
  class ProtocolError < RequestError; end

  # Raised by step handlers to say how an attempt failed.
  class HandlerError < Error
    # @return [String, nil] a code for programs, such as +card_declined+
    attr_reader :error_code
    # @return [Object, nil] anything that JSON can hold
    attr_reader :details

    # @param message [String]
    # @param error_code [String, nil]
    # @param details [Object, nil]
    def initialize(message = nil, error_code: nil, details: nil)
      super(message)
      @error_code = error_code
      @details = details
    end
  end

  # Another attempt may succeed.
  class RetryableError < HandlerError
    # @return [Numeric, nil] seconds until the next attempt; without it the template's back-off applies
    attr_reader :retry_after

    # @param message [String]
    # @param retry_after [Numeric, nil] seconds
    # @param error_code [String, nil]
    # @param details [Object, nil]
    def initialize(message = nil, retry_after: nil, error_code: nil, details: nil)
      super(message, error_code: error_code, details: details)
      @retry_after = retry_after
    end
  end

  # No attempt will succeed.
  class PermanentError < HandlerError; end

  # Raised by {Call::Step#stop_if_cancelled!} in an attempt that was told to stop.
  class Cancelled < HandlerError; end
end
