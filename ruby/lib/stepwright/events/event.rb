# frozen_string_literal: true

require "json"
require "time"

require_relative "../value"

module Stepwright
  # Something that happened: +task.started+, +step.completed+, …
  class Event
    # Names of events after which a task does nothing by itself.
    SETTLING = %w[task.completed task.failed task.cancelled task.resolved_manually].freeze

    # @return [String]
    attr_reader :name
    # @return [String, nil] its place among all events; what +after:+ goes on behind
    attr_reader :position
    # @return [Record] what the host tells of it
    attr_reader :data

    # @param name [String]
    # @param data [Hash{String => Object}]
    # @param position [String, nil]
    def initialize(name, data, position: nil)
      @name = name
      @data = Record.new(data)
      @position = position
      freeze
    end

    # @param message [Events::Parser::Message]
    # @return [Event]
    # @raise [ProtocolError]
    def self.of(message)
      new(message.event, JSON.parse(message.data), position: message.id)
    rescue JSON::ParserError
      raise ProtocolError, "the data of the event '#{message.event}' is not JSON: #{message.data[0, 80].inspect}"
    end

    # @return [Integer, nil]
    def task_id
      id = data[:task] || data[:task_id]
      id.is_a?(String) && id.match?(/\A\d+\z/) ? id.to_i : id
    end

    # @return [String, nil] the step's name
    def step = data[:step_name] || data[:step]

    # @return [Time, nil] when it happened
    def at
      moment = data[:at]
      moment.is_a?(String) ? Time.iso8601(moment) : moment
    rescue ArgumentError
      nil
    end

    # @return [Boolean] whether its task does nothing by itself after it
    def settling? = SETTLING.include?(name)

    # @return [Hash{Symbol => Object}]
    def to_h = { name: name, position: position, data: data.to_h }

    # @api private
    def deconstruct_keys(_keys) = { name: name, position: position, data: data, task_id: task_id, step: step }

    # @return [Boolean]
    def ==(other) = other.is_a?(Event) && other.to_h == to_h
    alias eql? ==

    # @return [Integer]
    def hash = to_h.hash

    # @return [String]
    def to_s = [name, step, task_id && "(task #{task_id})"].compact.join(" ")
  end
end
