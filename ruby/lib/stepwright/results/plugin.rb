# frozen_string_literal: true

require_relative "../value"

module Stepwright
  # A registered version of a template.
  class Template < Value
    # @return [String]
    field :namespace, required: true
    # @return [String]
    field :name, required: true
    # @return [String]
    field :version
    # @return [Time, nil]
    field :registered_at, :moment
    # @return [Boolean, nil] see {#created?}
    field :created
    # @return [String, nil] its YAML, where one template was asked for
    field :source

    # @return [Boolean] whether this call registered it; +false+ if it was there already
    def created? = created == true

    # @return [String] +namespace/name@version+
    def ref = "#{namespace}/#{name}@#{version}"
  end

  # A registered version of a plugin.
  class Plugin < Value
    # @return [String] +namespace/name+
    field :name, required: true
    # @return [String]
    field :version
    # @return [String, nil] the component's
    field :digest
    # @return [String, nil] +enabled+, +disabled+, +yanked+ or +quarantined+
    field :state
    # @return [Integer, nil] the component's size
    field :bytes
    # @return [Time, nil]
    field :registered_at, :moment
    # @return [Boolean, nil] see {#created?}
    field :created
    # @return [Array, nil] what it asks for that the version before did not
    field :asked
    # @return [Array, nil] with their schemas
    field :handlers

    # @return [Boolean] whether this call registered it; +false+ if it was there already
    def created? = created == true

    # @return [String] +namespace/name@version+
    def ref = "#{name}@#{version}"
  end
end
