# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/host"

# What the documents show.
class ReadmeTest < Minitest::Test
  include Support::Needs

  GEM = File.expand_path("..", __dir__)
  SHOP = [ENV["SHOP_WASM"], File.join(Support::ROOT, "plugins/target/wasm32-wasip2/release/shop.wasm")].compact.find { |path| File.file?(path) }

  def test_the_order_is_the_example_and_short
    shown = File.read("#{GEM}/README.md")[/^## An order.*?^```ruby\n(.*?)^```/m, 1]
    assert_equal "# frozen_string_literal: true\n\n#{shown}", File.read("#{GEM}/examples/order.rb")
    assert_operator shown.lines.size, :<=, 30
  end

  def test_the_order_is_shipped
    need_host
    need(SHOP, "the plugin shop is not built; set SHOP_WASM")
    variables = { "STEPWRIGHT_BINARY" => Support::RealHost.binary, "SHOP_WASM" => SHOP }
    out, status = Open3.capture2e(variables, RbConfig.ruby, "-I#{GEM}/lib", "#{GEM}/examples/order.rb")
    need(false, "the host is older than its API") if out.match?(/serves no API|api\.listen/)
    assert_predicate status, :success?, out
    assert_match(/^step\.completed ship_order \(task 1\)$.*^shipped: /m, out)
  end

  def test_every_setting_and_every_call_is_in_the_readme
    text = File.read("#{GEM}/README.md")
    calls = Stepwright::Client.included_modules.select { |part| part.name&.start_with?("Stepwright::Client::") }.flat_map { |part| part.public_instance_methods(false) }
    names = calls + Stepwright::Configuration.settings.keys
    assert_empty names.reject { |name| text.match?(/\b#{Regexp.escape(name.to_s)}/) }
  end

  def test_ruby_in_the_documents_can_be_read
    ["#{GEM}/README.md", File.join(Support::ROOT, "docs/guides/ruby.md")].each do |file|
      File.read(file).scan(/^```ruby\n(.*?)^```/m).flatten.each { |code| RubyVM::InstructionSequence.compile(code.gsub("…", "nil")) }
    end
  end
end
