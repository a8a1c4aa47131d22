# frozen_string_literal: true

require "json"

module Stepwright
  module Testing
    # Templates in the complex shapes, for any handler: the text of one, ready to be registered.
    #
    #   Stepwright.register_template(Stepwright::Testing::Shapes.diamond("start", plugin: "examples/shapes@^1"))
    #   Stepwright::Testing::Shapes.tree("start") { |step| { config: { add: 1 } } if step == "left" }
    module Shapes
      # Each shape: parents by step.
      DIAMOND = { "top" => [], "left" => %w[top], "right" => %w[top], "bottom" => %w[left right] }.freeze
      TREE = { "root" => [], "left" => %w[root], "right" => %w[root], "left_1" => %w[left], "left_2" => %w[left],
               "right_1" => %w[right], "right_2" => %w[right] }.freeze
      MIXED_DAG = { "init" => [], "process_left" => %w[init], "process_right" => %w[init],
                    "validate" => %w[process_left process_right], "transform" => %w[process_left],
                    "analyze" => %w[process_right], "finalize" => %w[validate transform analyze] }.freeze

      module_function

      # One step after another.
      #
      # @param handler [String, #call] its name; or what gives each step its own
      # @param steps [Integer]
      # @param options [Hash] see {.template}
      # @return [String] YAML
      def linear(handler, steps: 4, **options, &block)
        parents = (1..steps).to_h { |number| ["step_#{number}", number == 1 ? [] : ["step_#{number - 1}"]] }
        template(handler, parents, name: "linear_#{steps}", **options, &block)
      end

      # One step, two beside each other, one.
      #
      # @param handler (see .linear)
      # @param options (see .linear)
      # @return (see .linear)
      def diamond(handler, **options, &block) = template(handler, DIAMOND, name: "diamond", **options, &block)

      # Several roots that meet in one step.
      #
      # @param handler (see .linear)
      # @param roots [Integer]
      # @param options (see .linear)
      # @return (see .linear)
      def merge(handler, roots: 3, **options, &block)
        names = (1..roots).map { |number| "root_#{number}" }
        template(handler, names.to_h { |name| [name, []] }.merge("meet" => names), name: "merge_#{roots}", **options, &block)
      end

      # One step, two below it, two below each of those.
      #
      # @param handler (see .linear)
      # @param options (see .linear)
      # @return (see .linear)
      def tree(handler, **options, &block) = template(handler, TREE, name: "tree", **options, &block)

      # Seven steps with edges across the levels.
      #
      # @param handler (see .linear)
      # @param options (see .linear)
      # @return (see .linear)
      def mixed_dag(handler, **options, &block) = template(handler, MIXED_DAG, name: "mixed_dag", **options, &block)

      # Any shape.
      #
      # @param handler [String, #call] its name; or what gives each step its own
      # @param parents [Hash{String => Array<String>}] by step
      # @param name [String]
      # @param namespace [String]
      # @param version [String]
      # @param plugin [String, nil] +namespace/name@requirement+
      # @param defaults [Hash] timeouts, retries and limits of every step
      # @yieldparam step [String]
      # @yieldreturn [Hash, nil] more of that step: +config+, +retry+, +timeout+, …
      # @return [String] YAML
      def template(handler, parents, name:, namespace: "test", version: "1.0.0", plugin: nil, defaults: nil)
        steps = parents.map do |step, before|
          own = { name: step, handler: handler.respond_to?(:call) ? handler.call(step) : handler.to_s }
          own[:depends_on] = before unless before.empty?
          own.merge((yield step if block_given?) || {})
        end
        head = { template: name, namespace: namespace, version: version, plugin: plugin, defaults: defaults }.compact
        # JSON is YAML, without a second way to write anything.
        "#{head.map { |key, value| "#{key}: #{JSON.generate(value)}\n" }.join}steps:\n" +
          steps.map { |step| "  - #{JSON.generate(step)}\n" }.join
      end
    end
  end
end
