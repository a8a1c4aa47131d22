# frozen_string_literal: true

require_relative "support/setup"
require "open3"
require "stepwright/command_line"
require "stepwright/testing"
require "stepwright/webhook"
require "stepwright/worker"

# The signatures in sig/, class by class: what is public has one, and what has one is there. Internal is what its comment says to be,
# with `@api private`.
class SignaturesTest < Minitest::Test
  SIG = File.expand_path("../sig", __dir__)
  # What Struct itself gives to each of its classes.
  OF_STRUCT = %i[new [] members inspect keyword_init?].freeze

  # What the signatures say of one class or module. Methods have the texts of their types, attributes have none.
  Said = Struct.new(:instance, :singleton, :constants)

  def test_they_are_valid
    skip "rbs is not here; Ruby bundles it" unless Gem::Specification.find_all_by_name("rbs").any?
    out, status = Open3.capture2e(RbConfig.ruby, "-W0", Gem.bin_path("rbs", "rbs"), "-I", SIG, "validate", "--silent")
    assert_predicate status, :success?, out
  end

  def test_what_is_public_has_one
    missing = owners.flat_map do |name, owner|
      said = signatures[name] or next name
      (methods_of(owner) - said.instance.keys).map { |method| "#{name}##{method}" } +
        (singletons_of(owner) - said.singleton.keys).map { |method| "#{name}.#{method}" } +
        (constants_of(owner) - said.constants).map { |constant| "#{name}::#{constant}" }
    end
    assert_empty missing
  end

  def test_what_has_one_is_there_and_public
    signatures.each do |name, said|
      owner = owners.fetch(name) { flunk "#{name} is not there, or internal" }
      said.instance.each_key { |method| assert owner.method_defined?(method) || owner.private_method_defined?(method), "#{name}##{method}" }
      said.singleton.each_key { |method| assert_respond_to owner, method, name }
      said.constants.each { |constant| assert owner.const_defined?(constant, false), "#{name}::#{constant}" }
    end
  end

  def test_they_have_the_keywords_that_methods_have
    signatures.each do |name, said|
      owner = owners.fetch(name)
      said.instance.each { |method, types| compare(types, owner.instance_method(method), "#{name}##{method}") }
      said.singleton.each { |method, types| compare(types, owner.method(method), "#{name}.#{method}") }
    end
  end

  # YARD takes `(see …)` only as a comment by itself, or behind a tag.
  def test_comments_are_ones_that_yard_understands
    Dir[File.join(Support::ROOT, "ruby/lib/**/*.rb")].each do |file|
      lines = File.readlines(file, chomp: true)
      lines.each_cons(2) { |above, line| refute above.match?(/^ *#/) && line.match?(/^ *# \(see /), "#{file}: #{line}" }
      next unless file.match?(%r{/results/|/configuration\.rb})

      lines.each_cons(2) { |above, line| assert_match(/^ *# /, above, "#{file}: #{line}") if line.match?(/^ +(field|setting) :/) }
    end
    [Stepwright::Value.method(:field), Stepwright::Settings.method(:setting)].each do |macro|
      comment = File.readlines(macro.source_location.first).take(macro.source_location.last).last(12).join
      assert_includes comment, "# @!macro [attach] #{macro.name}\n"
    end
  end

  private

  def compare(types, method, name)
    return if types.nil? || method.source_location.nil?

    kinds = method.parameters.group_by(&:first).transform_values { |parameters| parameters.map(&:last) }
    taken = types.map { |type| type[/\A(?:\[\w+\] )?\((.*?)\) (?:->|\??\{)/, 1].to_s }
    assert_equal [*kinds[:key], *kinds[:keyreq]].sort, taken.flat_map { |all| all.scan(/(?:\A|, )\??(\w+): /) }.flatten.uniq.map(&:to_sym).sort, name
    assert_equal kinds.key?(:keyrest), taken.any? { |all| all.include?("**") }, "#{name}: other keywords"
  end

  # Everything from Stepwright down that is not internal, by name.
  def owners
    @owners ||= within(Stepwright)
  end

  def within(owner)
    names = owner.constants(false).reject { |name| internal?(*owner.const_source_location(name)) }
    ones = names.map { |name| owner.const_get(name) }.grep(Module).select { |one| one.name.start_with?("#{owner.name}::") }
    ones.each_with_object({ owner.name => owner }) { |one, all| all.merge!(within(one)) }
  end

  def methods_of(owner)
    names = owner.public_instance_methods(false) + owner.private_instance_methods(false).grep(:initialize)
    names.reject { |name| internal?(*owner.instance_method(name).source_location) }
  end

  # What its client does for Stepwright has its signatures there.
  def singletons_of(owner)
    names = owner.singleton_methods(false)
    names -= OF_STRUCT if owner.is_a?(Class) && owner < Struct
    names -= Stepwright::Client.public_instance_methods if owner == Stepwright
    names.reject { |name| internal?(*owner.method(name).source_location) }
  end

  def constants_of(owner)
    owner.constants(false).reject { |name| owner.const_get(name).is_a?(Module) || internal?(*owner.const_source_location(name)) }
  end

  def internal?(file = nil, line = nil)
    return false unless file && File.file?(file)

    @lines ||= Hash.new { |known, path| known[path] = File.readlines(path) }
    @lines[file].take(line - 1).reverse.take_while { |text| text.strip.start_with?("#") }.any? { |text| text.include?("@api private") }
  end

  def signatures
    @signatures ||= Dir["#{SIG}/*.rbs"].each_with_object({}) { |file, all| read(File.readlines(file), all) }
                                       .reject { |name, _| name.include?("::_") } # interfaces are of signatures only
  end

  # One declaration a line, further types of a method on the next lines.
  def read(lines, all)
    place = []
    types = nil
    lines.map(&:strip).each do |line|
      case line
      when /\A(?:class|module|interface) ([\w:]+)/ then all[place.push($1).join("::")] ||= Said.new({}, {}, [])
      when "end" then place.pop
      when /\Adef (self\??\.)?([^\s:]+): (.*)/ then types = note(all[place.join("::")], $1, $2.to_sym, $3)
      when /\A\| (.*)/ then types << $1
      when /\Aattr_(reader|accessor) (\w+):/ then attribute(all[place.join("::")], $1, $2)
      when /\A([A-Z]\w*): / then all[place.join("::")].constants << $1.to_sym
      end
    end
  end

  def note(said, kind, name, type)
    types = [type]
    said.instance[name] = types unless kind == "self."
    said.singleton[name] = types if kind
    types
  end

  def attribute(said, kind, name)
    said.instance[name.to_sym] = nil
    said.instance[:"#{name}="] = nil if kind == "accessor"
  end
end
