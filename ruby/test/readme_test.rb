# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/host"
require "stepwright/worker"

# What the documents show.
class ReadmeTest < Minitest::Test
  include Support::Needs

  GEM = File.expand_path("..", __dir__)
  SHOP = [ENV["SHOP_WASM"], File.join(Support::ROOT, "plugins/target/wasm32-wasip2/release/shop.wasm")].compact.find { |path| File.file?(path) }

  def script(file, heading) = File.read(file)[/^## #{heading}.*?^```ruby\n(.*?)^```/m, 1]

  def test_the_order_is_the_same_everywhere_and_short
    order = script(File.join(Support::ROOT, "README.md"), "Or from Ruby")
    assert_operator order.lines.size, :<=, 30
    assert_equal order, script("#{GEM}/README.md", "An order")
    assert_equal "# frozen_string_literal: true\n\n#{order}", File.read("#{GEM}/examples/order.rb")
  end

  # The script as it stands in the README, in a folder with the plugin and nothing else.
  def test_the_order_is_shipped
    need_host
    need(SHOP, "the plugin shop is not built; set SHOP_WASM")
    Dir.mktmpdir do |folder|
      File.symlink(SHOP, "#{folder}/shop.wasm")
      File.write("#{folder}/order.rb", script(File.join(Support::ROOT, "README.md"), "Or from Ruby"))
      out, status = Open3.capture2e({ "STEPWRIGHT_BINARY" => Support::RealHost.binary }, RbConfig.ruby, "-I#{GEM}/lib", "order.rb", chdir: folder)
      assert_predicate status, :success?, out
      lines = out.lines(chomp: true)
      assert_equal ["task.initialized (task 1)", "task.completed (task 1)"], [lines.first, lines[-2]], out
      %w[validate_order reserve_inventory process_payment ship_order].each { |step| assert_includes lines, "step.completed #{step} (task 1)" }
      assert_match(/\Acomplete: \{"order_id" ?=> ?"ORD-1", "tracking" ?=> ?"TRK\h{16}", "carrier" ?=> ?"FedEx", "pieces" ?=> ?2, "days" ?=> ?6\}\z/, lines.last)
    end
  end

  def test_every_setting_and_every_call_is_in_the_readme
    text = File.read("#{GEM}/README.md")
    calls = Stepwright::Client.included_modules.select { |part| part.name&.start_with?("Stepwright::Client::") }.flat_map { |part| part.public_instance_methods(false) }
    names = calls + Stepwright::Configuration.settings.keys
    assert_empty names.reject { |name| text.match?(/\b#{Regexp.escape(name.to_s)}/) }
  end

  def test_every_setting_of_a_worker_is_in_the_readme
    table = File.read("#{GEM}/README.md")[/^\| setting under `worker`.*?\n\n/m]
    assert_empty Stepwright::WorkerSettings.settings.keys.reject { |name| table.match?(/^\| [^|]*`#{name}`/) }
  end

  # What systemd waits for is longer than the longest end of a worker.
  def test_the_service_has_the_time_that_a_worker_takes
    longest = Stepwright::WorkerSettings.new.drain + Stepwright::Worker::Slots::SHUTDOWN_SECONDS +
              Stepwright::Worker::Draining::ACK_SECONDS + (Stepwright::Worker::Dealer::LINGER_MS / 1_000.0)
    assert_operator File.read(File.join(Support::ROOT, "docs/guides/ruby.md"))[/^TimeoutStopSec=(\d+)$/, 1].to_i, :>, longest
  end

  def test_ruby_in_the_documents_can_be_read
    ["#{GEM}/README.md", File.join(Support::ROOT, "docs/guides/ruby.md")].each do |file|
      File.read(file).scan(/^```ruby\n(.*?)^```/m).flatten.each { |code| RubyVM::InstructionSequence.compile(code.gsub("…", "nil")) }
    end
  end
end
