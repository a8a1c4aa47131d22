# frozen_string_literal: true

require "time"

require_relative "../duration"
require_relative "../results/handled_task"
require_relative "../results/page"
require_relative "../results/task"

module Stepwright
  class Client
    # Starting tasks and following them.
    module Tasks
      # The longest that one request waits: proxies on the way cut what is silent for longer.
      WAIT_SLICE = 30.0
      # Between two looks, where the host does not wait itself because it is about to stop.
      WAIT_PAUSE = 0.5
      # How long a host that was there may be away while a task is waited for: as long as a restart takes, in seconds.
      AWAY_MAX = 30.0
      # Unless told otherwise.
      HANDLE_TIMEOUT = 300.0

      # Starts a task.
      #
      # @param template [String] +namespace/name+, +name+ or either with +@version+
      # @param context [Hash] what the task is about
      # @param idempotency_key [String, nil] starting again with the same key returns the first task, and makes it safe to try again
      # @param tags [Hash] labels
      # @param priority [Integer] higher is claimed first
      # @param at [Time, String, nil] not before then
      # @param in [Numeric, String, nil] not before so many seconds, or +"5m"+
      # @return [InitializedTask]
      # @raise [NotFound] if there is no such template
      # @raise [Invalid] if the context does not fit the template's schema
      def initialize_task(template:, context: {}, idempotency_key: nil, tags: {}, priority: nil, at: nil, in: nil)
        delay = binding.local_variable_get(:in)
        request = { template: template, context: context, idempotency_key: idempotency_key, tags: tags,
                    priority: priority, at: at, in: delay }
        InitializedTask.new(post("/tasks", start(request), idempotent: !idempotency_key.nil?))
      end

      # Starts many tasks at once: all, or none if one of them is wrong.
      #
      # @param requests [Array<Hash>] each with the keywords of {#initialize_task}; at most 10,000
      # @return [Array<Record>] each with +id+ and +created+, in the same order
      def initialize_tasks(requests)
        starts = requests.map { |request| start(request.transform_keys(&:to_sym)) }
        idempotent = starts.any? && starts.all? { |start| start.key?(:idempotency_key) }
        Record.list(fetch(post("/tasks/bulk", { tasks: starts }, idempotent: idempotent), "tasks"))
      end

      # Runs a task to its end, or until the time is over.
      #
      # @param task_id [Integer, #task_id]
      # @param timeout [Numeric, String] seconds, or a text such as +5m+
      # @yieldparam event [Event] what happens to it, as it happens
      # @return [HandledTask]
      # @raise [NotFound]
      def handle(task_id, timeout: HANDLE_TIMEOUT, &block)
        task_id = id_of(task_id)
        deadline = now + Duration.seconds(timeout)
        follow(task_id, deadline, &block) if block
        answer = wait(task_id, deadline)
        HandledTask.new(Task.new(answer), settled: answer["settled"] == true)
      end

      # Starts a task and runs it to its end.
      #
      # @param timeout [Numeric, String]
      # @param start [Hash] the keywords of {#initialize_task}
      # @yieldparam event [Event]
      # @return [HandledTask]
      def run(timeout: HANDLE_TIMEOUT, **start, &block)
        handle(initialize_task(**start).id, timeout: timeout, &block)
      end

      # @param task_id [Integer, #task_id]
      # @return [Task]
      # @raise [NotFound]
      def task(task_id) = Task.new(get("/tasks/#{id_of(task_id)}"))

      # @param state [String, Array<String>, nil]
      # @param namespace [String, nil]
      # @param template [String, nil]
      # @param limit [Integer]
      # @param before [Integer, nil] the cursor of the page before
      # @return [Page] of {TaskSummary}, newest first; {Page#all} goes through all of them
      def tasks(state: nil, namespace: nil, template: nil, limit: 50, before: nil)
        query = { state: Array(state), namespace: namespace, template: template, limit: limit, before: before }
        page(TaskSummary, "tasks", "/tasks", query)
      end

      # @param task_id [Integer, #task_id]
      # @return [Array<Attempt>]
      def attempts(task_id) = listed(Attempt, "attempts", "/tasks/#{id_of(task_id)}/attempts")

      # @param task_id [Integer, #task_id]
      # @return [Array<Record>] everything that ever happened to it, oldest first
      def history(task_id) = listed(Record, "history", "/tasks/#{id_of(task_id)}/history")

      private

      def start(request)
        body = request.compact
        body[:template] = qualified(body.fetch(:template))
        body[:tags] = body[:tags].to_h { |name, value| [name.to_s, value.to_s] } if body[:tags]
        body.delete(:tags) if body[:tags] && body[:tags].empty?
        body[:at] = moment(body[:at]) if body[:at]
        body[:in] = Duration.text(body[:in]) if body[:in]
        body
      end

      # Texts are the host's to read, also where ActiveSupport gives them +to_time+.
      def moment(at) = at.is_a?(String) || !at.respond_to?(:to_time) ? at : at.to_time.getutc.iso8601(3)

      # The task as it stands once it has settled or the time is over.
      def wait(task_id, deadline)
        loop do
          asked = now
          slice = (deadline - asked).clamp(0.0, WAIT_SLICE)
          answer = patiently(deadline) { get("/tasks/#{task_id}/wait", { timeout: Duration.text(slice) }, waits: slice) }
          return answer if answer["settled"] == true || now >= deadline

          # The host answered sooner than it was asked to: it is about to stop.
          sleep([WAIT_PAUSE, deadline - now].min.clamp(0.0, WAIT_PAUSE)) if now - asked < slice - WAIT_PAUSE
        end
      end

      # Asks on while the host is away or has no room for a while. The task goes on without anybody who waits for it.
      def patiently(deadline)
        until_away = [deadline, now + AWAY_MAX].min
        begin
          yield
        rescue Unavailable, RateLimited, Timeout => e
          pause = [WAIT_PAUSE, (e.retry_after if e.respond_to?(:retry_after)).to_f].max
          raise if now + pause > until_away

          sleep(pause)
          retry
        end
      end

      def id_of(task) = task.respond_to?(:task_id) ? task.task_id : Integer(task)

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
