# frozen_string_literal: true

require_relative "../value"

module Stepwright
  # A registered version of a template.
  class Template < Value
    field :namespace, required: true
    field :name, required: true
    field :version
    field :registered_at, :moment
    field :created
    # @!attribute [r] source
    #   @return [String, nil] its YAML, where one template was asked for
    field :source

    # @return [Boolean] whether this call registered it; +false+ if it was there already
    def created? = created == true

    # @return [String] +namespace/name@version+
    def ref = "#{namespace}/#{name}@#{version}"
  end

  # A registered version of a plugin.
  class Plugin < Value
    # @!attribute [r] name
    #   @return [String] +namespace/name+
    field :name, required: true
    field :version
    field :digest
    field :state
    field :bytes
    field :registered_at, :moment
    field :created
    # @!attribute [r] asked
    #   @return [Array, nil] what it asks for that the version before did not
    field :asked
    field :handlers

    # @return [Boolean] whether this call registered it; +false+ if it was there already
    def created? = created == true

    # @return [String] +namespace/name@version+
    def ref = "#{name}@#{version}"
  end
end
