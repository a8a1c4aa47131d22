# frozen_string_literal: true

require_relative "../duration"
require_relative "../value"

module Stepwright
  class Client
    # How the system does, and how a task does. Fields are those of the API: durations carry their unit in the name.
    module Performance
      # @param since [Numeric, String] seconds, or a text such as +1h+
      # @param namespace [String, nil]
      # @return [Record] throughput, rates, percentiles, the health score
      def analytics(since: "1h", namespace: nil)
        Record.new(get("/analytics/metrics", { since: Duration.text(since), namespace: namespace }))
      end

      # @param filters [Hash] +since+, +namespace+, +template+, +version+, +limit+
      # @return [Record] +tasks+, the slowest first
      def slowest_tasks(**filters) = Record.new(get("/analytics/slowest/tasks", since(filters)))

      # @param filters [Hash] the same
      # @return [Record] +steps+, the slowest first, and whether they are a sample
      def slowest_steps(**filters) = Record.new(get("/analytics/slowest/steps", since(filters)))

      # @return [Record] tasks and steps by state, workers, connections
      def system_health = Record.new(get("/analytics/health"))

      # @param task_id [Integer, #task_id]
      # @return [Record] counts, recommended action, critical path, bottleneck
      def execution_context(task_id) = Record.new(get("/tasks/#{id_of(task_id)}/execution"))

      # @param task_id [Integer, #task_id]
      # @return [Record] each step's level: the longest way to it from a root
      def levels(task_id) = Record.new(get("/tasks/#{id_of(task_id)}/levels"))

      # @param task_id [Integer, #task_id]
      # @return [Record] the steps that can be claimed now
      def viable_steps(task_id) = Record.new(get("/tasks/#{id_of(task_id)}/viable"))

      private

      def since(filters)
        filters[:since] ? filters.merge(since: Duration.text(filters[:since])) : filters
      end
    end
  end
end
